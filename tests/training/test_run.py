"""Training runs: what is written, when they end early, and what they depend on."""

import csv
import json
import threading
from contextlib import nullcontext
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from stable_baselines3.common.callbacks import BaseCallback

from agents.errors import Diverged
from agents.saved_agent import load_agent
from agents.training.building import build
from agents.training.configuration import PRESETS
from tests.training.small import EXPERTS, KEPT, PHOTOS, Interrupt, files, progress, run, weights

pytestmark = pytest.mark.usefixtures("one_thread")


def actor(folder) -> torch.Tensor:
    """All weights of the actor in a run's folder."""
    return torch.cat([tensor.flatten() for tensor in load_agent(folder).policy.actor.state_dict().values()])


def test_the_folder_holds_everything(whole):
    assert whole.interrupted is False
    names = {path.name.split(".")[0] for path in whole.folder.iterdir() if path.name != ".run.lock"}
    assert names == {"config", "photos", "agent", "reward", "checkpoint", "progress", "curves", "events", "storyboards"}
    assert json.loads((whole.folder / "config.json").read_text()) == json.loads(json.dumps(asdict(KEPT)))
    assert list(whole.folder.glob("events.out.tfevents.*"))[0].stat().st_size > 500
    with Image.open(whole.folder / "curves.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300
        assert len(picture.convert("L").getcolors(256)) > 20, "the curves are blank"


def test_the_log_has_the_columns_that_are_promised_and_only_numbers(whole):
    with open(whole.folder / "progress.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == whole.model._n_updates >= 2
    columns = {"time/total_timesteps", "time/iterations", "rollout/ep_rew_mean", "rollout/ep_len_mean",
               "train/actor_loss", "train/ev_mean", "train/ev_std", "train/saturated", "train/learning_rate",
               "discriminator/loss", "discriminator/real", "discriminator/fake", "discriminator/slope",
               "discriminator/penalty", "response/-2.0", "response/+0.0", "response/+2.0", "ev/step_1_mean",
               "ev/step_1_std", "ev/share_+0.00"}
    assert columns <= rows[0].keys()
    cells = {(name, value) for row in rows for name, value in row.items()}
    assert all(np.isfinite(float(value)) for _, value in cells if value)
    assert all(name.startswith("ev/step_") for name, value in cells if not value)  # no photo has so many segments
    steps = [int(row["time/total_timesteps"]) for row in rows]
    assert steps == sorted(set(steps)) and steps[-1] == whole.model.num_timesteps >= KEPT.total_timesteps
    assert {float(row["response/+0.0"]) for row in rows} == {0.0}


def test_tensorboard_reads_the_events(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole.folder))
    events.Reload()
    assert {"train/actor_loss", "discriminator/loss", "rollout/ep_rew_mean"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("train/actor_loss")) == whole.model._n_updates


def test_the_agent_in_the_folder_is_the_trained_one(whole):
    loaded = load_agent(whole.folder)
    for name, tensor in whole.model.policy.actor.state_dict().items():
        assert torch.equal(loaded.policy.actor.state_dict()[name], tensor.cpu()), name
    assert loaded.task(PHOTOS).config == whole.model.exposure_env.task.config
    assert np.isfinite(loaded.plan(PHOTOS[0].image).evs).all()


def test_training_moves_the_weights(whole):
    untrained, _ = build(KEPT, PHOTOS, EXPERTS)
    before = torch.cat([tensor.flatten() for tensor in untrained.policy.actor.state_dict().values()])
    assert before.shape == actor(whole.folder).shape and not torch.equal(before, actor(whole.folder))


def test_a_folder_takes_one_run_only(whole):
    before = files(whole.folder)
    with pytest.raises(ValueError, match="holds another run's agent") as caught:
        run(whole.folder, KEPT)
    assert str(whole.folder) in str(caught.value)
    assert files(whole.folder) == before


def test_the_folder_may_be_a_string_and_exist_already(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    ended = run(str(tmp_path), replace(KEPT, total_timesteps=1))
    assert ended.folder == tmp_path and (tmp_path / "notes.txt").read_text() == "mine"
    assert torch.isfinite(actor(ended.folder)).all()


# Ends before time


@pytest.mark.parametrize("steps", [3, 12])
def test_ctrl_c_keeps_the_agent(tmp_path, steps):
    """Also before the first update, when there is nothing to draw curves of."""
    ended = run(tmp_path / "run", KEPT, [Interrupt(steps)])
    assert ended.interrupted is True and ended.model.num_timesteps == 4 * steps
    assert torch.isfinite(actor(ended.folder)).all() and (ended.folder / "config.json").exists()
    assert (ended.folder / "curves.png").exists() == (ended.model._n_updates > 0)
    assert not list(ended.folder.glob("*.tmp"))


@pytest.mark.parametrize("changes", [{}, {"discriminator_learning_rate": 1e30}], ids=["Ctrl-C", "NaN"])
def test_a_progress_bar_is_closed_when_the_training_ends_early(tmp_path, changes):
    """A live display that stays keeps on drawing over whatever is printed next, and hides the cursor."""
    with pytest.raises(Diverged, match="loss") if changes else nullcontext():
        run(tmp_path / "run", replace(KEPT, **changes), [Interrupt(12)], progress_bar=True)
    assert [thread for thread in threading.enumerate() if "Refresh" in type(thread).__name__] == []


def test_a_callback_may_stop_the_training(stopped):
    assert stopped.interrupted is False and stopped.model.num_timesteps == 52
    assert torch.isfinite(actor(stopped.folder)).all()


def test_other_exceptions_come_through_and_the_agent_is_kept(tmp_path):
    class Fault(BaseCallback):
        def _on_step(self) -> bool:
            if self.n_calls == 2:
                raise OSError("disk full")
            return True

    with pytest.raises(OSError, match="disk full"):
        run(tmp_path / "run", KEPT, [Fault()])
    assert load_agent(tmp_path / "run").policy.width == 4


@pytest.mark.parametrize("warm_up", [3, 1])
def test_a_game_that_blows_up_says_so_and_the_agent_is_kept(tmp_path, warm_up):
    """The discriminator's steps are so large that its scores overflow."""
    config = replace(KEPT, discriminator_learning_rate=1e30, warm_up=warm_up)
    with pytest.raises(Diverged, match="loss is|not finite"):
        run(tmp_path / "run", config)
    kept = load_agent(tmp_path / "run")
    assert all(torch.isfinite(tensor).all() for tensor in kept.policy.actor.state_dict().values())
    assert np.isfinite(kept.plan(PHOTOS[0].image).evs).all()


# What a run depends on


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path, whole):
    torch.manual_seed(99), np.random.seed(99)  # what was drawn before plays no part
    again = run(tmp_path / "again", KEPT).folder
    other = run(tmp_path / "other", replace(KEPT, seed=1)).folder
    assert weights(again) == weights(whole.folder) != weights(other)
    assert progress(again) == progress(whole.folder)


def test_targets_are_not_used(tmp_path, whole):
    rng = np.random.default_rng(0)
    noise = [rng.random(photo.image.shape, np.float32) for photo in PHOTOS]
    paired = [photo._replace(target=target, ev_map=target[..., 0])
              for photo, target in zip(PHOTOS, noise, strict=True)]
    experts = [photo._replace(target=noise[0]) for photo in EXPERTS]
    assert weights(run(tmp_path, KEPT, photos=paired, experts=experts).folder) == weights(whole.folder)


def test_photos_and_experts_are_used(tmp_path, whole):
    assert weights(run(tmp_path / "a", KEPT, photos=PHOTOS[::-1]).folder) != weights(whole.folder)
    assert weights(run(tmp_path / "b", KEPT, experts=EXPERTS[:3]).folder) != weights(whole.folder)


def test_learning_rates_decay_to_their_fraction(whole):
    assert whole.model.policy.optimizer.param_groups[0]["lr"] < 0.15 * KEPT.learning_rate
    with open(whole.folder / "progress.csv") as file:
        rates = [float(row["train/learning_rate"]) for row in csv.DictReader(file)]
    assert KEPT.learning_rate > rates[0] > rates[-1] >= 0.05 * KEPT.learning_rate


def test_a_paper_run_trains(tmp_path):
    small = {name: getattr(KEPT, name) for name in ("total_timesteps", "num_envs", "batch_size", "width", "warm_up",
                                                    "n_critic", "device")}
    ended = run(tmp_path / "run", replace(PRESETS["paper"], **small, n_batches=2))
    assert torch.isfinite(actor(ended.folder)).all() and load_agent(ended.folder).task(PHOTOS).config.space == "encoded"

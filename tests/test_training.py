"""Training runs: what is written, when they end early, and what they depend on."""

import csv
import json
import threading
from contextlib import nullcontext
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
from PIL import Image
from stable_baselines3.common.callbacks import BaseCallback

from agents.deep_exposure import Method
from agents.errors import Diverged
from agents.saved_agent import load_agent
from agents.training.building import build
from agents.training.configuration import PRESETS, TrainConfig, decay
from agents.training.run import Run, train
from exposure_env.photos import Photo, thumbnail

TINY = TrainConfig(total_timesteps=100, device="cpu", num_envs=4, n_batches=2, batch_size=4, width=4,
                   discriminator_batch_size=4, warm_up=2, n_critic=1, max_segments=4)


@pytest.fixture(scope="module")
def photos(sample_photos) -> list[Photo]:
    return [Photo(f"photo {i}", thumbnail(image) ** 2) for i, image in enumerate(sample_photos[:6])]


@pytest.fixture(scope="module")
def experts(sample_photos) -> list[Photo]:
    return [Photo(f"expert {i}", thumbnail(image)) for i, image in enumerate(sample_photos[6:12])]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, photos, experts) -> Run:
    return train(TINY, photos, experts, tmp_path_factory.mktemp("runs") / "new" / "run", progress_bar=False)


def weights(run: Run) -> torch.Tensor:
    """All weights of the agent in a run's folder."""
    return torch.cat([tensor.flatten() for tensor in load_agent(run.folder).policy.actor.state_dict().values()])


def trained(folder, photos, experts, **changes) -> torch.Tensor:
    return weights(train(replace(TINY, **changes), photos, experts, folder, progress_bar=False))


class Interrupt(BaseCallback):
    """Presses Ctrl-C after some steps."""

    def __init__(self, after: int):
        super().__init__()
        self.after = after

    def _on_step(self) -> bool:
        if self.n_calls >= self.after:
            raise KeyboardInterrupt
        return True


class Stop(BaseCallback):
    """Asks SB3 for the end after some steps."""

    def _on_step(self) -> bool:
        return self.n_calls < 8


# The folder


def test_the_folder_holds_everything(finished):
    assert finished.interrupted is False
    names = {path.name.split(".")[0] for path in finished.folder.iterdir()}
    assert names == {"config", "photos", "agent", "checkpoint", "progress", "curves", "events", "storyboards"}
    assert json.loads((finished.folder / "config.json").read_text()) == json.loads(json.dumps(asdict(TINY)))
    assert list(finished.folder.glob("events.out.tfevents.*"))[0].stat().st_size > 500
    with Image.open(finished.folder / "curves.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300
        assert len(picture.convert("L").getcolors(256)) > 20, "the curves are blank"


def test_the_log_has_the_columns_that_are_promised_and_only_numbers(finished):
    with open(finished.folder / "progress.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == finished.model._n_updates >= 2
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
    assert steps == sorted(set(steps)) and steps[-1] == finished.model.num_timesteps >= 100
    assert {float(row["response/+0.0"]) for row in rows} == {0.0}


def test_tensorboard_reads_the_events(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished.folder))
    events.Reload()
    assert {"train/actor_loss", "discriminator/loss", "rollout/ep_rew_mean"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("train/actor_loss")) == finished.model._n_updates


def test_the_agent_in_the_folder_is_the_trained_one(finished, photos):
    loaded = load_agent(finished.folder)
    for name, tensor in finished.model.policy.actor.state_dict().items():
        assert torch.equal(loaded.policy.actor.state_dict()[name], tensor.cpu()), name
    assert loaded.task(photos).config == finished.model.exposure_env.task.config
    assert np.isfinite(loaded.plan(photos[0].image).evs).all()


def test_training_moves_the_weights(finished, photos, experts):
    untrained, _ = build(TINY, photos, experts)
    before = torch.cat([tensor.flatten() for tensor in untrained.policy.actor.state_dict().values()])
    assert before.shape == weights(finished).shape and not torch.equal(before, weights(finished))


def test_a_folder_takes_one_run_only(finished, photos, experts):
    before = {path.name: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="holds another run's agent") as caught:
        train(TINY, photos, experts, finished.folder, progress_bar=False)
    assert str(finished.folder) in str(caught.value)
    assert {path.name: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()} == before


def test_the_folder_may_be_a_string_and_exist_already(tmp_path, photos, experts):
    (tmp_path / "notes.txt").write_text("mine")
    run = train(replace(TINY, total_timesteps=1), photos, experts, str(tmp_path), progress_bar=False)
    assert run.folder == tmp_path and (tmp_path / "notes.txt").read_text() == "mine"
    assert torch.isfinite(weights(run)).all()


# Ends before time


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_ctrl_c_keeps_the_agent(tmp_path, photos, experts, steps):
    """Also before the first update, when there is nothing to draw curves of."""
    run = train(TINY, photos, experts, tmp_path / "run", [Interrupt(steps)], progress_bar=False)
    assert run.interrupted is True and run.model.num_timesteps == 4 * steps
    assert torch.isfinite(weights(run)).all() and (run.folder / "config.json").exists()
    assert (run.folder / "curves.png").exists() == (run.model._n_updates > 0)
    assert not list(run.folder.glob("*.tmp"))


@pytest.mark.filterwarnings("ignore:rich is experimental")
@pytest.mark.parametrize("changes", [{}, {"discriminator_learning_rate": 1e30}], ids=["Ctrl-C", "NaN"])
def test_a_progress_bar_is_closed_when_the_training_ends_early(tmp_path, photos, experts, changes):
    """A live display that stays keeps on drawing over whatever is printed next, and hides the cursor."""
    with pytest.raises(Diverged, match="loss") if changes else nullcontext():
        train(replace(TINY, **changes), photos, experts, tmp_path / "run", [Interrupt(12)], progress_bar=True)
    assert [thread for thread in threading.enumerate() if "Refresh" in type(thread).__name__] == []


def test_a_callback_may_stop_the_training(tmp_path, photos, experts):
    run = train(TINY, photos, experts, tmp_path / "run", [Stop()], progress_bar=False)
    assert run.interrupted is False and run.model.num_timesteps == 32 and torch.isfinite(weights(run)).all()


def test_other_exceptions_come_through_and_the_agent_is_kept(tmp_path, photos, experts):
    class Fault(BaseCallback):
        def _on_step(self) -> bool:
            if self.n_calls == 2:
                raise OSError("disk full")
            return True

    with pytest.raises(OSError, match="disk full"):
        train(TINY, photos, experts, tmp_path / "run", [Fault()], progress_bar=False)
    assert load_agent(tmp_path / "run").policy.width == 4


@pytest.mark.parametrize("warm_up", [3, 1])
def test_a_game_that_blows_up_says_so_and_the_agent_is_kept(tmp_path, photos, experts, warm_up):
    """The discriminator's steps are so large that its scores overflow."""
    config = replace(TINY, discriminator_learning_rate=1e30, warm_up=warm_up)
    with pytest.raises(Diverged, match="loss is|not finite"):
        train(config, photos, experts, tmp_path / "run", progress_bar=False)
    kept = load_agent(tmp_path / "run")
    assert all(torch.isfinite(tensor).all() for tensor in kept.policy.actor.state_dict().values())
    assert np.isfinite(kept.plan(photos[0].image).evs).all()


# What a run depends on


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path, finished, photos, experts):
    torch.manual_seed(99), np.random.seed(99)  # what was drawn before plays no part
    again = trained(tmp_path / "again", photos, experts)
    other = trained(tmp_path / "other", photos, experts, seed=1)
    assert torch.equal(again, weights(finished))
    assert not torch.equal(other, again)
    logs = [(folder / "progress.csv").read_text() for folder in (tmp_path / "again", finished.folder)]
    rows = [list(csv.DictReader(log.splitlines())) for log in logs]
    timing = {"time/fps", "time/time_elapsed"}
    assert [[{k: v for k, v in row.items() if k not in timing} for row in log] for log in rows][0] == [
        {k: v for k, v in row.items() if k not in timing} for row in rows[1]]


def test_targets_are_not_used(tmp_path, finished, photos, experts):
    rng = np.random.default_rng(0)
    noise = [rng.random(photo.image.shape, np.float32) for photo in photos]
    paired = [photo._replace(target=target, ev_map=target[..., 0])
              for photo, target in zip(photos, noise, strict=True)]
    experts = [photo._replace(target=noise[0]) for photo in experts]
    assert torch.equal(trained(tmp_path / "paired", paired, experts), weights(finished))


def test_photos_and_experts_are_used(tmp_path, finished, photos, experts):
    assert not torch.equal(trained(tmp_path / "a", photos[::-1], experts), weights(finished))
    assert not torch.equal(trained(tmp_path / "b", photos, experts[:3]), weights(finished))


def test_decay_is_exponential_in_the_progress():
    schedule = decay(1e-4, 0.01)
    assert schedule(1.0) == pytest.approx(1e-4)
    assert schedule(0.5) == pytest.approx(1e-5)
    assert schedule(0.0) == pytest.approx(1e-6)
    assert {decay(0.3, 1)(remaining) for remaining in (1, 0.7, 0)} == {0.3}


def test_learning_rates_decay_to_their_fraction(finished):
    assert finished.model.policy.optimizer.param_groups[0]["lr"] < 0.15 * TINY.learning_rate
    with open(finished.folder / "progress.csv") as file:
        rates = [float(row["train/learning_rate"]) for row in csv.DictReader(file)]
    assert TINY.learning_rate > rates[0] > rates[-1] >= 0.05 * TINY.learning_rate


# Configurations


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_builds(photos, experts, preset):
    config = PRESETS[preset]
    model, game = build(replace(config, device="cpu"), photos, experts)
    task = model.exposure_env.task.config
    assert model.n_envs == config.num_envs and task.max_segments == config.max_segments
    assert all(getattr(model.method, field.name) == getattr(config, field.name) for field in fields(Method))
    assert model.method.n_batches == 8
    assert model.policy.width == config.width and model.lr_schedule(1) == pytest.approx(config.learning_rate)
    assert game.n_critic == config.n_critic and game.trainer.schedule(1) == pytest.approx(
        config.discriminator_learning_rate)
    assert (task.fusion, task.planes) == {"paper": ("mertens", "paper")}.get(preset, ("mask_pyramid", "full"))


def test_a_paper_run_trains(tmp_path, photos, experts):
    names = {field.name for field in fields(TrainConfig)}
    small = {name: getattr(TINY, name) for name in names & {"total_timesteps", "num_envs", "n_batches", "batch_size",
                                                             "width", "warm_up", "n_critic", "device"}}
    run = train(replace(PRESETS["paper"], **small), photos, experts, tmp_path / "run", progress_bar=False)
    assert torch.isfinite(weights(run)).all() and load_agent(run.folder).task(photos).config.space == "encoded"


@pytest.mark.parametrize("changes", [
    {"device": "abacus"}, {"device": ""}, {"advantage": "x"}, {"value_image": "x"}, {"task_preset": "x"},
    {"num_envs": 0}, {"batch_size": 0}, {"n_batches": 0}, {"width": 0}, {"halvings": -1}, {"max_segments": 0},
    {"misexposed": 2.0}, {"pooled": -0.5}, {"misexposed_range": (2.0, -2.0)}, {"gradient_penalty": -1.0},
    {"n_critic": 0}, {"warm_up": -1}, {"discriminator_batch_size": 0}, {"learning_rate": -1.0}, {"seed": -1},
    {"total_timesteps": 0}, {"checkpoint_every": 0},
], ids=str)
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(tmp_path, photos, experts, changes):
    (value,) = changes.values()
    with pytest.raises(ValueError) as caught:
        train(replace(TINY, **changes), photos, experts, tmp_path / "run", progress_bar=False)
    shown = str(abs(value)) if isinstance(value, int | float) else str(value)
    assert shown.strip("()") in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path, photos, experts):
    with pytest.raises(ValueError, match="cuda"):
        train(replace(TINY, device="cuda"), photos, experts, tmp_path / "run", progress_bar=False)


def test_auto_finds_a_device(photos, experts):
    model, _ = build(replace(TINY, device="auto"), photos, experts)
    assert model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_empty_data_sets_are_refused(tmp_path, photos, experts):
    with pytest.raises(ValueError, match="photos is empty"):
        train(TINY, [], experts, tmp_path / "run", progress_bar=False)
    with pytest.raises(ValueError, match="experts is empty"):
        train(TINY, photos, [], tmp_path / "run", progress_bar=False)
    assert not (tmp_path / "run").exists()

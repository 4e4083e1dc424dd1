"""What is logged and drawn of a training, and when it is given up."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from stable_baselines3.common.callbacks import BaseCallback

from agents.cli import main
from agents.errors import Diverged
from agents.saved_agent import FILE_NAME, load_agent
from agents.training.building import build
from agents.training.checkpoints import CHECKPOINT, read_checkpoint
from agents.training.configuration import TrainConfig
from agents.training.curves import figure_of_curves, read_csv
from agents.training.diagnostics import SHIFTS, Diagnostics, ev_response, storyboards
from agents.training.run import train
from exposure_env.image import expose
from exposure_env.photos import sample_photos

PHOTOS, EXPERTS = sample_photos("inputs", 6), sample_photos("experts", 8)
HELD_OUT = EXPERTS[6:]
TINY = TrainConfig(total_timesteps=80, device="cpu", num_envs=4, n_batches=1, batch_size=4, width=4, max_segments=4,
                   discriminator_batch_size=4, warm_up=2, n_critic=1)
PAIRED = replace(TINY, value="critic", reward="psnr", max_slope=10.0)

pytestmark = pytest.mark.usefixtures("one_thread")


class NearTo:
    """Scores images by how near their mean is to a value."""

    def __init__(self, mean):
        self.mean = mean

    def __call__(self, images, **context):
        return -((images.mean((1, 2, 3)) - self.mean) ** 2)


def run(folder, config=TINY, callbacks=(), **options):
    return train(config, PHOTOS, EXPERTS[:6], folder, callbacks, progress_bar=False, **options)


def log_of(folder):
    return read_csv((folder / "progress.csv").read_text())


class Episodes(BaseCallback):
    """Keeps the exposures of all finished episodes, update by update."""

    def __init__(self):
        super().__init__()
        self.updates, self.evs = [], []

    def _on_step(self) -> bool:
        finished = self.training_env.unwrapped.finished
        if finished is not None:
            state = finished.state
            self.evs += [evs[:count].tolist() for evs, count in zip(state.evs, state.num_segments, strict=True)]
        return True

    def _on_rollout_end(self) -> None:
        self.updates.append(self.evs)
        self.evs = []


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with everything there is to log, and the episodes of its updates."""
    torch.set_num_threads(1)
    episodes = Episodes()
    config = replace(TINY, value="critic", exploration=0.3)
    return run(tmp_path_factory.mktemp("runs") / "run", config, [episodes], held_out=HELD_OUT), episodes.updates


# The EV response


def test_response_peaks_where_the_reward_does():
    good = np.full((3, 16, 16, 3), 0.4, np.float32)
    response = ev_response(NearTo(0.4), good)
    assert response.shape == (len(SHIFTS),) and response[SHIFTS.index(0.0)] == pytest.approx(0, abs=1e-9)
    assert SHIFTS[int(response.argmax())] == 0 and (np.delete(response, SHIFTS.index(0.0)) < -1e-4).all()
    brighter = float(expose(good[:1], 1.0)[0, 0, 0, 0])
    assert SHIFTS[int(ev_response(NearTo(brighter), good).argmax())] == 1


def test_response_is_of_clipped_images_and_of_the_shifts_asked_for():
    assert ev_response(NearTo(0.0), np.ones((2, 16, 16, 3), np.float32), [0.0, 1.0]).tolist() == [-1, -1]


def test_held_out_photos_are_shifted_where_there_are_any_and_never_shown(finished):
    _, game = build(TINY, PHOTOS, EXPERTS[:6])
    with_them, without = Diagnostics(game, HELD_OUT), Diagnostics(game)
    assert with_them.images.shape == (2, 64, 64, 3) and without.images.shape == (6, 64, 64, 3)
    np.testing.assert_array_equal(without.images, game.experts.images[:, :64, :64])
    others = abs(with_them.images[:, None] - without.images[None]).mean((2, 3, 4))
    assert others.min() > 0.01 and len(game.experts.images) == 6


def test_the_score_of_held_out_photos_is_the_discriminators(tmp_path):
    class Asks(BaseCallback):
        scores = []

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            reward = self.training_env.unwrapped.task.reward_model
            self.scores.append(float(np.mean(reward(looked_at))))

    _, game = build(TINY, PHOTOS, EXPERTS[:6])
    looked_at = Diagnostics(game, HELD_OUT).images
    run(tmp_path / "run", callbacks=[asks := Asks()], held_out=HELD_OUT)
    np.testing.assert_allclose(log_of(tmp_path / "run")["discriminator/held_out"], asks.scores, rtol=1e-6)


# Exposures


def test_exposures_are_logged_by_step_and_as_a_histogram(finished):
    run, updates = finished
    log = log_of(run.folder)
    assert len(updates) == len(log["time/iterations"]) >= 3
    for row, episodes in enumerate(updates):
        assert len(episodes) >= 4
        for step in range(4):
            given = [evs[step] for evs in episodes if len(evs) > step]
            if given:
                assert log[f"ev/step_{step + 1}_mean"][row] == pytest.approx(np.mean(given), abs=1e-6)
                assert log[f"ev/step_{step + 1}_std"][row] == pytest.approx(np.std(given), abs=1e-6)
        shares = {float(name[9:]): values[row] for name, values in log.items() if name.startswith("ev/share_")}
        flat = np.concatenate(episodes)
        assert len(shares) == 25 and sum(shares.values()) == pytest.approx(1)
        assert shares[0.0] == pytest.approx(np.mean(abs(flat) < 3 / 25)) and sorted(shares)[-1] == 2.88
    assert not any(name.startswith("ev/step_5") for name in log)


def test_the_largest_exposure_is_in_the_histogram(tmp_path):
    run(tmp_path / "run", replace(TINY, learning_rate=3.0, total_timesteps=60))
    log = log_of(tmp_path / "run")
    assert (log["train/saturated"] > 0).any() or abs(log["train/ev_mean"]).max() > 2
    shares = np.sum([values for name, values in log.items() if name.startswith("ev/share_")], axis=0)
    np.testing.assert_allclose(shares, 1)


def test_logging_does_not_change_the_training(tmp_path):
    """Nor do the storyboards and checkpoints that come along."""
    run(tmp_path / "run", replace(TINY, checkpoint_every=1), held_out=HELD_OUT)
    assert len(list((tmp_path / "run" / "storyboards").iterdir())) > 3
    model, game = build(TINY, PHOTOS, EXPERTS[:6])
    model.learn(TINY.total_timesteps, game)
    loaded = load_agent(tmp_path / "run").policy.actor.state_dict()
    for name, tensor in model.policy.actor.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


# The figure


def titles(figure):
    return [axes.get_title().split(":")[0].split(",")[0] for axes in figure.get_axes()
            if axes.get_visible() and axes.get_title()]


def test_a_panel_for_each_thing_there_is_to_see(finished, tmp_path):
    log = log_of(finished[0].folder)
    figure = figure_of_curves(log)
    assert titles(figure) == ["Discriminator", "Return of an episode", "Exposures that the agent chooses",
                              "Exposure by segment", "Score of good photos under a shift (below 0 is healthy)",
                              "Saturated actions", "Critic"]
    scores, returns = figure.get_axes()[:2]
    assert {line.get_label(): line.get_ydata().tolist() for line in scores.lines} == {
        name.replace("_", "-"): log[f"discriminator/{name}"].tolist() for name in ("real", "held_out", "fake")}
    np.testing.assert_array_equal(returns.lines[0].get_ydata(), log["rollout/ep_rew_mean"])
    np.testing.assert_array_equal(returns.lines[0].get_xdata(), log["time/total_timesteps"])
    heat = next(axes for axes in figure.get_axes() if axes.get_title().startswith("Exposure by")).collections[0]
    steps = sum(name.startswith("ev/step_") and name.endswith("_mean") for name in log)
    assert heat.get_array().shape == (steps, len(log["time/iterations"]))
    np.testing.assert_array_equal(heat.get_array()[0], log["ev/step_1_mean"])
    figure.savefig(tmp_path / "curves.png", dpi=60)
    for axes in figure.get_axes():  # nothing is drawn over nothing: every panel has ink in it
        if axes.get_visible():
            box = axes.get_window_extent()
            with Image.open(tmp_path / "curves.png") as picture:
                scale = 60 / figure.dpi
                top = picture.height - box.y1 * scale
                part = picture.convert("L").crop((box.x0 * scale, top, box.x1 * scale, top + box.height * scale))
            assert len(part.getcolors(256)) > 8, axes.get_title()


def test_runs_without_a_game_or_a_critic_have_fewer_panels(tmp_path):
    run(tmp_path / "paired", PAIRED)
    log = log_of(tmp_path / "paired")
    assert not any(name.startswith(("discriminator/", "response/")) for name in log)
    assert titles(figure_of_curves(log)) == ["Return of an episode", "Exposures that the agent chooses",
                                             "Exposure by segment", "Saturated actions", "Critic"]
    assert (tmp_path / "paired" / "curves.png").stat().st_size > 10_000
    plain = {name: values for name, values in log.items() if "critic" not in name and not name.startswith("ev/")}
    assert titles(figure_of_curves(plain)) == ["Return of an episode", "Exposures that the agent chooses",
                                               "Saturated actions"]


def test_one_update_is_enough_to_draw(finished):
    log = {name: values[:1] for name, values in log_of(finished[0].folder).items()}
    assert len(titles(figure_of_curves(log))) == 7


def test_empty_cells_are_nan():
    log = read_csv("a,b\n1,2.5\n3,\n")
    np.testing.assert_array_equal(log["a"], [1, 3])
    np.testing.assert_array_equal(log["b"], [2.5, np.nan])
    assert read_csv("") == {}


# Storyboards


def test_storyboards_show_the_agent_of_that_time(finished):
    folder = finished[0].folder / "storyboards"
    names = sorted(path.name for path in folder.iterdir())
    last = f"{finished[0].model.num_updates:06}.png"
    assert names == ["000000.png", last]
    with Image.open(folder / last) as picture:
        assert picture.format == "PNG" and picture.width < 900
        drawn = storyboards(load_agent(finished[0].folder), [PHOTOS[0], PHOTOS[3]])
        np.testing.assert_array_equal(np.array(picture), drawn)
    assert (folder / names[0]).read_bytes() != (folder / last).read_bytes()


# Given up


@pytest.mark.parametrize("changes, reason, largest", [
    ({"discriminator_learning_rate": 1e30}, "discriminator's loss is|not finite|score", 1),
    ({"discriminator_learning_rate": 3.0, "total_timesteps": 2000}, "discriminator/real is .*beyond|loss is", 30),
    ({"learning_rate": 30.0, "total_timesteps": 4000}, "more than 50% of the actions", 40),
    ({"value": "critic", "critic_learning_rate": 30.0, "total_timesteps": 2000}, "critic|actor's loss", 30),
], ids=["infinite", "scores", "saturated", "critic"])
def test_a_training_beyond_repair_is_ended_and_what_was_good_is_kept(tmp_path, changes, reason, largest):
    config = replace(TINY, checkpoint_every=1, **changes)
    with pytest.raises(Diverged, match=reason) as caught:
        run(tmp_path / "run", config)
    kept = read_checkpoint(tmp_path / "run" / CHECKPOINT)
    message, updates = str(caught.value), kept["model"]["n_updates"]
    assert f"are those of update {updates}" in message and "lower" in message and str(tmp_path / "run") in message
    assert "after update" in message and updates <= largest
    agent = load_agent(tmp_path / "run")
    for name, tensor in agent.policy.actor.state_dict().items():
        assert torch.isfinite(tensor).all() and torch.equal(tensor, kept["model"]["policy"][f"actor.{name}"])
    assert np.isfinite(agent.plan(PHOTOS[0].image).evs).all() and kept["health"]["streak"] == 0
    assert isinstance(caught.value, RuntimeError) and not isinstance(caught.value, ValueError)


def test_saturated_actions_must_last(tmp_path):
    class Saturated(BaseCallback):
        """Drives every action to its limit for some updates."""

        def __init__(self, last):
            super().__init__()
            self.last = last

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            self.model.policy.actor.stack.head.bias.data.fill_(20.0 if self.model.num_updates < self.last else 0.0)

    config, kept = replace(TINY, total_timesteps=260, checkpoint_every=1), tmp_path / "short" / CHECKPOINT
    run(tmp_path / "short", config, [Saturated(9)])
    log = log_of(tmp_path / "short")
    assert (log["train/saturated"][:9] == 1).all() and (log["train/saturated"][9:] == 0).all()
    assert read_checkpoint(kept)["model"]["n_updates"] == len(log["train/saturated"]) > 11
    with pytest.raises(Diverged, match="after update 10: more than 50%.*those of update 0"):
        run(tmp_path / "long", config, [Saturated(99)])


def test_weights_that_are_not_finite_end_it_at_once(tmp_path):
    class Breaks(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            if self.n_calls > 6:
                self.model.policy.critic.stack.head.bias.data.fill_(float("inf"))

    with pytest.raises(Diverged, match="critic's loss is|weights of the agent|actor's loss"):
        run(tmp_path / "run", replace(PAIRED, checkpoint_every=1), [Breaks()])
    assert torch.isfinite(read_checkpoint(tmp_path / "run" / CHECKPOINT)["model"]["policy"]["critic.stack.head.bias"])


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_the_command_says_why_and_returns_3(tmp_path, capsys):
    arguments = ["train", "--out", str(tmp_path / "run"), "quick"]
    for name in ("total_timesteps", "num_envs", "n_batches", "batch_size", "width", "warm_up", "n_critic", "device"):
        arguments += [f"--{name.replace('_', '-')}", str(getattr(TINY, name))]
    assert main([*arguments, "--discriminator-learning-rate", "1e30"]) == 3
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("exposure: the training has gone astray after update") and "lower" in error
    assert (tmp_path / "run" / FILE_NAME).exists()
    rows = csv.DictReader((tmp_path / "run" / "progress.csv").read_text().splitlines())
    assert len(list(rows)) <= 1

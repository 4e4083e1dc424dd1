"""What is logged of a training, and drawn on the way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from agents.saved_agent import load_agent
from agents.training.building import build
from agents.training.diagnostics import SHIFTS, Diagnostics, ev_response, storyboards
from exposure_env.image import expose
from tests.training.small import EXPERTS, HELD_OUT, PHOTOS, TINY, log_of, run

pytestmark = pytest.mark.usefixtures("one_thread")


class NearTo:
    """Scores images by how near their mean is to a value."""

    def __init__(self, mean):
        self.mean = mean

    def __call__(self, images, **context):
        return -((images.mean((1, 2, 3)) - self.mean) ** 2)


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
    _, game = build(TINY, PHOTOS, EXPERTS)
    with_them, without = Diagnostics(game, HELD_OUT), Diagnostics(game)
    assert with_them.images.shape == (2, 64, 64, 3) and without.images.shape == (6, 64, 64, 3)
    np.testing.assert_array_equal(without.images, game.experts.images[:, :64, :64])
    others = abs(with_them.images[:, None] - without.images[None]).mean((2, 3, 4))
    assert others.min() > 0.01 and len(game.experts.images) == 6


def test_the_score_of_held_out_photos_is_the_discriminators(finished):
    assert len(finished.seen.scores) == finished.run.model.num_updates
    np.testing.assert_allclose(log_of(finished.run.folder)["discriminator/held_out"], finished.seen.scores, rtol=1e-6)


# Exposures


def test_exposures_are_logged_by_step_and_as_a_histogram(finished):
    updates, log = finished.seen.updates, log_of(finished.run.folder)
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
    model, game = build(TINY, PHOTOS, EXPERTS)
    model.learn(TINY.total_timesteps, game)
    loaded = load_agent(tmp_path / "run").policy.actor.state_dict()
    for name, tensor in model.policy.actor.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


# Storyboards


def test_storyboards_show_the_agent_of_that_time(finished):
    folder = finished.run.folder / "storyboards"
    names = sorted(path.name for path in folder.iterdir())
    last = f"{finished.run.model.num_updates:06}.png"
    assert names == ["000000.png", last]
    with Image.open(folder / last) as picture:
        assert picture.format == "PNG" and picture.width < 900
        drawn = storyboards(load_agent(finished.run.folder), [PHOTOS[0], PHOTOS[3]])
        np.testing.assert_array_equal(np.array(picture), drawn)
    assert (folder / names[0]).read_bytes() != (folder / last).read_bytes()

"""The figure of a training, and the log that it is drawn from."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from agents.training.curves import figure_of_curves, read_csv
from tests.training.small import TINY, log_of, run

PAIRED = replace(TINY, value="critic", reward="psnr", max_slope=10.0)

pytestmark = pytest.mark.usefixtures("one_thread")


def titles(figure):
    return [axes.get_title().split(":")[0].split(",")[0] for axes in figure.get_axes()
            if axes.get_visible() and axes.get_title()]


def test_a_panel_for_each_thing_there_is_to_see(finished, tmp_path):
    log = log_of(finished.run.folder)
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
    log = {name: values[:1] for name, values in log_of(finished.run.folder).items()}
    assert len(titles(figure_of_curves(log))) == 7


def test_empty_cells_are_nan():
    log = read_csv("a,b\n1,2.5\n3,\n")
    np.testing.assert_array_equal(log["a"], [1, 3])
    np.testing.assert_array_equal(log["b"], [2.5, np.nan])
    assert read_csv("") == {}

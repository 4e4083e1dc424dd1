"""Supervised yardsticks as cells of the benchmark."""

from dataclasses import replace

import numpy as np
import pytest

from agents.benchmark.cells import Cell
from agents.benchmark.methods import YARDSTICKS
from agents.benchmark.results import read_cell
from agents.benchmark.yardsticks import run_yardstick, yardstick_pairs
from exposure_env.photos import Backlight


@pytest.fixture(scope="module")
def trials(done):
    """Trials of every yardstick, of a few photos."""
    longer = replace(done, config=replace(done.config, total_timesteps=320))
    return {method: longer.trial(Cell(method, 0)) for method in YARDSTICKS}


def test_what_each_learns_from(trials):
    inputs, experts = trials["regression"].split.inputs, trials["regression"].split.experts
    pairs = yardstick_pairs(trials["regression, free"])
    assert len(pairs.good) == len(inputs) and (pairs.good[3] == inputs[3].target).all()
    assert all(guide is not None for guide in pairs.guides)  # misexposed afresh
    alone = yardstick_pairs(trials["experts only"])
    assert len(alone.good) == len(experts) and (alone.good[3] == experts[3].image).all()
    assert alone.batch(2)[0].shape == (2, 64, 64, 3)
    backlit = trials["experts only"]._replace(degradation=Backlight())
    assert np.ptp(yardstick_pairs(backlit).guides[0]) > 0.5


def test_real_pairs_are_not_misexposed_and_photos_without_target_not_used(trials):
    trial = trials["regression"]
    real = [photo._replace(ev_map=None) for photo in trial.split.inputs[:3]]
    bare = [photo._replace(target=None, ev_map=None) for photo in trial.split.inputs[3:6]]
    pairs = yardstick_pairs(trial._replace(split=trial.split._replace(inputs=[*real, *bare])))
    assert len(pairs.good) == 3 and pairs.guides == [None] * 3


def test_it_learns_and_says_what_it_cost(trials):
    content = run_yardstick(trials["regression"])
    steps, values = zip(*content["results"]["curve"], strict=True)
    assert steps[0] == 0 and steps[-1] == 640 and steps == tuple(sorted(set(steps))) and len(steps) > 5
    assert values[0] == pytest.approx(content["results"]["input_psnr"], abs=1e-3)
    assert values[-1] == pytest.approx(content["results"]["psnr"], abs=1e-3) and values[-1] > values[0] + 0.2
    assert content["results"]["cpu_seconds"] > 0 and content["results"]["peak_mb"] > 100


def test_a_free_map_has_nine_exposures_and_a_global_one(done, trials, tmp_path):
    lengths = {}
    for method in ("regression, free", "regression, global", "experts only"):
        benchmark = replace(done, out=str(tmp_path))
        benchmark.run_cell(Cell(method, 2))
        content = read_cell(benchmark.path(Cell(method, 2)))
        lengths[method] = {len(photo["evs"]) for photo in content["photos"]}
        config = content["settings"]["config"]
        assert content["settings"]["learns"] == YARDSTICKS[method]["learns"] and config["seed"] == 2
        assert config["total_timesteps"] == 240  # twice as many as exposures
        assert benchmark.finished(Cell(method, 2))
    assert lengths["regression, free"] == {9} and lengths["regression, global"] == {1}
    assert max(lengths["experts only"]) == 3

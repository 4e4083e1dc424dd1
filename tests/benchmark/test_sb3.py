"""Stable-Baselines3's own algorithms as rows: their settings, their game, and the search for them."""

import json
import sys

import numpy as np
import pytest
import torch
import yaml

from agents.baselines.off_policy import PlaneFeatures
from agents.baselines.replay import RelabelReplayBuffer
from agents.benchmark import methods
from agents.benchmark.cells import Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.methods import GROUPS, METHODS
from agents.benchmark.results import read_cell
from agents.benchmark.sb3 import algorithm, build_sb3
from agents.benchmark.sb3_settings import PLACE, PREFIX, SB3, package_of, read_blocks
from agents.benchmark.splits import Split
from agents.rewards import AdversarialCallback
from exposure_env import sample_photos
from exposure_env.rewards import score
from tests.repository import ROOT

SPLIT = Split(sample_photos("inputs", 6), sample_photos("experts", 6), sample_photos("test", 3))
SMALL = {"SB3 A2C": {"n_steps": 4}, "SB3 PPO": {"n_steps": 4, "batch_size": 8, "n_epochs": 1},
         **{f"SB3 {name}": {"buffer_size": 64, "learning_starts": 8, "batch_size": 8, "gradient_steps": 1}
            for name in ("SAC", "TD3", "TQC")}}


@pytest.fixture
def benchmark(photos, tmp_path):
    return make_benchmark("uneven-v1", photos, out=tmp_path / "cells", quick=True)


@pytest.fixture
def tuning(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import tuning
    return tuning


def test_there_is_a_block_for_each_in_the_zoos_form():
    assert list(SB3) == ["SB3 A2C", "SB3 PPO", "SB3 SAC", "SB3 TD3", "SB3 TQC"] == [*GROUPS["sb3"]] == [*SMALL]
    for name, block in SB3.items():
        assert {"n_timesteps", "n_envs", "policy", "learning_rate", "gamma", "policy_kwargs"} <= block.keys()
        assert METHODS[name]["num_envs"] == block["n_envs"] and METHODS[name]["warm_start"] == 0
        assert block.get("buffer_size", 0) <= 10_000  # a transition takes 98 kB


@pytest.mark.parametrize("name", SB3)
def test_each_plays_the_discriminators_game_with_the_same_eyes(name, benchmark):
    if package_of(name.removeprefix(PREFIX)) == "sb3_contrib":
        pytest.importorskip("sb3_contrib", reason="TQC is in sb3-contrib")
    block = SB3[name] | SMALL[name]
    model, callbacks = build_sb3(name.removeprefix(PREFIX), block, benchmark.cell_config(Cell(name, 0)), SPLIT)
    assert type(model) is algorithm(name.removeprefix(PREFIX)) and isinstance(callbacks[0], AdversarialCallback)
    assert isinstance(model.policy.actor.features_extractor if hasattr(model.policy, "actor") else
                      model.policy.features_extractor, PlaneFeatures)
    reward, images = model.get_env().unwrapped.task.reward_model, np.full((1, 64, 64, 3), 0.3, np.float32)
    with torch.no_grad():
        unscaled = callbacks[0].trainer.network(torch.as_tensor(images)).numpy()
    np.testing.assert_allclose(score(reward, images, images, None), block["reward_scale"] * unscaled, rtol=1e-4)
    model.learn(64, callbacks)
    assert callbacks[0].rollouts > 1 and reward.version is not None
    replay = getattr(model, "replay_buffer", None)
    assert replay is None or (isinstance(replay, RelabelReplayBuffer) and replay.reward_model is reward)
    assert (getattr(model, "action_noise", None) is not None) == (name == "SB3 TD3")


def test_a_cell_is_made_and_knows_its_settings(benchmark, monkeypatch):
    cell = Cell("SB3 A2C", 0)
    benchmark.run_cell(cell)
    kept = read_cell(benchmark.path(cell))
    assert json.loads(kept["settings"]["sb3"]) == SB3["SB3 A2C"] and len(kept["photos"]) == 8
    assert benchmark.path(cell).with_suffix(".zip").exists() and kept["results"]["curve"][-1][0] >= 120
    changed = SB3["SB3 A2C"] | {"policy_kwargs": {"net_arch": [65]}}
    monkeypatch.setitem(SB3, "SB3 A2C", changed)
    with pytest.raises(ValueError, match=r"sb3 was .*\[64\].*, now .*\[65\]"):
        benchmark.finished(cell)
    assert "sb3" not in benchmark.settings(Cell("II", 0))  # whose cells stay as they are


def test_one_that_is_not_installed_is_named_and_groups_leave_it_out(benchmark, monkeypatch):
    monkeypatch.setattr(methods, "LACKING", {"SB3 TQC"})
    with pytest.raises(ValueError, match=r"SB3 TQC is in sb3-contrib: pip install"):
        benchmark.cells(["SB3 TQC"])
    assert [cell.method for cell in benchmark.cells(["sb3"])] == ["SB3 A2C", "SB3 PPO", "SB3 SAC", "SB3 TD3"]
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)  # importing it fails
    with pytest.raises(ValueError, match="TQC is in sb3-contrib"):
        algorithm("TQC")


def test_an_unknown_kind_of_noise_is_refused(benchmark):
    with pytest.raises(ValueError, match="noise_type must be one of normal, ornstein-uhlenbeck, not 'pink'"):
        build_sb3("TD3", SB3["SB3 TD3"] | {"noise_type": "pink"}, benchmark.config, SPLIT)


class TestTuning:
    def test_what_is_judged_by_is_no_photograph_that_is_learned_from_nor_of_the_test(self, tuning):
        whole = make_benchmark("sample-v1").trial(Cell("SB3 PPO", 0)).split
        split = tuning.held_out(whole, "sample photos")
        learned, judged, tested = ({photo.name for photo in part} for part in (split.inputs, split.test, whole.test))
        scenes = [{name.split("_")[0] for name in part} for part in (learned, judged)]
        assert scenes[0].isdisjoint(scenes[1]) and scenes[1] and (learned | judged).isdisjoint(tested)
        assert learned | judged <= {photo.name for photo in whole.inputs} and len(judged) <= tuning.MOST
        assert split.experts is whole.experts

    def test_the_first_trial_is_as_it_was_and_others_are_drawn_from_the_space(self, tuning):
        for name, block in read_blocks().items():
            assert tuning.drawn(name, block, 0) == block
            first, again, other = (tuning.drawn(name, block, number) for number in (1, 1, 2))
            assert first == again != other and first["n_timesteps"] == block["n_timesteps"]
            assert 1e-5 <= first["learning_rate"] <= 2e-3 and first["learning_rate"] != block["learning_rate"]
            assert block.keys() <= first.keys()

    def test_the_best_is_told_and_written_and_the_others_and_the_heading_stay(self, tuning, tmp_path):
        place, blocks = tmp_path / "sb3.yml", read_blocks()
        place.write_text(PLACE.read_text())
        found = [(tuning.drawn("A2C", blocks["A2C"], number), {"gain [dB]": gain})
                 for number, gain in enumerate((-1.0, 0.5, -np.inf))]
        shown = tuning.told("A2C", found)
        assert [line.split("|")[1].strip() for line in shown.splitlines()[2:5]] == ["0", "1 (best)", "2"]
        assert yaml.safe_load(shown[shown.index("\nA2C:"):]) == {"A2C": found[1][0]}
        tuning.write(place, "A2C", found[tuning.best_of(found)][0])
        assert read_blocks(place) == blocks | {"A2C": found[1][0]} != blocks
        heading = [[line for line in each.read_text().splitlines() if line.startswith("#")] for each in (place, PLACE)]
        assert heading[0] == heading[1] and len(heading[0]) > 5

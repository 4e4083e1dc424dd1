"""Cells of the benchmark: what they depend on, what they hold, and when they are run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.benchmark import tables as tables
from agents.benchmark.cells import Benchmark, Cell, make_benchmark, read_cell, read_cells
from agents.benchmark.methods import MAIN
from agents.benchmark.protocols import NUM_FOLDS
from agents.saved_agent import load_agent


def changed(benchmark: Benchmark, **settings) -> Benchmark:
    return replace(benchmark, config=replace(benchmark.config, **settings))


def test_cells_are_methods_by_seeds_by_folds(fivek, tmp_path):
    benchmark = make_benchmark("fivek", fivek, out=tmp_path)
    cells = benchmark.cells(["II", "identity"], [3, 5])
    assert cells == [Cell(name, seed, fold) for name, seed in (("identity", 0), ("II", 3), ("II", 5))
                     for fold in range(NUM_FOLDS)]
    assert benchmark.path(Cell("constant EV", 0, 2)).name == "constant_EV-seed0-fold2.json"
    assert len(make_benchmark("misexposed").cells(seeds=[0, 1])) == 2 * len(MAIN) + 6
    with pytest.raises(ValueError, match="not 'magic'"):
        benchmark.cells(["II", "magic"])
    with pytest.raises(ValueError, match="constant EV on the test"):
        make_benchmark("misexposed").cells(["constant EV on the test"])


@pytest.mark.parametrize("protocol, folders, words", [
    ("fivek", {}, "needs --photos"),
    ("fivek", {"photos": "p", "inputs": "i", "targets": "t"}, "needs --photos"),
    ("fivek", {"inputs": "i"}, "both --inputs and --targets"),
    ("misexposed", {"inputs": "i", "targets": "t"}, "for the protocol fivek"),
    ("misexposed", {"photos": "nowhere"}, "no folder nowhere"),
    ("fivek", {"photos": "nowhere"}, "no folder nowhere.fivek_pairs.input"),
])
def test_folders_that_do_not_fit_are_refused(protocol, folders, words):
    with pytest.raises(ValueError, match=words):
        make_benchmark(protocol, **{name: Path(folder) for name, folder in folders.items()})


def test_a_cell_says_what_it_was_and_what_it_came_to(done):
    cell = read_cell(done.path(Cell("II", 0)))
    assert cell["settings"]["config"]["total_timesteps"] == done.config.total_timesteps
    assert cell["settings"]["method"] == "II" and cell["settings"]["photos"].startswith("10 files, ")
    assert set(cell["versions"]) == {"python", "torch", "numpy"} and "processors" in cell["machine"]
    results = cell["results"]
    assert results["psnr"] == pytest.approx(np.mean([photo["psnr"] for photo in cell["photos"]]), abs=1e-3)
    assert results["cpu_seconds"] > 0 and results["wall_seconds"] > 0 and results["peak_mb"] > 100
    steps, values = zip(*results["curve"], strict=True)
    assert len(steps) > 5 and steps[0] == 0 and steps == tuple(sorted(set(steps)))
    assert steps[-1] >= done.config.total_timesteps and values[-1] == pytest.approx(results["psnr"], abs=1e-3)
    assert str(Path.home()) not in json.dumps(cell) and done.out not in json.dumps(cell)
    assert not list(Path(done.out).glob("*.tmp"))


def test_the_agent_lies_beside_and_repeats_the_results(done):
    agent = load_agent(Path(done.out) / "II-seed0.safetensors")
    trial = done.trial(Cell("II", 0))
    again = trial.evaluate(agent.policy, trial.task).values("psnr")
    photos = read_cell(done.path(Cell("II", 0)))["photos"]
    np.testing.assert_allclose(again, [photo["psnr"] for photo in photos], atol=2e-3)


def test_what_is_finished_is_skipped_and_other_settings_are_refused(done, photos, tmp_path):
    cells = done.cells(["identity", "II"])
    assert all(map(done.finished, cells)) and list(done.run(cells)) == []
    assert not done.finished(Cell("II", 1))
    longer = changed(done, total_timesteps=999)
    assert longer.finished(Cell("identity", 0))  # a baseline isn't trained
    with pytest.raises(ValueError, match="total_timesteps was 120, now 999"):
        next(longer.run(cells))
    with pytest.raises(ValueError, match="max_segments was 3, now 5"):
        changed(done, max_segments=5).finished(Cell("identity", 0))
    (tmp_path / "photos").mkdir()
    for path in sorted(photos.iterdir())[:9]:
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="photos was '10 files, .*', now '9 files, "):
        replace(done, folders={"photos": str(tmp_path / "photos")}).finished(Cell("identity", 0))


def test_a_file_that_is_no_cell_is_named(tmp_path):
    for content in ("{", "{}", "[]"):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(ValueError, match=r"a\.json is not a cell"):
            read_cells(tmp_path)


def test_a_pair_is_learned_from_in_its_own_fold_only(fivek, tmp_path):
    benchmark = make_benchmark("fivek", fivek, out=tmp_path)
    for fold in range(NUM_FOLDS):
        protocol, training = benchmark.data(fold)
        tested = {photo.name for photo in protocol.test}
        assert tested and tested.isdisjoint(photo.name for photo in training)
        assert len(training) + len(tested) == 6
        learned = {photo.name.rsplit("_", 1)[0] for photo in (*protocol.inputs, *protocol.experts)}
        assert tested.isdisjoint(learned) and {"b6", "c9"} <= learned

"""Cells of the benchmark: what they depend on, what they hold, and when they are run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.benchmark import tables as tables
from agents.benchmark.cells import Benchmark, Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.methods import BASELINES, MAIN, METHODS, YARDSTICKS, known_methods
from agents.benchmark.results import read_cell, read_cells
from agents.benchmark.splits import NUM_FOLDS
from agents.saved_agent import load_agent


def changed(benchmark: Benchmark, **settings) -> Benchmark:
    return replace(benchmark, config=replace(benchmark.config, **settings))


def test_cells_are_methods_by_seeds_by_folds(fivek, tmp_path):
    benchmark = make_benchmark("fivek", fivek, out=tmp_path)
    cells = benchmark.cells(["II", "identity"], [3, 5])
    assert cells == [Cell(name, seed, fold) for name, seed in (("identity", 0), ("II", 3), ("II", 5))
                     for fold in range(NUM_FOLDS)]
    assert benchmark.path(Cell("constant EV", 0, 2)).name == "constant_EV-seed0-fold2.json"
    assert len(make_benchmark("uneven-v1").cells(seeds=[0, 1])) == 2 * len(MAIN) + len(BASELINES) - 1
    with pytest.raises(ValueError, match="not 'magic'"):
        benchmark.cells(["II", "magic"])
    with pytest.raises(ValueError, match="constant EV on the test"):
        make_benchmark("backlit-v1").cells(["constant EV on the test"])
    with pytest.raises(ValueError, match="regression, free"):  # no plan, so nothing to render at full size
        benchmark.cells(["regression, free"])


def test_every_method_is_known_somewhere_and_none_by_two_names():
    assert set(known_methods("uneven-v1")) | set(known_methods("fivek")) == {*METHODS, *BASELINES}
    assert not METHODS.keys() & BASELINES.keys() and YARDSTICKS.keys() <= METHODS.keys() and set(MAIN) <= METHODS.keys()
    names = [Cell(name, 0).name for name in (*METHODS, *BASELINES)]
    assert len(set(names)) == len(names)


def test_methods_change_the_shared_configuration():
    benchmark = make_benchmark("backlit-v1", timesteps=1000, segmenter="slic", max_segments=5, fusion="local")
    shared = benchmark.cell_config(Cell("II", 3))
    assert (shared.segmenter, shared.max_segments, shared.fusion, shared.total_timesteps) == ("slic", 5, "local", 1000)
    assert shared.seed == 3 and shared.value == "discriminator"
    alone = benchmark.cell_config(Cell("I, global", 0))
    assert (alone.max_segments, alone.value, alone.segmenter) == (1, "critic", "slic")
    assert benchmark.cell_config(Cell("grey rule, global", 0)).max_segments == 1
    assert benchmark.cell_config(Cell("regression", 0)).total_timesteps == 2000
    assert benchmark.cell_config(Cell("II, long", 0)).total_timesteps == 3000
    for name in (*METHODS, *BASELINES):
        benchmark.cell_config(Cell(name, 0)).check()


def test_a_protocol_has_a_plan_of_its_own_and_an_old_name_means_the_new_one():
    old, new = make_benchmark("misexposed"), make_benchmark("uneven-v1")
    assert old == new and old.protocol == "uneven-v1" and Path(old.out).name == "benchmark-uneven-v1"
    assert replace(new, protocol="misexposed") == new
    backlit = make_benchmark("backlit-v1")
    assert (new.config.segmenter, backlit.config.segmenter) == ("slic", "luminance_bands")
    assert make_benchmark("uneven-v1", quick=True).config.max_segments == 3
    with pytest.raises(ValueError, match="'uneven-v1', .*'brackets-v1', 'misexposed'], not 'uneven'"):
        make_benchmark("uneven")


@pytest.mark.parametrize("protocol, folders, words", [
    ("fivek", {}, "needs --photos"),
    ("fivek", {"photos": "p", "inputs": "i", "targets": "t"}, "needs --photos"),
    ("fivek", {"inputs": "i"}, "both --inputs and --targets"),
    ("uneven-v1", {"inputs": "i", "targets": "t"}, "for the protocols fivek, pairs-v1 and brackets-v1"),
    ("brackets-v1", {}, "needs --inputs"),
    ("brackets-v1", {"photos": "p"}, "needs --inputs"),
    ("brackets-v1", {"inputs": "nowhere", "targets": "t"}, "no folder nowhere"),
    ("misexposed", {"photos": "nowhere"}, "no folder nowhere"),
    ("fivek", {"photos": "nowhere"}, "no folder nowhere.fivek_pairs.input"),
])
def test_folders_that_do_not_fit_are_refused(protocol, folders, words):
    with pytest.raises(ValueError, match=words):
        make_benchmark(protocol, **{name: Path(folder) for name, folder in folders.items()})


@pytest.mark.parametrize("settings", [{"segmenter": "magic"}, {"fusion": "magic"}, {"max_segments": 0},
                                      {"timesteps": 0}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match="magic|max_segments|total_timesteps"):
        make_benchmark("uneven-v1", **settings)


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


@pytest.mark.parametrize("method", ["II", "I", "II, reference 100"])
def test_a_game_begins_from_the_warm_start_that_is_there_and_comes_out_the_same(photos, tmp_path, method):
    alone, shared = (make_benchmark("backlit-v1", photos, out=tmp_path / name, quick=True) for name in ("a", "b"))
    cell, start = Cell(method, 4), Cell("warm start", 4)
    assert shared.warm_start(cell) is None and alone.warm_start(cell) is None
    for benchmark, cells in ((alone, [cell]), (shared, [start, cell])):
        for each in cells:
            benchmark.run_cell(each)
    begun, beginning = shared.warm_start(cell), read_cell(shared.path(start))["results"]
    assert begun.agent == shared.path(start).with_suffix(".safetensors") and begun.results == beginning
    one, other = (read_cell(benchmark.path(cell)) for benchmark in (alone, shared))
    assert one["photos"] == other["photos"] and one["results"]["curve"] == other["results"]["curve"]
    assert alone.path(cell).with_suffix(".safetensors").read_bytes() != begun.agent.read_bytes()
    assert other["results"]["cpu_seconds"] > beginning["cpu_seconds"] > 0
    for others in ("warm start", "II, no warm start", "II, global", "II, demonstrations 1", "paired", "ddpg"):
        assert shared.warm_start(Cell(others, 4)) is None
    assert changed(shared, fresh=3).warm_start(cell) is None and shared.warm_start(Cell(method, 5)) is None


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


def test_cells_of_an_old_name_are_of_the_new_protocol(done, tmp_path):
    content = json.loads(done.path(Cell("identity", 0)).read_text())
    assert content["settings"]["protocol"] == "uneven-v1"
    content["settings"]["protocol"] = "misexposed"
    (tmp_path / "identity-seed0.json").write_text(json.dumps(content))
    assert replace(done, out=str(tmp_path)).finished(Cell("identity", 0))
    assert read_cells(tmp_path)[0]["settings"]["protocol"] == "uneven-v1"


def test_a_file_that_is_no_cell_is_named(tmp_path):
    for content in ("{", "{}", "[]"):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(ValueError, match=r"a\.json is not a cell"):
            read_cells(tmp_path)


def test_brackets_are_two_folders_and_perhaps_one_of_other_good_photos(fivek, photos, tmp_path):
    low, normal = fivek / "fivek_pairs" / "input", fivek / "fivek_pairs" / "expert_c"
    frames = {"low": low, "normal": normal}
    for name, folder in frames.items():
        (tmp_path / name).mkdir()
        for i, path in enumerate(sorted(folder.iterdir())):
            (tmp_path / name / f"{'abcdef'[i]}_1.png").write_bytes(path.read_bytes())
    benchmark = make_benchmark("brackets-v1", photos, tmp_path / "low", tmp_path / "normal", out=tmp_path / "out",
                               quick=True)
    assert len(benchmark.cells(["identity"])) == NUM_FOLDS
    assert benchmark.folders.keys() == {"photos", "inputs", "targets"}
    split, training = benchmark.data(0)
    assert len(split.test) + len(training) == 6 and len(split.experts) == 32 * len(training) + 3 * 10
    for method in ("best single EV", "grey rule", "regression"):
        benchmark.run_cell(Cell(method, 0, 0))
        results = read_cell(benchmark.path(Cell(method, 0, 0)))["results"]
        assert method != "best single EV" or results["psnr"] > results["input_psnr"] + 5  # a stop too dark


def test_a_pair_is_learned_from_in_its_own_fold_only(fivek, tmp_path):
    benchmark = make_benchmark("fivek", fivek, out=tmp_path)
    for fold in range(NUM_FOLDS):
        protocol, training = benchmark.data(fold)
        tested = {photo.name for photo in protocol.test}
        assert tested and tested.isdisjoint(photo.name for photo in training)
        assert len(training) + len(tested) == 6
        learned = {photo.name.rsplit("_", 1)[0] for photo in (*protocol.inputs, *protocol.experts)}
        assert tested.isdisjoint(learned) and {"b6", "c9"} <= learned

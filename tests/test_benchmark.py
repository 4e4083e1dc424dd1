"""The learning benchmark: cells, figures at full size, tables."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from agents.baselines.untrained import ConstantEV, FixedBracket, Identity
from agents.benchmark import tables as tables
from agents.benchmark.cells import Benchmark, Cell, make_benchmark, read_cell, read_cells
from agents.benchmark.measures import image_statistics, summary
from agents.benchmark.methods import MAIN, METHODS
from agents.benchmark.protocols import NUM_FOLDS, folds
from agents.benchmark.trials import Curve, learner
from agents.evaluation.metrics import interval, iqm
from agents.evaluation.whole_photos import best_constant, best_evs, evaluate_full_size, psnr_by_ev
from agents.saved_agent import load_agent
from exposure_env.files import ImageFile, save_image
from exposure_env.fusion import mertens
from exposure_env.image import clip, expose
from exposure_env.photos import PairedPhotos, Photo
from exposure_env.task import ExposureTask

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_all():
    """As the benchmark's own processes have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def as_file(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(path, ImageFile(np.round(image * 255).astype(np.uint8)))


@pytest.fixture(scope="module")
def fivek(tmp_path_factory, sample_photos) -> Path:
    """Six pairs, a stop too dark, and a few unpaired photos, laid out as the benchmark wants them."""
    root = tmp_path_factory.mktemp("fivek")
    for i, image in enumerate(sample_photos[:12]):
        dark = clip(expose(image, -1.0))
        if i < 6:
            as_file(root / "fivek_pairs" / "input" / f"a{i}.png", dark)
            as_file(root / "fivek_pairs" / "expert_c" / f"a{i}.png", image)
        elif i < 9:
            as_file(root / "fivek_unpaired" / "raw" / f"b{i}.png", dark)
        else:
            as_file(root / "fivek_unpaired" / "expert_c" / f"c{i}.png", image)
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory, sample_photos) -> Path:
    """Ten good photos."""
    root = tmp_path_factory.mktemp("photos")
    for i, image in enumerate(sample_photos[:10]):
        as_file(root / f"{i}.png", image)
    return root


@pytest.fixture(scope="module")
def done(tmp_path_factory, photos) -> Benchmark:
    """A benchmark of which two learners and three baselines are finished."""
    benchmark = make_benchmark("misexposed", photos, out=tmp_path_factory.mktemp("runs") / "new", quick=True)
    for cell in benchmark.cells(["identity", "constant EV", "best single EV", "II", "paired"]):
        benchmark.run_cell(cell)
    return benchmark


def changed(benchmark: Benchmark, **settings) -> Benchmark:
    return replace(benchmark, config=replace(benchmark.config, **settings))


# full size


def test_the_table_of_exposures_is_what_a_retouch_measures(sample_photos):
    pairs = [Photo(str(i), np.round(clip(expose(p, -0.7)) * 255).astype(np.float32) / 255, p)
             for i, p in enumerate(sample_photos[12:])]
    task, evs = ExposureTask(pairs), np.array([-1.3, 0.0, 0.7])
    quick = psnr_by_ev(pairs, evs)
    for ev, expected in zip(evs, quick.T, strict=True):
        measured = evaluate_full_size(ConstantEV(ev), task, pairs).values("psnr")
        np.testing.assert_allclose(measured, expected, atol=0.02)
    np.testing.assert_allclose(best_evs(pairs), 0.7, atol=0.05)
    assert best_constant(pairs) == pytest.approx(0.7, abs=0.05) == best_constant(pairs, of="mse")


def test_a_constant_for_other_photos_is_fitted_by_the_squared_error():
    """Two photos that match at 0 EV and one at +1: by PSNR a match outweighs the rest, by the error it doesn't."""
    grey = np.full((8, 8, 3), 51 / 255, np.float32)
    brighter = np.round(clip(expose(grey, 2.0)) * 255).astype(np.float32) / 255
    pairs = [Photo("a", grey, grey), Photo("b", grey, brighter)]
    assert best_constant(pairs) in (pytest.approx(0, abs=0.03), pytest.approx(2, abs=0.03))
    assert 0.9 < best_constant(pairs, of="mse") < 1.7
    with pytest.raises(ValueError, match='"psnr" or "mse", not \'ssim\''):
        best_constant(pairs, of="ssim")


def test_a_bracket_is_blended_whole_at_full_size(sample_photos):
    photo = Photo("a", sample_photos[0], sample_photos[0])
    evaluation = evaluate_full_size(FixedBracket(), ExposureTask([photo], max_segments=2), [photo])
    evs = np.array([[0, -1, 1, -2, 2]], np.float32)
    expected = mertens(photo.image[None], np.zeros((1, 64, 64), int), evs)[0]
    assert abs(evaluation.records[0].image / 255 - expected).mean() < 0.01  # a level or two
    assert evaluation.records[0].evs == evs[0].tolist() and evaluation.records[0].image.dtype == np.uint8


def test_real_pairs_give_the_known_figures(real_folder):
    folder = real_folder / "fivek_pairs"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    pairs = list(PairedPhotos(folder / "input", folder / "expert_c", max_side=None))
    task = ExposureTask(pairs)
    assert evaluate_full_size(Identity(), task, pairs).values("psnr").mean() == pytest.approx(18.71, abs=0.01)
    constant = best_constant(pairs)
    assert psnr_by_ev(pairs, np.array([constant])).mean() == pytest.approx(21.63, abs=0.05)
    grid = np.linspace(-3, 3, 601)
    by_ev = psnr_by_ev(pairs, grid)
    assert by_ev.max(1).mean() == pytest.approx(24.31, abs=0.05)
    left_out = [by_ev[i, abs(grid - best_constant([pairs[j] for j in range(len(pairs)) if j not in fold], of="mse"))
                .argmin()] for fold in folds(len(pairs)) for i in fold]
    assert 20.5 < np.mean(left_out) < 21.63


# cells


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


def test_who_learns_from_unpaired_photos_gets_no_target(done):
    for method, known in {"II": False, "paired": True}.items():
        model, callbacks = learner(done.trial(Cell(method, 0)))
        photos = model.exposure_env.task.photos
        assert all((photo.target is not None) == known for photo in photos) and len(photos) == 32
        assert len(callbacks) == (not known)


@pytest.mark.parametrize("method", [name for name in MAIN if name not in ("II", "paired")])
def test_every_learner_runs_and_its_agent_is_kept(done, method, tmp_path):
    benchmark = replace(done, out=str(tmp_path))
    benchmark.run_cell(Cell(method, 1))
    (cell,) = read_cells(tmp_path)
    assert len(cell["results"]["curve"]) > 5 and cell["settings"]["config"]["seed"] == 1
    assert [path.stem for path in sorted(tmp_path.iterdir())] == [f"{method}-seed1"] * 2


def test_looking_at_the_agent_is_not_counted_and_changes_nothing(done, monkeypatch):
    """The same agent comes out whether it is looked at ten times or never."""
    trial = done.trial(Cell("II", 0))
    weights = []
    for watched in (False, True):
        model, callbacks = learner(trial)
        curve = Curve(lambda policy: float(trial.evaluate(policy, trial.task).values("psnr").mean()), 12)
        model.learn(trial.config.total_timesteps, [*callbacks, *([curve] if watched else [])])
        weights.append({name: tensor.clone() for name, tensor in model.policy.actor.state_dict().items()})
    assert len(curve.points) > 5 and curve.wall > 0.1
    for name, tensor in weights[0].items():
        np.testing.assert_array_equal(tensor, weights[1][name])


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


def test_an_interrupted_benchmark_goes_on(fivek, tmp_path):
    """What is missing is run, in processes; a cell that fails is named and doesn't stop the others."""
    benchmark = make_benchmark("fivek", fivek, out=tmp_path, quick=True)
    cells = benchmark.cells(["identity"]) + [Cell("pathwise", 0, 4)]
    for cell in cells[:2]:
        benchmark.run_cell(cell)
    before = [benchmark.path(cell).stat().st_mtime_ns for cell in cells[:2]]
    results = dict(benchmark.run([*cells, Cell("pathwise", 0, 7)], jobs=2))
    assert results.pop(Cell("pathwise", 0, 7)) == "ValueError: fold must lie in 0..4, not 7"
    assert results == dict.fromkeys(cells[2:]) and all(benchmark.path(cell).exists() for cell in cells)
    assert [benchmark.path(cell).stat().st_mtime_ns for cell in cells[:2]] == before
    with pytest.raises(ValueError, match="jobs must be at least 1, not 0"):
        next(benchmark.run(cells, jobs=0))


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


# numbers


def photo_entry(psnr, evs=(0.0,), true_evs=(0.0,), statistics=(0.5, 0.2, 0.3)):
    return {"name": "a", "num_segments": len(evs), "mse": 1.0, "psnr": psnr, "ssim": 0.5, "evs": list(evs),
            "true_evs": list(true_evs), "areas": [1 / len(evs)] * len(evs), "input_psnr": 15.0,
            "statistics": list(statistics), "target_statistics": [0.5, 0.2, 0.3]}


def cell(method, seed, psnrs, fold=None, **results):
    settings = {"protocol": "misexposed" if fold is None else "fivek", "method": method, "seed": seed, "fold": fold,
                "config": {"total_timesteps": 100} if method in METHODS else {}}
    if method in METHODS:
        results = {"cpu_seconds": 2.0, "wall_seconds": 3.0, "peak_mb": 400,
                   "curve": [[0, 15.0], [50, float(np.mean(psnrs))]]} | results
    return {"settings": settings, "results": results, "photos": [photo_entry(value) for value in psnrs],
            "experts": [[0.6, 0.2, 0.3], [0.4, 0.3, 0.3]], "max_ev": 3.0}


def test_statistics_of_an_image_by_hand():
    halves = np.zeros((4, 4, 3), np.float32)
    halves[:2] = 1.0
    assert image_statistics(halves) == pytest.approx([0.5, 0.5, 0.0], abs=1e-3)
    assert image_statistics((halves * 255).astype(np.uint8)[:, ::-1]) == pytest.approx([0.5, 0.5, 0.0], abs=1e-3)
    red = np.zeros((4, 4, 3), np.float32)
    red[..., 0] = 1.0
    assert image_statistics(red)[0] == pytest.approx(0.27, abs=1e-3) and image_statistics(red)[2] > 0.9


def test_a_summary_by_hand():
    content = {"photos": [photo_entry(20, [1.0, 2.0], [1.5, 2.5]), photo_entry(22, [3.0], [None])],
               "experts": [[0.6, 0.2, 0.3], [0.4, 0.3, 0.3]], "max_ev": 3.0}
    numbers = summary(content)
    assert numbers["psnr"] == 21 and numbers["input_psnr"] == 15 and numbers["mean_abs_ev"] == 2
    assert numbers["saturated"] == pytest.approx(1 / 3, abs=1e-4) and numbers["ev_correlation"] == 1.0
    assert numbers["luminance_distance"] == pytest.approx(0.1) and numbers["contrast_distance"] == pytest.approx(0.05)
    assert numbers["saturation_distance"] == 0 and numbers["distance"] == pytest.approx(0.05)
    assert numbers["contrast_distance"] == pytest.approx(wasserstein_distance([0.2, 0.2], [0.2, 0.3]))
    constant = summary({**content, "photos": [photo_entry(20)]})
    assert constant["ev_correlation"] is None  # NaN is no JSON


def test_rows_by_hand():
    gains = [1.0, 2.0, 3.0, 8.0]
    cells = [cell("II", seed, [15 + gain]) for seed, gain in enumerate(gains)]
    cells += [cell("paired", 0, [20.0]), cell("identity", 0, [15.0])]
    rows = {row.method: row for row in tables.rows(tables.runs(cells))}
    assert list(rows) == ["paired", "II", "identity"]
    ours = rows["II"]
    assert ours.psnr == 18.5 and ours.gain == 2.5 and ours.share == 0.5 and ours.seeds == 4
    assert ours.interval == interval(gains, statistic=iqm) and ours.interval[0] < 2.5 < ours.interval[1]
    assert (ours.cpu_seconds, ours.peak_mb) == (2.0, 400) and np.isnan(rows["identity"].cpu_seconds)
    assert rows["paired"].interval is None and rows["identity"].share == 0
    assert np.isnan(tables.rows(tables.runs(cells[:2]))[0].share)  # without a ceiling


def test_folds_are_joined_and_a_run_that_lacks_one_is_left_out():
    cells = [cell("II", 0, [20.0] * 3 if fold else [26.0] * 3, fold, peak_mb=300 + fold) for fold in range(5)]
    cells += [cell("II", 1, [20.0], fold) for fold in range(4)]
    (run,) = tables.runs(cells)
    assert run.seed == 0 and run.gain == pytest.approx(6.2)  # (26 + 4 * 20) / 5 - 15
    assert run.results["cpu_seconds"] == 10 and run.results["peak_mb"] == 304
    assert run.results["curve"] == [[0, 15.0], [50, pytest.approx(21.2)]]
    with pytest.raises(ValueError, match=r"not of \['fivek', 'misexposed'\]"):
        tables.runs([*cells, cell("II", 0, [20.0])])


def test_tables_as_text_markdown_and_csv(done):
    finished = tables.runs(read_cells(done.out))
    rows = tables.rows(finished)
    assert [row.method for row in rows] == ["paired", "II", "identity", "constant EV", "best single EV"]
    lines = tables.format_text(rows).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines) == 6
    markdown = tables.format_markdown(rows).splitlines()
    assert len(markdown) == 7 and {line.count("|") for line in markdown} == {len(tables.HEADINGS) + 1}
    raw = list(csv.DictReader(io.StringIO(tables.format_csv(finished))))
    assert [line["method"] for line in raw] == [row.method for row in rows]
    for line, row in zip(raw, rows, strict=True):
        assert float(line["psnr"]) == pytest.approx(row.psnr, abs=1e-3)
    assert raw[2]["cpu_seconds"] == "" and "curve" not in raw[0]
    by_method = {row.method: row for row in rows}
    assert by_method["identity"].gain == pytest.approx(0, abs=1e-3)
    assert by_method["best single EV"].gain > max(1, by_method["constant EV"].gain)


def test_the_figure_has_a_line_and_a_dot_for_each(done, tmp_path):
    figure = tables.figure(tables.runs(read_cells(done.out)))
    curves, plane = figure.axes
    thick = [line.get_label() for line in curves.get_lines() if line.get_linewidth() > 2]
    assert thick == ["paired", "II"] and len(plane.collections) == 5
    assert [text.get_text() for text in plane.texts][:3] == ["identity", "constant EV", "best single EV"]
    figure.savefig(tmp_path / "figure.png")
    tables.figure([]).savefig(tmp_path / "empty.png")  # of no runs, an empty one without a complaint


def test_a_process_of_its_own_finds_the_same_from_any_folder(done, photos, tmp_path):
    """As `run` starts it."""
    order = {"protocol": "misexposed", "folders": {"photos": str(photos)}, "config": vars(done.config),
             "out": str(tmp_path / "new"), "cell": ["II", 0, None]}
    process = subprocess.run([sys.executable, "-m", "agents.benchmark.workers"],
                             input=json.dumps({"kind": "cell", "orders": [order]}), text=True,
                             cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=120)
    assert (process.returncode, process.stderr) == (0, "")
    here, there = (read_cell(folder / "II-seed0.json") for folder in (Path(done.out), tmp_path / "new"))
    assert here["settings"] == there["settings"] and here["experts"] == there["experts"]
    assert here["results"]["psnr"] == pytest.approx(there["results"]["psnr"], abs=1e-3)

"""Every rival as a cell of a benchmark: trained, tested, resumed, and in the table."""

from dataclasses import replace

import numpy as np
import pytest

from agents.benchmark.cells import Benchmark, Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.methods import GROUPS, METHODS
from agents.benchmark.results import read_cell, read_cells
from agents.benchmark.rivals import RIVALS
from agents.benchmark.tables import runs, table


@pytest.fixture(params=RIVALS)
def rival(request) -> str:
    return request.param


def test_every_rival_is_a_method():
    assert RIVALS.keys() <= METHODS.keys() and set(GROUPS["rivals"]) == RIVALS.keys()


def test_a_rival_gets_a_cell_and_a_row_and_no_exposures(done, tmp_path, rival):
    benchmark = replace(done, out=str(tmp_path))
    for cell in (Cell("identity", 0), Cell(rival, 0)):
        benchmark.run_cell(cell)
    found = read_cell(benchmark.path(Cell(rival, 0)))
    assert found["settings"]["rival"] == RIVALS[rival].settings and "learning_rate" not in found["settings"]["config"]
    assert all(photo["evs"] == [] for photo in found["photos"])
    steps, scores = zip(*found["results"]["curve"], strict=True)
    assert steps[0] == 0 and scores[0] == pytest.approx(found["results"]["input_psnr"], abs=1e-3)
    assert found["results"]["cpu_seconds"] > 0
    rows = {row.method: row for row in table(runs(read_cells(tmp_path))).rows}
    assert np.isfinite(rows[rival].psnr) and np.isnan(rows[rival].mean_abs_ev)


def test_the_same_seed_gives_the_same_rival_and_another_one_another(done, tmp_path, rival):
    results = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        benchmark: Benchmark = replace(done, out=str(tmp_path / folder))
        benchmark.run_cell(Cell(rival, seed))
        results.append([photo["psnr"] for photo in read_cell(benchmark.path(Cell(rival, seed)))["photos"]])
    assert results[0] == results[1] != results[2]


def test_a_rival_retouches_whole_photos_where_the_protocol_has_them(fivek, tmp_path, rival):
    benchmark = make_benchmark("fivek", fivek, out=tmp_path, quick=True)
    benchmark.run_cell(Cell(rival, 0, 0))
    assert np.isfinite(read_cell(benchmark.path(Cell(rival, 0, 0)))["results"]["psnr"])

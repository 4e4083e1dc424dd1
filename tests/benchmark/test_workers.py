"""Cells in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.benchmark import tables as tables
from agents.benchmark.cells import Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.results import read_cell
from agents.benchmark.workers import run_batches
from tests.repository import ROOT


def test_an_interrupted_benchmark_goes_on(fivek, tmp_path):
    """What is missing is run, in processes; a cell that fails is named and doesn't stop the others."""
    benchmark = make_benchmark("fivek", fivek, out=tmp_path, quick=True)
    cells = benchmark.cells(["identity"])
    for cell in cells[:2]:
        benchmark.run_cell(cell)
    before = [benchmark.path(cell).stat().st_mtime_ns for cell in cells[:2]]
    results = dict(benchmark.run([*cells, Cell("pathwise", 0, 7)], jobs=2))
    assert results.pop(Cell("pathwise", 0, 7)) == "ValueError: fold must lie in 0..4, not 7"
    assert results == dict.fromkeys(cells[2:]) and all(benchmark.path(cell).exists() for cell in cells)
    assert [benchmark.path(cell).stat().st_mtime_ns for cell in cells[:2]] == before
    with pytest.raises(ValueError, match="jobs must be at least 1, not 0"):
        next(benchmark.run(cells, jobs=0))


def test_a_process_of_its_own_finds_the_same_from_any_folder(done, photos, tmp_path):
    """As `run` starts it."""
    order = {"protocol": "misexposed", "folders": {"photos": str(photos)}, "config": vars(done.config),
             "out": str(tmp_path / "new"), "cell": ["II", 0, None]}
    with subprocess.Popen([sys.executable, "-m", "agents.benchmark.workers"], stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, cwd=tmp_path,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        process.stdin.write(json.dumps({"kind": "cell", "orders": [order]}) + "\n")
        process.stdin.flush()  # and left open: a worker ends with the process that started it
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, "")
    here, there = (read_cell(folder / "II-seed0.json") for folder in (Path(done.out), tmp_path / "new"))
    assert here["settings"] == there["settings"] and here["experts"] == there["experts"]
    assert here["results"]["psnr"] == pytest.approx(there["results"]["psnr"], abs=1e-3)


def test_a_process_that_is_killed_before_it_reads_its_orders_fails_alone(monkeypatch, tmp_path):
    """As if the system ran out of memory: the interpreter is replaced by one that ends at once, by a signal."""
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    orders = [{"padding": "x" * 200_000}]  # more than a pipe takes
    assert list(run_batches("cell", [orders, orders], jobs=1)) == [
        (number, ["its process ended with status -9"]) for number in (0, 1)]

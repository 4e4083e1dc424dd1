"""Three kills of each long command, early and late; see `kills` for many more."""

import os
import random
import signal
from pathlib import Path

import pytest

from agents.benchmark import tables
from agents.benchmark.making import make_benchmark
from agents.benchmark.results import read_cells
from agents.cli import main
from tests.kills import Benchmarking, Command, Moment, Retouching, Training

pytestmark = [pytest.mark.skipif(os.name != "posix" or not Path("/proc/self/stat").exists(), reason="needs /proc"),
              pytest.mark.usefixtures("one_thread")]


class Quick(Command):
    def uninterrupted(self) -> None:
        assert main([str(word) for word in self.arguments(self.whole)]) == 0  # in this process, which has begun already


class QuickTraining(Quick, Training):
    pass


class SixPhotos(Quick, Retouching):
    def photos(self):
        return dict([*super().photos().items()][:6])


class TwoCells(Benchmarking):
    methods, seeds = ("identity", "II"), (0,)

    def uninterrupted(self) -> None:
        benchmark = make_benchmark("misexposed", self.place / "photos", out=self.whole, quick=True)
        for cell in benchmark.cells(self.methods, self.seeds):
            benchmark.run_cell(cell)
        self.table = tables.table(tables.runs(read_cells(benchmark.out))).text()


@pytest.mark.parametrize("command, moments", [
    (QuickTraining, [Moment("start", 1.0), Moment("agent.safetensors"), Moment("checkpoint.pt", nth=2)]),
    (SixPhotos, [Moment("start", 1.0), Moment(".*.part", 0.01), Moment("*.tif")]),
    (TwoCells, [Moment("start", 1.0), Moment("worker", nth=2, worker=True), Moment(".*.lock")]),  # one cell is left
], ids=["train", "retouch", "benchmark"])  # fmt: skip
def test_a_command_that_is_killed_three_times_ends_as_if_it_never_was(command, moments, tmp_path):
    assert command(tmp_path).trial(tmp_path / "cut", moments) == (3, [])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_benchmark_that_is_stopped_ends_in_order_and_goes_on(how, tmp_path):
    """At a random moment of its first cell, and after a file was written."""
    rng = random.Random(int(how))
    moments = [Moment(".*.lock", rng.uniform(0, 2), how=how), Moment("*.json", rng.uniform(0, 0.5), how=how)]
    kills, found = TwoCells(tmp_path).trial(tmp_path / "cut", moments)
    assert kills >= 1 and found == []

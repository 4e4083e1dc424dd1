"""One benchmark in several places: shards, and executors of any kind."""

import json
import shutil
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from agents.benchmark.cells import Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.results import read_cells
from agents.benchmark.workers import part
from tests.cli.small import in_process

TIMES = ("cpu_seconds", "wall_seconds", "peak_mb")


def outcomes(folder):
    """What the cells of a folder hold, but for what they cost."""
    cells = read_cells(folder)
    for cell in cells:
        cell["results"] = {name: value for name, value in cell["results"].items() if name not in TIMES}
    return json.dumps(cells, sort_keys=True)


def test_shards_share_out_all_cells():
    cells = make_benchmark("uneven-v1").cells(seeds=[0, 1])
    shards = [part(cells, f"{number}/3") for number in (1, 2, 3)]
    assert sorted(cell for shard in shards for cell in shard) == sorted(cells) and part(cells, "1/1") == cells
    assert max(map(len, shards)) - min(map(len, shards)) <= 1 and shards[1][0] == cells[1]
    assert part(cells[:2], "3/3") == []
    for wrong in ("0/3", "4/3", "1", "a/3", "1/0", "-1/3", "1/3/5", ""):
        with pytest.raises(ValueError, match=f"1 to n, such as 1/4, not '{wrong}'"):
            part(cells, wrong)


def test_two_shards_at_once_give_the_cells_of_one_process(photos, done, tmp_path):
    arguments = ["benchmark", "misexposed", "--photos", photos, "--quick", "--methods", "identity", "constant EV",
                 "best single EV", "II", "--seeds", "0"]
    both = [in_process(*arguments, "--out", "together", "--shard", f"{number}/2", cwd=tmp_path) for number in (1, 2)]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert all("2 cells in together, 2 of them still to run" in error for error in errors)
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in (tmp_path / "together").glob("[!.]*.json"):
        shutil.copy(Path(done.out) / path.name, alone)
    assert outcomes(tmp_path / "together") == outcomes(alone) and len(read_cells(alone)) == 4


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_cells_run_over_any_executor(done, tmp_path, kind):
    benchmark = replace(done, out=str(tmp_path))
    cells = [Cell("identity", 0), Cell("warm start", 0), Cell("magic", 0)]
    with kind(2) as executor:
        errors = dict(benchmark.run(cells, executor))
        assert list(benchmark.run(cells[:2], executor)) == []  # they are finished
        assert executor.submit(len, "abc").result() == 3  # it is still its owner's
    assert errors[cells[0]] is None is errors[cells[1]] and "magic" in errors[cells[2]]
    assert len(read_cells(tmp_path)) == 2


class Elsewhere(Executor):
    """An executor on a machine that ends all at once, or doesn't see the folder."""

    def __init__(self, error: Exception | None):
        self.error = error

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        future.set_exception(self.error) if self.error else future.set_result(None)
        return future


def test_a_lost_worker_and_a_file_that_never_came_are_errors(done, tmp_path):
    benchmark, cell = replace(done, out=str(tmp_path)), Cell("identity", 0)
    assert dict(benchmark.run([cell], Elsewhere(RuntimeError("no power"))))[cell] == "RuntimeError: no power"
    assert "there is no " in dict(benchmark.run([cell], Elsewhere(None)))[cell]

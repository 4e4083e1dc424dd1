"""Cells and the processes that run them: one at a time on each, and none that outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agents.benchmark.cells import Cell
from agents.benchmark.fingerprints import fingerprint
from agents.benchmark.making import make_benchmark
from tests.kills import below
from tests.repository import ROOT


def wait_for(condition, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs a system that tells of processes")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_ends_with_its_parent(photos, tmp_path, how):
    command = [sys.executable, "-m", "agents.cli", "benchmark", "misexposed", "--photos", str(photos), "--quick",
               "--methods", "II", "--seeds", "0", "--timesteps", "100000000", "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              start_new_session=True)
    try:
        (worker,) = wait_for(lambda: below(parent))
        wait_for((tmp_path / "out").exists)  # it trains, or is about to
        time.sleep(0.5)
        assert below(parent) == [worker]
    finally:
        parent.send_signal(how)
        parent.wait(30)
    try:
        wait_for(lambda: not below(parent), 10)
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name[0] != "."]


def test_one_process_at_a_time_is_at_work_on_a_cell(done, tmp_path):
    from agents.locks import locked

    benchmark, cell = replace(done, out=str(tmp_path)), Cell("identity", 0)
    path = benchmark.path(cell)
    with locked(path, "another"):
        with pytest.raises(ValueError, match=f"another process is at work on {path}"):
            benchmark.run_cell(cell)
        assert not path.exists()
    benchmark.run_cell(cell)
    before = path.stat().st_mtime_ns
    benchmark.run_cell(cell)  # finished meanwhile by another process
    assert path.stat().st_mtime_ns == before


def test_a_cell_of_another_process_is_left_to_it_and_the_rest_is_done(done, tmp_path):
    """Baselines run one after the other in one process: all others run, before and after it."""
    from agents.locks import locked

    benchmark = replace(done, out=str(tmp_path))
    cells = benchmark.cells(["identity", "constant EV", "fixed bracket"])
    with locked(benchmark.path(cells[1]), "this test"):
        errors = dict(benchmark.run(cells))
    assert f"another process is at work on {benchmark.path(cells[1])}: wait until it is done" in errors.pop(cells[1])
    assert errors == {cells[0]: None, cells[2]: None}
    assert [benchmark.path(cell).exists() for cell in cells] == [True, False, True]


def test_what_kills_left_is_removed(done, tmp_path):
    benchmark, cell = replace(done, out=str(tmp_path)), Cell("identity", 0)
    left = [tmp_path / f".{cell.name}{suffix}.{'0' * 32}.part" for suffix in (".json", ".safetensors", ".zip")]
    for path in left:
        path.write_bytes(b"half")  # just now, and yet nobody can be at work on it: the lock is ours
    benchmark.run_cell(cell)
    assert not any(path.exists() for path in left)


def test_photos_that_change_while_a_cell_runs_are_noticed(photos, tmp_path):
    """Overwritten in place, with as many bytes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    before = fingerprint({"photos": str(folder)})
    benchmark = make_benchmark("misexposed", folder, out=tmp_path / "out", quick=True)
    benchmark.data(None)

    def change() -> None:
        path = sorted(folder.iterdir())[0]
        data = bytearray(path.read_bytes())
        data[-30] ^= 1
        path.write_bytes(data)

    class Changing(type(benchmark)):
        def trial(self, cell):
            change()  # as another process may, once the photos are read
            return super().trial(cell)

    with pytest.raises(ValueError, match="were changed while identity-seed0 ran"):
        Changing(**vars(benchmark)).run_cell(Cell("identity", 0))
    assert not benchmark.path(Cell("identity", 0)).exists()
    assert fingerprint({"photos": str(folder)}) != before == fingerprint({"photos": str(photos)})

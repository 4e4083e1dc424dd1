"""Ray's and Dask's workers: the same cells as in processes, also when a worker or the command is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from agents.benchmark import engines
from agents.benchmark.cells import Cell
from agents.benchmark.engines import engine
from agents.benchmark.results import read_cells
from tests.kills import marked, parent
from tests.repository import ROOT

MARK = "EXPOSURE_TEST_ENGINE"
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@contextmanager
def ray_cluster():
    """The text that stands for two workers of Ray's, and what runs on them."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'deepexposure-gym[ray]'")
    with engine("ray", 2) as found:
        yield f"ray:{ray.get_runtime_context().gcs_address}", found


@contextmanager
def dask_cluster():
    """As `ray_cluster`; the scheduler belongs to the test."""
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'deepexposure-gym[dask]'")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with engine(f"dask:{cluster.scheduler_address}") as found:
            yield f"dask:{cluster.scheduler_address}", found


@pytest.fixture(scope="module", params=[ray_cluster, dask_cluster], ids=["Ray", "Dask"])
def cluster(request):
    """The text of a cluster with two workers, and the engine; a mark is in the environment of all that it starts."""
    mark = f"{MARK}={uuid.uuid4().hex}"
    os.environ[MARK] = mark.partition("=")[2]
    os.environ.setdefault("RAY_worker_niceness", "0")  # other tests run beside these
    try:
        with request.param() as (text, found):
            yield text, found, mark
    finally:
        del os.environ[MARK]
        deadline = time.monotonic() + 20
        while (left := [pid for pid in marked(mark) if b"resource_tracker" not in words(pid)]):  # this process's own
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert not left, "the cluster is shut down, but some of its processes are not"


def outcome(folder, name):
    """What a cell's file holds, but for its cost and the machine."""
    content = json.loads((Path(folder) / f"{name}.json").read_text())
    costs = {"cpu_seconds", "wall_seconds", "peak_mb"}
    content["results"] = {key: value for key, value in content["results"].items() if key not in costs}
    return {key: value for key, value in content.items() if key != "machine"}


def cell_processes(mark):
    """The processes that a cluster's workers have started for cells."""
    return [pid for pid in marked(mark) if b"agents.benchmark.workers" in words(pid)]


def words(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def wait_for(condition, seconds=100.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
    return found


@NEEDS_PROC
def test_two_workers_give_the_cells_of_processes_though_one_is_killed(cluster, done, tmp_path):
    """And a cell that fails is told, and stops no other."""
    _, found, mark = cluster
    assert found.slots == 2
    benchmark = replace(done, out=str(tmp_path))
    cells = [Cell("identity", 0), Cell("II", 0), Cell("magic", 0)]
    killed = []

    def kill() -> None:
        wait_for((tmp_path / ".II-seed0.json.lock").exists)  # at work on it
        for pid in cell_processes(mark):
            opened = [os.path.realpath(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
            if str(tmp_path / ".II-seed0.json.lock") in opened:
                (tmp_path / f".II-seed0.json.{'0' * 32}.part").write_text("half")  # as if it was just writing
                killed.extend((pid, parent(pid)))
                os.kill(parent(pid), signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    errors = dict(benchmark.run(cells, found.jobs))
    killer.join()
    assert "not 'magic'" in errors.pop(cells[2])
    assert errors == dict.fromkeys(cells[:2]) and len(killed) == 2
    assert not set(killed) & set(marked(mark)), "the worker, or its cell's process, lives on"
    assert len(read_cells(tmp_path)) == 2 and not [*tmp_path.glob(".*.part")]
    assert all(outcome(tmp_path, cell.name) == outcome(done.out, cell.name) for cell in cells[:2])


@NEEDS_PROC
@pytest.mark.parametrize("how, status", [(signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=["SIGTERM", "SIGKILL"])
def test_no_cell_goes_on_without_the_command(cluster, photos, tmp_path, how, status):
    text, found, mark = cluster
    command = [sys.executable, "-m", "agents.cli", "benchmark", "misexposed", "--photos", str(photos), "--quick",
               "--methods", "regression", "--seeds", "0", "--timesteps", "100000000", "--out", str(tmp_path),
               "--engine", text]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for((tmp_path / ".regression-seed0.json.lock").exists)
        assert len(cell_processes(mark)) == 1
        process.send_signal(how)
        wait_for(lambda: not cell_processes(mark), 30)
        process.wait(30)
    finally:
        process.kill()
        errors = process.communicate()[1]
    assert process.returncode == status
    assert ("the same command goes on" in errors) == (how == signal.SIGTERM)
    assert found.jobs.submit(engines_answer).result(60) == "here"  # the cluster isn't the command's


def engines_answer(processes=None):
    return "here"


@pytest.mark.parametrize("text", ["spark", "ray:", "dask:", "processes:2", ""])
def test_an_unknown_engine_is_named(text):
    with pytest.raises(ValueError, match=f"must be processes, ray, ray:ADDRESS, dask or dask:ADDRESS, not '{text}'"):
        with engine(text):
            pass


def test_processes_are_their_number():
    with engine("processes", 3) as found:
        assert found == (3, 3)
    with pytest.raises(ValueError, match="jobs must be at least 1, not 0"), engine("ray", 0):
        pass


@pytest.mark.parametrize("name, library", [("ray", "ray"), ("dask", "distributed")])
def test_a_missing_library_is_told_with_what_installs_it(monkeypatch, name, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"pip install 'deepexposure-gym\[{name}\]'"), engine(name):
        pass


@pytest.mark.parametrize("name, scheme, library", [("ray", "", "ray"), ("ray", "ray://", "ray"),
                                                   ("dask", "", "distributed"), ("dask", "tcp://", "distributed")])
def test_an_address_that_does_not_answer_is_told_in_time(monkeypatch, name, scheme, library):
    pytest.importorskip(library, reason=f"needs {name.title()}: pip install 'deepexposure-gym[{name}]'")
    monkeypatch.setattr(engines, "PATIENCE", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{server.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(ValueError, match=f"nothing answers at {address} "), engine(f"{name}:{address}"):
            pass
        server.listen()  # something answers, and says nothing
        with pytest.raises(ValueError, match=f"what answers at {address} isn't "), engine(f"{name}:{address}"):
            pass
        assert time.monotonic() - start < 20
    with pytest.raises(ValueError, match="ends in HOST:PORT, unlike 'somewhere'"), engine(f"{name}:somewhere"):
        pass

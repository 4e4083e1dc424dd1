"""Where the cells of a benchmark run: processes on this machine, or Ray's or Dask's workers, on it or on many.

A worker starts a process for a cell and waits for it (see `workers`), whatever the engine. When a worker is killed, the
standard input of that process closes: it ends, its lock is free, and the engine gives the cell to another worker.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from threading import Event, Thread, current_thread, main_thread
from typing import Any, NamedTuple

from agents.benchmark.workers import Processes

ENGINES = "processes, ray, ray:ADDRESS, dask or dask:ADDRESS"
PATIENCE = 10.0  # seconds in which an address has to answer
RETRIES = 3  # times that a cell is run again whose worker was lost
LOOK = 0.5  # seconds between looks at whether a task is still wanted


class Engine(NamedTuple):
    """What runs cells."""

    jobs: int | Executor  # see `cells.Benchmark.run`; the executors run `workers.in_process`
    slots: int  # cells at once


@contextmanager
def engine(text: str = "processes", jobs: int = 1) -> Iterator[Engine]:
    """What a text such as "ray:auto" stands for, connected or started; what was started is shut down in the end.

    Args:
        text: "processes"; "ray" or "dask" for workers on this machine; "ray:auto", "ray:HOST:PORT" or
            "ray:ray://HOST:PORT" for a cluster of Ray's that runs, "dask:ADDRESS" for one of Dask's.
        jobs: Cells at once on this machine. A cluster runs as many as it has processors.

    Raises:
        ValueError: If there is no such engine, its library is missing, or nothing answers at the address.
    """
    name, colon, address = text.partition(":")
    if name not in {"processes", "ray", "dask"} or (colon and (not address or name == "processes")):
        raise ValueError(f"the engine must be {ENGINES}, not {text!r}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    if name == "processes":
        yield Engine(jobs, jobs)
        return
    with (_ray if name == "ray" else _dask)(address, jobs) as found:
        yield found


@contextmanager
def _ray(address: str, jobs: int) -> Iterator[Engine]:
    try:
        import ray
    except ImportError as error:
        raise ValueError(f"the engine ray needs Ray: pip install 'deepexposure-gym[ray]' ({error})") from error
    if address:
        _check_ray(address)
    own = {} if address else {"num_cpus": jobs, "include_dashboard": False}
    with _same_handler(signal.SIGTERM), _connecting("Ray", address, Exception):
        ray.init(address or "local", logging_level=logging.ERROR, log_to_driver=False, **own)
    try:
        executor = _RayExecutor(ray)
        yield Engine(executor, max(1, int(ray.cluster_resources().get("CPU", 1))))
    finally:
        ray.shutdown()


class _RayExecutor(Executor):
    """Ray's tasks, one for each call, on one processor each."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._call = ray.remote(num_cpus=1, max_retries=RETRIES)(_call)

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        reference = self._call.remote(function, args, kwargs)

        def over(found: Future) -> None:
            if future.set_running_or_notify_cancel():
                error = found.exception()
                future.set_result(found.result()) if error is None else future.set_exception(error)

        def cancelled(future: Future) -> None:
            if future.cancelled():  # a worker that is at work on it ends, and with it its process
                with suppress(Exception):  # Ray may be gone
                    self._ray.cancel(reference, force=True)

        future.add_done_callback(cancelled)
        reference.future().add_done_callback(over)
        return future


def _call(function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)


@contextmanager
def _dask(address: str, jobs: int) -> Iterator[Engine]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ValueError(f"the engine dask needs Dask: pip install 'deepexposure-gym[dask]' ({error})") from error
    if address:
        _check_dask(address)
    with _connecting("Dask", address, OSError, ValueError):
        started = None if address else LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None,
                                                    silence_logs=logging.CRITICAL)
        client = Client(started or address, timeout=PATIENCE, set_as_default=False)
    try:
        yield Engine(_DaskExecutor(client), max(1, sum(client.ncores().values())))
    finally:
        client.close()
        if started is not None:
            started.close()


class _DaskExecutor(Executor):
    """Dask's tasks; a function that takes `processes`, as `workers.in_process` does, ends when it isn't wanted."""

    def __init__(self, client: Any) -> None:
        self._executor = client.get_executor(pure=False, retries=RETRIES)

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        return self._executor.submit(_while_wanted, function, *args, **kwargs)


def _while_wanted(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """The result of a function in a thread of a worker of Dask's; its processes end when the task is cancelled.

    Threads can't be stopped. Dask would wait for this one, though nobody wants the result any more: the one who asked
    has cancelled it, or is gone.
    """
    from distributed import get_worker
    from distributed.worker import thread_state

    tasks, key, over, processes = get_worker().state.tasks, thread_state.key, Event(), Processes()

    def look() -> None:
        while not over.wait(LOOK):
            if (task := tasks.get(key)) is None or task.state == "cancelled":
                processes.end()

    Thread(target=look, daemon=True).start()
    try:
        return function(*args, processes=processes, **kwargs)
    finally:
        over.set()


def _check_ray(address: str) -> None:
    """Checks that a server of Ray's kind, of gRPC, answers: Ray would try for minutes, and end the process then.

    Raises:
        ValueError: If none does.
    """
    place = address.removeprefix("ray://")
    if address == "auto" or os.environ.get("RAY_USE_TLS", "0") != "0":  # what isn't found, and TLS, are Ray's to tell
        return
    _check_place(place, address).close()
    import grpc

    channel = grpc.insecure_channel(place)
    try:
        grpc.channel_ready_future(channel).result(PATIENCE)
    except grpc.FutureTimeoutError as error:
        raise ValueError(f"what answers at {address} isn't Ray") from error
    finally:
        channel.close()


def _check_dask(address: str) -> None:
    """Checks that a scheduler of Dask's answers, which speaks first: the library's own time limit doesn't hold.

    Raises:
        ValueError: If none does.
    """
    scheme, _, place = address.rpartition("://")
    with _check_place(place, address) as answer:
        try:
            silent = scheme in {"", "tcp"} and not answer.recv(1)
        except OSError:  # also when the time is over
            silent = True
    if silent:
        raise ValueError(f"what answers at {address} isn't a scheduler of Dask's")


def _check_place(place: str, address: str) -> socket.socket:
    """A connection to "HOST:PORT".

    Raises:
        ValueError: If it has another form, or nothing answers.
    """
    host, _, port = place.rstrip("/").rpartition(":")
    if not (host and port.isdecimal()):
        raise ValueError(f"an address of an engine ends in HOST:PORT, unlike {address!r}")
    try:
        return socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
    except (OSError, OverflowError) as error:
        raise ValueError(f"nothing answers at {address} ({error}): is the cluster running, and can this machine "
                         "reach it?") from error


@contextmanager
def _connecting(library: str, address: str, *errors: type[Exception]) -> Iterator[None]:
    """A block whose errors, of these types, become a ValueError that names the library and the address."""
    start = time.monotonic()
    try:
        yield
    except errors as error:
        place = f"reach {library} at {address}" if address else f"start {library} on this machine"
        hint = " (a cluster that asks for a token needs RAY_AUTH_MODE=token here, too)" if library == "Ray" else ""
        raise ValueError(f"can't {place}, after {time.monotonic() - start:.0f} s{hint if address else ''}: "
                         f"{type(error).__name__}: {error}") from error


@contextmanager
def _same_handler(number: int) -> Iterator[None]:
    """A block after which a signal is handled as before it: Ray sets a handler of its own."""
    before = signal.getsignal(number)
    try:
        yield
    finally:
        if current_thread() is main_thread():
            signal.signal(number, before)

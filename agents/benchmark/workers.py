"""Trainings and tests in processes of their own, so that each has its own memory and processor time, and one thread.

An order is a dict, passed as JSON, that says what to run. Running it writes the result to a file that appears only when
it is complete. Finished results therefore stay, whatever happens to the other orders.

A process ends with the one that started it, however that ends: it watches its standard input, which then closes.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from importlib import import_module
from textwrap import shorten
from threading import Event, Thread
from traceback import format_exception_only
from typing import Any

from agents.startup import collect_less

WORK = {  # modules with a `run_order`
    "cell": "agents.benchmark.cells", "claim": "agents.benchmark.claims.trainings", "matrix": "agents.auditing.matrix",
}  # fmt: skip
LONGEST = 500  # letters of an error message
ERRORS = "errors of the orders: "  # begins the line that tells them


def part(cells: Sequence[Any], shard: str) -> list[Any]:
    """The cells of one shard "i/n", i from 1 to n: every n-th.

    They are counted whether finished or not: else shards that start at different times would disagree on who runs what.

    Raises:
        ValueError: If the shard is of another form.
    """
    number, slash, count = shard.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"a shard is i/n with i from 1 to n, such as 1/4, not {shard!r}")
    return [*cells[int(number) - 1 :: int(count)]]


def run_batches(kind: str, batches: Sequence[Sequence[dict[str, Any]]], jobs: int | Executor = 1
                ) -> Iterator[tuple[int, list[str | None]]]:
    """Runs batches of orders; yields the number of each batch when it is over, with an error or None for each order.

    Args:
        kind: Key of `WORK`.
        batches: Batches of orders; those of a batch run one after the other in one process.
        jobs: Number of batches at once; or an executor, each of whose workers starts such a process and waits for it.

    Raises:
        ValueError: If `jobs` is below 1.
    """
    if isinstance(jobs, Executor):
        yield from _over(jobs, kind, batches)
        return
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    pool, processes = ThreadPoolExecutor(jobs), Processes()
    futures = {pool.submit(in_process, kind, batch, None, processes): number for number, batch in enumerate(batches)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:  # also when interrupted: no process is left behind
        pool.shutdown(wait=False, cancel_futures=True)
        processes.end()
        pool.shutdown()


def _over(executor: Executor, kind: str, batches: Sequence[Sequence[dict[str, Any]]]
          ) -> Iterator[tuple[int, list[str | None]]]:
    """As `run_batches`. The executor remains its owner's: what has not begun is cancelled, what runs ends by itself."""
    futures = {executor.submit(in_process, kind, batch, os.getcwd()): number for number, batch in enumerate(batches)}
    try:
        for future in as_completed(futures):
            yield futures[future], _outcome(future, len(batches[futures[future]]))
    finally:
        for future in futures:
            future.cancel()


def _outcome(future: Future, count: int) -> list[str | None]:
    """The error message or None of each order; a worker that was lost is an error of all, too."""
    try:
        return future.result() or [None] * count
    except (Exception, CancelledError) as error:  # executors have errors of their own
        return [shorten(f"{type(error).__name__}: {error}", LONGEST)] * count


class Processes:
    """Processes at work, which can be ended together; one that is started at that very moment is ended, too."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen] = []
        self._ended = Event()

    @contextmanager
    def process(self, **options: Any) -> Iterator[subprocess.Popen]:
        """A process that runs orders, with further options of `subprocess.Popen`; it is over when the block is."""
        process = subprocess.Popen([sys.executable, "-m", "agents.benchmark.workers"], **options)
        self._running.append(process)
        if self._ended.is_set():
            process.terminate()
        try:
            yield process
        finally:  # an error in the block, too: without standard input, it ends
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.stderr.close()
            process.wait()
            self._running.remove(process)

    def end(self) -> None:
        """Ends all that run, and whatever is started from now on."""
        self._ended.set()
        for process in list(self._running):
            process.terminate()


def in_process(kind: str, orders: Sequence[dict[str, Any]], folder: str | None = None,
               processes: Processes | None = None) -> list[str | None]:
    """Runs a batch of orders in a process of its own, which ends with this one; the error message or None of each.

    Args:
        kind: Key of `WORK`.
        orders: The orders, run one after the other, also after an error.
        folder: Where relative paths begin, if this machine has that folder; the present one by default.
        processes: Where the process can be ended from.
    """
    options = dict(stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
                   cwd=folder if folder is not None and os.path.isdir(folder) else None)
    with (processes or Processes()).process(**options) as process:
        with suppress(BrokenPipeError):  # if it has ended already, its errors or its status say why
            process.stdin.write(json.dumps({"kind": kind, "orders": orders}) + "\n")
            process.stdin.flush()  # and left open, see `_end_with_parent`
        lines = process.stderr.read().strip().splitlines()
    if process.returncode == 0:
        return [None] * len(orders)
    if process.returncode > 0 and lines and lines[-1].startswith(ERRORS):
        return json.loads(lines[-1].removeprefix(ERRORS))
    lines = lines if process.returncode > 0 and lines else [f"its process ended with status {process.returncode}"]
    return [_last_error(lines)] * len(orders)


def _last_error(lines: Sequence[str]) -> str:
    """The error that a traceback ends with, on one line."""
    starts = [number for number, line in enumerate(lines) if re.match(r"[A-Za-z_][\w.]*: ", line)]
    return shorten(" ".join(lines[starts[-1] if starts else -1 :]), LONGEST)


def main() -> None:
    """Runs the orders that the first line of standard input gives as JSON, in this process, and ends it.

    The last line of standard error tells the errors, if there are any, as JSON.
    """
    collect_less()
    given = json.loads(sys.stdin.readline())
    Thread(target=_end_with_parent, daemon=True).start()
    import torch  # takes seconds, in which the parent may end, too

    torch.set_num_threads(1)
    run_order = import_module(WORK[given["kind"]]).run_order
    errors: list[str | None] = []
    for order in given["orders"]:
        try:
            run_order(order)
            errors.append(None)
        except Exception as error:  # the other orders have nothing to do with it
            errors.append(_last_error(format_exception_only(error)))
    if any(errors):
        sys.exit(ERRORS + json.dumps(errors))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is written, and to take Torch and Numba down in order would take most of a second


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns when no process holds the other end open
    os._exit(1)


if __name__ == "__main__":
    main()

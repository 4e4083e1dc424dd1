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
from contextlib import suppress
from importlib import import_module
from textwrap import shorten
from threading import Event, Thread
from typing import Any

WORK = {  # modules with a `run_order`
    "cell": "agents.benchmark.cells", "claim": "agents.benchmark.claims.trainings", "matrix": "agents.auditing.matrix",
}  # fmt: skip


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
                ) -> Iterator[tuple[int, str | None]]:
    """Runs batches of orders; yields the number of each batch when it is over, with an error message or None.

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
    running: list[subprocess.Popen] = []
    pool, stopping = ThreadPoolExecutor(jobs), Event()
    futures = {pool.submit(_in_process, kind, batch, running, stopping): number for number, batch in enumerate(batches)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:  # also when interrupted: no process is left behind
        pool.shutdown(wait=False, cancel_futures=True)
        stopping.set()  # for a process that is started at this very moment
        for process in list(running):
            process.terminate()
        pool.shutdown()


def _over(executor: Executor, kind: str, batches: Sequence[Sequence[dict[str, Any]]]
          ) -> Iterator[tuple[int, str | None]]:
    """As `run_batches`. The executor remains its owner's: what has not begun is cancelled, what runs ends by itself."""
    futures = {executor.submit(in_process, kind, batch): number for number, batch in enumerate(batches)}
    try:
        for future in as_completed(futures):
            yield futures[future], _outcome(future)
    finally:
        for future in futures:
            future.cancel()


def _outcome(future: Future) -> str | None:
    """The error message or None; a worker that was lost is an error, too."""
    try:
        return future.result()
    except (Exception, CancelledError) as error:  # executors have errors of their own
        return f"{type(error).__name__}: {error}"


def in_process(kind: str, orders: Sequence[dict[str, Any]]) -> str | None:
    """Runs a batch of orders in a process of its own, which ends with this one; its error message or None."""
    return _in_process(kind, orders, [], Event())


def _in_process(kind: str, orders: Sequence[dict[str, Any]], running: list[subprocess.Popen],
                stopping: Event) -> str | None:
    process = subprocess.Popen([sys.executable, "-m", "agents.benchmark.workers"], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    running.append(process)
    if stopping.is_set():
        process.terminate()
    with suppress(BrokenPipeError):  # if it has ended already, its errors or its status say why
        process.stdin.write(json.dumps({"kind": kind, "orders": orders}) + "\n")
        process.stdin.flush()  # and left open, see `_end_with_parent`
    lines = process.stderr.read().strip().splitlines()
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stderr.close()
    process.wait()
    running.remove(process)
    lines = lines if process.returncode > 0 and lines else [f"its process ended with status {process.returncode}"]
    return None if process.returncode == 0 else _last_error(lines)


def _last_error(lines: Sequence[str]) -> str:
    """The error that a traceback ends with, on one line."""
    starts = [number for number, line in enumerate(lines) if re.match(r"[A-Za-z_][\w.]*: ", line)]
    return shorten(" ".join(lines[starts[-1] if starts else -1 :]), 500)


def main() -> None:
    """Runs the orders that the first line of standard input gives as JSON, in this process."""
    given = json.loads(sys.stdin.readline())
    Thread(target=_end_with_parent, daemon=True).start()
    import torch  # takes seconds, in which the parent may end, too

    torch.set_num_threads(1)
    run_order = import_module(WORK[given["kind"]]).run_order
    for order in given["orders"]:
        run_order(order)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns when no process holds the other end open
    os._exit(1)


if __name__ == "__main__":
    main()

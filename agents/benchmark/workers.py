"""Trainings and tests in processes of their own, so that each has its own memory and processor time, and one thread.

An order is a dict, passed as JSON, that says what to run. Running it writes the result to a file that appears only when
it is complete. Finished results therefore stay, whatever happens to the other orders.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import import_module
from typing import Any

import torch

WORK = {"cell": "agents.benchmark.cells", "claim": "agents.benchmark.claims.trainings"}  # modules with a `run_order`


def run_batches(kind: str, batches: Sequence[Sequence[dict[str, Any]]], jobs: int = 1
                ) -> Iterator[tuple[int, str | None]]:
    """Runs batches of orders; yields the number of each batch when it is over, with an error message or None.

    Args:
        kind: Key of `WORK`.
        batches: Batches of orders; those of a batch run one after the other in one process.
        jobs: Number of batches at once.

    Raises:
        ValueError: If `jobs` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    running: list[subprocess.Popen] = []
    pool = ThreadPoolExecutor(jobs)
    futures = {pool.submit(_in_process, kind, batch, running): number for number, batch in enumerate(batches)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:  # also when interrupted: no process is left behind
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(running):
            process.terminate()
        pool.shutdown()


def _in_process(kind: str, orders: Sequence[dict[str, Any]], running: list[subprocess.Popen]) -> str | None:
    process = subprocess.Popen([sys.executable, "-m", "agents.benchmark.workers"], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    running.append(process)
    errors = process.communicate(json.dumps({"kind": kind, "orders": orders}))[1]
    running.remove(process)
    lines = errors.strip().splitlines() or [f"its process ended with status {process.returncode}"]
    return None if process.returncode == 0 else lines[-1]


def main() -> None:
    """Runs the orders that standard input gives as JSON, in this process."""
    torch.set_num_threads(1)
    given = json.load(sys.stdin)
    run_order = import_module(WORK[given["kind"]]).run_order
    for order in given["orders"]:
        run_order(order)


if __name__ == "__main__":
    main()

"""How long the rest of a benchmark will take, judged by the cells that are over."""

import time
from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace

import numpy as np

from agents.benchmark.cells import Benchmark, Cell, in_batches
from agents.benchmark.methods import BASELINES
from agents.benchmark.results import read_cells

BASELINE = "baselines"  # they run together


class Forecast:
    """The time left, from what a cell of each method took: in this run, or else as the folder's cells tell.

    Cells are taken to begin in their order, each when one before it is over, as they do in all engines.
    """

    def __init__(self, benchmark: Benchmark, cells: Sequence[Cell], slots: int,
                 clock: Callable[[], float] = time.monotonic):
        """The forecast of a run that begins now.

        Args:
            benchmark: The benchmark; its finished cells of the same methods tell what to expect.
            cells: The cells that are going to run.
            slots: Cells at once.
            clock: What tells the time [s].
        """
        self._clock, self._slots, self._took = clock, slots, {}
        self._known = wall_seconds(benchmark)
        self._waiting = [*map(tuple, in_batches(cells))]
        self._left = {cell: batch for batch in self._waiting for cell in batch}
        self._running: dict[tuple[Cell, ...], float] = {}
        self._begin()

    def over(self, cell: Cell, fine: bool = True) -> None:
        """Takes note that a cell is over, by an error unless `fine`, which says nothing of other cells."""
        batch = self._left.pop(cell, ())
        if batch in self._running and not any(other in self._left for other in batch):
            seconds = self._clock() - self._running.pop(batch)
            if fine:
                self._took.setdefault(_kind(batch), []).append(seconds)
            self._begin()

    def text(self) -> str:
        """What there is to say, such as "about 12 min left", or "more than" that; "" where there is no ground."""
        now, unknown = self._clock(), False
        ends = [0.0] * self._slots
        for number, (batch, begun) in enumerate(self._running.items()):
            seconds = self._expected(batch)
            unknown |= seconds is None
            ends[number] = max(0.0, begun + (seconds or 0.0) - now)
        heapify(ends)
        for batch in self._waiting:
            seconds = self._expected(batch)
            unknown |= seconds is None
            heapreplace(ends, ends[0] + (seconds or 0.0))
        return "" if not self._left or (unknown and max(ends) < 60) else _told(max(ends), unknown)

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._slots:
            self._running[self._waiting.pop(0)] = self._clock()

    def _expected(self, batch: tuple[Cell, ...]) -> float | None:
        took = self._took.get(_kind(batch))
        return self._known.get(_kind(batch)) if took is None else float(np.mean(took))


def wall_seconds(benchmark: Benchmark) -> dict[str, float]:
    """The mean time that the finished cells of each method took to train [s], by the method."""
    took: dict[str, list[float]] = {}
    for cell in read_cells(benchmark.out):
        if (seconds := cell["results"].get("wall_seconds")) is not None:
            took.setdefault(cell["settings"]["method"], []).append(seconds)
    return {method: float(np.mean(seconds)) for method, seconds in took.items()}


def _kind(batch: tuple[Cell, ...]) -> str:
    return BASELINE if batch[0].method in BASELINES else batch[0].method


def _told(seconds: float, more: bool) -> str:
    if seconds < 60:
        return "less than a minute left"
    amount = f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
    return f"{'more than' if more else 'about'} {amount} left"

"""Measure rates and memory, and record each figure as one line of the table."""

import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from exposure_env import kernels

STATUS = Path("/proc/self/status")  # Linux only; without it, memory is not measured


class Line(NamedTuple):
    """One line of the table."""

    name: str
    value: float  # mostly a ratio; else in the given unit
    unit: str
    note: str  # what was compared, and how

    def figure(self) -> str:
        """The value as text: four digits for the small errors, one or two for the rest."""
        return f"{self.value:.4f}" if "error" in self.name else f"{self.value:.{1 if self.value >= 3 else 2}f}"


Measurement = Callable[[int, bool], Iterator[Line]]  # takes the number of rounds and whether to be quick


def rate(work: Callable[[], Any], amount: float = 1.0) -> float:
    """Amount of work per second."""
    start = time.perf_counter()
    work()
    return amount / (time.perf_counter() - start)


def race(ours: Callable[[], float], peer: Callable[[], float], rounds: int) -> tuple[float, str]:
    """Measure two rates in turns; the ratio of their medians, and a note with both medians and the range of ratios.

    The peer runs without compiled functions.
    """
    rates = np.array([(ours(), _without_kernels(peer)) for _ in range(rounds)])
    mine, other = np.median(rates, axis=0)
    each = rates[:, 0] / rates[:, 1]
    return mine / other, f"{_short(mine)} against {_short(other)} a second, rounds {each.min():.1f} to {each.max():.1f}"


def _without_kernels(peer: Callable[[], float]) -> float:
    with kernels.disabled():
        return peer()


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a module-level function returns in a fresh process, whose memory is its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def peak_memory(work: Callable[[], Any]) -> tuple[float, float]:
    """This process's peak memory after the work [GB]: beyond what it held before, and in all."""
    before = _memory("VmRSS")
    work()
    peak = _memory("VmHWM")
    return peak - before, peak


def _memory(field: str) -> float:
    """A field of this process's status [GB]. `getrusage` would include the parent process."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(fields[field].split()[0]) * 1024 / 1e9

"""How much memory a block takes at most."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PEAK, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def kilobytes(name: str) -> int:
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))


@contextmanager
def at_most(megabytes: float) -> Iterator[None]:
    """A block in which the process may grow by so much, even for a moment; skips the test where that can't be told."""
    if not PEAK.exists():
        pytest.skip("the system does not tell a process's peak of memory")
    PEAK.write_text("5")  # the peak starts anew
    before = kilobytes("VmRSS")
    yield
    grown = (kilobytes("VmHWM") - before) / 1000
    assert grown < megabytes, f"grew by {grown:.0f} MB"

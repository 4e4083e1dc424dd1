"""Threads that stay: starting them anew would cost more than many of the calls do."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

_pools: dict[int, ThreadPoolExecutor] = {}
_starting = threading.Lock()


def num_threads() -> int:
    """Threads that a call may use: EXPOSURE_THREADS where it is set, else the processors this process may run on.

    Raises:
        ValueError: If EXPOSURE_THREADS is not a positive integer.
    """
    wanted = os.environ.get("EXPOSURE_THREADS")
    if wanted is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not wanted.isdecimal() or int(wanted) < 1:
        raise ValueError(f"EXPOSURE_THREADS must be a positive integer, not {wanted!r}")
    return int(wanted)


def spread(function: Callable[..., Any], items: Sequence[Any]) -> list[Any]:
    """What the function gives for every item, in their order, computed by several threads.

    Args:
        function: Takes one item. It runs at once with itself, in threads that share the memory.
        items: The work, cut into pieces that are worth a tenth of a millisecond or more.
    """
    threads = min(num_threads(), len(items))
    if threads <= 1 or threading.current_thread().name.startswith("exposure"):  # no pool waits for itself
        return [function(item) for item in items]
    with _starting:
        pool = _pools.get(threads) or _pools.setdefault(threads, ThreadPoolExecutor(threads, "exposure"))
    context = copy_context()  # what the caller has set, such as the switch of compiled functions, holds in there too
    return list(pool.map(lambda item: context.copy().run(function, item), items))


def ranges(count: int, least: int = 1) -> list[slice]:
    """0..count-1 cut into even pieces, as many as there are threads, each of `least` or more where possible."""
    pieces = max(1, min(num_threads(), count // least))
    bounds = [count * piece // pieces for piece in range(pieces + 1)]
    return [slice(start, stop) for start, stop in zip(bounds[:-1], bounds[1:], strict=True)]


if hasattr(os, "register_at_fork"):  # threads do not survive a fork: a child starts its own
    os.register_at_fork(after_in_child=_pools.clear)

"""Threads that stay alive: starting new ones would cost more than many of the calls themselves."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

_pools: dict[int, ThreadPoolExecutor] = {}
_starting = threading.Lock()


def num_threads() -> int:
    """The number of threads a call may use: EXPOSURE_THREADS if set, else the processors this process may run on.

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
    """The function's results for all items, in order, computed by several threads.

    Args:
        function: Takes one item. Several calls run at the same time, in threads that share memory.
        items: The work, cut into pieces that take a tenth of a millisecond or more.
    """
    threads = min(num_threads(), len(items))
    if threads <= 1 or threading.current_thread().name.startswith("exposure"):  # a pool must not wait for itself
        return [function(item) for item in items]
    with _starting:
        pool = _pools.get(threads) or _pools.setdefault(threads, ThreadPoolExecutor(threads, "exposure"))
    context = copy_context()  # what the caller has set, such as the switch of compiled functions, holds there too
    return list(pool.map(lambda item: context.copy().run(function, item), items))


def ranges(count: int, least: int = 1) -> list[slice]:
    """The range 0..count-1 cut into even pieces, at most one per thread, of `least` or more where possible."""
    pieces = max(1, min(num_threads(), count // least))
    bounds = [count * piece // pieces for piece in range(pieces + 1)]
    return [slice(start, stop) for start, stop in zip(bounds[:-1], bounds[1:], strict=True)]


if hasattr(os, "register_at_fork"):  # threads do not survive a fork: a child starts its own
    os.register_at_fork(after_in_child=_pools.clear)

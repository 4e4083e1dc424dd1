"""Compiled fast paths: whether they are used, how they are compiled, and on how many threads they run.

The definitions, `episode`, `fusion`, `segmentation` and `full_size`, are plain NumPy. For NumPy arrays there is a
second implementation of the slow parts, compiled by numba: the modules `kernels_*`. It is used by itself where numba is
installed. EXPOSURE_KERNELS=0 in the environment, or `disabled()` in the program, puts the definitions in its place.

Numba compiles a function at its first call and keeps the result on disk. Threads are those of a pool that stays, as
starting them anew would cost more than many of the calls do.
"""

import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np

from exposure_env.fusion import FUSIONS, resolve_fusion

_log = logging.getLogger("exposure_env")
_switch = threading.local()
_pools: dict[int, ThreadPoolExecutor] = {}
_starting = threading.Lock()


@cache
def available() -> bool:
    """Whether numba can be imported; that takes half a second, once."""
    try:
        from numba.core import event
    except ImportError:  # also numba's own, where it does not support this NumPy yet
        return False

    class Announcement(event.Listener):
        """Says once that the wait at the first call is for the compiler."""

        said = False

        def on_start(self, event: Any) -> None:
            if not self.said and event.data["dispatcher"].py_func.__module__.startswith("exposure_env."):
                self.said = True
                _log.warning("compiling the fast paths of exposure_env: less than a minute, once after installation")

        def on_end(self, event: Any) -> None:
            """Nothing to say."""

    event.register("numba:compile", Announcement())
    return True


def enabled() -> bool:
    """Whether compiled functions are used in this thread."""
    wanted = getattr(_switch, "on", os.environ.get("EXPOSURE_KERNELS", "1") != "0")
    return wanted and available()


@contextmanager
def disabled() -> Iterator[None]:
    """The definitions compute all that this thread asks for inside the block.

    As it is with environments: what counts is the moment of the call, not that of their creation.
    """
    before = getattr(_switch, "on", None)
    _switch.on = False
    try:
        yield
    finally:
        if before is None:
            del _switch.on
        else:
            _switch.on = before


def load(name: str) -> ModuleType | None:
    """The module `exposure_env.kernels_<name>`; None where the definition is to be used instead."""
    return importlib.import_module(f"exposure_env.kernels_{name}") if enabled() else None


def compiled(function: Callable[..., Any] | None = None, *, fastmath: bool | set[str] = False) -> Callable[..., Any]:
    """Decorates a function that numba compiles at its first call, on as many threads at once as one likes.

    Args:
        function: Numbers and NumPy arrays in and out.
        fastmath: LLVM's flags for floating point; none by default, so that results do not depend on the processor.
    """
    import numba

    def decorate(plain: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(plain, nogil=True, cache=True, fastmath=fastmath, error_model="numpy")
        except RuntimeError:  # neither the source's folder nor the user's cache can be written to
            return numba.njit(plain, nogil=True, fastmath=fastmath, error_model="numpy")

    return decorate if function is None else decorate(function)


def rendering(fusion: str | Callable[..., Any]) -> Callable[..., Any]:
    """A rendering of `fusion.FUSIONS`, given by name, itself or as `functools.partial`, compiled where possible.

    That is for float32 NumPy arrays while kernels are enabled, both as it is at the moment of the call; the definition
    computes all else. Any other callable is returned as it is.

    Raises:
        ValueError: If the name is not one of `FUSIONS`.
    """
    fusion = resolve_fusion(fusion)
    options = fusion.keywords if isinstance(fusion, partial) and not fusion.args else None
    definition = fusion if options is None else fusion.func
    names = [name for name, known in FUSIONS.items() if known is definition]
    return partial(_render, names[0], **(options or {})) if names else fusion


def _render(name: str, photos: Any, labels: Any, evs: Any, count: Any = None, **options: Any) -> Any:
    module = load("fusion") if isinstance(photos, np.ndarray) else None
    fast = module is not None and module.takes(name, photos, labels, evs, count)
    return (module.FUSIONS if fast else FUSIONS)[name](photos, labels, evs, count, **options)


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
    on = enabled()

    def work(item: Any) -> Any:
        _switch.on = on  # the switch of the thread that asks
        return function(item)

    return list(pool.map(work, items))


def ranges(count: int, least: int = 1) -> list[slice]:
    """0..count-1 cut into even pieces, as many as there are threads, each of `least` or more where possible."""
    pieces = max(1, min(num_threads(), count // least))
    bounds = [count * piece // pieces for piece in range(pieces + 1)]
    return [slice(start, stop) for start, stop in zip(bounds[:-1], bounds[1:], strict=True)]


if hasattr(os, "register_at_fork"):  # threads do not survive a fork: a child starts its own
    os.register_at_fork(after_in_child=_pools.clear)

"""The switch between definitions and their compiled twins, and how the twins are compiled.

A definition is plain array code. The slow ones are decorated with `accelerated`, which names a second implementation in
`kernels`, compiled by numba, and calls it wherever it can. EXPOSURE_KERNELS=0 in the environment, or `disabled()` in
the program, brings the definitions back. Numba compiles a function at its first call and keeps the result on disk.
"""

import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from types import ModuleType
from typing import Any

_log = logging.getLogger("exposure_env")
_switch: ContextVar[bool | None] = ContextVar("kernels", default=None)  # None: the environment variable decides
_importing = threading.RLock()  # two threads that import numba at the same time may deadlock


def available() -> bool:
    """Whether numba can be imported; the first call takes half a second."""
    with _importing:
        return _found()


@cache
def _found() -> bool:
    try:
        from numba.core import event
    except ImportError:  # raised by numba itself, too, where it does not support this NumPy yet
        return False

    class Announcement(event.Listener):
        """A notice, given once, that the wait at the first call is for the compiler."""

        said = False

        def on_start(self, event: Any) -> None:
            if not self.said and event.data["dispatcher"].py_func.__module__.startswith("exposure_env."):
                self.said = True
                _log.warning("compiling the fast paths of exposure_env: less than a minute, once after installation")

        def on_end(self, event: Any) -> None:
            """Does nothing, but numba requires it."""

    event.register("numba:compile", Announcement())
    return True


def enabled() -> bool:
    """Whether compiled functions are used in this thread."""
    wanted = _switch.get()
    return (os.environ.get("EXPOSURE_KERNELS", "1") != "0" if wanted is None else wanted) and available()


@contextmanager
def disabled() -> Iterator[None]:
    """A block in which this thread uses the definitions, not their compiled twins.

    What counts is when something is called: environments made before the block use the definitions inside it, too.
    """
    before = _switch.set(False)
    try:
        yield
    finally:
        _switch.reset(before)


def load(name: str) -> ModuleType | None:
    """The module `exposure_env.kernels.<name>`, or None where the definitions are to be used."""
    return _module(name) if enabled() else None


@cache
def _module(name: str) -> ModuleType:
    with _importing:
        return importlib.import_module(f"exposure_env.kernels.{name}")


def accelerated(twin: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a definition that has a compiled twin, which runs in its place wherever it can.

    The twin takes the same arguments and returns `NotImplemented` for those it does not support. Each call decides
    anew, see `enabled`. `inspect.unwrap` gives the definition itself.

    Args:
        twin: Module in `exposure_env.kernels` and function in it, such as "merging.merged".
    """
    module, name = twin.split(".")

    def decorate(definition: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(definition)
        def fastest(*args: Any, **kwargs: Any) -> Any:
            if kernels := load(module):
                result = getattr(kernels, name)(*args, **kwargs)
                if result is not NotImplemented:
                    return result
            return definition(*args, **kwargs)

        return fastest

    return decorate


def compiled(function: Callable[..., Any] | None = None, *, fastmath: bool | set[str] = False) -> Callable[..., Any]:
    """Decorates a function that numba compiles at its first call and that any number of threads may run at once.

    Args:
        function: Takes and returns numbers and NumPy arrays.
        fastmath: LLVM's floating-point flags; none by default, so that results do not depend on the processor.
    """
    import numba

    def decorate(plain: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(plain, nogil=True, cache=True, fastmath=fastmath, error_model="numpy")
        except RuntimeError:  # neither the source folder nor the user's cache is writable
            return numba.njit(plain, nogil=True, fastmath=fastmath, error_model="numpy")

    return decorate if function is None else decorate(function)

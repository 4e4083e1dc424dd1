"""A command that SIGTERM stops ends as one that Ctrl-C stops: in order, and with all that it has started."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any


class Terminated(KeyboardInterrupt):
    """The interruption by SIGTERM."""


@contextmanager
def stoppable(last: bool = False) -> Iterator[None]:
    """A block in which SIGTERM raises `Terminated`, once; while that is dealt with, further ones change nothing.

    Elsewhere than in a process's main thread, where Python takes no signals, nothing changes.

    Args:
        last: Whether the process ends after the block. SIGTERM is ignored from then on: the work is done or stopped
            already, and the status has to say which while Python takes its modules down.
    """
    if current_thread() is not main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if last else before)

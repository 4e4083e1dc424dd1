"""Files opened to be read, but nothing that only looks like a file: a named pipe would let the reader wait for ever."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_TEXT = 2**27  # bytes; no plan, journal or configuration is longer


def opened(path: str | os.PathLike) -> BinaryIO:
    """A regular file, open to be read.

    Raises:
        ValueError: If it is a folder, a pipe, a socket or a device.
        OSError: If there is no such file, or it may not be read.
    """
    file = open(path, "rb", opener=_without_waiting)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise ValueError(f"{path} must be a file, not a pipe or a device")


def read_small(path: Path) -> bytes:
    """The content of a small text file, undecoded.

    Raises:
        ValueError: If it isn't a regular file, or is too long to be one that this project wrote.
        OSError: If there is no such file, or it may not be read.
    """
    with opened(path) as file:
        if (length := os.fstat(file.fileno()).st_size) > MOST_TEXT:
            raise ValueError(f"{path} has {length} bytes: this project writes no text of more than {MOST_TEXT}")
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)

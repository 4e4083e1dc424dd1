"""Locks that let one process at a time write something; they end with the process, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, otherwise: str) -> Iterator[None]:
    """A block that no other process runs at the same time for the same file.

    A hidden, empty file is left beside it: removing it would let two processes in.

    Args:
        path: The file or folder to be written; the folder that it lies in must exist.
        otherwise: What is happening to it if another process is in the block, for the error message.

    Raises:
        ValueError: If another process is in the block.
    """
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
            yield
    except Timeout:
        raise ValueError(f"{otherwise}: wait until it is done, or choose another folder") from None

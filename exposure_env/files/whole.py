"""Files that are whole or not there at all: written beside their final place, then moved into it."""

import io
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

STALE = 60.0  # seconds after which an untouched half-written file is abandoned; writers never pause that long
_PART = re.compile(r"\.(.+)\.[0-9a-f]{32}\.part")
# Pillow holds images in blocks. Its usual ones of 16 MB stay with glibc when they are freed, larger ones do not.
Image.core.set_block_size(2**26)


class _Buffered(io.BufferedWriter):
    """A file that can be written to in one way only, the one that notices when the disk is full.

    Writing straight to the descriptor, Pillow takes a part of the bytes for all of them.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("this file has no descriptor to write to past its buffer")


@contextmanager
def written_whole(path: Path, ready: Callable[[Path], object] | None = None) -> Iterator[BinaryIO]:
    """A file to write to, moved into place once it is complete and on disk, and removed on an error.

    Only a killed process can leave a trace, a hidden file ending in ".part": see `remove_leftovers`.

    Args:
        path: The final place.
        ready: Called with the complete file, just before it is moved there.

    Raises:
        OSError: If the file can't be written, or not all of it.
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with io.FileIO(beside, "xb") as raw, _Buffered(raw) as file:
            yield file
            file.flush()
            os.fsync(raw.fileno())  # otherwise a power failure could leave an empty file in the final place
        if path.exists():
            shutil.copymode(path, beside)
        if ready is not None:
            ready(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a text, as UTF-8, or bytes; see `written_whole`."""
    with written_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def remove_leftovers(paths: Iterable[Path], folders: Iterable[Path] = (), stale: float = STALE) -> None:
    """Removes half-written files that killed processes left, untouched for a minute.

    Args:
        paths: Files beside which they are removed.
        folders: Folders in which they are removed whatever file they were to be.
        stale: Seconds for which they were not touched; 0 if no other process can be at work on these files.
    """
    paths, folders = set(paths), set(folders)
    for folder in {path.parent for path in paths} | folders:
        for part in folder.glob(".*.part"):
            match = _PART.fullmatch(part.name)
            ours = match and (folder in folders or folder / match[1] in paths)
            if ours and time.time() - part.stat().st_mtime >= stale:
                part.unlink(missing_ok=True)

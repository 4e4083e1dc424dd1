"""Fingerprints of files: a cell that was made of other photos, or of another agent, isn't taken for this one."""

import hashlib
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from exposure_env.files import SUFFIXES, opened
from exposure_env.photos import sample_scenes


def fingerprint(folders: dict[str, str]) -> str:
    """An identifier of the photos wherever they are: their number, and a checksum of their names and contents."""
    files = [f"{name} {path.name} {checksum(path)}" for name, folder in sorted(folders.items())
             for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file()]
    return f"{len(files)} files, {zlib.crc32(chr(10).join(files).encode()):08x}" if folders else "sample photos"


def version_of(photos: str | None) -> str:
    """The fingerprint of one folder of photos; None for the sample photos."""
    return fingerprint({} if photos is None else {"photos": photos})


def photo_names(folder: Path) -> set[str]:
    """The names of the photos in a folder, without suffixes."""
    return {path.stem for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and path.is_file() and path.name[0] != "."}


def sample_checksums(names: Iterable[str]) -> dict[str, str]:
    """A checksum of the pixels of each of the sample photographs of these names."""
    scenes = {photo.name: np.round(photo.image * 255).astype(np.uint8) for photo in sample_scenes()}
    return {name: f"{zlib.crc32(scenes[name].tobytes()):08x}" for name in names}


def source_of(path: Path) -> str:
    """An identifier of a module's source: of a file, or of all Python files of a package."""
    if path.name != "__init__.py":
        return checksum(path)
    sums = [f"{file.relative_to(path.parent).as_posix()} {checksum(file)}"
            for file in sorted(path.parent.rglob("*.py"))]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()


def checksum(path: Path) -> str:
    """The SHA-256 of a file's content; read again when its size or modification time change."""
    stat = path.stat()
    return _checksum(path, stat.st_size, stat.st_mtime_ns)


@cache
def _checksum(path: Path, size: int, time: int) -> str:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

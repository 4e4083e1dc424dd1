"""`exposure retouch` on small photos, and what it leaves."""

import os
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from agents.cli import main
from agents.retouching.journal import JOURNAL


def run(*arguments) -> int:
    return main(["retouch", *map(str, arguments)])


def photo(scene: str, width: int, height: int, dtype=np.uint8) -> np.ndarray:
    """(height, width, 3), one of scikit-image's photographs, too dark."""
    small = getattr(skimage.data, scene)().astype(np.float32) * (0.4 * np.iinfo(dtype).max / 255)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(dtype)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != JOURNAL}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != JOURNAL}


def age(*paths: Path) -> None:
    """As if an hour had passed; the journal allows for file systems that round times."""
    for path in paths:
        os.utime(path, ns=(0, path.stat().st_mtime_ns - 3_600_000_000_000))

"""Compiling ahead of a large photo, in a process of its own: a fifth of a gigabyte of memory goes when it ends."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import exposure_env
from agents.retouching.batch import decoded_bytes
from exposure_env import kernels
from exposure_env.files import ImageFile, save_image

LARGE = 100_000_000  # bytes of a decoded photo: 33 megapixels of 8 bits
COMMAND = "import sys; from agents.cli import main; sys.exit(main())"


def compile_ahead(photos: Sequence[Path], model: Path | None) -> None:
    """Lets another process retouch small pictures, once after installation: then all is on disk that large ones need.

    Nothing happens if no photo is large, without numba, or where numba can't write to the disk. Should the process
    fail, this one compiles as it goes.

    Args:
        photos: Image files. What is none will be named when it is read.
        model: Run folder or agent file; None for the shipped agent.
    """
    large = any(decoded_bytes(photo) >= LARGE for photo in photos)
    strips = kernels.load("strips") if large else None
    folder = strips and strips.blend_strip.stats.cache_path
    if not folder:
        return
    known = hashlib.sha256(f"{exposure_env.__version__} {model and model.resolve()}".encode()).hexdigest()
    mark, sources = Path(folder) / f"retouch-{known[:16]}", Path(exposure_env.__file__).parent.rglob("*.py")
    if mark.exists() and mark.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return
    with TemporaryDirectory() as place:
        (Path(place) / "photos").mkdir()
        tiles = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8).repeat(40, 0).repeat(40, 1)
        for name, pixels in {"8.png": tiles, "16.png": tiles.astype(np.uint16) * 257}.items():
            save_image(Path(place) / "photos" / name, ImageFile(pixels))
        command = ["retouch", f"{place}/photos", "-o", f"{place}/out"] + (["--model", str(model)] if model else [])
        found = os.pathsep.join(path or os.getcwd() for path in sys.path)  # where this process finds its packages
        done = subprocess.run([sys.executable, "-P", "-c", COMMAND, *command], stdout=subprocess.DEVNULL, check=False,
                              env=os.environ | {"PYTHONPATH": found})
    if done.returncode == 0:
        mark.touch()

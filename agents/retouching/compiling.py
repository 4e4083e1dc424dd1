"""Compilation for large photos, in a process of its own: the compiler's memory, 200 MB, is freed when it ends."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import exposure_env
from agents.retouching.batch import decoded_bytes, find_photos, make_jobs, retouch
from agents.retouching.journal import Journal
from agents.saved_agent import load_agent
from exposure_env import files, kernels
from exposure_env.segmentation import merge_segments

LARGE = 100_000_000  # bytes of a decoded photo: 33 megapixels of 8 bits
COMMAND = "import sys; from agents.retouching.compiling import retouch_small; retouch_small(*sys.argv[1:])"


def compile_ahead(photos: Sequence[Path], model: Path | None) -> None:
    """Compiles the code that large photos need, by retouching small pictures in another process.

    The code stays on disk, so this happens once after installation, for each agent. It does nothing if no photo is
    large, if numba is missing, or if numba can't write to the disk. If the process fails, this one compiles as it goes.

    Args:
        photos: Image files. Unreadable ones are ignored here and reported when they are read.
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
    found = os.pathsep.join(path or os.getcwd() for path in sys.path)  # where this process finds its packages
    command = [sys.executable, "-P", "-c", COMMAND, *([str(model)] if model else [])]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False, env=os.environ | {"PYTHONPATH": found})
    if done.returncode == 0:
        mark.touch()


def retouch_small(model: str | None = None) -> None:
    """Retouches two small pictures, of 8 and 16 bits, and throws the results away.

    Args:
        model: Run folder or agent file; None for the shipped agent.

    Raises:
        ValueError: If a picture can't be retouched.
    """
    agent = load_agent(model)
    stripes = np.arange(16, dtype=np.int32).repeat(256).reshape(64, 64)  # more segments than most segmenters find
    merge_segments(stripes, np.zeros((64, 64, 3), np.float32), 8)
    tiles = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    with TemporaryDirectory() as place:
        photos, out = Path(place) / "photos", Path(place) / "out"
        photos.mkdir()
        out.mkdir()
        for name, pixels in {"8.png": tiles, "16.png": tiles.astype(np.uint16) * 257}.items():
            files.save_image(photos / name, files.ImageFile(pixels))
        for done in retouch(agent, make_jobs(find_photos([photos]), out), Journal(out, agent)):
            if done.error is not None:
                raise ValueError(done.error)

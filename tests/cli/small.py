"""`exposure` in this process and in another, and photos to give to it."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from PIL import Image

from agents.cli import main
from exposure_env.image import expose
from tests.repository import ROOT

TINY = ["--total-timesteps", "60", "--num-envs", "4", "--n-batches", "1", "--batch-size", "4", "--width", "4",
        "--warm-up", "2", "--warm-start", "2", "--n-critic", "1", "--discriminator-batch-size", "4", "--device", "cpu"]
MAKE, MODEL_TAG, ARTIST_TAG, ORIENTATION_TAG = 271, 272, 315, 274


def in_process(*arguments, cwd: Path, **options) -> subprocess.Popen:
    """`exposure ...` as a process of its own, as a shell would start it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    command = [sys.executable, "-m", "agents.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def exif() -> bytes:
    tags = Image.Exif()
    tags.update({MAKE: "Camera Works", MODEL_TAG: "Mark 7", ARTIST_TAG: "A. Student", ORIENTATION_TAG: 1})
    tags.get_ifd(34665)[33434] = 0.008  # exposure time
    return tags.tobytes().removeprefix(b"Exif\0\0")


def turned() -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION_TAG] = 6
    return tags


def dark_photo(name: str, width: int, height: int) -> np.ndarray:
    """One of scikit-image's photographs, one stop too dark, enlarged; (height, width, 3) uint8."""
    photo = np.clip(expose(getattr(skimage.data, name)().astype(np.float32) / 255, -1.0), 0, 1)
    return (cv2.resize(photo, (width, height), interpolation=cv2.INTER_LINEAR) * 255).round().astype(np.uint8)

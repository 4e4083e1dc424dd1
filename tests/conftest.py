"""Photographs for the tests: real ones from a folder where there is one, and scikit-image's, which are always there."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

FOLDER = Path(os.environ.get("EXPOSURE_TEST_PHOTOS") or Path(__file__).parents[1] / ".." / "shared" / "data" / "photos")
NUM_PHOTOS = 12


def _thumbnail(photo: np.ndarray) -> np.ndarray:
    return cv2.resize(photo, (64, 64), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def real_photos() -> list[np.ndarray]:
    """12 real photographs at 64x64, then the same as larger crops at full resolution; (H, W, 3) float32 in [0, 1]."""
    files = sorted(path for path in FOLDER.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if len(files) < NUM_PHOTOS:
        pytest.skip(f"no {NUM_PHOTOS} photographs in {FOLDER}: name a folder of photographs in EXPOSURE_TEST_PHOTOS")
    chosen = [files[index] for index in np.linspace(0, len(files) - 1, NUM_PHOTOS).astype(int)]
    photos = [cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255 for path in chosen]
    return [_thumbnail(photo) for photo in photos] + [photo[60:181, 80:241].copy() for photo in photos]


@pytest.fixture(scope="session")
def sample_photos() -> list[np.ndarray]:
    """12 crops of scikit-image's photographs at 64x64, then four larger ones; (H, W, 3) float32 in [0, 1]."""
    names = ("astronaut", "chelsea", "coffee", "rocket")
    photos = [getattr(skimage.data, name)()[:300, :390].astype(np.float32) / 255 for name in names]
    thirds = [_thumbnail(photo[:, left : left + 130]) for photo in photos for left in (0, 130, 260)]
    return thirds + [photo[50:151, 100:241].copy() for photo in photos]

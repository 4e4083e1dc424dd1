"""Photos and steps for the compiled twins, and the way around them."""

import numpy as np
import pytest

from exposure_env import kernels
from exposure_env.photos import sample_photos

FLIPS = 3e-5  # share of 8-bit values that may be one level off, being on the edge; 3e-6 to 14e-6 measured
PHOTOS = sample_photos("inputs", 8)
spaces = pytest.mark.parametrize("space", ["linear", "encoded"])


def noise(num=5, height=64, width=64, seed=1):
    """Photos of noise: over all tones, dark, about the knee of the curve, grey, and black or white."""
    rng = np.random.default_rng(seed)
    photos = rng.random((num, height, width, 3), np.float32)
    photos[1::5] *= 0.04
    photos[2::5] = 0.0395 + 0.002 * photos[2::5]
    photos[3::5] = photos[3::5, :, :, :1]
    photos[4::5] = photos[4::5] > 0.5
    return photos


def by_definition(function, *arguments, **options):
    with kernels.disabled():
        return function(*arguments, **options)

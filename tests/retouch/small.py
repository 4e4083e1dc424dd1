"""Photos of noise, and what every rendering is tried on."""

import numpy as np

from exposure_env.fusion import FUSIONS

ALL = sorted(FUSIONS)
LEFT_RIGHT = np.repeat([[0, 0, 1, 1]], 4, axis=0)
TYPES = [np.uint8, np.uint16]


def as_floats(pixels):
    return (pixels / np.iinfo(pixels.dtype).max).astype(np.float32)


def noise(height, width, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, (height, width, 3), dtype, endpoint=True)

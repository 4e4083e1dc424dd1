"""Small photos of noise and of grey."""

import numpy as np


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def grey(value: float, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width, 3), value, np.float32)

"""Solutions of lesson 1's exercises; `exercise_1.py` says what is asked."""

import numpy as np
from exercise_1 import check

from exposure_env.image import srgb_to_linear


def stops_between(photo: np.ndarray, other: np.ndarray) -> float:
    """An exposure multiplies light, hence also its mean, which doesn't depend on single dark pixels."""
    return float(np.log2(srgb_to_linear(other).mean() / srgb_to_linear(photo).mean()))


def headroom(photo: np.ndarray) -> float:
    """The brightest value clips first; its light may double until it is 1."""
    return float(-np.log2(srgb_to_linear(photo).max()))


if __name__ == "__main__":
    check(stops_between, headroom)
    print("All checks pass.")

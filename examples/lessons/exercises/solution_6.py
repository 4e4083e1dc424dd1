"""Solutions of lesson 6's exercises."""

import numpy as np
from exercise_6 import check


def inverted(actions: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Slopes that are damped towards the limit of the action, but not away from it."""
    room = np.where(slopes > 0, 1 - actions, actions + 1) / 2
    return slopes * room


def memorised(shown: np.ndarray, held_out: np.ndarray, misexposed: np.ndarray) -> float:
    """Which part of a discriminator's judgement is memory."""
    return float((shown.mean() - held_out.mean()) / (shown.mean() - misexposed.mean()))


if __name__ == "__main__":
    check(inverted, memorised)
    print("All checks pass.")

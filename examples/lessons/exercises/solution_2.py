"""Solutions of lesson 2's exercises; `exercise_2.py` says what is asked."""

import numpy as np
from exercise_2 import check


def width_gradient(noise: np.ndarray, sigma: float) -> np.ndarray:
    """An action further away than sigma asks for a wider curve, a nearer one for a narrower."""
    return noise**2 / sigma**2 - 1


def best_baseline(slopes: np.ndarray, rewards: np.ndarray) -> float:
    """A mean of the rewards, weighted by how much each moves the gradient: the square of its slope."""
    return float(np.sum(slopes**2 * rewards) / np.sum(slopes**2))


if __name__ == "__main__":
    check(width_gradient, best_baseline)
    print("All checks pass.")

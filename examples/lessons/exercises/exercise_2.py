"""Exercises of lesson 2: REINFORCE.

Fill in the two functions, then run `python examples/lessons/exercises/exercise_2.py`.
"""

import numpy as np


def width_gradient(noise: np.ndarray, sigma: float) -> np.ndarray:
    """The derivative of log pi(a | s) by log sigma, for the policy of lesson 2: a is drawn from N(mean, sigma^2).

    With it, REINFORCE learns how boldly to try, beside what to try.

    Args:
        noise: (N,) floats, each action minus its mean [stops].
        sigma: Standard deviation of the policy [stops], above 0.

    Returns:
        (N,) floats, one derivative for each action.
    """
    raise NotImplementedError("width_gradient: write down log N(a; mean, sigma^2), put sigma = exp(x), derive by x")


def best_baseline(slopes: np.ndarray, rewards: np.ndarray) -> float:
    """The constant baseline b at which the terms (reward - b) * slope of the gradient vary least.

    Their mean doesn't depend on b, so it is enough that the mean of their squares is least.

    Args:
        slopes: (N,) floats, d log pi(a) / d theta of each action, for one parameter theta. Their mean is taken to be 0.
        rewards: (N,) floats, what each action was worth.

    Returns:
        b, a number in the unit of the rewards. (It isn't the mean of the rewards.)
    """
    raise NotImplementedError("best_baseline: where is the derivative by b of mean((rewards - b)^2 * slopes^2) zero?")


def check(first, second) -> None:
    """Checks both functions by their properties; AssertionError says what is wrong."""
    rng = np.random.default_rng(0)
    for sigma in (0.3, 1.0, 2.0):
        noise, step = sigma * rng.normal(size=200_000), 1e-5
        found = np.asarray(first(noise[:1000], sigma))
        assert found.shape == (1000,), f"width_gradient: want one number for each action, got the shape {found.shape}"

        def log_density(wide, noise=noise):  # up to a constant
            return -np.log(wide) - noise[:1000] ** 2 / (2 * wide**2)

        by_difference = (log_density(sigma * np.exp(step)) - log_density(sigma * np.exp(-step))) / (2 * step)
        by_sigma = by_difference / sigma
        hint = " That is the derivative by sigma: by log sigma, it is sigma times as much." if (
            sigma != 1 and np.allclose(found, by_sigma, atol=1e-4)) else ""
        assert np.allclose(found, by_difference, atol=1e-4), (
            f"width_gradient: with sigma {sigma} and the action {noise[0]:+.2f} from the mean, the finite difference "
            f"is {by_difference[0]:+.3f}, you say {found[0]:+.3f}.{hint}")
        assert abs(np.mean(first(noise, sigma))) < 0.02, "width_gradient: under the policy, its mean must be 0"

    for offset in (0.0, 20.0):
        slopes = rng.normal(size=5_000)
        rewards = offset + 2 * slopes + slopes**2 + rng.normal(size=5_000)
        b = second(slopes, rewards)
        assert np.ndim(b) == 0, f"best_baseline: want one number, got an array of shape {np.shape(b)}"
        spread = np.mean(((rewards - b) * slopes) ** 2)
        for other in (b - 0.1, b + 0.1, np.mean(rewards)):
            assert spread < np.mean(((rewards - other) * slopes) ** 2), (
                f"best_baseline: at {b:.2f} the mean square is {spread:.2f}, but at {other:.2f} it is less. Actions "
                "with large slopes count more: by how much?")


if __name__ == "__main__":
    check(width_gradient, best_baseline)
    print("All checks pass.")

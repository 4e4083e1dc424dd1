"""Exercises of lesson 6: a gradient that comes back from the limit, and a judge's memory as one number.

Write the two functions, then run `python examples/lessons/exercises/exercise_6.py`.
"""

from collections.abc import Callable

import numpy as np


def inverted(actions: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Slopes that are damped towards the limit of the action, but not away from it (Hausknecht and Stone 2016).

    For an actor without a tanh. An action lies in [-1, 1], and may stray beyond. A slope that would raise it is
    multiplied by the room that is left above, as a fraction of the whole range of 2; one that would lower it, by the
    room left below. Beyond a limit that fraction is negative: the slope turns round and pulls back.

    Args:
        actions: (N,) numbers, nominally in [-1, 1].
        slopes: (N,) slopes of the value with respect to the action.

    Returns:
        (N,) slopes to follow.
    """
    return slopes * (1 - actions**2)  # what a tanh does: it damps both ways, also the way back


def memorised(shown: np.ndarray, held_out: np.ndarray, misexposed: np.ndarray) -> float:
    """Which part of a discriminator's judgement is memory.

    Args:
        shown: (N,) scores of experts' photos that it was trained on.
        held_out: (M,) scores of good photos that it never saw.
        misexposed: (L,) scores of misexposed photos.

    Returns:
        0 if it scores good photos alike whether it knows them or not, 1 if those held out count no more than misexposed
        ones. It must not change when a number is added to all scores, or all are multiplied by a positive one: a
        discriminator's scores have no zero and no unit.
    """
    return float(shown.mean() - held_out.mean())  # this has no zero any more, but still a unit


def check(first: Callable[..., np.ndarray], second: Callable[..., float]) -> None:
    """Raises an AssertionError that says what is wrong, if anything is."""
    actions, up, down = np.array([-1.0, 0.0, 0.5, 1.0, 1.2]), np.ones(5), -np.ones(5)
    rising, falling = first(actions, 2 * up), first(actions, 2 * down)
    assert rising.shape == (5,), f"inverted: want one slope for each action, not {rising.shape}"
    assert abs(rising[3]) < 1e-12, f"inverted: at the upper limit nothing may push further up, not {rising[3]:.2f}"
    assert abs(falling[3] + 2) < 1e-12, f"inverted: at the upper limit the way back is free, not {falling[3]:.2f}"
    assert abs(falling[0]) < 1e-12 and abs(rising[0] - 2) < 1e-12, "inverted: the lower limit is the mirror image"
    assert np.allclose([rising[1], falling[1]], [1, -1]), "inverted: in the middle, half of the slope either way"
    assert rising[4] < 0, f"inverted: beyond the limit the slope turns round, so not {rising[4]:.2f}"
    rng = np.random.default_rng(0)
    some, slopes = rng.uniform(-1, 1, 20), rng.normal(size=20)
    assert np.allclose(first(-some, -slopes), -first(some, slopes)), "inverted: up and down must be mirror images"
    action = np.array([0.999])
    for _ in range(200):
        action = action + 0.1 * first(action, -2 * (action + 0.5))  # climbs -(a + 0.5)^2 from the wrong end
    assert abs(action[0] + 0.5) < 1e-3, f"inverted: from 0.999 an ascent should arrive at -0.5, not at {action[0]:.3f}"

    shown, wrong = rng.normal(2.0, 0.1, 40), rng.normal(-1.0, 0.1, 60)
    half = np.full(30, (shown.mean() + wrong.mean()) / 2)
    for held_out, expected in ((shown[::-1], 0.0), (np.full(3, wrong.mean()), 1.0), (half, 0.5)):
        found = second(shown, held_out, wrong)
        assert abs(found - expected) < 1e-9, f"memorised: {expected} would be right here, not {found:.3f}"
    before, after = second(shown, half, wrong), second(7 * shown + 5, 7 * half + 5, 7 * wrong + 5)
    assert abs(before - after) < 1e-9, f"memorised: other units, another result: {before:.3f} became {after:.3f}"


if __name__ == "__main__":
    check(inverted, memorised)
    print("All checks pass.")

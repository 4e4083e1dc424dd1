"""Exercises of lesson 4: one half of the policy gradient by autograd, the other by hand.

Write the two functions, then run `python examples/lessons/exercises/exercise_4.py`.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from exposure_env import episode
from exposure_env.rewards import negative_mse


def slopes(start: episode.EpisodeState, evs: Tensor) -> Tensor:
    """The slope of each photo's final score with respect to each of its exposures.

    Play the plan from its beginning to its end with `episode.advance`, one exposure after the other. The score is
    `negative_mse` of the last local image (`episode.local_image`) against the targets.

    Args:
        start: N episodes of K segments each before their first exposure, tensors of float64, with targets.
        evs: (N, K) exposures [stops], without gradient.

    Returns:
        (N, K) slopes [score per stop]; those of one photo don't depend on which other photos are in the batch.
    """
    raise NotImplementedError("play the plan, score it, and ask torch.autograd.grad for the slopes")


def actor_gradient(weights: Tensor, features: Tensor, slopes: Tensor, max_ev: float) -> Tensor:
    """The deterministic policy gradient (eq. 10) of a small actor, by hand: without autograd.

    The actor's exposure in state i is max_ev * tanh(features[i] @ weights).

    Args:
        weights: (F,) weights of the actor.
        features: (M, F) what the actor sees in each of M states.
        slopes: (M,) slope of the value with respect to the exposure in each state [score per stop].
        max_ev: Largest exposure [stops].

    Returns:
        (F,) the mean over the M states of d EV / d weights, times the slope of the value.
    """
    raise NotImplementedError("the chain rule: the slope of tanh is 1 - tanh^2")


def check(first: Callable[..., Tensor], second: Callable[..., Tensor]) -> None:
    """Raises an AssertionError that says what is wrong, if anything is."""
    rng = np.random.default_rng(0)
    photos = torch.as_tensor(rng.uniform(0.05, 0.45, (3, 8, 8, 3)))
    labels = torch.as_tensor(np.stack([np.arange(64).reshape(8, 8) * 4 // 64] * 3))
    start = episode.start(photos, labels, 4, torch.as_tensor(rng.uniform(0.2, 0.8, (3, 8, 8, 3))))
    evs = torch.as_tensor(rng.uniform(-1.0, 0.8, (3, 4)))

    def score(evs: Tensor) -> Tensor:
        state = start._replace(evs=evs, step=start.num_segments)
        return negative_mse(episode.local_image(state), targets=start.targets)

    found = first(start, evs)
    assert tuple(found.shape) == (3, 4), f"slopes: want one for each exposure, shape (3, 4), not {tuple(found.shape)}"
    for k in range(4):
        up = torch.zeros(3, 4, dtype=torch.float64)
        up[:, k] = 1e-4
        difference = (score(evs + up) - score(evs - up)) / 2e-4
        assert torch.allclose(found[:, k].double(), difference, rtol=1e-4, atol=1e-7), (
            f"slopes: of exposure {k} you find {found[:, k].tolist()}, but a finite difference gives "
            f"{difference.tolist()}. A mean over the photos in place of a sum divides them by N")

    weights = torch.as_tensor(rng.normal(size=3))
    features, values = torch.as_tensor(rng.normal(size=(10, 3))), torch.as_tensor(rng.normal(size=10))
    moving = weights.clone().requires_grad_()
    (expected,) = torch.autograd.grad((2.5 * torch.tanh(features @ moving) * values).mean(), moving)
    found = second(weights, features, values, 2.5)
    assert tuple(found.shape) == (3,), f"actor_gradient: want one number for each weight, not {tuple(found.shape)}"
    assert torch.allclose(found, expected), (
        f"actor_gradient: autograd gives {expected.tolist()}, you {found.tolist()}. All of these belong to it: max_ev, "
        "the slope of tanh, the features, the slope of the value, and a mean over states")
    stuck = second(1e3 * torch.ones(3, dtype=torch.float64), features.abs(), values, 2.5)
    assert torch.allclose(stuck, torch.zeros(3, dtype=torch.float64)), "actor_gradient: at the limit of tanh it is 0"


if __name__ == "__main__":
    check(slopes, actor_gradient)
    print("All checks pass.")

"""Exercises of lesson 5: what keeps a discriminator gentle, and what it estimates.

Write the two functions, then run `python examples/lessons/exercises/exercise_5.py`.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


def gradient_penalty(network: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """The penalty of eq. (12), without its weight lambda.

    Args:
        network: A discriminator: (N, H, W, 3) images -> (N,) scores.
        real: (N, H, W, 3) experts' photos.
        fake: (N, H, W, 3) other photos.
        mix: (N,) in [0, 1], one for each pair: image i between them is mix[i] real[i] + (1 - mix[i]) fake[i].

    Returns:
        A number: the mean over images of (length of the gradient - 1)^2. The length is taken over all values of an
        image. It can itself be differentiated with respect to the network's weights.
    """
    raise NotImplementedError("torch.autograd.grad has an argument create_graph")


def wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """The Wasserstein-1 distance of two sets of numbers: the least total way to move one onto the other, per number.

    Args:
        first: (N,) numbers in any order.
        second: (N,) numbers in any order.

    Returns:
        The mean distance between partners, with partners chosen so that it is as small as possible.
    """
    return float(abs(first.mean() - second.mean()))  # a good start: but what of sets that are alike in the mean only?


def check(first: Callable[..., Tensor], second: Callable[..., float]) -> None:
    """Raises an AssertionError that says what is wrong, if anything is."""
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.rand((4, 5, 5, 3), generator=generator, dtype=torch.float64) for _ in range(2))
    mix = torch.tensor([0.0, 0.3, 0.6, 1.0], dtype=torch.float64)
    direction = torch.rand((5, 5, 3), generator=generator, dtype=torch.float64)
    direction = nn.Parameter(3 * direction / direction.norm())

    def linear(images: Tensor) -> Tensor:  # its gradient has the length 3 everywhere
        return (images * direction).sum((1, 2, 3))

    def square(images: Tensor) -> Tensor:  # its gradient is the image itself
        return images.square().sum((1, 2, 3)) / 2

    penalty = first(linear, real, fake, mix)
    assert penalty.ndim == 0, f"gradient_penalty: want one number, not shape {tuple(penalty.shape)}"
    assert abs(penalty.item() - 4) < 1e-6, (
        f"gradient_penalty: the gradient's length is 3 everywhere, so it is (3 - 1)^2 = 4, not {penalty.item():.4f}")
    assert penalty.requires_grad, "gradient_penalty: nothing can be learned from it: look at create_graph"
    (pull,) = torch.autograd.grad(penalty, direction)
    expected = 2 * (3 - 1) * direction.detach() / 3  # d (length - 1)^2 / d direction
    assert torch.allclose(pull, expected, atol=1e-5), "gradient_penalty: its own gradient is wrong"
    between = mix[:, None, None, None] * real + (1 - mix[:, None, None, None]) * fake
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean().item()
    found = first(square, real, fake, mix).item()
    assert abs(found - expected) < 1e-6, (
        f"gradient_penalty: where the slope differs from image to image it is {expected:.4f}, not {found:.4f}: take "
        "the gradient between real and fake, each image's own length, and the mean of the squares last")

    rng = np.random.default_rng(0)
    numbers = rng.normal(size=50)
    assert abs(second(numbers, rng.permutation(numbers))) < 1e-12, "wasserstein: a set has no order"
    assert abs(second(numbers, numbers + 0.7) - 0.7) < 1e-12, "wasserstein: a shift by 0.7 is a distance of 0.7"
    wide = second(numbers, 2 * numbers - numbers.mean())
    assert wide > 0.1, f"wasserstein: sets of one mean but another spread are apart, not at a distance of {wide:.3f}"
    others = rng.normal(0.3, 2.0, size=50)
    grid = np.linspace(-12, 12, 200_001)  # another road to the same number: the area between the two distributions
    below = [np.searchsorted(np.sort(each), grid, side="right") / 50 for each in (numbers, others)]
    expected = abs(below[0] - below[1]).sum() * (grid[1] - grid[0])
    assert abs(second(numbers, others) - expected) < 1e-3, (
        f"wasserstein: the area between the two distributions is {expected:.4f}, not {second(numbers, others):.4f}")


if __name__ == "__main__":
    check(gradient_penalty, wasserstein)
    print("All checks pass.")

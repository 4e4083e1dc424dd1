"""What games of generators against discriminators share: losses, steps, and a rate of learning that falls."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.rivals.crops import Look, Retouch

BETAS = (0.5, 0.999)  # of Adam, where generators and discriminators learn from one another (Radford et al., 2016)


class Game(Protocol):
    """Networks that learn together."""

    optimizers: list[torch.optim.Optimizer]

    def update(self, *images: Tensor) -> dict[str, float]:
        """Takes one step of each optimizer; the losses by name."""
        ...


def play(game: Game, draw: Callable[[int], Sequence[Tensor]], retouch: Retouch, *, num_photos: int, batch_size: int,
         look: Look | None = None) -> Retouch:
    """Updates a game batch by batch, at a learning rate that falls linearly to 0 in the second half.

    Args:
        game: The networks.
        draw: Function from a number of photos to a batch, what `Game.update` takes.
        retouch: What comes of the networks; handed back.
        num_photos: Photos to learn from, rounded up to whole batches.
        batch_size: Photos in a batch.
        look: See `crops.Look`.
    """
    steps = -(-num_photos // batch_size)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda number: min(1.0, 2 * (1 - number / steps)))
                 for optimizer in game.optimizers]
    for number in range(1, steps + 1):
        game.update(*draw(batch_size))
        for schedule in schedules:
            schedule.step()
        if look is not None:
            look(number * batch_size, retouch)
    return retouch


def least_squares(scores: Tensor, real: bool) -> Tensor:
    """The mean squared distance of scores to 1, what real images should get, or to 0 (Mao et al., 2017)."""
    return (scores - float(real)).square().mean()


def cross_entropy(scores: Tensor, real: bool) -> Tensor:
    """The mean of -log p, where the scores are log(p / (1 - p)) of being real, or of -log(1 - p) (Goodfellow, 2014)."""
    return functional.softplus(-scores if real else scores).mean()


def told_apart(net: nn.Module, real: Tensor, fake: Tensor, loss: Callable[[Tensor, bool], Tensor]) -> Tensor:
    """What a discriminator minimises: half its loss on real images and half that on fake ones, without their gradient.

    Args:
        net: The discriminator.
        real: (N, C, H, W) images.
        fake: (M, C, H, W) images.
        loss: `least_squares` or `cross_entropy`.
    """
    scores = net.requires_grad_(True)(torch.cat([real, fake]).detach())
    return (loss(scores[: len(real)], True) + loss(scores[len(real) :], False)) / 2


def mistaken(net: nn.Module, fake: Tensor, loss: Callable[[Tensor, bool], Tensor]) -> Tensor:
    """What a generator minimises: the loss of a discriminator that takes fake images for real; itself it doesn't learn.

    Args:
        net: The discriminator.
        fake: (N, C, H, W) images.
        loss: `least_squares` or `cross_entropy`.
    """
    return loss(net.requires_grad_(False)(fake), True)


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Takes one step of the optimizer."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def adam(nets: Sequence[nn.Module], learning_rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """An optimizer of all the networks' weights."""
    return torch.optim.Adam([weights for net in nets for weights in net.parameters()], learning_rate, betas)


def check_rates(**rates: float) -> None:
    """Checks learning rates, given by their names.

    Raises:
        ValueError: If one isn't positive.
    """
    for name, rate in rates.items():
        if not rate > 0:
            raise ValueError(f"{name} must be positive, not {rate}")


def check_weights(**weights: float) -> None:
    """Checks weights of losses, given by their names.

    Raises:
        ValueError: If one is negative.
    """
    for name, weight in weights.items():
        if not weight >= 0:
            raise ValueError(f"{name} must not be negative, but it is {weight}")

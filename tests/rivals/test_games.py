"""Losses of games by hand, and how the learning rate falls."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from agents.rivals.games import (
    check_rates,
    check_weights,
    cross_entropy,
    least_squares,
    mistaken,
    play,
    step,
    told_apart,
)


def test_losses_by_hand():
    scores = torch.tensor([1.0, 0.0, 3.0])
    assert least_squares(scores, True).item() == pytest.approx((0 + 1 + 4) / 3)
    assert least_squares(scores, False).item() == pytest.approx((1 + 0 + 9) / 3)
    scores = torch.tensor([0.0, math.log(3)])  # probabilities 1/2 and 3/4
    assert cross_entropy(scores, True).item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    assert cross_entropy(scores, False).item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_each_side_learns_only_in_its_own_step():
    generator, net = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 1, 1)
    real, fake = torch.rand(2, 3, 4, 4), generator(torch.rand(3, 3, 4, 4))
    told_apart(net, real, fake, least_squares).backward()
    assert generator.weight.grad is None and net.weight.grad.abs().sum() > 0
    net.weight.grad = None
    mistaken(net, fake, least_squares).backward()
    assert generator.weight.grad.abs().sum() > 0 and net.weight.grad is None


def test_telling_apart_by_hand():
    net = nn.Conv2d(1, 1, 1)
    nn.init.ones_(net.weight)
    nn.init.zeros_(net.bias)
    real, fake = torch.full((1, 1, 1, 1), 0.75), torch.full((2, 1, 1, 1), 0.5)
    loss = told_apart(net, real, fake, least_squares)
    assert loss.item() == pytest.approx((0.25**2 + 0.5**2) / 2)
    assert mistaken(net, fake, least_squares).item() == pytest.approx(0.25)


class Counting:
    """A game that notes its learning rates."""

    def __init__(self):
        self.weight = nn.Parameter(torch.zeros(1))
        self.optimizers, self.rates, self.batches = [torch.optim.SGD([self.weight], 0.5)], [], []

    def update(self, images):
        self.rates.append(self.optimizers[0].param_groups[0]["lr"])
        self.batches.append(len(images))
        step(self.optimizers[0], self.weight.square().sum())
        return {}


def test_the_rate_stays_for_half_of_the_steps_then_falls_to_0():
    game, seen = Counting(), []
    play(game, lambda num: [torch.zeros(num)], np.negative, num_photos=30, batch_size=4,
         look=lambda num, retouch: seen.append((num, retouch)))
    assert game.rates == [0.5] * 5 + [0.375, 0.25, 0.125] and game.batches == [4] * 8
    assert game.optimizers[0].param_groups[0]["lr"] == 0
    assert [num for num, _ in seen] == [4, 8, 12, 16, 20, 24, 28, 32] and seen[0][1] is np.negative


def test_weights_that_make_no_sense_are_named():
    check_rates(learning_rate=1e-3)
    check_weights(some_weight=0.0)
    for rate in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"learning_rate must be positive, not {rate}"):
            check_rates(learning_rate=rate)
    with pytest.raises(ValueError, match="other_weight must not be negative, but it is -2"):
        check_weights(some_weight=1.0, other_weight=-2)

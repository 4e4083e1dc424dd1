"""Small discriminators, images for them, and states that went through a file."""

import io

import numpy as np
import torch
from torch import nn

from agents.rewards.discriminator import DiscriminatorReward

SIZE = 8


class Linear(nn.Module):
    """Scores <w, image> + offset with a w of known length: the slope is that length everywhere."""

    def __init__(self, slope, offset=0.0):
        super().__init__()
        direction = torch.randn(SIZE * SIZE * 3, generator=torch.Generator().manual_seed(1))
        self.weight = nn.Parameter(slope * direction / direction.norm())
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, images):
        return images.flatten(1) @ self.weight + self.offset


def images(num=4, low=0.0, high=1.0, seed=0, size=SIZE):
    return np.random.default_rng(seed).uniform(low, high, (num, size, size, 3)).astype(np.float32)


def reward(size=16, width=4, **settings):
    return DiscriminatorReward(size=size, width=width, **settings)


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)

"""Small off-policy agents and their environments."""

import pytest
import torch

from agents.baselines.off_policy import build_off_policy
from agents.rewards.discriminator import DiscriminatorReward
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import sample_photos

SIZE, NUM_ENVS = 16, 4
PHOTOS = sample_photos("inputs", 6)
algorithms = pytest.mark.parametrize("algorithm", ["ddpg", "td3"])


def judge(**settings):
    return DiscriminatorReward(size=SIZE, width=4, **settings)


def environment(reward_model=None, photos=PHOTOS, num_envs=NUM_ENVS, **settings):
    settings = {"size": SIZE, "max_segments": 3, **settings}
    return ExposureVecEnv(None, num_envs, photos=photos, reward_model=reward_model or judge(), **settings)


def build(env, algorithm="ddpg", **options):
    options = {"width": 4, "seed": 0, "device": "cpu", "buffer_size": 200, "batch_size": 16, "train_freq": 4,
               "gradient_steps": 1, "learning_rate": 1e-3, **options}  # fmt: skip
    return build_off_policy(algorithm, env, **options)


def stir(network, scale=0.2, seed=1):
    """Other weights, as if the discriminator had learned."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator)

"""Agents that play on their device, and what they are told there."""

import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agents.deep_exposure.device_env import DeviceVecEnv
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import sample_photos
from tests.deep_exposure import small

PHOTOS, EXPERTS = sample_photos("inputs", 6), sample_photos("experts", 6)
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


def textured(num_segments, seed=0, target=True):
    return small.textured(num_segments, seed, target)


VARYING = [textured(num, num) for num in (1, 3, 2, 5)]


def vec_env(photos=VARYING, **settings):
    return small.vec_env(photos, **{"fusion": "mask_pyramid", "obs_type": "uint8", **settings})


def agent(env=None, **options):
    """A small agent that plays on its device."""
    return small.agent(env or vec_env(), **{"rollouts": "device", **options})


def begun(env, device="cpu", seed=0):
    """The environment with new episodes, and the device's of these."""
    env.seed(seed)
    env.reset()
    played = DeviceVecEnv(env, device)
    return played, played.begin()


def host(array):
    return array.cpu().numpy()


def played_out(played, actions):
    """What comes of all episodes; actions (steps, N, 1)."""
    for action in actions:
        played.step(torch.as_tensor(action, device=played.device))
    return played.finish()


class Noted(BaseCallback):
    """Notes what callbacks are told."""

    def __init__(self):
        super().__init__()
        self.actions, self.dones, self.ended, self.steps = [], [], [], []

    def _on_step(self):
        env = self.training_env.unwrapped
        self.actions.append(host(self.locals["actions"])[:, 0].copy())
        self.dones.append(self.locals["dones"].copy())
        self.ended += [] if env.finished is None else [env.finished]
        self.steps.append(self.num_timesteps)
        return True


def adversarial(device, seed=0, **options):
    """An agent under a discriminator, and the game."""
    torch.manual_seed(seed)
    judge = DiscriminatorReward(width=4, device=device)
    env = ExposureVecEnv(num_envs=4, photos=PHOTOS, reward_model=judge, max_segments=4)
    env.seed(seed)
    model = agent(env, n_batches=1, seed=seed, learning_rate=1e-3, device=device)
    game = AdversarialCallback(DiscriminatorTrainer(judge), ExpertPhotos(EXPERTS), n_critic=2, batch_size=8, warm_up=2,
                             misexposed=0.25, pooled=0.25, pool_size=10, **options)
    return model, game

"""Stable-Baselines3's DDPG and TD3 with a reward that learns: model-free rivals of DeepExposure, on equal terms.

They see what it sees, through the same networks and with the same noise, but know neither the transition nor the blend.
They learn from a replay buffer. Its rewards would be outdated as soon as the discriminator learns, so they are scored
again whenever they are sampled.
"""

import math
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DDPG, TD3
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.td3.policies import Actor, TD3Policy
from torch import Tensor, nn

from agents.baselines.replay import RelabelReplayBuffer
from agents.exploration import exploration
from agents.networks import IMAGES, Stack, with_statistics
from agents.planes import halved, observed_planes
from agents.rewards.discriminator import DiscriminatorReward
from agents.vec_env import ExposureVecEnv
from exposure_env.decoding import plane_shape
from exposure_env.task import ExposureTask

HIDDEN = 128  # units of the hidden layers, as in `networks.Stack`


class _OwnRates:
    """A mixin with a separate learning rate for the critics, as in the papers on DDPG and TD3; SB3 has only one."""

    critic_schedule: Schedule | None = None

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        if self.critic_schedule is not None:
            for group in self.critic.optimizer.param_groups:
                group["lr"] = self.critic_schedule(self._current_progress_remaining)


class OwnRatesDDPG(_OwnRates, DDPG):
    """SB3's DDPG with a separate learning rate for the critic."""


class OwnRatesTD3(_OwnRates, TD3):
    """SB3's TD3 with a separate learning rate for the critics."""


ALGORITHMS: dict[str, type[TD3]] = {"ddpg": OwnRatesDDPG, "td3": OwnRatesTD3}


class PlaneFeatures(BaseFeaturesExtractor):
    """All of `networks.Actor` except its head: planes with their statistics, the convolutions, the hidden layer.

    Args:
        observation_space: Box of 9 or 12 planes, uint8 or float32, channels first or last.
        width: See `networks.Stack`.
        halvings: See `networks.Stack`.
    """

    def __init__(self, observation_space: spaces.Box, width: int = 32, halvings: int = 0):
        super().__init__(observation_space, HIDDEN)
        channels, size = plane_shape(observation_space)
        self.halvings = halvings
        self.stack = Stack(channels + 9, size, 1, width, halvings, HIDDEN)
        self.stack.head = nn.Identity()  # SB3's actor and critics have their own heads

    def forward(self, observations: Tensor) -> Tensor:
        """Observations, uint8 or in [0, 1] -> (N, 128) features."""
        planes = observed_planes(observations)
        return self.stack(with_statistics(halved(planes, self.halvings), IMAGES, "std"))


class OffPolicyPolicy(TD3Policy):
    """SB3's policy for DDPG and TD3, with an actor built like `networks.Actor`.

    Each critic has a features extractor of the same kind. The action joins the features after the hidden layer, and one
    more hidden layer follows: without it, Q would be linear in the action, with the same slope for every photo.

    Args:
        observation_space: Box of 9 or 12 planes, uint8 or float32, channels first or last.
        action_space: Box(-1, 1, (1,)).
        lr_schedule: Learning rate of all networks as a function of the remaining progress.
        width: See `networks.Stack`.
        halvings: See `networks.Stack`.
        betas: Betas of Adam.
        n_critics: Number of critics.
    """

    def __init__(self, observation_space: spaces.Box, action_space: spaces.Box, lr_schedule: Schedule,
                 width: int = 32, halvings: int = 0, betas: tuple[float, float] = (0.5, 0.9), n_critics: int = 2):
        super().__init__(
            observation_space, action_space, lr_schedule, net_arch={"pi": [], "qf": [HIDDEN]},
            activation_fn=partial(nn.LeakyReLU, 0.2), features_extractor_class=PlaneFeatures,
            features_extractor_kwargs={"width": width, "halvings": halvings}, optimizer_kwargs={"betas": betas},
            n_critics=n_critics,
        )
        self.settings = {"width": width, "halvings": halvings, "betas": betas, "n_critics": n_critics}

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Actor:
        """The actor, which leaves photos untouched before any training.

        Args:
            features_extractor: As in SB3.
        """
        actor = super().make_actor(features_extractor)
        for parameter in actor.mu.parameters():
            nn.init.zeros_(parameter)
        return actor

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {"observation_space": self.observation_space, "action_space": self.action_space,
                "lr_schedule": self._dummy_schedule, **self.settings}


def rollout_steps(task: ExposureTask, num_envs: int, episodes: int = 64) -> int:
    """The number of steps in which `num_envs` environments play about `episodes` episodes.

    Args:
        task: The task; up to 64 of its photos are segmented now to estimate the length of an episode.
        num_envs: Number of environments.
        episodes: Number of episodes.
    """
    rng, num = np.random.default_rng(0), len(task.photos)
    some = np.unique(np.linspace(0, num - 1, min(num, 64)).astype(int))
    lengths = [int(task.scene(int(index), rng).labels.max()) + 1 for index in some]
    return max(1, math.ceil(episodes * float(np.mean(lengths)) / num_envs))


def build_off_policy(
    algorithm: Literal["ddpg", "td3"],
    env: ExposureVecEnv,
    *,
    learning_rate: float | Schedule = 1e-4,
    critic_learning_rate: float | Schedule | None = None,
    buffer_size: int = 10_000,
    batch_size: int = 64,
    learning_starts: int = 0,
    train_freq: int | None = None,
    gradient_steps: int = 32,
    noise: Literal["ou", "gaussian"] | ActionNoise | None = "ou",
    sigma: float | None = None,
    relabel: bool | None = None,
    ev_penalty: float = 0.0,
    shaping: bool = False,
    width: int = 32,
    halvings: int = 0,
    betas: tuple[float, float] = (0.5, 0.9),
    seed: int | None = None,
    device: torch.device | str = "auto",
    **settings: Any,
) -> OffPolicyAlgorithm:
    """SB3's DDPG or TD3, ready to `learn`, alone or with an `AdversarialCallback` as its callback.

    After SB3's `load`, the model's `replay_buffer.reward_model` must be set before it learns further.

    Args:
        algorithm: "ddpg" or "td3".
        env: The environment.
        learning_rate: Learning rate of the actor, a number or a schedule of the remaining progress.
        critic_learning_rate: Learning rate of the critics, likewise; by default the actor's.
        buffer_size: Transitions kept, of all environments together: 98 kB each for twelve uint8 planes of 64 px.
        batch_size: Transitions in a gradient step.
        learning_starts: Transitions played at random before anything is learned; by default 0, because DeepExposure
            too starts from untouched photos and explores by noise alone.
        train_freq: Steps of the environments in a rollout, after which discriminator and agent learn; by default those
            of about 64 episodes, as in a rollout of DeepExposure.
        gradient_steps: Gradient steps after each rollout; -1 for as many as transitions.
        noise: Noise added to the actions while playing, restarted with each episode: "ou", Ornstein-Uhlenbeck with
            theta 0.015 and dt 1 as in the paper; "gaussian"; an `ActionNoise` of SB3; or None.
        sigma: Sigma of the noise, by default 0.03 for "ou" and 0.1 for "gaussian".
        relabel: Whether rewards are scored again when sampled; by default if the reward model is a discriminator.
        ev_penalty: As for `DeepExposure`, subtracted from sampled rewards [score/stops^2]; needs `relabel`.
        shaping: See `RelabelReplayBuffer`; needs `relabel`.
        width: See `networks.Stack`.
        halvings: See `networks.Stack`.
        betas: Betas of Adam.
        seed: Seed of networks, noise, replay and environment.
        device: "auto", "cpu", "cuda".
        **settings: Further arguments of SB3's class, such as `gamma`, `tau`, `policy_delay`.

    Raises:
        ValueError: If the algorithm is unknown, the environment is of another kind, a number is too small, or rewards
            can't be scored again because they depend on more than the finished image.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {sorted(ALGORITHMS)}, not {algorithm!r}")
    if not isinstance(getattr(env, "unwrapped", None), ExposureVecEnv):
        raise ValueError(f"env must be an ExposureVecEnv, not {type(env).__name__}")
    if not isinstance(env.observation_space, spaces.Box):
        raise ValueError('the networks look at planes: use obs_type="uint8" or "float32", not "dict"')
    for name, value, least in [("buffer_size", buffer_size, env.num_envs), ("batch_size", batch_size, 1),
                               ("ev_penalty", ev_penalty, 0), ("train_freq", train_freq, 1)]:
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    task = env.unwrapped.task
    if relabel is None:
        relabel = isinstance(task.reward_model, DiscriminatorReward)
    if relabel:
        if task.config.reward_image != "fused" or task.potential is not None:
            raise ValueError("the replay holds finished images, so only rewards of these alone can be scored anew: use "
                             f'reward_image="fused" and no shaping, not {task.config.reward_image!r} and '
                             f"{task.config.shaping!r}, or relabel=False")
        if settings.get("n_steps", 1) != 1:
            raise ValueError(f"n_steps={settings['n_steps']} sums up rewards as they were stored: use relabel=False")
        settings |= {"replay_buffer_class": RelabelReplayBuffer,
                     "replay_buffer_kwargs": {"relative": task.config.relative,
                                              "action_penalty": ev_penalty * task.config.max_ev**2,
                                              "shaping": shaping, "gamma": settings.get("gamma", 0.99)}}
    elif ev_penalty or shaping:
        raise ValueError(f"ev_penalty={ev_penalty} and shaping={shaping} change rewards that are scored anew: use "
                         "relabel=True")
    model = ALGORITHMS[algorithm](
        OffPolicyPolicy, env, learning_rate, buffer_size, learning_starts, batch_size,
        train_freq=rollout_steps(task, env.num_envs) if train_freq is None else train_freq,
        gradient_steps=gradient_steps, action_noise=exploration(noise, sigma), seed=seed, device=device,
        policy_kwargs={"width": width, "halvings": halvings, "betas": betas}, **settings,
    )
    if critic_learning_rate is not None:
        model.critic_schedule = FloatSchedule(critic_learning_rate)
    if relabel:
        model.replay_buffer.reward_model = task.reward_model
    return model


def replay_bytes(model: OffPolicyAlgorithm) -> int:
    """The size of the replay buffer [bytes].

    Args:
        model: An off-policy algorithm of SB3.
    """
    return sum(value.nbytes for value in vars(model.replay_buffer).values() if isinstance(value, np.ndarray))

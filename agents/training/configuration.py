"""Everything that a training depends on, and the agent built from it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from stable_baselines3.common.type_aliases import Schedule

from agents.deep_exposure import DeepExposure, Method
from agents.exploration import exploration
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import Misexpose, Photo
from exposure_env.settings import TaskConfig


@dataclass(frozen=True)
class TrainConfig(Method):
    """Everything that a training run depends on, but the photos: the method, and what follows.

    The defaults are the `quick` preset's.
    """

    # Of the method, other than the paper's
    critic_steps: int = 8  # steps of the critic per update, each on its share of the episodes; 1 accumulates too
    shaping: bool = True  # of I and q: the score of the image so far is a shaping potential
    ev_penalty: float = 1.2  # pull towards small exposures [score/stop^2]: shyer, but less often wrong

    total_timesteps: int = 40_000  # exposures to try; a photo of six segments takes six
    seed: int = 0  # same seed, same weights
    device: str = "auto"  # "cpu", "cuda", or "auto"
    checkpoint_every: int = 25  # updates between two checkpoints, from which an interrupted run can go on

    # The task; see exposure_env.settings.TaskConfig
    task_preset: Literal["recommended", "paper"] = "recommended"  # see exposure_env.settings.TASK_PRESETS
    max_segments: int = 6  # of one photo
    fusion: str | None = None  # how a finished plan is rendered; None takes the task preset's, as below
    reward_image: Literal["fused", "local", "both"] | None = None  # which image is scored
    space: Literal["linear", "encoded"] | None = None  # what an exposure multiplies
    planes: Literal["full", "paper"] | None = None  # what the agent sees
    num_envs: int = 64  # photos retouched at once

    # The actor
    learning_rate: float = 2e-4  # of the actor, at the start
    learning_rate_decay: float = 0.05  # exponential, to this fraction of the start
    critic_learning_rate: float = 2e-3  # of I and q, at the start
    critic_learning_rate_decay: float = 0.05  # exponential, to this fraction of the start
    noise: Literal["ou", "gaussian"] = "ou"  # kind of the exploration noise: Ornstein-Uhlenbeck, or independent
    exploration: float = 0.03  # its sigma, in actions
    adam_betas: tuple[float, float] = (0.5, 0.9)  # of the actor and the critic
    width: int = 16  # channels of the first convolution, of all networks
    halvings: int = 1  # times the 64 px planes are halved before the networks look at them

    # The reward: a discriminator, or with targets known "psnr", the yardstick
    reward: Literal["discriminator", "psnr"] = "discriminator"
    discriminator_learning_rate: float = 5e-4  # at the start
    discriminator_learning_rate_decay: float = 0.05  # exponential, to this fraction of the start
    discriminator_loss: Literal["wgan-gp", "relativistic"] = "wgan-gp"  # eq. (12), or R3GAN's with R1 and R2
    spectral_norm: bool = False  # bound the discriminator's layers to a norm of 1
    discriminator_batch_size: int = 64  # real images, and as many fakes, in a step
    n_critic: int = 5  # discriminator steps per update of the actor
    warm_up: int = 30  # discriminator steps before the actor's first update
    gradient_penalty: float = 10.0  # weight of the penalty on the discriminator's slope (eq. 12)
    one_sided: bool = True  # penalise only slopes above 1
    drift: float = 1e-3  # weight of the mean squared score of real photos
    contrast: Literal["variance", "std"] = "std"  # statistic plane of the discriminator
    pooled: float = 0.25  # fraction of fakes from earlier rollouts
    pool_size: int = 2048  # images of earlier rollouts that are remembered
    unfinished: float = 0.0  # fraction of fakes that are images of unfinished episodes
    misexposed: float = 0.5  # fraction of fakes that are misexposed experts' photos
    misexposed_range: tuple[float, float] = (-2.5, 2.5)  # EV of misexposed experts' photos [stops]
    misexposed_local: float = 0.0  # deviation of their EV from place to place [stops]


PRESETS = {
    "quick": TrainConfig(),
    "recommended": TrainConfig(ev_penalty=1.0),
    "paper": TrainConfig(
        total_timesteps=9_000_000, task_preset="paper", max_segments=8, num_envs=64, learning_rate=1.5e-5,
        learning_rate_decay=1e-3, batch_size=8, value_image="next", reset_noise=False, ev_penalty=0.0,
        critic_learning_rate=5e-5, critic_learning_rate_decay=1e-2, critic_steps=1, td_lambda=0.0, shaping=False,
        width=32, halvings=0, discriminator_learning_rate=5e-5, discriminator_learning_rate_decay=1e-3,
        discriminator_batch_size=8,
        warm_up=100, one_sided=False, drift=0.0, contrast="variance", pooled=1.0, misexposed=0.0,
    ),
}


def config_of(settings: dict[str, Any]) -> TrainConfig:
    """The configuration whose fields these are, as JSON holds them: lists in place of tuples."""
    return TrainConfig(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})


def build(
    config: TrainConfig, photos: Sequence[Photo], experts: Sequence[Photo]
) -> tuple[DeepExposure, AdversarialCallback | None]:
    """The agent and the game it is trained in, not yet trained; no game if `config.reward` isn't a discriminator.

    Args:
        config: The configuration.
        photos: What the agent learns to retouch; targets are used by the reward "psnr" alone.
        experts: Good photos, of other scenes or not, unpaired.

    Raises:
        ValueError: If there are no photos or experts, or a setting makes no sense.
    """
    for name, least in {"total_timesteps": 1, "seed": 0, "width": 1, "halvings": 0, "n_critic": 1, "warm_up": 0,
                        "discriminator_batch_size": 1, "checkpoint_every": 1}.items():
        if getattr(config, name) < least:
            raise ValueError(f"{name} must be at least {least}, not {getattr(config, name)}")
    torch.manual_seed(config.seed)
    device, game, reward = _device(config.device), None, config.reward
    if reward == "discriminator":
        reward = DiscriminatorReward(width=config.width, halvings=config.halvings, contrast=config.contrast,
                                     spectral_norm=config.spectral_norm, device=device)
        game = _game(config, experts, reward)
    env = ExposureVecEnv(None, config.num_envs, photos=photos, reward_model=reward, preset=config.task_preset,
                         **task_settings(config))
    env.seed(config.seed)
    model = DeepExposure(
        "CnnPolicy", env, decay(config.learning_rate, config.learning_rate_decay),
        critic_learning_rate=decay(config.critic_learning_rate, config.critic_learning_rate_decay),
        action_noise=exploration(config.noise, config.exploration),
        policy_kwargs={"width": config.width, "halvings": config.halvings, "betas": config.adam_betas},
        seed=config.seed, device=device, **{field.name: getattr(config, field.name) for field in fields(Method)},
    )
    return model, game


def _game(config: TrainConfig, experts: Sequence[Photo], reward: DiscriminatorReward) -> AdversarialCallback:
    trainer = DiscriminatorTrainer(
        reward, learning_rate=decay(config.discriminator_learning_rate, config.discriminator_learning_rate_decay),
        loss=config.discriminator_loss, gradient_penalty=config.gradient_penalty, one_sided=config.one_sided,
        drift=config.drift, seed=config.seed,
    )
    misexposure, size = Misexpose(config.misexposed_range, local=config.misexposed_local), TaskConfig().size
    return AdversarialCallback(
        trainer, ExpertPhotos(experts, size, misexposure, config.seed), n_critic=config.n_critic,
        batch_size=config.discriminator_batch_size, warm_up=config.warm_up, pooled=config.pooled,
        misexposed=config.misexposed, unfinished=config.unfinished, pool_size=config.pool_size, seed=config.seed,
    )


def task_settings(config: TrainConfig) -> dict:
    """The settings of the task that a configuration sets itself, rather than the task's preset."""
    named = {name: getattr(config, name) for name in ("fusion", "reward_image", "space", "planes")}
    return {"max_segments": config.max_segments} | {name: it for name, it in named.items() if it is not None}


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without CUDA
        raise ValueError(f'device must be "auto", "cpu" or a GPU like "cuda", not {name!r}: {error}') from error
    return name


def decay(start: float, fraction: float) -> Schedule:
    """Schedule that falls exponentially from `start` to `fraction` of it, as a function of the progress remaining."""
    return lambda remaining: start * fraction ** (1 - remaining)

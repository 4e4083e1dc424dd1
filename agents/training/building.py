"""The agent that a configuration describes, and the callback that trains its discriminator."""

from collections.abc import Sequence
from dataclasses import fields

import torch

from agents.deep_exposure import DeepExposure
from agents.exploration import exploration
from agents.method import Method
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer
from agents.training.configuration import TrainConfig, decay, task_settings
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import Misexpose, Photo
from exposure_env.settings import TaskConfig


def build(
    config: TrainConfig, photos: Sequence[Photo], experts: Sequence[Photo]
) -> tuple[DeepExposure, AdversarialCallback | None]:
    """The untrained agent and its adversarial callback, which is None unless the reward is a discriminator.

    Args:
        config: The configuration.
        photos: Photos to learn to retouch; only the reward "psnr" uses their targets.
        experts: Good photos, unpaired, of the same scenes or of others.

    Raises:
        ValueError: If there are no photos or experts, or a setting is invalid.
    """
    config.check()
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


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:  # AssertionError if Torch was built without CUDA
        raise ValueError(f'device must be "auto", "cpu" or a GPU like "cuda", not {name!r}: {error}') from error
    return name

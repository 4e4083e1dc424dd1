"""The agent that a configuration describes, and the callback that trains its discriminator."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from agents.deep_exposure import DeepExposure
from agents.deep_exposure.demonstrations import Demonstrations
from agents.exploration import exploration
from agents.method import Method
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer
from agents.training.configuration import TrainConfig, decay, task_settings
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import (
    Backlight,
    Crop,
    Misexpose,
    MisexposeAgain,
    OneOf,
    Photo,
    Steps,
    Transform,
    Variants,
    photo_thumbnail,
)
from exposure_env.rewards import WeightedReward, is_differentiable, resolve_reward
from exposure_env.settings import TaskConfig
from exposure_env.task import ExposureTask

DEMONSTRATIONS = 32  # versions of each expert's photo, if no number is given
DEGRADATIONS: dict[str, Transform] = {
    "uneven": Misexpose(),
    "backlit": Backlight(),  # dark parts too dark, bright parts too bright, EV uniform in -1..+0.5; 8 bits
    "mixed": OneOf(Misexpose(), Backlight()),
    "dim": Misexpose((-1.2, 0.2), local=0.0),
    "dark": Misexpose((-5.5, -3.0), local=0.0),  # as the dark frames of brackets, everywhere
}


def build(
    config: TrainConfig, photos: Sequence[Photo], experts: Sequence[Photo], reward_scale: float = 1.0,
    reward_model: Any = None,
) -> tuple[DeepExposure, AdversarialCallback | None]:
    """The untrained agent and its adversarial callback, which is None unless the reward is a discriminator that learns.

    Args:
        config: The configuration.
        photos: Photos to learn to retouch; only the reward "psnr" uses their targets.
        experts: Good photos, unpaired, of the same scenes or of others.
        reward_scale: What rewards are multiplied by, for algorithms that depend on their size.
        reward_model: A reward model that stays as it is, in place of the configuration's.

    Raises:
        ValueError: If there are no photos or experts, or a setting is invalid.
    """
    config.check()
    torch.manual_seed(config.seed)
    device, game, reward = _device(config.device), None, reward_model or config.reward
    if reward == "discriminator":
        reward = DiscriminatorReward(width=config.width, halvings=config.halvings, contrast=config.contrast,
                                     spectral_norm=config.spectral_norm, device=device)
        game = _game(config, experts, reward)
    if reward_scale != 1:
        reward = WeightedReward({config.reward: resolve_reward(reward)}, {config.reward: reward_scale})
    env = ExposureVecEnv(None, config.num_envs, photos=_fresh(config, photos), segmenter=config.segmenter,
                         reward_model=reward, preset=config.task_preset, **task_settings(config))
    env.seed(config.seed)
    # What looks at segments remembers what it has seen of a photo, if the reward takes tensors
    played = {"rollouts": "device"} if config.actor == "segments" and is_differentiable(env.task.reward_model) else {}
    model = DeepExposure(
        "CnnPolicy", env, decay(config.learning_rate, config.learning_rate_decay),
        critic_learning_rate=decay(config.critic_learning_rate, config.critic_learning_rate_decay),
        action_noise=exploration(config.noise, config.exploration),
        policy_kwargs={"width": config.width, "halvings": config.halvings, "betas": config.adam_betas,
                       "actor": config.actor},
        demonstrations=_demonstrations(config, experts, env.task),
        seed=config.seed, device=device,
        **{field.name: getattr(config, field.name) for field in fields(Method)} | played,
    )
    return model, game


def small(photos: Sequence[Photo], size: int) -> list[Photo]:
    """The photos as squares of at most twice that side, with targets: enough for crops, which are then cheap."""
    return [Photo(photo.name, *(_small(image, 2 * size, photo.name) for image in (photo.image, photo.target)))
            for photo in photos]


def _small(image: np.ndarray | None, largest: int, name: str) -> np.ndarray | None:
    return None if image is None else photo_thumbnail(image, min(largest, max(np.shape(image)[:2])), name=name)


def _fresh(config: TrainConfig, photos: Sequence[Photo]) -> Sequence[Photo]:
    """Versions of the inputs, or the inputs as they are."""
    if not config.fresh:
        return photos
    size = TaskConfig().size
    crop = Crop(config.fresh_scales, size=size)
    again = Steps(crop, MisexposeAgain(config.fresh_ev, config.fresh_local))
    return Variants(small(photos, size), crop if config.reward == "psnr" else again, config.fresh, config.seed)


def _demonstrations(config: TrainConfig, experts: Sequence[Photo], task: ExposureTask) -> Demonstrations | None:
    if not (config.warm_start or config.demonstration_weight):
        return None
    size = task.config.size
    transform = Steps(Crop(config.fresh_scales, size=size), DEGRADATIONS[config.degradation])
    versions = Variants(small(experts, size), transform, config.fresh or DEMONSTRATIONS, config.seed)
    return Demonstrations(versions, task, config.n_batches * config.batch_size, config.seed)


def _game(config: TrainConfig, experts: Sequence[Photo], reward: DiscriminatorReward) -> AdversarialCallback:
    trainer = DiscriminatorTrainer(
        reward, learning_rate=decay(config.discriminator_learning_rate, config.discriminator_learning_rate_decay),
        loss=config.discriminator_loss, gradient_penalty=config.gradient_penalty, one_sided=config.one_sided,
        drift=config.drift, seed=config.seed,
    )
    fakes, scales = Misexpose(config.misexposed_range, local=config.misexposed_local), config.fresh_scales
    return AdversarialCallback(
        trainer, ExpertPhotos(experts, TaskConfig().size, fakes, config.seed, scales if config.fresh else None),
        n_critic=config.n_critic, batch_size=config.discriminator_batch_size, warm_up=config.warm_up,
        pooled=config.pooled, misexposed=config.misexposed, unfinished=config.unfinished,
        pool_size=config.pool_size, seed=config.seed,
    )


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:  # AssertionError if Torch was built without CUDA
        raise ValueError(f'device must be "auto", "cpu" or a GPU like "cuda", not {name!r}: {error}') from error
    return name

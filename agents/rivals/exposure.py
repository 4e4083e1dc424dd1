"""Exposure (Hu et al., 2018) as a rival: its agent, in a game against a discriminator that learns."""

from functools import partial

import numpy as np
import torch

from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.trainer import DiscriminatorTrainer
from agents.rivals.crops import Crops, Look, Retouch, check_amount
from agents.rivals.white_box import WhiteBoxAgent, WhiteBoxConfig, fit_white_box
from exposure_env.photos import Photo
from exposure_env.white_box import WhiteBoxEnv


def fit_exposure(inputs: Crops, experts: Crops, *, num_photos: int, seed: int = 0, device: str = "cpu",
                 look: Look | None = None, batch_size: int = 32, max_steps: int = 5, reuse_penalty: float = 1.0,
                 learning_rate: float = 3e-4, discriminator_learning_rate: float = 5e-4, width: int = 16,
                 num_crops: int = 2048) -> Retouch:
    """Exposure's agent, which has learned from crops of photos to retouch and of experts' photos, unpaired.

    Args:
        inputs: Source of photos to retouch.
        experts: Source of good photos.
        num_photos: Photos to learn from, rounded up to whole batches.
        seed: Seed of weights, photos and choices.
        device: Device of the training.
        look: See `crops.Look`.
        batch_size: Photos in an update.
        max_steps: Filters in an episode.
        reuse_penalty: What a filter used again costs, in units of the score.
        learning_rate: Adam's, of the actor; the critic's is five times as large.
        discriminator_learning_rate: Adam's, of the discriminator.
        width: Channels of the networks' first convolution.
        num_crops: Number of crops of each source that batches are drawn from.

    Raises:
        ValueError: If a number is below 1.
    """
    check_amount(num_photos, batch_size)
    torch.manual_seed(seed)
    reward = DiscriminatorReward(size=inputs.size, width=width, contrast="std", device=device)
    photos = [Photo(str(number), image) for number, image in enumerate(_images(inputs, num_crops))]
    env = WhiteBoxEnv(photos, reward, max_steps=max_steps, reuse_penalty=reuse_penalty, size=inputs.size)
    trainer = DiscriminatorTrainer(reward, learning_rate=discriminator_learning_rate, one_sided=True, seed=seed)
    config = WhiteBoxConfig(iterations=-(-num_photos // batch_size), batch_size=batch_size, learning_rate=learning_rate,
                            critic_learning_rate=5 * learning_rate, width=width, seed=seed, device=device)

    def seen(iteration: int, _: dict[str, float], agent: WhiteBoxAgent) -> None:
        if look is not None:
            look(iteration * batch_size, partial(agent.retouched, max_steps=max_steps))

    agent = fit_white_box(env, config, trainer=trainer, experts=_images(experts, num_crops), look=seen)
    return partial(agent.retouched, max_steps=max_steps)


def _images(crops: Crops, num: int) -> np.ndarray:
    """(num, size, size, 3) crops."""
    return np.ascontiguousarray(crops.batch(num).numpy().transpose(0, 2, 3, 1))

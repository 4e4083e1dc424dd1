"""Exposure (Hu et al., 2018) as a rival: its agent, in a game against a discriminator that learns.

As in its code: rewards are a twentieth of what the discriminator's score rises by, so a filter used again costs more
than most filters gain, and the agent soon takes five different ones; one-sided gradient penalty; learning rates that
fall. Sized for one processor: thumbnails of 32 px and not 64, as filters are the same all over the photo; fewer and
faster steps, so the choice among the filters has a higher learning rate than their parameters. Were it as slow as they
are, the five likeliest filters of a choice still nearly even would be one and the same, used five times.
"""

from dataclasses import dataclass

import numpy as np
import torch

from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.trainer import DiscriminatorTrainer
from agents.rivals.crops import Crops, Look, check_amount
from agents.rivals.white_box import WhiteBoxAgent, WhiteBoxConfig, fit_white_box
from exposure_env.photos import Photo, thumbnail
from exposure_env.white_box import WhiteBoxEnv


@dataclass(frozen=True)
class Exposure:
    """A trained agent as a function from photo to photo."""

    agent: WhiteBoxAgent
    max_steps: int  # filters for a photo

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """The photo retouched; see `WhiteBoxAgent.retouched`."""
        return self.agent.retouched(photo, self.max_steps)

    def filters(self, photo: np.ndarray) -> list[str]:
        """The names of the filters that it takes, in their order."""
        return [name for name, _ in self.agent.choices(photo, self.max_steps)]


def fit_exposure(inputs: Crops, experts: Crops, *, num_photos: int, seed: int = 0, device: str = "cpu",
                 look: Look | None = None, batch_size: int = 32, max_steps: int = 5, reuse_penalty: float = 1.0,
                 learning_rate: float = 3e-5, choice_learning_rate: float = 3e-4,
                 discriminator_learning_rate: float = 5e-4, learning_rate_decay: float = 0.1,
                 reward_scale: float = 0.05, entropy_penalty: float = 0.05, n_critic: int = 5, warm_up: int = 20,
                 averaging: float = 0.98, size: int = 32, width: int = 16, num_crops: int = 2048) -> Exposure:
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
        reuse_penalty: What a filter used again costs, in units of the reward.
        learning_rate: Adam's, of the filters' parameters; the critic's is five times as large.
        choice_learning_rate: Adam's, of the choice among the filters.
        discriminator_learning_rate: Adam's, of the discriminator.
        learning_rate_decay: What is left of all learning rates at the end, falling exponentially.
        reward_scale: Factor from the discriminator's score to the reward.
        entropy_penalty: See `WhiteBoxConfig`.
        n_critic: Steps of the discriminator for each batch.
        warm_up: First batches, of which the agent doesn't learn yet; at most a quarter of all.
        averaging: See `WhiteBoxConfig`: agent and discriminator circle each other, and their mean is in the middle.
        size: Side of the thumbnails that agent and discriminator see [px].
        width: Channels of the networks' first convolution.
        num_crops: Number of crops of each source that batches are drawn from.

    Raises:
        ValueError: If a number is below 1.
    """
    check_amount(num_photos, batch_size)
    torch.manual_seed(seed)
    reward = DiscriminatorReward(size=size, width=width, contrast="std", device=device)
    photos = [Photo(str(number), image) for number, image in enumerate(_images(inputs, num_crops, size))]
    env = WhiteBoxEnv(photos, reward, max_steps=max_steps, reuse_penalty=reuse_penalty, size=size)
    trainer = DiscriminatorTrainer(
        reward, learning_rate=lambda left: discriminator_learning_rate * learning_rate_decay ** (1 - left),
        one_sided=True, seed=seed)
    iterations = -(-num_photos // batch_size)
    config = WhiteBoxConfig(iterations=iterations, batch_size=batch_size, learning_rate=learning_rate,
                            choice_learning_rate=choice_learning_rate, critic_learning_rate=5 * learning_rate,
                            learning_rate_decay=learning_rate_decay, reward_scale=reward_scale,
                            entropy_penalty=entropy_penalty, n_critic=n_critic, warm_up=min(warm_up, iterations // 4),
                            averaging=averaging, width=width, seed=seed, device=device)

    def seen(iteration: int, _: dict[str, float], agent: WhiteBoxAgent) -> None:
        if look is not None:
            look(iteration * batch_size, Exposure(agent, max_steps))

    agent = fit_white_box(env, config, trainer=trainer, experts=_images(experts, num_crops, size), look=seen)
    return Exposure(agent, max_steps)


def _images(crops: Crops, num: int, size: int) -> np.ndarray:
    """(num, size, size, 3) crops as thumbnails."""
    return np.stack([thumbnail(np.ascontiguousarray(crop.transpose(1, 2, 0)), size)
                     for crop in crops.batch(num).numpy()])

"""The adversarial game around any agent: while it collects episodes, a discriminator learns to tell them from experts'.

`AdversarialReward` is an SB3 callback. It knows nothing of the agent but the images that its episodes end with.
"""

from collections.abc import Sequence

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.discriminator import DiscriminatorTrainer
from exposure_env.photos import Misexpose, Photo, check_photo, misexpose, thumbnail

MARGIN = 9 / 8  # experts are kept this much larger than the crops that are shown


class ExpertPhotos:
    """Batches of experts' photos, and of the same photos wrongly exposed.

    Args:
        photos: Experts' photos; their `target`s and names play no part.
        size: Side of the images in a batch [px].
        misexposure: How photos are spoilt.
        seed: Of the choice, the crops and flips, and the misexposure.

    Raises:
        ValueError: If there are no photos, or one isn't a photo (see `photos.check_photo`).
    """

    def __init__(self, photos: Sequence[Photo], size: int = 64, misexposure: Misexpose | None = None, seed: int = 0):
        if len(photos) == 0:
            raise ValueError("experts is empty: a discriminator needs photos to learn from")
        self.size, self.misexposure = size, misexposure or Misexpose((-2.5, 2.5), local=0.0)
        images = (check_photo(photo.image, photo.name) for photo in photos)
        self.images = np.stack([thumbnail(image, round(size * MARGIN)) for image in images])
        self.rng = np.random.default_rng(seed)

    def batch(self, num: int) -> np.ndarray:
        """(num, size, size, 3) float32: random photos, a little cropped, half of them mirrored."""
        chosen = self.images[self.rng.integers(len(self.images), size=num)]
        corners = self.rng.integers(0, self.images.shape[1] - self.size + 1, (num, 2))
        crops = [image[y : y + self.size, x : x + self.size] for image, (y, x) in zip(chosen, corners, strict=True)]
        return mirrored(np.stack(crops), self.rng) if num else self.images[:0, : self.size, : self.size]

    def misexposed(self, num: int) -> np.ndarray:
        """(num, size, size, 3) float32: such a batch, every photo wrongly exposed."""
        how = self.misexposure
        spoilt = [misexpose(image, self.rng, ev_range=how.ev_range, local=how.local, bits=how.bits)[0]
                  for image in self.batch(num)]
        return np.stack(spoilt) if num else self.batch(0)


class AdversarialReward(BaseCallback):
    """After every rollout the discriminator takes some steps; then the agent is updated against it.

    Fakes are of three kinds: images that the agent has just made, images it made earlier, and experts' photos
    deliberately misexposed. The last need no pairs, and they alone show the discriminator a photo's own right exposure:
    without them it learns the distribution of brightness over the data set and no more.

    Args:
        trainer: Trainer of the discriminator that is the environment's reward.
        experts: Source of real images.
        n_critic: Discriminator steps per rollout.
        batch_size: Real images, and fakes, in a step.
        warm_up: Discriminator steps after the first rollout, before the agent's first update.
        pooled: Fraction of fakes taken from a pool of earlier ones.
        misexposed: Fraction of fakes that are misexposed experts' photos.
        pool_size: Images remembered.
        seed: Of the choice of images.

    Raises:
        ValueError: If fractions are negative or add up to more than 1, or a number is below 1.
    """

    def __init__(self, trainer: DiscriminatorTrainer, experts: ExpertPhotos, *, n_critic: int = 5, batch_size: int = 8,
                 warm_up: int = 30, pooled: float = 0.5, misexposed: float = 0.0, pool_size: int = 2048,
                 seed: int = 0):
        super().__init__()
        if min(pooled, misexposed) < 0 or pooled + misexposed > 1:
            raise ValueError(f"pooled and misexposed are fractions of one batch, not {pooled} and {misexposed}")
        if min(n_critic, batch_size, pool_size) < 1:
            raise ValueError(f"n_critic, batch_size and pool_size must be at least 1, not {n_critic}, {batch_size} and "
                             f"{pool_size}")
        self.trainer, self.experts = trainer, experts
        self.n_critic, self.batch_size, self.warm_up = n_critic, batch_size, warm_up
        self.num_misexposed = round(misexposed * batch_size)
        self.num_pooled = min(round(pooled * batch_size), batch_size - self.num_misexposed)  # both may round up
        self.pool_size, self.rng = pool_size, np.random.default_rng(seed)
        self.fresh: list[np.ndarray] = []
        self.pool: np.ndarray | None = None
        self.rollouts = 0

    def _on_step(self) -> bool:
        finished = self.training_env.unwrapped.finished
        if finished is not None:
            self.fresh += self.training_env.unwrapped.task.shown(finished.state, finished.image)
        return True

    def _on_rollout_end(self) -> None:
        if not self.fresh:  # a short rollout of another agent, in which no episode ended
            return
        fresh = np.concatenate(self.fresh)
        self.fresh.clear()
        earlier = fresh[:0] if self.pool is None else self.pool
        self.pool = np.concatenate([earlier, fresh])[-self.pool_size :]
        self.trainer.progress(self.model._current_progress_remaining)
        for _ in range(self.n_critic if self.rollouts else max(self.warm_up, self.n_critic)):
            metrics = self.trainer.update(self.experts.batch(self.batch_size), self._fakes(fresh))
        self.rollouts += 1
        for name, value in metrics.items():
            self.logger.record(f"discriminator/{name}", value)

    def _fakes(self, fresh: np.ndarray) -> np.ndarray:
        num_fresh = self.batch_size - self.num_pooled - self.num_misexposed
        drawn = [source[self.rng.integers(len(source), size=num)]
                 for source, num in ((fresh, num_fresh), (self.pool, self.num_pooled))]
        own = np.concatenate(drawn)
        return np.concatenate([mirrored(own, self.rng), self.experts.misexposed(self.num_misexposed)])


def mirrored(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The images, a random half of them flipped left to right."""
    return np.where((rng.random(len(images)) < 0.5)[:, None, None, None], images[:, :, ::-1], images)

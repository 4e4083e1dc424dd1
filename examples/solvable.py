"""A task with a known answer: photographs darkened by known EVs, rewarded by PSNR. Does the agent find them?

python examples/solvable.py (the whole photo, DeepExposure II; under two minutes on a laptop)

python examples/solvable.py --segments 4 --value critic (tile by tile, DeepExposure I; some minutes)

python examples/solvable.py --quick (20 seconds)

Sixteen photographs; every episode darkens each tile of one afresh, by an EV uniform in -2..+0.5 stops.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import tyro

from agents.deep_exposure import DeepExposure
from agents.evaluation.judging import evaluate
from agents.vec_env import ExposureVecEnv
from exposure_env import ExposureTask, Photo, sample_photos
from exposure_env.image import clip, expose
from exposure_env.photos import thumbnail

EVS = (-2.0, 0.5)


@dataclass(frozen=True)
class Solvable:
    """Budget and seed."""

    segments: Literal[1, 4] = 1  # tiles that a photo is cut into
    value: Literal["discriminator", "critic", "pathwise", "q"] = "discriminator"  # see agents.gradients
    total_timesteps: int | None = None  # 12,800 for one segment, 64,000 for four
    seed: int = 0
    quick: bool = False


def tiles(image: np.ndarray) -> np.ndarray:
    """A segmenter: upper left, upper right, lower left, lower right."""
    rows, columns = (np.arange(length) * 2 // length for length in image.shape[:2])
    return (rows[:, None] * 2 + columns).astype(np.int32)


def whole(image: np.ndarray) -> np.ndarray:
    """A segmenter: all one."""
    return np.zeros(image.shape[:2], np.int32)


@dataclass(frozen=True)
class Darken:
    """Each segment under an exposure of its own; 8 bits."""

    segments: int

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The darkened photo, with the good one as its target and the EV map that restores it."""
        labels = (tiles if self.segments == 4 else whole)(photo.image)
        ev_map = rng.uniform(*EVS, self.segments).astype(np.float32)[labels]
        wrong = np.round(clip(expose(photo.image, ev_map)) * 255) / 255
        return Photo(photo.name, wrong.astype(np.float32), photo.image, -ev_map)


def solve(options: Solvable) -> tuple[float, float]:
    """Trains; mean absolute EV error of the agent and of the best constant EV, over segments of fresh draws [stops]."""
    timesteps = 1600 if options.quick else options.total_timesteps or (12_800 if options.segments == 1 else 64_000)
    darken, segmenter = Darken(options.segments), tiles if options.segments == 4 else whole
    photos = [Photo(photo.name, thumbnail(photo.image)) for photo in sample_photos("experts", 16)]
    settings = {"segmenter": segmenter, "max_segments": options.segments, "order": "label", "fusion": "local"}
    env = ExposureVecEnv(None, 32, photos=photos, transform=darken, reward_model="psnr", **settings)

    def schedule(start: float):
        return lambda remaining: start * 0.05 ** (1 - remaining)

    model = DeepExposure(
        "CnnPolicy", env, schedule(2e-3), value=options.value, critic_learning_rate=schedule(4e-3), critic_steps=4,
        shaping=True, n_batches=1, batch_size=32, max_slope=4.0, seed=options.seed,
        policy_kwargs={"width": 16, "halvings": 1, "betas": (0.9, 0.999)},
    )
    model.learn(timesteps, progress_bar=True)

    rng = np.random.default_rng(options.seed + 1)
    fresh = [darken(photo, rng) for photo in photos for _ in range(16)]
    records = evaluate(model, ExposureTask(fresh, **settings)).records
    true, chosen = (np.array([getattr(record, name) for record in records]) for name in ("true_evs", "evs"))
    return float(abs(chosen - true).mean()), float(abs(np.median(true) - true).mean())  # the median errs least


if __name__ == "__main__":
    options = tyro.cli(Solvable, description=__doc__)
    error, constant_error = solve(options)
    print(f"mean absolute EV error: agent {error:.3f}, best constant EV {constant_error:.3f} stops")

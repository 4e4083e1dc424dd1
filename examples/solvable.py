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

from agents import DeepExposure, evaluate
from agents.vec_env import ExposureVecEnv
from exposure_env import ExposureTask, Photo, sample_photos
from exposure_env.image import clip, expose
from exposure_env.photos import thumbnail


@dataclass(frozen=True)
class Solvable:
    """Task, budget and seed."""

    segments: Literal[1, 4] = 1  # tiles that a photo is cut into
    value: Literal["discriminator", "critic", "pathwise", "q"] = "discriminator"  # see agents.deep_exposure.gradients
    total_timesteps: int | None = None  # 12,800 for one segment, 64,000 for four
    seed: int = 0
    quick: bool = False


@dataclass(frozen=True)
class Tiles:
    """A grid of one tile, or of two by two."""

    segments: int

    def labels(self, image: np.ndarray) -> np.ndarray:
        """A segmenter: number the tiles row by row."""
        side = round(self.segments**0.5)
        rows, columns = (np.arange(length) * side // length for length in image.shape[:2])
        return (rows[:, None] * side + columns).astype(np.int32)

    def darken(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """A transform: expose each tile by an EV of its own, in 8 bits; the target is the good photo."""
        ev_map = rng.uniform(-2.0, 0.5, self.segments).astype(np.float32)[self.labels(photo.image)]
        wrong = np.round(clip(expose(photo.image, ev_map)) * 255) / 255
        return Photo(photo.name, wrong.astype(np.float32), photo.image, -ev_map)  # -ev_map restores the good photo


def solve(options: Solvable) -> tuple[float, float]:
    """Train; mean absolute EV errors of the agent and of the best constant EV on fresh draws [stops]."""
    timesteps = 1600 if options.quick else options.total_timesteps or (12_800 if options.segments == 1 else 64_000)
    tiles, photos = Tiles(options.segments), [Photo(p.name, thumbnail(p.image)) for p in sample_photos("experts", 16)]
    settings = {"segmenter": tiles.labels, "max_segments": options.segments, "order": "label", "fusion": "local"}
    env = ExposureVecEnv(None, 32, photos=photos, transform=tiles.darken, reward_model="psnr", **settings)

    def falling(rate: float):  # to a twentieth in the course of the training
        return lambda remaining: rate * 0.05 ** (1 - remaining)

    model = DeepExposure(
        "CnnPolicy", env, falling(2e-3), critic_learning_rate=falling(4e-3), value=options.value, critic_steps=4,
        shaping=True, n_batches=1, batch_size=32, max_slope=4.0, seed=options.seed,
        policy_kwargs={"width": 16, "halvings": 1, "betas": (0.9, 0.999)},
    )
    model.learn(timesteps, progress_bar=True)
    rng = np.random.default_rng(options.seed + 1)
    fresh = [tiles.darken(photo, rng) for photo in photos for _ in range(16)]
    records = evaluate(model, ExposureTask(fresh, **settings)).records
    true, chosen = (np.array([getattr(record, name) for record in records]) for name in ("true_evs", "evs"))
    return float(abs(chosen - true).mean()), float(abs(np.median(true) - true).mean())  # the median errs least


if __name__ == "__main__":
    error, constant_error = solve(tyro.cli(Solvable, description=__doc__))
    print(f"mean absolute EV error: agent {error:.3f}, best constant EV {constant_error:.3f} stops")

"""A task with a known answer: photographs darkened by a known EV, rewarded by PSNR. Does the agent find the EV?

python examples/solvable.py (under two minutes on a laptop)

python examples/solvable.py --quick (20 seconds)

Sixteen photographs; every episode darkens one afresh by an EV uniform in -2..+0.5. The whole photo is one segment.
"""

from dataclasses import dataclass

import numpy as np
import tyro

from agents.deep_exposure import DeepExposure
from agents.evaluation import evaluate
from agents.vec_env import ExposureVecEnv
from exposure_env import ExposureTask, Misexpose, Photo, sample_photos
from exposure_env.photos import thumbnail


@dataclass(frozen=True)
class Solvable:
    """Budget and seed."""

    total_timesteps: int = 12_800
    seed: int = 0
    quick: bool = False


def solve(options: Solvable) -> tuple[float, float]:
    """Trains; mean absolute EV error of the agent and of the best constant EV, on fresh draws [stops]."""
    timesteps = 1600 if options.quick else options.total_timesteps
    darken = Misexpose(ev_range=(-2.0, 0.5), local=0.0)
    photos = [Photo(photo.name, thumbnail(photo.image)) for photo in sample_photos("experts", 16)]
    env = ExposureVecEnv("exposure_env:Exposure/Global-v0", 32, photos=photos, transform=darken, reward_model="psnr")
    model = DeepExposure(
        "CnnPolicy", env, lambda remaining: 2e-3 * 0.05 ** (1 - remaining), n_batches=1, batch_size=32, max_slope=4.0,
        seed=options.seed, policy_kwargs={"width": 16, "halvings": 1, "betas": (0.9, 0.999)},
    )
    model.learn(timesteps, progress_bar=True)

    rng = np.random.default_rng(options.seed + 1)
    fresh = [darken(photo, rng) for photo in photos for _ in range(16)]
    task = ExposureTask(fresh, max_segments=1)
    true = np.array([photo.ev_map.mean() for photo in fresh])
    chosen = np.array([record.evs[0] for record in evaluate(model, task).records])
    return float(abs(chosen - true).mean()), float(abs(np.median(true) - true).mean())  # the median errs least


if __name__ == "__main__":
    error, constant_error = solve(tyro.cli(Solvable, description=__doc__))
    print(f"mean absolute EV error: agent {error:.3f}, best constant EV {constant_error:.3f} stops")

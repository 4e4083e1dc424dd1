"""The benchmark's supervised yardsticks: how much of a protocol a plain network learns, told what is good."""

import time
from collections.abc import Sequence
from typing import Any

from agents.baselines.regression import FieldNet, FreeRegression, FreshPairs, Regression, fit_field
from agents.benchmark.methods import YARDSTICKS
from agents.benchmark.trials import Trial, cell_content, curve_of, rounded, spent
from exposure_env.photos import Photo, thumbnail


def yardstick_pairs(trial: Trial) -> FreshPairs:
    """The photos that a yardstick learns from: inputs with targets, or experts' photos alone.

    Raises:
        ValueError: If there are none.
    """
    inputs = YARDSTICKS[trial.method]["learns"] == "inputs"
    return fresh_pairs(paired_inputs(trial) if inputs else trial.split.experts, trial)


def paired_inputs(trial: Trial) -> list[Photo]:
    """The inputs with targets."""
    return [photo for photo in trial.split.inputs if photo.target is not None]


def fresh_pairs(photos: Sequence[Photo], trial: Trial) -> FreshPairs:
    """Pairs from photos, exposed wrongly as in the trial's protocol.

    Raises:
        ValueError: If there are no photos.
    """
    side = min((min(photo.image.shape[:2]) for photo in photos), default=0)  # crops of the sample photos differ in size
    alike = [Photo(photo.name, *(image if image is None else thumbnail(image, side) for image in photo[1:]))
             for photo in photos]
    return FreshPairs(alike, trial.degradation, trial.task.config.size, trial.config.seed)


def run_yardstick(trial: Trial) -> dict[str, Any]:
    """Trains and tests a yardstick, on `total_timesteps` photos; see `trials.run_learner`. The network isn't kept."""
    task, config = trial.task, trial.config
    kind, max_ev = FreeRegression if YARDSTICKS[trial.method]["free"] else Regression, task.config.max_ev
    curve = curve_of(trial, task)
    curve.look(0, kind(FieldNet(task.config.size), max_ev))
    curve.cpu = curve.wall = 0.0  # the cost of the first look doesn't count

    def look(num_photos: int, net: FieldNet) -> None:
        if num_photos < config.total_timesteps and curve.due(num_photos):
            curve.look(num_photos, kind(net, max_ev))

    cpu, wall = time.process_time(), time.perf_counter()
    net = fit_field(yardstick_pairs(trial), num_photos=config.total_timesteps, space=task.config.space,
                    seed=config.seed, device=config.device, look=look)
    cost = spent(cpu, wall, curve)
    evaluation = trial.evaluate(kind(net, max_ev), task)
    curve.points.append((config.total_timesteps, float(evaluation.values("psnr").mean())))
    return cell_content(trial, evaluation, cost | {"curve": rounded(curve)})

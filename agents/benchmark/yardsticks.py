"""The benchmark's supervised yardsticks: how much of a protocol a plain network learns, told what is good."""

from collections.abc import Callable, Sequence
from typing import Any

from agents.baselines.regression import FieldNet, FreeRegression, FreshPairs, Regression, fit_field
from agents.benchmark.methods import YARDSTICKS
from agents.benchmark.trials import Trial, run_fitted
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
    """Trains and tests a yardstick; see `trials.run_fitted`."""
    config, task = trial.config, trial.task.config
    kind = FreeRegression if YARDSTICKS[trial.method]["free"] else Regression

    def fit(look: Callable[[int, Regression], None]) -> Regression:
        return kind(fit_field(yardstick_pairs(trial), num_photos=config.total_timesteps, space=task.space,
                              seed=config.seed, device=config.device,
                              look=lambda number, net: look(number, kind(net, task.max_ev))), task.max_ev)

    return run_fitted(trial, kind(FieldNet(task.size), task.max_ev), fit)

"""Rewards made of rewards: weighted sums, and scores brought to a common scale."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from exposure_env.image import Array
from exposure_env.rewards.model import is_differentiable, name_of, scored


class WeightedReward:
    """A weighted sum of reward models; what each of them says is reported beside it.

    Args:
        models: Reward models by name.
        weights: The weight of each, by the same names.

    Raises:
        ValueError: If there are none, the names differ, or a weight isn't a finite number.
    """

    keeps_images = True  # `scored` hands copies on to those that may not

    def __init__(self, models: Mapping[str, Callable[..., Any]], weights: Mapping[str, float]):
        if not models or models.keys() != weights.keys():
            raise ValueError(f"a weighted sum needs at least one reward model, and a weight for each: models are "
                             f"{sorted(models)}, weights {sorted(weights)}")
        for name, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
                raise ValueError(f"the weight of reward {name!r} must be a finite number, not {weight!r}")
        self.models, self.weights = dict(models), {name: float(weight) for name, weight in weights.items()}
        self.parts = tuple(self.models)  # names of what is reported

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from all of its parts that have any weight."""
        return all(is_differentiable(model) for name, model in self.models.items() if self.weights[name])

    @property
    def version(self) -> Any:
        """The version of its only part, or those of its parts; None if one of them has none."""
        versions = tuple(getattr(model, "version", None) for model in self.models.values())
        return None if None in versions else versions if len(versions) > 1 else versions[0]

    def __repr__(self) -> str:
        return " + ".join(f"{weight:g} {name}" for name, weight in self.weights.items())

    def __call__(self, images: Array, *, inputs: Array, targets: Array | None) -> tuple[Array, dict[str, Array]]:
        """The (N,) weighted sums, and the (N,) scores of each part, unweighted."""
        parts = {name: scored(model, images, inputs, targets).scores for name, model in self.models.items()}
        return sum(self.weights[name] * scores for name, scores in parts.items()), parts


class Anchored:
    """A reward model on a scale that others share: 0 for untouched photos, 1 for good ones, in the mean over a few.

    Args:
        model: The reward model.
        inputs: (N, H, W, 3) untouched photos.
        good: (N, H, W, 3) results that are worth 1, such as their targets or an oracle's.
        targets: (N, H, W, 3) what the reward model may compare with; None if it doesn't.

    Raises:
        ValueError: If the model doesn't rank the good ones above the untouched, in the mean.
    """

    keeps_images = True

    def __init__(self, model: Callable[..., Any], inputs: np.ndarray, good: np.ndarray,
                 targets: np.ndarray | None = None):
        zero, one = (float(np.mean(np.asarray(scored(model, images, inputs, targets).scores)))
                     for images in (inputs, good))
        if not one > zero:
            raise ValueError(f"reward model {name_of(model)} gives untouched photos {zero:.4g} and good ones "
                             f"{one:.4g} in the mean: there is no scale on which the better has more")
        self.model, self.zero, self.span = model, zero, one - zero

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow from the model's scores."""
        return is_differentiable(self.model)

    @property
    def version(self) -> Any:
        """The model's version."""
        return getattr(self.model, "version", None)

    def __repr__(self) -> str:
        return f"Anchored({name_of(self.model)})"

    def __call__(self, images: Array, *, inputs: Array, targets: Array | None) -> Array:
        """(N,) scores."""
        return (scored(self.model, images, inputs, targets).scores - self.zero) / self.span

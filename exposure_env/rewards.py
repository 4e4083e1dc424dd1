"""What is a good retouch? Reward models: anything that scores a batch of images.

A reward model is called with images (N, H, W, 3) in [0, 1], NumPy or Torch, and the context `inputs` (the untouched
photos) and `targets` (experts' versions, or None), and returns N scores, higher is better. A plain function will do.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace

from exposure_env.acceleration import accelerated
from exposure_env.errors import NotFinite
from exposure_env.image import Array

FLOOR = 1e-10  # mean squared error of a perfect match, so that its PSNR is 100 dB and not infinite


class RewardModel(Protocol):
    """A model that scores a batch of images.

    It may also have a `version`: while that stays the same, so do its scores, and those of the photos are remembered.
    """

    differentiable: bool  # whether gradients flow from the scores to images that are Torch tensors

    def __call__(self, images: Array, *, inputs: Array, targets: Array | None) -> Array:
        """The scores, (N,), of images (N, H, W, 3) in [0, 1]; the same kind of array as the images."""
        ...


def negative_mse(images: Array, *, targets: Array | None, **context: Any) -> Array:
    """Minus the mean squared error against the targets, (N,) in [-1, 0].

    Raises:
        ValueError: If there are no targets, or the images are integers.
    """
    if targets is None:
        raise ValueError("this reward compares with targets, and the photos have none: give paired photos")
    if not array_namespace(images, targets).isdtype(images.dtype, "real floating"):
        raise ValueError(f"images must be floats in [0, 1], not {images.dtype}: differences of integers wrap around")
    return -_squared_error(images, targets)


@accelerated("episode.squared_error")
def _squared_error(images: Array, targets: Array) -> Array:
    return array_namespace(images).mean((images - targets) ** 2, axis=(1, 2, 3))


def psnr(images: Array, *, targets: Array | None, **context: Any) -> Array:
    """Peak signal-to-noise ratio against the targets, (N,) in [dB], at most 100.

    Raises:
        ValueError: If there are no targets.
    """
    return -10 * array_namespace(images).log10(FLOOR - negative_mse(images, targets=targets))


def well_exposedness(images: Array, **context: Any) -> Array:
    """Mean Mertens exposedness, (N,) in [0, 1]: 1 where every channel of every pixel is mid-grey."""
    xp = array_namespace(images)
    return xp.mean(xp.exp(-12.5 * xp.sum((images - 0.5) ** 2, axis=-1)), axis=(1, 2))


REWARDS: dict[str, Callable[..., Array]] = {
    reward.__name__: reward for reward in (psnr, negative_mse, well_exposedness)
}
for _reward in REWARDS.values():
    _reward.differentiable, _reward.version = True, 0  # type: ignore[attr-defined]


def is_differentiable(model: Any) -> bool:
    """Whether gradients flow from a reward model's scores to images that are Torch tensors."""
    return getattr(model, "differentiable", False)


class BatchFunction:
    """A function of images alone, or of images and some of the context, as a reward model."""

    def __init__(self, function: Callable[..., Array]):
        """Wraps `function(images)`, which may also have parameters `inputs` or `targets`."""
        self.function = function
        self.differentiable = getattr(function, "differentiable", False)
        self.version = getattr(function, "version", None)
        self.context = [name for name in ("inputs", "targets") if name in _parameters(function)]

    def __repr__(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))

    def __call__(self, images: Array, **context: Any) -> Array:
        """The function's scores, (N,)."""
        return self.function(images, **{name: context[name] for name in self.context})


def _parameters(function: Callable[..., Array]) -> Mapping[str, inspect.Parameter]:
    # A Torch module's __call__ takes anything and hands it on to `forward`.
    return inspect.signature(getattr(function, "forward", function)).parameters


def resolve_reward(spec: Any) -> Callable[..., Array]:
    """The reward model that `spec` stands for.

    Args:
        spec: A reward model, a plain function over a batch of images, a name in `REWARDS`, or "module:attribute"
            (imported now; a class is instantiated without arguments).

    Raises:
        ValueError: If nothing of that name exists, its module fails, or `spec` can't be called.
    """
    if isinstance(spec, str) and spec in REWARDS:
        return REWARDS[spec]
    if isinstance(spec, str):
        spec = _imported(spec)
    if not callable(spec):
        raise ValueError(f"a reward model must be callable or a name, not {spec!r}")
    parameters = _parameters(spec)
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or {"inputs", "targets"} <= set(parameters)
    return spec if takes_all else BatchFunction(spec)


def _imported(spec: str) -> Any:
    module, _, attribute = spec.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
        return found() if isinstance(found, type) else found
    except Exception as error:  # a user's module may fail in any way when it is imported
        raise ValueError(f'reward {spec!r} is neither one of {sorted(REWARDS)} nor a "module:attribute" that can be '
                         f"imported: {type(error).__name__}: {error}") from error


def score(model: Callable[..., Array], images: Array, inputs: Array, targets: Array | None) -> Array:
    """The model's scores of a batch, checked.

    Args:
        model: A reward model.
        images: (N, H, W, 3) floats in [0, 1].
        inputs: (N, H, W, 3) untouched photos.
        targets: (N, H, W, 3) experts' versions, or None.

    Returns:
        (N,) finite floats.

    Raises:
        ValueError: If the model returned another shape or no real numbers; a `NotFinite` if a score is not finite.
    """
    scores = model(images, inputs=inputs, targets=targets)
    shape = tuple(getattr(scores, "shape", np.shape(scores)))
    if shape != (images.shape[0],):
        raise ValueError(f"reward model {model!r} returned shape {shape} for {images.shape[0]} images: want one each")
    if isinstance(scores, list | tuple):
        scores = np.asarray(scores)
    if not array_namespace(scores).isdtype(scores.dtype, ("real floating", "integral")):
        raise ValueError(f"reward model {model!r} returned {scores.dtype}: want real numbers")
    if not bool(array_namespace(scores).all(array_namespace(scores).isfinite(scores))):
        raise NotFinite(f"reward model {model!r} returned a score that is not finite: {scores}")
    return scores

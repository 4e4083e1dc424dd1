"""What a reward model is, and how a batch of images is scored with one: checked, and part by part."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from exposure_env.errors import NotFinite
from exposure_env.image import Array

CONTEXT = ("inputs", "targets")  # what a reward model may ask for besides the images


class RewardModel(Protocol):
    """A model that scores a batch of images, higher is better.

    It may also have:
        version: While it stays the same, so do the scores, and those of untouched photos are remembered.
        lower_better: True for a distance, as in pyiqa: scores are then taken with the opposite sign.
        parts: Names of the parts that it reports (see below), so that they are in the infos from the reset on.
        keeps_images: True where it is known not to write into its arguments, which are then handed over as they are.
    """

    differentiable: bool  # whether gradients flow from the scores to images that are Torch tensors

    def __call__(self, images: Array, *, inputs: Array, targets: Array | None) -> Array:
        """The scores, (N,), of images (N, H, W, 3) in [0, 1]; the same kind of array as the images.

        In place of the scores it may return (scores, parts): parts is a dict of further numbers, each (N,), which are
        reported in `info["rewards"]` and never change the reward.
        """
        ...


class Scored(NamedTuple):
    """The scores of a batch, and what they are made of."""

    scores: Array  # (N,) finite, higher is better
    parts: dict[str, Array]  # by name, each (N,); empty for a model without parts


class BatchFunction:
    """A function of images alone, or of images and some of the context, as a reward model.

    Args:
        function: `function(images)`; it may also have parameters `inputs` and `targets`.

    Raises:
        ValueError: If it needs an argument that no reward model is given.
    """

    def __init__(self, function: Callable[..., Array]):
        self.function = function
        self.differentiable = getattr(function, "differentiable", False)
        self.lower_better = getattr(function, "lower_better", False)
        parameters = _parameters(function)
        self.context = [name for name in CONTEXT if name in parameters]
        needed = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty
                  and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)]
        if unknown := [name for name in needed[1:] if name not in CONTEXT]:
            raise ValueError(f"reward model {name_of(function)} asks for {unknown[0]!r}, which no reward model is "
                             f"given: after the images it may name {' and '.join(CONTEXT)}")

    @property
    def version(self) -> Any:
        """The function's own version, which may change; None if it has none."""
        return getattr(self.function, "version", None)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that the function promises to report."""
        return tuple(getattr(self.function, "parts", ()))

    @property
    def keeps_images(self) -> bool:
        """Whether the function is known not to write into its arguments."""
        return getattr(self.function, "keeps_images", False)

    def __repr__(self) -> str:
        return name_of(self.function)

    def __call__(self, images: Array, **context: Any) -> Any:
        """The function's scores, (N,)."""
        return self.function(images, **{name: context[name] for name in self.context})


def as_reward_model(function: Callable[..., Any]) -> Callable[..., Any]:
    """The callable itself if it takes all of the context, else a `BatchFunction` of it.

    Raises:
        ValueError: If it needs an argument that no reward model is given, or takes none.
    """
    try:
        parameters = _parameters(function)
    except (TypeError, ValueError):  # some functions written in C don't tell
        return BatchFunction(lambda images: function(images))
    if not parameters:
        raise ValueError(f"reward model {name_of(function)} takes no argument: it must take a batch of images")
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or set(CONTEXT) <= set(parameters)
    return function if takes_all else BatchFunction(function)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    # A Torch module's __call__ takes anything and hands it on to `forward`.
    return inspect.signature(getattr(function, "forward", function)).parameters


def is_differentiable(model: Any) -> bool:
    """Whether gradients flow from a reward model's scores to images that are Torch tensors."""
    return bool(getattr(model, "differentiable", False))


def name_of(model: Any) -> str:
    """What to call a reward model in a message or a table."""
    name = getattr(model, "name", None) or getattr(model, "__qualname__", None) or repr(model)
    return name.rpartition("<locals>.")[2]


def scored(model: Callable[..., Any], images: Array, inputs: Array, targets: Array | None) -> Scored:
    """The model's scores of a batch, checked, and their parts.

    Args:
        model: A reward model; see `RewardModel`.
        images: (N, H, W, 3) floats in [0, 1], NumPy or Torch. The model gets arrays of its own, so that whatever it
            writes into them changes nothing here.
        inputs: (N, H, W, 3) untouched photos.
        targets: (N, H, W, 3) experts' versions, or None.

    Returns:
        (N,) finite scores, higher is better, and parts of N numbers each.

    Raises:
        ValueError: If the model returned another shape or no real numbers; a `NotFinite` if a score is not finite.
    """
    keeps = getattr(model, "keeps_images", False)
    own = (lambda array: array) if keeps else _copied
    result = model(own(images), inputs=own(inputs), targets=None if targets is None else own(targets))
    parts: Any = {}
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping):
        result, parts = result
    scores = _checked(result, model, len(images))
    if getattr(model, "lower_better", False):
        scores = -scores
    return Scored(scores, {str(name): _checked(values, model, len(images), f"part {name!r} of ")
                           for name, values in parts.items()})


def score(model: Callable[..., Any], images: Array, inputs: Array, targets: Array | None) -> Array:
    """The model's (N,) scores of a batch, checked; see `scored`."""
    return scored(model, images, inputs, targets).scores


def _copied(array: Array) -> Array:
    """An array that a model may write into: gradients still flow through a tensor's."""
    return array.clone() if is_torch_array(array) else np.array(array)


def _checked(scores: Any, model: Any, num: int, what: str = "") -> Array:
    if isinstance(scores, list | tuple):
        scores = np.asarray(scores)
    shape, name = tuple(getattr(scores, "shape", np.shape(scores))), name_of(model)
    if shape != (num,):
        raise ValueError(f"{what}reward model {name} returned shape {shape} for {num} images: want one score each, "
                         f"shape ({num},)")
    xp = array_namespace(scores) if not (isinstance(scores, np.ndarray) and scores.dtype == object) else None
    if xp is None or not xp.isdtype(scores.dtype, ("real floating", "integral")):
        raise ValueError(f"{what}reward model {name} returned {scores.dtype}: want real numbers")
    if not bool(xp.all(xp.isfinite(scores))):
        wrong = [value.item() for value in scores[~xp.isfinite(scores)][:3]]
        raise NotFinite(f"{what}reward model {name} returned scores that are not finite, such as {wrong}")
    return scores

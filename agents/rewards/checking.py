"""The `check_env` of rewards: does a reward model keep to its contract, and does it want what a photographer wants?"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from exposure_env.image import expose
from exposure_env.photos import Photo, photo_thumbnail, sample_photos
from exposure_env.rewards import is_differentiable, name_of, resolve_reward, scored

CLOSE = 1e-4  # relative difference of two scores that should be the same
STOPS = (-2.0, -1.0, 1.0, 2.0)  # misexposures that experts' photos should be preferred to
PREFERRED = 0.5  # least fraction of photos in which they must be
FAITHFUL = 0.1  # largest relative error of a slope against the finite difference
STEPS = (1e-2, 3e-3, 1e-3)  # of finite differences, one of which must agree: smooth enough, and far above rounding


class RewardFault(NamedTuple):
    """Something that a reward model should not do."""

    check: str  # "shape", "finite", "deterministic", "batch", "writes", "torch", "gradient" or "direction"
    message: str  # what is wrong, and what would be right


class RewardReport(NamedTuple):
    """The result of `check_reward_model`."""

    name: str
    faults: list[RewardFault]
    preferred: dict[float, float]  # by misexposure [stops], the fraction of photos in which the expert's is preferred

    @property
    def passed(self) -> bool:
        """Whether there are no faults."""
        return not self.faults

    def text(self) -> str:
        """The report as lines of text."""
        liked = ", ".join(f"{stops:+g} EV {share:.0%}" for stops, share in self.preferred.items())
        lines = [f"{self.name}: {'passed' if self.passed else f'{len(self.faults)} faults'}"]
        lines += [f"  {fault.check}: {fault.message}" for fault in self.faults]
        return "\n".join([*lines, *([f"  experts' photos preferred to the same at {liked}"] if liked else [])])


class InvalidReward(ValueError):
    """A reward model that failed its check; `report` says how."""

    def __init__(self, report: RewardReport):
        super().__init__(report.text())
        self.report = report


def check_reward_model(model: Any, photos: Sequence[Photo] | None = None, size: int = 64,
                       strict: bool = True) -> RewardReport:
    """Checks a reward model as an environment and DeepExposure will use it.

    Checked are: shape, kind and finiteness of the scores on photos and on black, white, grey and other constant images;
    that the same images get the same scores, in any order and in batches of any size; that images are left as they are;
    that tensors get the scores that arrays get, and where the model says that it is differentiable, that its slope is
    that of finite differences; and that experts' photos are preferred, more often than not, to the same photos one and
    two stops too dark and too bright.

    Args:
        model: Anything that `rewards.resolve_reward` takes.
        photos: Good photos, five or more; by default the sample photos' experts. If all have targets, these are what
            the model may compare with; otherwise each photo is its own target.
        size: Side of the images [px].
        strict: Whether faults are raised rather than returned.

    Returns:
        The report.

    Raises:
        InvalidReward: With `strict`, if there is a fault; its message names all of them.
        ValueError: If there is no such model, or there are fewer than five photos.
    """
    model = resolve_reward(model)
    photos = sample_photos("experts", 16) if photos is None else photos
    if len(photos) < 5:
        raise ValueError(f"{len(photos)} photos are too few to say what a reward prefers: give five or more")
    examiner = _Examiner(model, np.stack([photo_thumbnail(photo.image, size, name=photo.name) for photo in photos]))
    report = examiner.report()
    if strict and not report.passed:
        raise InvalidReward(report)
    return report


class _Examiner:
    """The checks of one model, one after another; those that need scores are left out where there are none."""

    def __init__(self, model: Callable[..., Any], good: np.ndarray):
        self.model, self.name, self.good = model, name_of(model), good
        self.inputs = _exposed(good, -0.5)  # the photos that the agent would have been given
        self.faults: list[RewardFault] = []

    def scores(self, images: Any, inputs: Any = None, targets: Any = None) -> Any:
        inputs = self.inputs if inputs is None else inputs
        return scored(self.model, images, inputs, self.good if targets is None else targets).scores

    def report(self) -> RewardReport:
        preferred: dict[float, float] = {}
        if self._gives_scores():
            self._constant_images()
            self._same_again()
            self._batches()
            self._writes()
            preferred = self._direction()
            if is_differentiable(self.model):
                self._torch()
                self._gradient()
        return RewardReport(self.name, self.faults, preferred)

    def fault(self, check: str, message: str) -> None:
        self.faults.append(RewardFault(check, message))

    def _gives_scores(self) -> bool:
        try:
            self.scores(self.good)
        except Exception as error:  # a user's model may fail in any way
            self.fault("shape", f"it can't score photos: {type(error).__name__}: {error}")
            return False
        return True

    def _constant_images(self) -> None:
        levels = np.array([0.0, 1.0, 0.5, 0.25], np.float32)
        images = np.broadcast_to(levels[:, None, None, None], (4, *self.good.shape[1:])).copy()
        for level, image in zip(("black", "white", "grey", "dark grey"), images, strict=True):
            try:
                self.scores(image[None], image[None], image[None])
            except Exception as error:
                self.fault("finite", f"it fails on a {level} image, which an agent will make sooner or later: "
                                     f"{type(error).__name__}: {error}")
                return

    def _same_again(self) -> None:
        once, again = (np.asarray(self.scores(self.good), np.float64) for _ in range(2))
        if not np.array_equal(once, again):
            self.fault("deterministic", f"the same images got other scores the second time, by up to "
                                        f"{np.abs(once - again).max():.3g}: put networks into evaluation mode, and "
                                        "seed what is random")

    def _batches(self) -> None:
        together = np.asarray(self.scores(self.good), np.float64)
        alone = np.concatenate([np.asarray(self.scores(self.good[i : i + 1], self.inputs[i : i + 1],
                                                       self.good[i : i + 1]), np.float64)
                                for i in range(len(self.good))])
        backwards = np.asarray(self.scores(self.good[::-1].copy(), self.inputs[::-1].copy(),
                                           self.good[::-1].copy()), np.float64)[::-1]
        for what, other in {"alone": alone, "in another order": backwards}.items():
            if not np.allclose(together, other, rtol=CLOSE, atol=CLOSE * _scale(together)):
                self.fault("batch", f"an image {what} gets another score than among others, by up to "
                                    f"{np.abs(together - other).max():.3g}: scores must not depend on the rest of the "
                                    "batch, as with batch normalisation in training mode")
                return

    def _writes(self) -> None:
        images, inputs, targets = self.good.copy(), self.inputs.copy(), self.good.copy()
        self.model(images, inputs=inputs, targets=targets)
        changed = [name for name, (now, before) in {"images": (images, self.good), "inputs": (inputs, self.inputs),
                                                    "targets": (targets, self.good)}.items()
                   if not np.array_equal(now, before)]
        if changed:
            self.fault("writes", f"it writes into its {' and '.join(changed)}: copy them first")

    def _direction(self) -> dict[str, float]:
        # compared with the photo itself, not with the target: a model that compares would only see that they are equal
        best = np.asarray(self.scores(self.good), np.float64)
        preferred = {stops: float(np.mean(best > np.asarray(self.scores(_exposed(self.good, stops)), np.float64)))
                     for stops in STOPS}
        wrong = {stops: share for stops, share in preferred.items() if share < PREFERRED}
        if wrong:
            told = ", ".join(f"{stops:+g} EV in {share:.0%}" for stops, share in wrong.items())
            self.fault("direction", f"experts' photos should score above the same photos exposed wrongly, but are "
                                    f"preferred to {told} of the photos only: is a lower score better? Then set "
                                    "lower_better=True")
        return preferred

    def _torch(self) -> None:
        try:
            told = self.scores(*(torch.as_tensor(each) for each in (self.inputs, self.inputs, self.good)))
        except Exception as error:
            self.fault("torch", f"it says that it is differentiable, but can't score tensors: {type(error).__name__}: "
                                f"{error}")
            return
        if not isinstance(told, Tensor):
            self.fault("torch", f"it says that it is differentiable, but of tensors it makes {type(told).__name__}")
            return
        ours = np.asarray(self.scores(self.inputs), np.float64)
        if not np.allclose(ours, told.detach().numpy(), rtol=CLOSE, atol=CLOSE * _scale(ours)):
            self.fault("torch", "tensors get other scores than the same arrays, by up to "
                                f"{np.abs(ours - told.detach().numpy()).max():.3g}")

    def _gradient(self) -> None:
        if any(fault.check == "torch" for fault in self.faults):
            return
        try:
            require_gradient(self.model, self.good.shape[1])
        except ValueError as error:
            self.fault("gradient", str(error))
            return
        images, inputs, targets = (torch.as_tensor(each, dtype=torch.float32)
                                   for each in (_exposed(self.good, -0.7), self.inputs, self.good))

        def brighter(by: float) -> Tensor:
            return self.scores(images * (1 + by), inputs, targets)

        by = torch.zeros(len(images), requires_grad=True)
        (slopes,) = torch.autograd.grad(self.scores(images * (1 + by)[:, None, None, None], inputs, targets).sum(), by)
        with torch.no_grad():
            measured = [((brighter(step) - brighter(-step)) / (2 * step)).double() for step in STEPS]
        errors = [(slopes.double() - each).norm() / (each.norm() + CLOSE) for each in measured]
        if not min(errors) <= FAITHFUL:
            self.fault("gradient", f"its slope is not that of its scores: along brightness it says "
                                   f"{slopes.mean():.4g}, finite differences say {measured[-1].mean():.4g}")


def require_gradient(model: Callable[..., Any], size: int = 16, device: str | torch.device = "cpu") -> None:
    """Checks that a gradient reaches the images that a reward model scores, so that an actor can learn from it.

    Args:
        model: A reward model.
        size: Side of the images that are tried [px].
        device: Where they are.

    Raises:
        ValueError: If the model doesn't say that it is differentiable, can't score tensors, or is detached from them.
    """
    name = name_of(model)
    if not is_differentiable(model):
        raise ValueError(f"DeepExposure needs a differentiable reward model, which {name} is not: set its attribute "
                         'differentiable=True if gradients flow to Torch images, or take value="q"')
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand((2, size, size, 3), generator=generator) * 0.5 + 0.2).to(device).requires_grad_()
    other = (torch.rand((2, size, size, 3), generator=generator) * 0.5 + 0.2).to(device)
    try:
        scores = scored(model, images, other, other).scores
    except Exception as error:  # a user's model may fail in any way
        raise ValueError(f"reward model {name} says that it is differentiable, but can't score tensors that need a "
                         f"gradient, on {device}: {type(error).__name__}: {error}") from error
    if not isinstance(scores, Tensor) or not scores.requires_grad:
        raise ValueError(f"reward model {name} says that it is differentiable, but no gradient reaches its images, so "
                         "nothing could be learned from it: look for detach(), no_grad(), .item() or NumPy in it")
    (gradient,) = torch.autograd.grad(scores.sum(), images, allow_unused=True)
    if gradient is None or not bool(gradient.isfinite().all()):
        told = "doesn't depend on its images" if gradient is None else "has a gradient that is not finite"
        raise ValueError(f"reward model {name} says that it is differentiable, but {told}")


def _exposed(images: np.ndarray, stops: float) -> np.ndarray:
    return np.clip(np.asarray(expose(images, stops)), 0.0, 1.0).astype(np.float32)


def _scale(scores: np.ndarray) -> float:
    return float(np.abs(scores).max()) + 1e-3

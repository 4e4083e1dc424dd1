"""Evaluation on whole photos: planned on the thumbnail, rendered and measured at full size in 8 bits."""

from collections.abc import Sequence

import numpy as np

from agents.evaluation.judging import Evaluation, PhotoRecord
from agents.evaluation.metrics import PERFECT, mse, psnr, ssim
from agents.playing import Policy, play
from exposure_env.image import Space, clip, expose
from exposure_env.photos import Photo
from exposure_env.retouch import RetouchPlan, apply_plan
from exposure_env.task import ExposureTask

LEVELS = np.arange(256, dtype=np.float32)


def evaluate_full_size(policy: Policy | Sequence[Policy], task: ExposureTask, photos: Sequence[Photo]) -> Evaluation:
    """The evaluation of photos retouched at full size, as on the command line, against all pixels of their targets.

    Args:
        policy: See `playing.Policy`; or one policy per photo.
        task: Segments, rendering and `max_ev`.
        photos: Photos with targets, of any size.

    Returns:
        Records whose images are the (H, W, 3) uint8 results. The true EV of all segments of a photo is the single EV
        that brings the whole photo nearest to its target.
    """
    policies = policy if isinstance(policy, Sequence) else [policy] * len(photos)
    true_evs = best_evs(photos, task.config.max_ev, task.config.space)
    records = [_record(*each, task) for each in zip(policies, photos, true_evs, strict=True)]
    return Evaluation(records, task.config.max_ev)


def _record(policy: Policy, photo: Photo, true_ev: float, task: ExposureTask) -> PhotoRecord:
    config = task.config
    scene = task.scene(photo, np.random.default_rng(0))
    state = task.start([scene])
    state = policy.plan(state) if hasattr(policy, "plan") else play(policy, task, state)
    count, labels = int(state.num_segments[0]), state.labels[0].copy()
    areas = np.bincount(labels.ravel(), minlength=count) / labels.size
    if labels.max() + 1 < count:  # a bracket of the whole photo: the plan needs more labels, its blend ignores them
        labels.flat[:count] = np.arange(count)
    fusion = getattr(policy, "fusion", config.fusion)
    plan = RetouchPlan(labels, state.evs[0, :count], fusion, space=config.space, thumbnail=config.thumbnail)
    result, target = apply_plan(plan, as_levels(photo.image)), as_levels(photo.target)
    numbers = [float(metric(result[None], target[None])[0]) for metric in (mse, psnr, ssim)]
    evs = state.evs[0, :count].tolist()
    return PhotoRecord(photo.name, int(scene.labels.max()) + 1, *numbers, evs, [float(true_ev)] * count,
                       areas.tolist(), result)


def as_levels(image: np.ndarray) -> np.ndarray:
    """An image in [0, 1] as uint8."""
    return np.round(image * np.float32(255)).astype(np.uint8)


def best_evs(photos: Sequence[Photo], max_ev: float = 3.0, space: Space = "linear") -> np.ndarray:
    """(N,) exposures [stops], each the best single one for its photo, to a hundredth of a stop."""
    grid = _grid(max_ev)
    return grid[psnr_by_ev(photos, grid, space).argmax(1)]


def best_constant(photos: Sequence[Photo], max_ev: float = 3.0, space: Space = "linear", of: str = "psnr") -> float:
    """The exposure [stops] that is best for all the photos: highest mean PSNR, or lowest mean squared error ("mse").

    For use on other photos, "mse" is safer: the mean PSNR of few photos has several peaks, one at each near match.

    Raises:
        ValueError: If `of` is neither "psnr" nor "mse".
    """
    if of not in ("psnr", "mse"):
        raise ValueError(f'of must be "psnr" or "mse", not {of!r}')
    grid = _grid(max_ev)
    scores = psnr_by_ev(photos, grid, space)
    return float(grid[(scores if of == "psnr" else -(10 ** (-scores / 10))).mean(0).argmax()])


def _grid(max_ev: float) -> np.ndarray:
    return np.linspace(-max_ev, max_ev, 2 * round(100 * max_ev) + 1)


def psnr_by_ev(photos: Sequence[Photo], evs: np.ndarray, space: Space = "linear") -> np.ndarray:
    """The PSNR (N, M) [dB] of N whole photos under M exposures, in 8 bits; exact, and quick.

    An exposure is a table of 256 levels, so the squared error needs only the number of values at each level of the
    photo, the sum of the target's values there, and the sum of all the target's squares.

    Args:
        photos: Photos with targets.
        evs: Exposures [stops].
        space: See `image.expose`.
    """
    tables = np.stack([np.round(clip(expose(LEVELS / 255, float(ev), space)) * 255) for ev in evs])  # (M, 256)
    errors = []
    for photo in photos:
        levels, target = as_levels(photo.image).ravel(), as_levels(photo.target).ravel().astype(np.float64)
        count, total = np.bincount(levels, minlength=256), np.bincount(levels, target, minlength=256)
        errors.append((tables**2 @ count - 2 * tables @ total + np.sum(target**2)) / len(levels))
    floor = 10 ** (-PERFECT / 10)
    return -10 * np.log10(np.maximum(np.array(errors) / 255**2, floor))

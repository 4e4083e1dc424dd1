"""Tests of functions from photo to photo, which have no segments and no exposures."""

from collections.abc import Sequence

import numpy as np

from agents.evaluation.judging import Evaluation, PhotoRecord
from agents.evaluation.metrics import mse, psnr, ssim
from agents.evaluation.whole_photos import as_levels
from agents.rivals.crops import Retouch
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask

EDGE = 1e-6  # results may leave [0, 1] by so much, as rounding may have it


def evaluate_retouch(retouch: Retouch, task: ExposureTask, photos: Sequence[Photo], full_size: bool) -> Evaluation:
    """The evaluation of a function from photo to photo.

    Args:
        retouch: The function.
        task: Which thumbnails an agent would see.
        photos: Photos with targets.
        full_size: Whether whole photos are retouched, and compared in 8 bits, rather than thumbnails.

    Returns:
        Records without segments and exposures.

    Raises:
        ValueError: If it makes of a photo something of another shape, or that isn't finite, or leaves [0, 1].
    """
    return Evaluation([_record(retouch, task, photo, full_size) for photo in photos], task.config.max_ev)


def _record(retouch: Retouch, task: ExposureTask, photo: Photo, full_size: bool) -> PhotoRecord:
    image, target = photo.image, photo.target
    if not full_size:
        image, target = (task.thumbnail(each, photo.name) for each in (image, target))
    result = _checked(retouch(np.array(image, np.float32)), image.shape, photo.name)
    if full_size:
        result, target = as_levels(result), as_levels(target)
    numbers = [float(metric(result[None], target[None])[0]) for metric in (mse, psnr, ssim)]
    return PhotoRecord(photo.name, 0, *numbers, [], None, [], result)


def _checked(result: object, shape: tuple[int, ...], name: str) -> np.ndarray:
    result = np.asarray(result)
    if result.shape != shape or result.dtype.kind != "f":
        raise ValueError(f"of the photo {name!r} it must make floats of shape {shape}, not {result.dtype} of shape "
                         f"{result.shape}")
    if not np.isfinite(result).all():
        raise ValueError(f"of the photo {name!r} it makes values that are not finite")
    if result.min() < -EDGE or result.max() > 1 + EDGE:
        raise ValueError(f"of the photo {name!r} it must make values in [0, 1], not from {result.min():g} to "
                         f"{result.max():g}: clip or scale them")
    return np.clip(result, 0, 1).astype(np.float32)

"""One photograph, and what counts as one."""

from typing import NamedTuple

import numpy as np

from exposure_env.resizing import as_floats


class Photo(NamedTuple):
    """One photograph, with an expert's version of it where there is one.

    Attributes:
        name: Name for logs and file names, without a suffix.
        image: (H, W, 3) float32, sRGB-encoded in [0, 1].
        target: (H, W, 3) float32 in [0, 1], the retouched version of the same photo; None where unknown.
        ev_map: (H, W) float32 in stops, the exposure that turns `image` into `target`; None where unknown.
    """

    name: str
    image: np.ndarray
    target: np.ndarray | None = None
    ev_map: np.ndarray | None = None


def check_photo(image: np.ndarray, name: str = "photo") -> np.ndarray:
    """The pixels as an (H, W, 3) float32 image in [0, 1].

    Args:
        image: (H, W, 3) colour or (H, W) grey, sRGB-encoded: uint8, uint16, or floats in [0, 1]. Any height and
            width from 1 pixel; constant images are fine.
        name: What to call the photo in the error message.

    Returns:
        (H, W, 3) float32 in [0, 1]. The given array itself if it is of that kind already.

    Raises:
        ValueError: If the shape or dtype is another one, or there are no pixels, NaN, or floats outside [0, 1].
    """
    image = check_pixels(image, name)
    if image.dtype.kind == "u":
        image = as_floats(image)
    image = image.astype(np.float32, copy=False)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    return np.ascontiguousarray(image)


def check_pixels(image: np.ndarray, name: str = "photo") -> np.ndarray:
    """The pixels as an array, as they are; arguments and errors as for `check_photo`."""
    image = np.asarray(image)
    shape = f"{name}: the shape is {image.shape}"
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[-1] == 3):
        raise ValueError(f"{shape}, but a photo is (height, width, 3), channels last, or (height, width)")
    if image.size == 0:
        raise ValueError(f"{shape}, but a photo needs at least one pixel")
    if image.dtype.kind == "f":
        low, high = float(image.min()), float(image.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN fails both
            raise ValueError(f"{name}: float pixels range from {low:g} to {high:g}, but must lie in [0, 1] without NaN")
    elif image.dtype.kind != "u" or image.dtype.itemsize > 2:
        raise ValueError(f"{name}: the dtype is {image.dtype}, but must be uint8, uint16 or floats in [0, 1]")
    return image

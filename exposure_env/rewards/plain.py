"""Rewards that look at the result alone: differentiable, for NumPy and Torch."""

import math
from typing import Any

from array_api_compat import array_namespace

from exposure_env.image import Array, luminance

BINS = 32  # of the histogram whose entropy is taken
EDGE = 4 / 255  # distance from black and white within which a value begins to count as clipped
SMALL = 1e-12  # added under square roots, whose slope at 0 is infinite


def well_exposedness(images: Array, **context: Any) -> Array:
    """Mean exposedness (Mertens et al. 2007), (N,) in [0, 1]: 1 where all channels of all pixels are mid-grey."""
    xp = array_namespace(images)
    return xp.mean(xp.exp(-12.5 * xp.sum((images - 0.5) ** 2, axis=-1)), axis=(1, 2))


def unclipped(images: Array, **context: Any) -> Array:
    """The fraction of values that are not clipped, (N,) in [0, 1]; within four levels of black or white, in part."""
    xp = array_namespace(images)
    return xp.mean(xp.clip(images / EDGE, 0.0, 1.0) * xp.clip((1 - images) / EDGE, 0.0, 1.0), axis=(1, 2, 3))


def entropy(images: Array, **context: Any) -> Array:
    """Entropy of the histogram of luma, (N,) in 0..5 [bit]: 32 bins, a value counting in part for the nearest two."""
    xp, place = array_namespace(images), luminance(images) * (BINS - 1)
    shares = xp.stack([xp.mean(xp.clip(1 - xp.abs(place - i), min=0.0), axis=(1, 2)) for i in range(BINS)], axis=-1)
    return -xp.sum(shares * xp.log(shares + SMALL), axis=-1) / math.log(2)


def colourfulness(images: Array, **context: Any) -> Array:
    """Colourfulness (Hasler and Suesstrunk 2003) of values in [0, 1], (N,) from 0; for bytes it is 255 times that."""
    xp = array_namespace(images)
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    opponents = [red - green, (red + green) / 2 - blue]
    means = [xp.mean(values, axis=(1, 2)) for values in opponents]
    variances = [xp.mean((values - mean[:, None, None]) ** 2, axis=(1, 2))
                 for values, mean in zip(opponents, means, strict=True)]
    return xp.sqrt(sum(variances) + SMALL) + 0.3 * xp.sqrt(sum(mean**2 for mean in means) + SMALL)


class MeanLuminance:
    """An auto-exposure's wish: minus the distance of an image's mean luma from a reference.

    Args:
        target: The reference, in [0, 1].

    Raises:
        ValueError: If it lies outside.
    """

    differentiable, version, keeps_images = True, 0, True

    def __init__(self, target: float = 0.46):
        if not 0 <= target <= 1:
            raise ValueError(f"target must be a mean luma in [0, 1], not {target}")
        self.target = target

    def __repr__(self) -> str:
        return f"MeanLuminance({self.target})"

    def __call__(self, images: Array, **context: Any) -> Array:
        """(N,) in [-1, 0]."""
        xp = array_namespace(images)
        return -xp.abs(xp.mean(luminance(images), axis=(1, 2)) - self.target)

"""Rewards that compare with targets, experts' versions of the same photos: differentiable, for NumPy and Torch."""

import math
from typing import Any

from array_api_compat import array_namespace

from exposure_env.acceleration import accelerated
from exposure_env.image import Array, srgb_to_linear

FLOOR = 1e-10  # mean squared error of a perfect match, so that its PSNR is 100 dB and not infinite
SIDE = 7  # of SSIM's windows [px]
SSIM_FLOORS = (0.01**2, 0.03**2)  # Wang et al. 2004, for values in [0, 1]
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)  # D65
SMALL = 1e-12  # added under square roots, whose slope at 0 is infinite


def negative_mse(images: Array, *, targets: Array | None, **context: Any) -> Array:
    """Minus the mean squared error against the targets, (N,) in [-1, 0].

    Raises:
        ValueError: If there are no targets, or the images are integers.
    """
    return -_squared_error(images, _needed(images, targets))


@accelerated("episode.squared_error")
def _squared_error(images: Array, targets: Array) -> Array:
    return array_namespace(images).mean((images - targets) ** 2, axis=(1, 2, 3))


def psnr(images: Array, *, targets: Array | None, **context: Any) -> Array:
    """Peak signal-to-noise ratio against the targets, (N,) in [dB], at most 100.

    Raises:
        ValueError: If there are no targets, or the images are integers.

    Examples:
        >>> import numpy as np
        >>> target = np.full((1, 8, 8, 3), 0.5)
        >>> psnr(target + 0.1, targets=target).round(2)
        array([20.])
    """
    return -10 * array_namespace(images).log10(FLOOR - negative_mse(images, targets=targets))


def ssim(images: Array, *, targets: Array | None, **context: Any) -> Array:
    """Structural similarity to the targets (Wang et al. 2004), (N,) in [-1, 1]: mean over channels, windows of 7x7.

    It is that of `skimage.metrics.structural_similarity` with its default settings.

    Raises:
        ValueError: If there are no targets, the images are integers, or smaller than a window.
    """
    targets = _needed(images, targets)
    if min(images.shape[1:3]) < SIDE:
        raise ValueError(f"SSIM needs images of at least {SIDE} px, not {tuple(images.shape[1:3])}")
    xp, (low, high) = array_namespace(images), SSIM_FLOORS
    mean_a, mean_b = _windows(images), _windows(targets)
    sample = SIDE**2 / (SIDE**2 - 1)  # variances of a sample, as scikit-image has them
    var_a = (_windows(images * images) - mean_a * mean_a) * sample
    var_b = (_windows(targets * targets) - mean_b * mean_b) * sample
    both = (_windows(images * targets) - mean_a * mean_b) * sample
    likeness = (2 * mean_a * mean_b + low) * (2 * both + high)
    likeness = likeness / ((mean_a * mean_a + mean_b * mean_b + low) * (var_a + var_b + high))
    return xp.mean(likeness, axis=(1, 2, 3))


def _windows(images: Array) -> Array:
    """(N, H - 6, W - 6, C) means over all windows."""
    height, width = images.shape[1] - SIDE + 1, images.shape[2] - SIDE + 1
    rows = sum(images[:, i : i + height] for i in range(SIDE))
    return sum(rows[:, :, i : i + width] for i in range(SIDE)) / SIDE**2


def ciede2000(images: Array, *, targets: Array | None, **context: Any) -> Array:
    """Mean colour difference CIEDE2000 (Sharma et al. 2005) to the targets, (N,) from 0; lower is better.

    A difference of 1 can just be seen.

    Raises:
        ValueError: If there are no targets, or the images are integers.
    """
    targets = _needed(images, targets)
    return array_namespace(images).mean(_delta_e(lab(images), lab(targets)), axis=(1, 2))


def lab(images: Array) -> Array:
    """CIE L*a*b* (D65) of images in sRGB: (..., 3), L in 0..100."""
    xp, light = array_namespace(images), srgb_to_linear(images)
    xyz = [sum(row[c] * light[..., c] for c in range(3)) / white for row, white in zip(TO_XYZ, WHITE, strict=True)]
    # a cube root above, a straight line below; the root of what is below is never asked for, its slope being steep
    f = [xp.where(t > 0.008856, xp.clip(t, min=0.008856) ** (1 / 3), 7.787 * t + 16 / 116) for t in xyz]
    return xp.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])], axis=-1)


def _delta_e(one: Array, other: Array) -> Array:
    """CIEDE2000 of colours (..., 3) in L*a*b*; the names are those of Sharma et al."""
    xp, degree = array_namespace(one), math.pi / 180
    (l1, a1, b1), (l2, a2, b2) = ([lab[..., i] for i in range(3)] for lab in (one, other))

    def length(a: Array, b: Array) -> Array:
        return xp.sqrt(a * a + b * b + SMALL)

    def attenuated(chroma: Array) -> Array:  # sqrt(C^7 / (C^7 + 25^7))
        return xp.sqrt(chroma**7 / (chroma**7 + 25.0**7) + SMALL)

    g = 0.5 * (1 - attenuated((length(a1, b1) + length(a2, b2)) / 2))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = length(a1, b1), length(a2, b2)
    # the hue difference, and 2 sqrt(C1 C2) sin of half of it, from dot and cross products: no angle jumps at 360
    dot, cross = a1 * a2 + b1 * b2, a1 * b2 - a2 * b1
    sign = xp.where(cross < 0, -xp.ones_like(cross), xp.ones_like(cross))
    delta_h = sign * xp.sqrt(xp.clip(2 * (c1 * c2 - dot), min=0.0) + SMALL)
    # the mean hue is the direction of the sum of both unit vectors
    x, y = a1 / c1 + a2 / c2, b1 / c1 + b2 / c2
    hue = xp.atan2(y, x)
    t = (1 - 0.17 * xp.cos(hue - 30 * degree) + 0.24 * xp.cos(2 * hue) + 0.32 * xp.cos(3 * hue + 6 * degree)
         - 0.20 * xp.cos(4 * hue - 63 * degree))
    degrees = hue / degree
    degrees = xp.where(degrees < 0, degrees + 360, degrees)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / xp.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    rotation = -2 * attenuated(mean_c) * xp.sin(60 * degree * xp.exp(-(((degrees - 275) / 25) ** 2)))
    light, chroma, tint = (l2 - l1) / s_l, (c2 - c1) / s_c, delta_h / s_h
    square = light * light + chroma * chroma + tint * tint + rotation * chroma * tint
    return xp.sqrt(xp.clip(square, min=0.0) + SMALL)


def _needed(images: Array, targets: Array | None) -> Array:
    if targets is None:
        raise ValueError("this reward compares with targets, and the photos have none: give paired photos")
    if not array_namespace(images, targets).isdtype(images.dtype, "real floating"):
        raise ValueError(f"images must be floats in [0, 1], not {images.dtype}: differences of integers wrap around")
    return targets



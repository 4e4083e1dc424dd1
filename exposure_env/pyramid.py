"""Laplacian pyramids, and the blend of images band by band (Burt and Adelson 1983).

Images are planar here, (..., H, W), with channels first. A pyramid step is then a product with one small matrix on
either side. That needs no code for the borders, is the same on NumPy, Torch and CUDA, and equals OpenCV's pyrDown and
pyrUp up to rounding. It is meant for images of up to about 512 px.
"""

from functools import cache

import numpy as np
from array_api_compat import array_namespace, device

from exposure_env.image import Array


def _reflect(index: int, length: int) -> int:
    """The index within 0..length-1 after reflection at the border pixels (OpenCV's reflect-101)."""
    period = max(2 * (length - 1), 1)
    index %= period
    return min(index, period - index) if length > 1 else 0


@cache
def _down_matrix(length: int) -> np.ndarray:
    """The (ceil(length / 2), length) matrix that blurs by [1 4 6 4 1]/16 and keeps every other sample."""
    matrix = np.zeros(((length + 1) // 2, length))
    for row in range(len(matrix)):
        for offset, tap in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
            matrix[row, _reflect(2 * row + offset, length)] += tap / 16
    return matrix


@cache
def up_matrix(small: int, length: int) -> np.ndarray:
    """The (length, small) matrix that spreads the samples and blurs; right and bottom replicate, as in OpenCV."""
    matrix = np.zeros((length, small))
    for row in range(length):
        here, left, right = row // 2, abs(row // 2 - 1), min(row // 2 + 1, small - 1)
        taps = ((left, 1 / 8), (here, 6 / 8), (right, 1 / 8)) if row % 2 == 0 else ((here, 1 / 2), (right, 1 / 2))
        for column, tap in taps:
            matrix[row, min(column, small - 1)] += tap
    return matrix


@cache
def _blur_matrix(length: int, passes: int) -> np.ndarray:
    """The (length, length) matrix that blurs `passes` times by [1 2 1]/4."""
    matrix = np.zeros((length, length))
    for row in range(length):
        for offset, tap in zip((-1, 0, 1), (1, 2, 1), strict=True):
            matrix[row, _reflect(row + offset, length)] += tap / 4
    return np.linalg.matrix_power(matrix, passes)


def _separable(planes: Array, on_height: np.ndarray, on_width: np.ndarray) -> Array:
    xp = array_namespace(planes)
    left, right = (xp.asarray(m, dtype=planes.dtype, device=device(planes)) for m in (on_height, on_width.T))
    return xp.matmul(xp.matmul(left, planes), right)


def pyr_down(planes: Array) -> Array:
    """The next coarser level of a Gaussian pyramid, equal to `cv2.pyrDown`.

    Args:
        planes: (..., H, W) floats.

    Returns:
        (..., ceil(H / 2), ceil(W / 2)) floats of the same dtype.
    """
    return _separable(planes, _down_matrix(planes.shape[-2]), _down_matrix(planes.shape[-1]))


def pyr_up(planes: Array, shape: tuple[int, int]) -> Array:
    """A pyramid level enlarged to the next finer one, equal to `cv2.pyrUp`.

    Args:
        planes: (..., h, w) floats.
        shape: (H, W) of the result, where h = ceil(H / 2) and w = ceil(W / 2).

    Returns:
        (..., H, W) floats of the same dtype.
    """
    return _separable(planes, up_matrix(planes.shape[-2], shape[0]), up_matrix(planes.shape[-1], shape[1]))


def blur(planes: Array, passes: int) -> Array:
    """The planes blurred `passes` times by [1 2 1]/4 along both axes, with reflected borders.

    Args:
        planes: (..., H, W) floats.
        passes: Number of times; 0 changes nothing.

    Returns:
        (..., H, W) floats of the same dtype.
    """
    return _separable(planes, *(_blur_matrix(length, passes) for length in planes.shape[-2:])) if passes else planes


def blend(images: Array, weights: Array, levels: int) -> Array:
    """The sum of images under per-pixel weights, band by band of a Laplacian pyramid (eq. 16).

    Args:
        images: (N, T, C, H, W) floats.
        weights: (N, T, H, W) floats that add up to 1 over T.
        levels: How often the pyramid halves the image; 0 is the plain weighted sum.

    Returns:
        (N, C, H, W) floats, which may leave [0, 1] slightly.
    """
    xp = array_namespace(images)

    def weighted_sum(planes: Array) -> Array:
        return xp.sum(planes * weights[:, :, None], axis=1)

    bands = []
    for _ in range(levels):
        coarser = pyr_down(images)
        bands.append(weighted_sum(images - pyr_up(coarser, images.shape[-2:])))
        images, weights = coarser, pyr_down(weights)
    fused = weighted_sum(images)
    for band in reversed(bands):
        fused = band + pyr_up(fused, band.shape[-2:])
    return fused

"""Merging segments down to a given number, and putting them in the order of exposure."""

from typing import Literal

import numpy as np

from exposure_env.acceleration import accelerated
from exposure_env.image import luminance
from exposure_env.segmentation.checks import checked_count, checked_image, checked_labels

Order = Literal["area", "luminance", "label", "random"]


def merge_segments(labels: np.ndarray, image: np.ndarray, max_segments: int) -> np.ndarray:
    """The labels of at most `max_segments` segments, after merging the two most similar neighbours again and again.

    These are the 8-connected pair of least Ward cost n_i n_j / (n_i + n_j) ||mu_i - mu_j||^2, the growth of the squared
    error about the mean colours. Ties go to the pair of smallest labels. Segments keep the order of their labels, and a
    merged segment takes the place of its smallest label.

    Args:
        labels: (H, W) integers, consecutive or not.
        image: (H, W, 3) floats in [0, 1].
        max_segments: At least 1.

    Raises:
        ValueError: If an argument is malformed.
    """
    image, max_segments = checked_image(image), checked_count("max_segments", max_segments)
    return _merged(numbered(checked_labels(labels, image)), image, max_segments)


@accelerated("merging.merged")
def _merged(labels: np.ndarray, image: np.ndarray, max_segments: int) -> np.ndarray:
    """`merge_segments` for checked arguments, with labels 0..K-1."""
    sizes = np.bincount(labels.ravel()).astype(np.float64)
    sums = np.stack([np.bincount(labels.ravel(), image[..., c].ravel()) for c in range(3)], axis=1)  # (K, 3)
    owner = np.arange(len(sizes))
    low, high = _adjacent(labels)
    # The pixel grid is connected, so as long as two segments are left, some pair is adjacent.
    for _ in range(len(sizes) - max_segments):
        distances = ((sums[low] / sizes[low, None] - sums[high] / sizes[high, None]) ** 2).sum(axis=1)
        cheapest = np.argmin(sizes[low] * sizes[high] / (sizes[low] + sizes[high]) * distances)
        kept, gone = low[cheapest], high[cheapest]
        sizes[kept] += sizes[gone]
        sums[kept] += sums[gone]
        owner[owner == gone] = kept
        low, high = _pairs(owner[low], owner[high])
    return numbered(owner)[labels]


def order_segments(
    labels: np.ndarray, image: np.ndarray, order: Order = "area", rng: np.random.Generator | None = None
) -> np.ndarray:
    """The labels, renumbered in the order in which the segments are to be exposed.

    Args:
        labels: (H, W) integers, consecutive or not.
        image: (H, W, 3) floats in [0, 1].
        order: "area" (largest first), "luminance" (darkest mean first), "label" (as numbered) or "random". Ties go to
            the segment whose first pixel comes first, row by row.
        rng: Generator of the random order.

    Raises:
        ValueError: If an argument is malformed, or `rng` is missing for the random order.
    """
    image = checked_image(image)
    numbered, first, sizes = regions(checked_labels(labels, image))
    if order == "area":
        key = -sizes
    elif order == "luminance":
        key = np.bincount(numbered.ravel(), luminance(image).ravel()) / sizes
    elif order == "label":
        key = np.arange(len(sizes))
    elif order == "random" and rng is not None:
        key = rng.permutation(len(sizes))
    else:
        raise ValueError(f'order must be "area", "luminance", "label", or "random" with rng, not {order!r}, rng={rng}')
    return np.argsort(np.lexsort((first, key))).astype(np.int32)[numbered]


def numbered(labels: np.ndarray) -> np.ndarray:
    """The labels as int32 0..K-1, in the same order."""
    return regions(labels)[0]


@accelerated("merging.regions")
def regions(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The labels as int32 0..K-1, in the same order, and the segments' first pixels and areas, (K,) each."""
    _, first, inverse, areas = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    return inverse.reshape(labels.shape).astype(np.int32), first, areas


def _pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smaller and the larger label of each distinct pair of different labels, sorted."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    codes = np.unique((low << 32 | high)[low != high])
    return codes >> 32, codes & 0xFFFFFFFF


def _adjacent(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_pairs` of labels that touch: right, down, and on both diagonals."""
    one = labels[:, :-1], labels[:-1], labels[:-1, :-1], labels[:-1, 1:]
    other = labels[:, 1:], labels[1:], labels[1:, 1:], labels[1:, :-1]
    return _pairs(np.concatenate([a.ravel() for a in one]), np.concatenate([b.ravel() for b in other]))

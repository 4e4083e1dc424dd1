"""Photos -> labels, many at once: what `segment` gives for each, computed by all threads."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from exposure_env import kernels
from exposure_env.segmentation import Order, Segmenter, order_segments, segment


def segment_many(
    images: Sequence[np.ndarray],
    segmenter: str | Segmenter = "felzenszwalb",
    *,
    max_segments: int = 8,
    order: Order = "area",
    rng: np.random.Generator | None = None,
    directory: str | os.PathLike | None = None,
    **options: Any,
) -> list[np.ndarray]:
    """Labels of every photo, the same as from `segment` one after another, and in the same cache.

    The named segmenters run in several threads. A callable runs in one, the caller's, as it may not be made for more.
    Random orders are drawn from `rng` in the sequence of the photos.

    Args:
        images: (H, W, 3) floats in [0, 1] each, sRGB-encoded; sizes may differ.
        segmenter: As in `segment`, and so is all that follows.
        max_segments: At least 1.
        order: As in `order_segments`.
        rng: What draws the random orders.
        directory: Folder that keeps the labels for the next run; none by default.
        **options: The segmenter's own.

    Raises:
        ValueError: If an argument or the segmenter's result is malformed.
    """
    options |= {"max_segments": max_segments, "directory": directory}
    if callable(segmenter):
        return [segment(image, segmenter, order=order, rng=rng, **options) for image in images]
    drawn = order == "random" and rng is not None  # by one thread, the others before it
    single = partial(segment, segmenter=segmenter, order="label" if drawn else order, rng=rng, **options)
    pieces = kernels.ranges(len(images))
    labels = kernels.spread(lambda piece: [single(image) for image in images[piece]], pieces)
    labels = [one for piece in labels for one in piece]
    if drawn:
        return [order_segments(one, image, order, rng) for one, image in zip(labels, images, strict=True)]
    return labels

"""Labels of photos, one or many at once, each computed once and then kept in memory and, if wanted, on disk."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage

from exposure_env.segmentation.checks import checked_count, checked_image
from exposure_env.segmentation.label_files import read_labels, write_labels
from exposure_env.segmentation.merging import Order, merge_segments, order_segments
from exposure_env.segmentation.segmenters import SEGMENTERS, Segmenter
from exposure_env.threads import ranges, spread

CACHE_PHOTOS = 8192  # kept in memory, the most recently used ones: 32 MB for thumbnails
CACHE_FORMAT = 1  # part of every file name on disk: must go up whenever a photo would get other labels
_memory: OrderedDict[Hashable, np.ndarray] = OrderedDict()
_writing = threading.Lock()


def segment(
    image: np.ndarray,
    segmenter: str | Segmenter = "felzenszwalb",
    *,
    max_segments: int = 8,
    order: Order = "area",
    rng: np.random.Generator | None = None,
    directory: str | os.PathLike | None = None,
    **options: Any,
) -> np.ndarray:
    """The labels of a photo, at most `max_segments` of them, in the order of exposure.

    Images of the same content are segmented only once. A callable must depend on the image alone; its labels are kept
    in memory if it and its options are hashable, and never on disk.

    Args:
        image: (H, W, 3) floats in [0, 1], sRGB-encoded.
        segmenter: "felzenszwalb", "luminance_bands", "slic", or a function from the image to (H, W) integers.
        max_segments: At least 1.
        order: As in `order_segments`, applied after the cache, so "random" differs from call to call.
        rng: Generator of the random order.
        directory: Folder that keeps the labels for the next run; none by default.
        **options: The segmenter's own options.

    Returns:
        (H, W) int32 labels 0..K-1, every label present, K <= max_segments; a new array that the caller may change.

    Raises:
        ValueError: If an argument or the segmenter's result is malformed.
    """
    image, max_segments = checked_image(image), checked_count("max_segments", max_segments)
    if not callable(segmenter) and segmenter not in list(SEGMENTERS):
        raise ValueError(f"segmenter must be callable or one of {list(SEGMENTERS)}, not {segmenter!r}")
    if max_segments == 1:  # whatever the segmenter found would be merged into one
        return np.zeros(image.shape[:2], np.int32)
    function = segmenter if callable(segmenter) else SEGMENTERS[segmenter]
    key = (_digest(image), image.shape, segmenter, max_segments, tuple(sorted(options.items())), directory)
    try:
        labels = _memory.get(key)
    except TypeError:  # not hashable
        return order_segments(merge_segments(function(image.copy(), **options), image, max_segments), image, order, rng)
    if labels is None:
        name = _digest(repr((CACHE_FORMAT, skimage.__version__, *key[:-1])).encode())
        file = None if directory is None or callable(segmenter) else Path(directory) / f"{name}.npz"
        labels = read_labels(file, image.shape[:2], max_segments) if file else None
        if labels is None:
            labels = merge_segments(function(image.copy(), **options), image, max_segments)
            labels = labels.astype(np.min_scalar_type(labels.max()))  # a quarter of the memory
            if file:
                write_labels(file, labels)
    with _writing:  # threads share the memory
        _memory[key] = labels
        _memory.move_to_end(key)  # now the most recently used
        if len(_memory) > CACHE_PHOTOS:
            _memory.popitem(last=False)
    return order_segments(labels, image, order, rng)


def _digest(content: np.ndarray | bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


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
    """The labels of every photo, the same as from one call of `segment` after another, and in the same cache.

    The named segmenters run in several threads. A callable runs only in the caller's, as it may not be thread-safe.
    Random orders are drawn from `rng` photo by photo.

    Args:
        images: (H, W, 3) floats in [0, 1] each, sRGB-encoded; sizes may differ.
        segmenter: As in `segment`, like all other arguments.
        max_segments: At least 1.
        order: As in `order_segments`.
        rng: Generator of the random orders.
        directory: Folder that keeps the labels for the next run; none by default.
        **options: The segmenter's own options.

    Raises:
        ValueError: If an argument or the segmenter's result is malformed.
    """
    options |= {"max_segments": max_segments, "directory": directory}
    if callable(segmenter):
        return [segment(image, segmenter, order=order, rng=rng, **options) for image in images]
    drawn = order == "random" and rng is not None  # drawn by this thread, after the others have finished
    single = partial(segment, segmenter=segmenter, order="label" if drawn else order, rng=rng, **options)
    pieces = ranges(len(images))
    labels = spread(lambda piece: [single(image) for image in images[piece]], pieces)
    labels = [one for piece in labels for one in piece]
    if drawn:
        return [order_segments(one, image, order, rng) for one, image in zip(labels, images, strict=True)]
    return labels

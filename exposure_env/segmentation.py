"""Photo -> labels: the segments that are exposed one after another.

A segmenter is any function from an image, (H, W, 3) float32 and sRGB-encoded in [0, 1], to (H, W) integer labels.
`segment` adds what an episode needs: at most `max_segments` of them, their order, and a cache. Neighbourhood is
8-connected throughout: diagonal pixels touch, as in Felzenszwalb's graph.
"""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import skimage

from exposure_env import kernels
from exposure_env.image import luminance
from exposure_env.label_files import read_labels, write_labels
from exposure_env.segmentation_checks import checked_count, checked_image, checked_labels

Segmenter = Callable[[np.ndarray], np.ndarray]
Order = Literal["area", "luminance", "label", "random"]

CACHE_PHOTOS = 8192  # remembered in memory, the latest ones: 32 MB of thumbnails
CACHE_FORMAT = 1  # part of every file name on disk: raise it whenever a photo would get other labels
_memory: OrderedDict[Hashable, np.ndarray] = OrderedDict()
_writing = threading.Lock()


def felzenszwalb(image: np.ndarray, *, scale: float = 300.0, sigma: float = 0.5, min_size: float = 50) -> np.ndarray:
    """Segments of similar colour, 8-connected, about ten in a thumbnail (Felzenszwalb and Huttenlocher, IJCV 2004).

    Args:
        image: (H, W, 3) floats in [0, 1], sRGB-encoded: linear light loses the segments in the shadows.
        scale: Preference for large segments, in the original code's units (colours 0..255).
        sigma: Standard deviation of the blur applied first, in pixels.
        min_size: Pixels of the smallest segment of a 64x64 image; in proportion to the area elsewhere.

    Returns:
        (H, W) int32 labels 0..K-1, every label present; so do all functions below.

    Raises:
        ValueError: If the image is malformed, or an option negative or not finite.
    """
    image = checked_image(image)
    for name, value in {"scale": scale, "sigma": sigma, "min_size": min_size}.items():
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} must be finite and at least 0, not {value!r}")
    smallest = round(min_size * image.shape[0] * image.shape[1] / 64**2)
    if fast := kernels.load("segmentation"):
        return fast.felzenszwalb(image, scale, sigma, smallest)
    return _numbered(skimage.segmentation.felzenszwalb(image, scale=scale, sigma=sigma, min_size=smallest))


def luminance_bands(image: np.ndarray, *, bands: int = 4) -> np.ndarray:
    """The photographer's luminosity masks: bands of luminance of equal area, dark to bright, connected or not.

    Pixels of equal luminance share a band, so a photo of few tones has fewer bands. Raises ValueError unless `bands`
    is an integer from 1.
    """
    luma, bands = luminance(checked_image(image)), checked_count("bands", bands)
    _, tones, areas = np.unique(luma, return_inverse=True, return_counts=True)
    # The middle rank of a tone, not the quantiles' values: those coincide where half a photo is black or blown out.
    quantiles = (np.cumsum(areas) - areas / 2) / luma.size
    return _numbered((bands * quantiles).astype(int)[tones].reshape(luma.shape))


def slic(image: np.ndarray, *, segments: int = 8) -> np.ndarray:
    """Compact segments of similar size, about `segments` of them (SLIC superpixels, Achanta et al., TPAMI 2012).

    Raises ValueError unless `segments` is an integer from 1.
    """
    image, segments = checked_image(image), checked_count("segments", segments)
    return _numbered(skimage.segmentation.slic(image, n_segments=segments, start_label=0))


SEGMENTERS: dict[str, Segmenter] = {"felzenszwalb": felzenszwalb, "luminance_bands": luminance_bands, "slic": slic}


def merge_segments(labels: np.ndarray, image: np.ndarray, max_segments: int) -> np.ndarray:
    """Labels of at most `max_segments` segments: the two neighbours that differ least merge until it is so.

    That is the 8-connected pair of least Ward cost n_i n_j / (n_i + n_j) ||mu_i - mu_j||^2, the growth of the squared
    error about the mean colours; among equals the pair of smallest labels. Segments keep the order of their labels, a
    merged one that of its smallest.

    Args:
        labels: (H, W) integers, consecutive or not.
        image: (H, W, 3) floats in [0, 1].
        max_segments: At least 1.

    Raises:
        ValueError: If an argument is malformed.
    """
    image, max_segments = checked_image(image), checked_count("max_segments", max_segments)
    labels = _numbered(checked_labels(labels, image))
    if fast := kernels.load("merging"):
        return fast.merge_segments(labels, image, max_segments)
    sizes = np.bincount(labels.ravel()).astype(np.float64)
    sums = np.stack([np.bincount(labels.ravel(), image[..., c].ravel()) for c in range(3)], axis=1)  # (K, 3)
    owner = np.arange(len(sizes))
    low, high = _adjacent(labels)
    # As the pixel grid is connected, its segments are too: while two are left, a pair is adjacent.
    for _ in range(len(sizes) - max_segments):
        distances = ((sums[low] / sizes[low, None] - sums[high] / sizes[high, None]) ** 2).sum(axis=1)
        cheapest = np.argmin(sizes[low] * sizes[high] / (sizes[low] + sizes[high]) * distances)
        kept, gone = low[cheapest], high[cheapest]
        sizes[kept] += sizes[gone]
        sums[kept] += sums[gone]
        owner[owner == gone] = kept
        low, high = _pairs(owner[low], owner[high])
    return _numbered(owner)[labels]


def order_segments(
    labels: np.ndarray, image: np.ndarray, order: Order = "area", rng: np.random.Generator | None = None
) -> np.ndarray:
    """Labels renumbered in the order in which the segments are to be exposed.

    Args:
        labels: (H, W) integers, consecutive or not.
        image: (H, W, 3) floats in [0, 1].
        order: "area" (largest first), "luminance" (darkest mean first), "label" (as numbered) or "random". Ties go to
            the segment whose first pixel, row by row, comes first.
        rng: What draws the random order.

    Raises:
        ValueError: If an argument is malformed, or `rng` missing for the random order.
    """
    image = checked_image(image)
    numbered, first, sizes = _regions(checked_labels(labels, image))
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
    """Labels of a photo: segmented, merged down to `max_segments`, ordered.

    The work is done once for each content of `image`. A callable counts as a function of the image alone; it is
    remembered in memory if it and its options are hashable, and never on disk.

    Args:
        image: (H, W, 3) floats in [0, 1], sRGB-encoded.
        segmenter: "felzenszwalb", "luminance_bands", "slic", or a function from the image to (H, W) integers.
        max_segments: At least 1.
        order: As in `order_segments`, applied after the cache: "random" differs from call to call.
        rng: What draws the random order.
        directory: Folder that keeps the labels for the next run; none by default.
        **options: The segmenter's own.

    Returns:
        (H, W) int32 labels 0..K-1, every label present, K <= max_segments; the caller may write on them.

    Raises:
        ValueError: If an argument or the segmenter's result is malformed.
    """
    image, max_segments = checked_image(image), checked_count("max_segments", max_segments)
    if not callable(segmenter) and segmenter not in list(SEGMENTERS):
        raise ValueError(f"segmenter must be callable or one of {list(SEGMENTERS)}, not {segmenter!r}")
    if max_segments == 1:  # whatever the segmenter would find, it is merged into one
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
        _memory.move_to_end(key)  # the latest from now on
        if len(_memory) > CACHE_PHOTOS:
            _memory.popitem(last=False)
    return order_segments(labels, image, order, rng)


def _numbered(labels: np.ndarray) -> np.ndarray:
    """The labels as int32 0..K-1, in the same order."""
    return _regions(labels)[0]


def _regions(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The labels as int32 0..K-1, in the same order, and (K,) first pixels and areas."""
    if (fast := kernels.load("merging")) and (found := fast.regions(labels)):
        return found
    _, first, inverse, areas = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    return inverse.reshape(labels.shape).astype(np.int32), first, areas


def _pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smaller and the larger labels of all distinct pairs of different labels, sorted."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    codes = np.unique((low << 32 | high)[low != high])
    return codes >> 32, codes & 0xFFFFFFFF


def _adjacent(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_pairs` of labels that touch: right, down, and on both diagonals."""
    one = labels[:, :-1], labels[:-1], labels[:-1, :-1], labels[:-1, 1:]
    other = labels[:, 1:], labels[1:], labels[1:, 1:], labels[1:, :-1]
    return _pairs(np.concatenate([a.ravel() for a in one]), np.concatenate([b.ravel() for b in other]))


def _digest(content: np.ndarray | bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()

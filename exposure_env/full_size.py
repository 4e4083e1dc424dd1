"""From the thumbnail to the photo's full size: edges follow the photo, tones follow the thumbnail.

Works on integer pixels and needs little memory: one exposure at a time, which is a table of 256 or 65536 entries, and
of it one channel at a time. 12 megapixels and 8 segments take a few seconds and half a gigabyte.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from exposure_env.image import Space, clip, expose, luminance

FIT_SIDE = 512  # pixels of the longer side at which the guided filter is fitted
EDGE_SHARE = 0.005  # of the luma's variance: less than that within the window is texture, not an edge
STRIP_PIXELS = 2**18  # exposed at once where every pixel has its own EV


class GuidedPlanes:
    """Planes of the thumbnail enlarged, their edges drawn to the photo's; one at a time, as often as iterated over.

    The fast guided filter (He and Sun, arXiv:1505.00996, 2015): within a small window, a plane is slope * luma +
    offset. Slopes and offsets are fitted at low resolution and enlarged; the photo's luma brings the detail.

    Args:
        planes: (T, h, w) float32, not below 0.
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        feather: Radius of the window [pixels of the planes]: how far an edge of the photo can draw one of the planes,
            and how soft the transition is where the photo has no edge.
        passes: How often to fit; in between, the planes are squared and made to add up to 1. A second pass draws masks
            to edges that the first only came near, and leaves no halo there.
    """

    def __init__(self, planes: np.ndarray, pixels: np.ndarray, feather: float, passes: int = 1) -> None:
        """Fit slopes and offsets."""
        self._luma = np.concatenate([luminance(as_floats(pixels[rows])) for rows in _strips(pixels)])
        shrink = min(1.0, FIT_SIDE / max(self._luma.shape))
        height, width = (max(1, round(side * shrink)) for side in self._luma.shape)
        radius = round(feather * width / planes.shape[2]), round(feather * height / planes.shape[1])
        window = tuple(2 * min(r, FIT_SIDE) + 1 for r in radius)

        def mean(plane: np.ndarray) -> np.ndarray:
            return cv2.boxFilter(plane, -1, window, borderType=cv2.BORDER_REFLECT)

        def fit(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean_plane = mean(plane)
            slope = (mean(luma * plane) - mean_luma * mean_plane) / variance
            return mean(slope), mean(mean_plane - slope * mean_luma)

        luma = resized(self._luma, height, width)
        mean_luma = mean(luma)
        variance = mean(luma * luma) - mean_luma**2 + max(EDGE_SHARE * float(luma.var()), 1e-5)
        self._fits = [fit(resized(plane, height, width)) for plane in planes]
        for _ in range(passes - 1):
            snapped = np.stack([np.maximum(slope * luma + offset, 0) ** 2 for slope, offset in self._fits])
            snapped /= snapped.sum(axis=0)
            self._fits = [fit(plane) for plane in snapped]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the T planes, (H, W) float32, not below 0; they add up to 1 or more if the small ones add up to 1."""
        for slope, offset in self._fits:
            plane = resized(slope, *self._luma.shape)
            plane *= self._luma
            plane += resized(offset, *self._luma.shape)
            yield np.maximum(plane, 0, out=plane)


def expose_locally(pixels: np.ndarray, evs: Sequence[float], masks: GuidedPlanes, space: Space) -> np.ndarray:
    """Every pixel under its own exposure, the mean of the EVs under the masks.

    Args:
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        evs: K exposures in stops.
        masks: K planes (H, W).
        space: See `image.expose`.

    Returns:
        (H, W, 3) of the same dtype.
    """
    ev_map = np.zeros(pixels.shape[:2], np.float32)
    total = np.zeros_like(ev_map)
    for ev, mask in zip(evs, masks, strict=True):
        mask *= mask  # narrower transitions, and no faint traces of a segment far from it
        total += mask
        mask *= np.float32(ev)
        ev_map += mask
    ev_map /= total
    result = np.empty_like(pixels)
    for rows in _strips(pixels):
        result[rows] = _as_pixels(expose(as_floats(pixels[rows]), ev_map[rows], space), pixels.dtype)
    return result


def blend_detail(
    pixels: np.ndarray,
    exposures: Sequence[Callable[[np.ndarray], np.ndarray]],
    weights: GuidedPlanes,
    thumbnail: np.ndarray,
    rendered: np.ndarray,
) -> np.ndarray:
    """The rendered thumbnail enlarged, plus the detail it lacks: that of the exposed photos, blended by a pyramid.

    The detail of an exposed photo is what sets it apart from its own thumbnail enlarged; so where all exposures are
    equal the result is just the exposed photo. The pyramid halves it down to about the size of the thumbnail.

    Args:
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        exposures: T functions from encoded values to exposed ones, floats of any shape.
        weights: T planes (H, W).
        thumbnail: (h, w, 3) float32, the photo's thumbnail.
        rendered: (h, w, 3) float32, the retouched thumbnail.

    Returns:
        (H, W, 3) of the same dtype as the pixels.
    """
    height, width = pixels.shape[:2]
    levels = max(0, round(math.log2(height * width / (rendered.shape[0] * rendered.shape[1])) / 2))
    every_value = as_floats(np.arange(np.iinfo(pixels.dtype).max + 1, dtype=pixels.dtype))
    total = sum(weights)
    bands = [[0.0] * (levels + 1) for _ in range(3)]  # sums over the exposures, by channel and level
    for exposure, weight in zip(exposures, weights, strict=True):
        weight /= total
        halved = [weight]
        for _ in range(levels):
            halved.append(cv2.pyrDown(halved[-1]))
        table, small = exposure(every_value), exposure(thumbnail)
        for c in range(3):
            plane = np.take(table, pixels[..., c])
            plane -= resized(small[..., c], height, width, cv2.INTER_CUBIC)
            for level in range(levels):
                coarser = cv2.pyrDown(plane)
                plane -= cv2.pyrUp(coarser, dstsize=plane.shape[::-1])
                plane *= halved[level]
                bands[c][level] += plane
                plane = coarser
            bands[c][levels] += plane * halved[levels]
    result = np.empty_like(pixels)
    for c in range(3):
        plane = bands[c].pop()
        while bands[c]:
            finer = bands[c].pop()
            finer += cv2.pyrUp(plane, dstsize=finer.shape[::-1])
            plane = finer
        plane += resized(rendered[..., c], height, width, cv2.INTER_CUBIC)
        result[..., c] = _as_pixels(plane, pixels.dtype)
    return result


def resized(plane: np.ndarray, height: int, width: int, enlarge: int = cv2.INTER_LINEAR) -> np.ndarray:
    """The plane or image at another size, averaged where it shrinks.

    Args:
        plane: (h, w) or (h, w, 3), float32 or uint8.
        height: New height, 1 or more [pixels].
        width: New width, 1 or more [pixels].
        enlarge: OpenCV's interpolation where it grows.

    Returns:
        (height, width) or (height, width, 3), same dtype, a new array.
    """
    # Two steps, since INTER_AREA averages only where both sides shrink.
    shrunk = cv2.resize(plane, (min(width, plane.shape[1]), min(height, plane.shape[0])), interpolation=cv2.INTER_AREA)
    return shrunk if shrunk.shape[:2] == (height, width) else cv2.resize(shrunk, (width, height), interpolation=enlarge)


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """Integer values as float32 in [0, 1], of the same shape."""
    return pixels / np.float32(np.iinfo(pixels.dtype).max)


def _as_pixels(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.rint(clip(image) * np.iinfo(dtype).max).astype(dtype)


def _strips(pixels: np.ndarray) -> list[slice]:
    height, width = pixels.shape[:2]
    rows = max(1, STRIP_PIXELS // width)
    return [slice(top, top + rows) for top in range(0, height, rows)]

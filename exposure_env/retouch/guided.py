"""Planes of the thumbnail at full size, their edges pulled to those of the photo."""

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np

from exposure_env.image import luminance
from exposure_env.photos import content_box
from exposure_env.resizing import as_floats, resized, shrunk, strips

FIT_SIDE = 512  # longer side [pixels] at which the guided filter is fitted
EDGE_SHARE = 0.005  # of the luma's variance: less than that within a window is texture, not an edge


class GuidedPlanes:
    """Planes of the thumbnail enlarged, their edges pulled to the photo's; computed one by one in every iteration.

    The fast guided filter (He and Sun, arXiv:1505.00996, 2015): within a small window, a plane is slope * luma +
    offset. Slopes and offsets are fitted at low resolution and enlarged; the photo's luma brings the detail.

    Args:
        planes: (T, h, w) float32, not below 0.
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        feather: Radius of the window [pixels of the planes]: from how far an edge of the photo can pull an edge of a
            plane, and how soft the transition is where the photo has no edge.
        passes: Number of fits; in between, the planes are squared and made to add up to 1. A second pass pulls masks
            all the way to edges that the first only came near, and leaves no halo there.
    """

    def __init__(self, planes: np.ndarray, pixels: np.ndarray, feather: float, passes: int = 1) -> None:
        """Fits slopes and offsets: `fits`, (T, 2, h, w) float32."""
        self._pixels = pixels
        shrink = min(1.0, FIT_SIDE / max(pixels.shape))
        height, width = (max(1, round(side * shrink)) for side in pixels.shape[:2])
        radius = round(feather * width / planes.shape[2]), round(feather * height / planes.shape[1])
        window = tuple(2 * min(r, FIT_SIDE) + 1 for r in radius)

        def mean(plane: np.ndarray) -> np.ndarray:
            return cv2.boxFilter(plane, -1, window, borderType=cv2.BORDER_REFLECT)

        def fit(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean_plane = mean(plane)
            slope = (mean(luma * plane) - mean_luma * mean_plane) / variance
            return mean(slope), mean(mean_plane - slope * mean_luma)

        luma = luminance(shrunk(pixels, height, width))
        mean_luma = mean(luma)
        variance = mean(luma * luma) - mean_luma**2 + max(EDGE_SHARE * float(luma.var()), 1e-5)
        self.fits = np.array([fit(resized(plane, height, width)) for plane in planes])
        for _ in range(passes - 1):
            snapped = np.maximum(self.fits[:, 0] * luma + self.fits[:, 1], 0) ** 2
            snapped /= snapped.sum(axis=0)
            self.fits = np.array([fit(plane) for plane in snapped])

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the T planes, (H, W) float32, not below 0; they add up to 1 or more if the small ones add up to 1."""
        luma = np.concatenate([luminance(as_floats(self._pixels[rows])) for rows in strips(self._pixels)])
        for slope, offset in self.fits:
            plane = resized(slope, *luma.shape)
            plane *= luma
            plane += resized(offset, *luma.shape)
            yield np.maximum(plane, 0, out=plane)


def soft_masks(labels: np.ndarray, pixels: np.ndarray, fit: Literal["squeeze", "letterbox"] = "squeeze",
               feather: float = 1.0) -> np.ndarray:
    """The segments' masks at the photo's size, (K, H, W) float32 in [0, 1], adding up to 1; edges follow the photo's.

    Args:
        labels: (h, w) integers 0..K-1, the segment of every pixel of the thumbnail.
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        fit: How the photo was fitted into the thumbnail, see `photos.thumbnail`.
        feather: See `GuidedPlanes`.
    """
    top, left, height, width = content_box(*pixels.shape[:2], labels.shape, fit)
    hard = labels[top : top + height, left : left + width] == np.arange(labels.max() + 1)[:, None, None]
    masks = np.array(list(GuidedPlanes(hard.astype(np.float32), pixels, feather, passes=2)))
    return masks / masks.sum(axis=0)

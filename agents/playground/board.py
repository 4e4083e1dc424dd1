"""A photo as players see it: exposed segment by segment within milliseconds, and its segments' outlines."""

import cv2
import numpy as np
from skimage.filters import gaussian
from skimage.measure import approximate_polygon, find_contours

from exposure_env.image import Space, clip, expose
from exposure_env.resizing import shrink
from exposure_env.retouch import RetouchPlan, soft_masks

SIDE = 480  # longer side of a board [px]
LEAST_AREA = 3e-4  # of the photo: smaller islands of a segment get no outline
SMOOTH, TOLERANCE = 1.5, 0.6  # blur of a mask before it is outlined, and what an outline may be off [px]
LEVELS = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)


class Board:
    """A photo at the size of the page, with the masks of its segments.

    What it shows are the plan's exposures, blended under masks that follow the photo's edges. The plan's own rendering
    at full size, `retouch.apply_plan`, takes many times as long, and looks a little different where segments meet.

    Args:
        pixels: (H, W, 3) uint8.
        plan: A plan for the photo, of which the segments count.
    """

    def __init__(self, pixels: np.ndarray, plan: RetouchPlan):
        self.pixels, self.space = np.ascontiguousarray(shrink(pixels, SIDE)), plan.space
        masks = soft_masks(plan.labels, self.pixels, plan.thumbnail)
        self.outlines = [outline(mask) for mask in masks]
        # Eight bits take a quarter of the memory, and nobody sees a difference; outside of its box, a mask is 0.
        self._masks = [_boxed(np.rint(mask * 255).astype(np.uint8)) for mask in masks]

    def exposed(self, evs: np.ndarray) -> np.ndarray:
        """The photo with its first segments exposed, (h, w, 3) uint8.

        Args:
            evs: Exposures of at most as many segments as there are [stops].
        """
        result = self.pixels.astype(np.float32)
        for (box, mask), ev in zip(self._masks, evs, strict=False):
            if ev:
                changes = cv2.LUT(self.pixels[box], _changes(float(ev), self.space))
                result[box] += cv2.multiply(changes, cv2.merge([mask] * 3), scale=1 / 255, dtype=cv2.CV_32F)
        return cv2.convertScaleAbs(result.clip(0, 255))


def outline(mask: np.ndarray) -> str:
    """The outline of a soft mask, (h, w) in [0, 1], as the data of an SVG path, in pixels."""
    padded = np.pad(gaussian(mask, SMOOTH), 1)  # so that outlines are closed at the photo's border
    parts = []
    for contour in find_contours(padded, 0.5):
        rows, columns = contour.T
        area = abs(np.sum(rows[:-1] * columns[1:] - rows[1:] * columns[:-1])) / 2
        if area >= LEAST_AREA * mask.size:
            points = approximate_polygon(contour, TOLERANCE)[:-1] - 0.5  # a pixel's centre is half a pixel in
            parts.append("M" + "L".join(f"{column:.1f} {row:.1f}" for row, column in points) + "Z")
    return "".join(parts)


def _boxed(mask: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """The smallest box around a mask, at least a pixel, and what is in it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = tuple(slice(int(place[0]), int(place[-1]) + 1) if len(place) else slice(1) for place in (rows, columns))
    return box, np.ascontiguousarray(mask[box])


def _changes(ev: float, space: Space) -> np.ndarray:
    """By how much each of 256 levels changes, (256,) float32 in -255..255."""
    return (clip(expose(np.repeat(LEVELS, 3, axis=1), ev, space))[:, 0] - LEVELS[:, 0]) * 255

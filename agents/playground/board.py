"""A photo as players see it: exposed segment by segment within milliseconds, and its segments' outlines."""

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
    at full size, `retouch.apply_plan`, takes twenty times as long and differs in the transitions alone.

    Args:
        pixels: (H, W, 3) uint8.
        plan: A plan for the photo, of which the segments count.
    """

    def __init__(self, pixels: np.ndarray, plan: RetouchPlan):
        self.pixels, self.space = np.ascontiguousarray(shrink(pixels, SIDE)), plan.space
        masks = soft_masks(plan.labels, self.pixels, plan.thumbnail)
        self.outlines = [outline(mask) for mask in masks]
        self._masks = np.rint(masks * 255).astype(np.uint8)  # an eighth of the memory, and no difference to see

    def exposed(self, evs: np.ndarray) -> np.ndarray:
        """The photo with its first segments exposed, (h, w, 3) uint8.

        Args:
            evs: Exposures of at most as many segments as there are [stops].
        """
        result = self.pixels.astype(np.float32)
        for mask, ev in zip(self._masks, evs, strict=False):
            if ev:
                changes = _levels(float(ev), self.space) - LEVELS[:, 0] * 255
                result += changes[self.pixels] * (mask * np.float32(1 / 255))[..., None]
        return np.rint(result.clip(0, 255)).astype(np.uint8)


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


def _levels(ev: float, space: Space) -> np.ndarray:
    """What each of 256 levels becomes, (256,) float32 in 0..255."""
    return clip(expose(np.repeat(LEVELS, 3, axis=1), ev, space))[:, 0] * 255

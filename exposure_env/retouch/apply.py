"""A plan applied to its photo, at full size."""

import math
import os

import numpy as np

from exposure_env.acceleration import enabled
from exposure_env.photos import content_box, thumbnail
from exposure_env.retouch.full_size import TILE, blend_detail, checked_pixels, expose_locally
from exposure_env.retouch.guided import GuidedPlanes
from exposure_env.retouch.plan import RetouchPlan

BYTES_PER_PIXEL = 24  # peak memory of a full-size retouch; 13 to 21 measured at 50 megapixels
MORE_IN_DEFINITION = 36  # extra bytes per pixel without compiled fast paths; 57 in all measured at 12 megapixels


def apply_plan(plan: RetouchPlan, pixels: np.ndarray, *, feather: float = 1.0, tile: int = TILE,
               reuse: bool = False) -> np.ndarray:
    """The photo retouched by the plan at full size.

    Shrunk again, it equals the plan's own rendering of the thumbnail, up to about one level of 255 on average.

    Args:
        plan: The retouch, made on this photo's thumbnail.
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        feather: How far the borders of the segments are softened and pulled to edges of the photo [pixels of the
            thumbnail]; 0 for borders that ignore the photo.
        tile: Width of the strips of the compiled fast path [pixels], a multiple of 4; does not change the result.
        reuse: Whether the result may overwrite `pixels`, where that saves memory; they are lost then.

    Returns:
        (H, W, 3) of the same dtype; exactly the pixels if all EVs are 0.

    Raises:
        ValueError: If the pixels are of another dtype or shape or more than this machine's memory can hold, or
            `feather` is negative or not finite.
    """
    pixels = checked_pixels(pixels)
    if not 0 <= feather < math.inf:
        raise ValueError(f"feather must be a finite number of thumbnail pixels from 0, not {feather!r}")
    needed = (BYTES_PER_PIXEL + (0 if enabled() else MORE_IN_DEFINITION)) * pixels.shape[0] * pixels.shape[1]
    memory = _memory()
    if needed > memory:
        raise ValueError(f"a photo of {pixels.shape[1]}x{pixels.shape[0]} pixels needs about {needed / 1e9:.1f} GB to "
                         f"be retouched at once, and this machine has {memory / 1e9:.1f} GB: make it smaller")
    if not plan.evs.any():
        return pixels.copy()
    seen = thumbnail(pixels, plan.labels.shape, plan.thumbnail)
    top, left, height, width = content_box(*pixels.shape[:2], plan.labels.shape, plan.thumbnail)
    box = slice(top, top + height), slice(left, left + width)
    layers = plan.layers(seen)
    evs, weights = layers.evs[0], layers.weights[0, :, *box]
    if "levels" not in plan.options:  # no pyramid: one exposure per pixel
        return expose_locally(pixels, evs, GuidedPlanes(weights, pixels, feather, passes=2), plan.space, tile)
    guided = GuidedPlanes(weights, pixels, feather)
    rendered, clip_input = plan.render(seen), plan.options["clip_input"]
    return blend_detail(pixels, evs, guided, seen[box], rendered[box], plan.space, clip_input, tile, reuse)


def _memory() -> float:
    """Physical memory [bytes]; infinite where the system doesn't say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf

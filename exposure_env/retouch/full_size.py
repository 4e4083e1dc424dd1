"""From the thumbnail to the photo's full size: edges follow the photo, tones the thumbnail. And plain exposure fusion.

These are definitions, which work exposure by exposure; the compiled twins go strip by strip, in a third of the memory.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from exposure_env.acceleration import accelerated
from exposure_env.fusion import mertens_weights
from exposure_env.image import Space, clip, expose
from exposure_env.resizing import as_floats, resized, strips
from exposure_env.retouch.bands import add_bands, collapsed, gaussians
from exposure_env.retouch.guided import GuidedPlanes

TILE = 384  # columns, so that the last rows of 8 exposures fit into a processor's cache of 1 MB


@accelerated("full_size.expose_locally")
def expose_locally(
    pixels: np.ndarray, evs: Sequence[float], masks: GuidedPlanes, space: Space, tile: int = TILE
) -> np.ndarray:
    """The photo with every pixel under its own exposure, the mean of the EVs weighted by the squared masks.

    Args:
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        evs: K exposures in stops.
        masks: K planes (H, W).
        space: See `image.expose`.
        tile: See `exposure_fusion`.

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
    for rows in strips(pixels):
        result[rows] = _as_pixels(expose(as_floats(pixels[rows]), ev_map[rows], space), pixels.dtype)
    return result


@accelerated("full_size.blend_detail")
def blend_detail(
    pixels: np.ndarray, evs: Sequence[float], weights: GuidedPlanes, thumbnail: np.ndarray, rendered: np.ndarray,
    space: Space = "linear", clip_input: bool = True, tile: int = TILE, reuse: bool = False
) -> np.ndarray:  # fmt: skip
    """The rendered thumbnail enlarged, plus the detail it lacks: that of the exposed photos, blended by a pyramid.

    The detail of an exposed photo is its difference from its own thumbnail enlarged, so where all exposures are equal
    the result is just the exposed photo. The pyramid goes down to about the size of the thumbnail.

    Args:
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        evs: T exposures in stops.
        weights: T planes (H, W).
        thumbnail: (h, w, 3) float32, the photo's thumbnail.
        rendered: (h, w, 3) float32, the retouched thumbnail.
        space: See `image.expose`.
        clip_input: Whether the exposed photos are clipped to [0, 1].
        tile: See `exposure_fusion`.
        reuse: See `retouch.apply_plan`.

    Returns:
        (H, W, 3) of the same dtype as the pixels.
    """
    height, width = pixels.shape[:2]
    levels = levels_between(pixels, rendered)
    exposed = [expose_clipped(thumbnail, ev, space, clip_input) for ev in evs]
    tables = [expose_clipped(_every_value(pixels), ev, space, clip_input) for ev in evs]
    total = sum(weights)
    bands: list[list[np.ndarray]] = [[], [], []]
    for table, small, weight in zip(tables, exposed, weights, strict=True):
        weight /= total
        halved = gaussians(weight, levels)
        for c in range(3):
            plane = np.take(table, pixels[..., c])
            plane -= resized(small[..., c], height, width, cv2.INTER_CUBIC)
            add_bands(plane, halved, bands[c])
    result = np.empty_like(pixels)
    for c in range(3):
        plane = collapsed(bands[c])
        plane += resized(rendered[..., c], height, width, cv2.INTER_CUBIC)
        result[..., c] = _as_pixels(plane, pixels.dtype)
    return result


def exposure_fusion(
    pixels: np.ndarray, evs: Sequence[float], *, space: Space = "linear", contrast: float = 1.0,
    saturation: float = 1.0, exposedness: float = 1.0, include_input: bool = True, epsilon: float = 1e-6,
    levels: int | None = None, clip_input: bool = True, tile: int = TILE
) -> np.ndarray:  # fmt: skip
    """The exposure blending of the photo under several exposures, at its full size: `fusion.mertens`, clipped.

    Args:
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        evs: Exposures in stops.
        space: See `image.expose`.
        contrast: Exponent, see `fusion.mertens_weights`, like the next two.
        saturation: Exponent.
        exposedness: Exponent.
        include_input: Whether the photo itself is blended in.
        epsilon: Added to every weight; 1e-12 in OpenCV.
        levels: Halvings of the pyramid; by default as many as the shorter side allows.
        clip_input: Whether exposed images are clipped first.
        tile: Width of the strips of the compiled fast path [pixels], a multiple of 4; does not change the result.

    Returns:
        (H, W, 3) of the same dtype.

    Raises:
        ValueError: If the pixels are of another dtype or shape, an EV is not finite, or there is nothing to blend.
    """
    pixels = checked_pixels(pixels)
    evs = [0.0] * include_input + [float(ev) for ev in evs]
    if not evs or not np.isfinite(evs).all():
        raise ValueError(f"evs must be finite numbers, at least one, not {evs}")
    deepest = int(math.log2(min(pixels.shape[:2])))
    levels = deepest if levels is None else min(levels, deepest)
    return _fused(pixels, evs, (contrast, saturation, exposedness), epsilon, space, clip_input, levels, tile)


@accelerated("full_size.fused")
def _fused(
    pixels: np.ndarray, evs: Sequence[float], exponents: tuple[float, float, float], epsilon: float, space: Space,
    clip_input: bool, levels: int, tile: int
) -> np.ndarray:  # fmt: skip
    """`exposure_fusion` of T checked exposures, including that of the photo itself."""
    tables = [expose_clipped(_every_value(pixels), ev, space, clip_input) for ev in evs]
    options = dict(zip(("contrast", "saturation", "exposedness"), exponents, strict=True))

    def quality(table: np.ndarray) -> np.ndarray:
        planar = np.moveaxis(np.take(table, pixels), -1, 0)
        return mertens_weights(planar[None, None], **options)[0, 0] + np.float32(epsilon)

    total = sum(quality(table) for table in tables)
    bands: list[list[np.ndarray]] = [[], [], []]
    for table in tables:
        halved = gaussians(quality(table) / total, levels)
        for c in range(3):
            add_bands(np.take(table, pixels[..., c]), halved, bands[c])
    return np.stack([_as_pixels(collapsed(bands[c]), pixels.dtype) for c in range(3)], axis=-1)


def checked_pixels(pixels: np.ndarray) -> np.ndarray:
    """The pixels as an array.

    Raises:
        ValueError: If they are not (H, W, 3) uint8 or uint16, or empty.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels must be uint8 or uint16, not {pixels.dtype}")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"pixels must be (height, width, 3) and not empty, not {pixels.shape}")
    return pixels


def levels_between(pixels: np.ndarray, small: np.ndarray) -> int:
    """The number of halvings that take a photo (H, W, ...) down to about the size of a small one (h, w, ...)."""
    ratio = pixels.shape[0] * pixels.shape[1] / (small.shape[0] * small.shape[1])
    return max(0, round(math.log2(ratio) / 2))


def expose_clipped(image: np.ndarray, ev: float, space: Space, clip_input: bool) -> np.ndarray:
    """The result of `image.expose`, clipped if `clip_input`."""
    exposed = expose(image, float(ev), space)
    return clip(exposed) if clip_input else exposed


def _every_value(pixels: np.ndarray) -> np.ndarray:
    return as_floats(np.arange(np.iinfo(pixels.dtype).max + 1, dtype=pixels.dtype))


def _as_pixels(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.rint(clip(image) * np.iinfo(dtype).max).astype(dtype)

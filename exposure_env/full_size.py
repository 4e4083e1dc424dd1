"""From the thumbnail to the photo's full size: edges follow the photo, tones the thumbnail. And plain exposure fusion.

This is the definition, one exposure at a time; `kernels_full_size` does it strip by strip in a third of the memory.
"""

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from exposure_env.fusion import mertens_weights
from exposure_env.image import Space, clip, expose, luminance
from exposure_env.kernels import load, spread

FIT_SIDE = 512  # pixels of the longer side at which the guided filter is fitted
EDGE_SHARE = 0.005  # of the luma's variance: less than that within the window is texture, not an edge
STRIP_PIXELS = 2**18  # made into floats at once
TILE = 384  # columns; so the last rows of 8 exposures fit into a processor's cache of 1 MB


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
        """Fit slopes and offsets: `fits`, (T, 2, h, w) float32."""
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
        """Yield the T planes, (H, W) float32, not below 0; they add up to 1 or more if the small ones add up to 1."""
        luma = np.concatenate([luminance(as_floats(self._pixels[rows])) for rows in _strips(self._pixels)])
        for slope, offset in self.fits:
            plane = resized(slope, *luma.shape)
            plane *= luma
            plane += resized(offset, *luma.shape)
            yield np.maximum(plane, 0, out=plane)


def expose_locally(
    pixels: np.ndarray, evs: Sequence[float], masks: GuidedPlanes, space: Space, tile: int = TILE
) -> np.ndarray:
    """Every pixel under its own exposure, the mean of the EVs under the masks.

    Args:
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        evs: K exposures in stops.
        masks: K planes (H, W).
        space: See `image.expose`.
        tile: See `exposure_fusion`.

    Returns:
        (H, W, 3) of the same dtype.
    """
    if kernels := load("full_size"):
        return kernels.expose_locally(pixels, evs, masks.fits, space, tile)
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
    pixels: np.ndarray, evs: Sequence[float], weights: GuidedPlanes, thumbnail: np.ndarray, rendered: np.ndarray,
    space: Space = "linear", clip_input: bool = True, tile: int = TILE, reuse: bool = False
) -> np.ndarray:  # fmt: skip
    """The rendered thumbnail enlarged, plus the detail it lacks: that of the exposed photos, blended by a pyramid.

    The detail of an exposed photo is what sets it apart from its own thumbnail enlarged; so where all exposures are
    equal the result is just the exposed photo. The pyramid halves it down to about the size of the thumbnail.

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
    levels = max(0, round(math.log2(height * width / (rendered.shape[0] * rendered.shape[1])) / 2))
    exposed = [_exposed(thumbnail, ev, space, clip_input) for ev in evs]
    tables = [_exposed(_every_value(pixels), ev, space, clip_input) for ev in evs]
    if (kernels := load("full_size")) and np.max(tables) <= kernels.HIGHEST:
        options = (space, clip_input, levels, tile, reuse)
        return kernels.blend_detail(pixels, evs, weights.fits, exposed, rendered, *options)
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
    """Exposure blending of the photo under several exposures, at its full size: `fusion.mertens`, clipped.

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
        ValueError: If the pixels are of another dtype or shape, or there is nothing to blend.
    """
    pixels = checked_pixels(pixels)
    evs = [0.0] * include_input + [float(ev) for ev in evs]
    if not evs or not np.isfinite(evs).all():
        raise ValueError(f"evs must be finite numbers, at least one, not {evs}")
    deepest = int(math.log2(min(pixels.shape[:2])))
    levels = deepest if levels is None else min(levels, deepest)
    exponents = {"contrast": contrast, "saturation": saturation, "exposedness": exposedness}
    tables = [_exposed(_every_value(pixels), ev, space, clip_input) for ev in evs]
    if (kernels := load("full_size")) and np.max(tables) <= kernels.HIGHEST:
        return kernels.exposure_fusion(pixels, evs, (*exponents.values(), epsilon), space, clip_input, levels, tile)

    def quality(table: np.ndarray) -> np.ndarray:
        planar = np.moveaxis(np.take(table, pixels), -1, 0)
        return mertens_weights(planar[None, None], **exponents)[0, 0] + np.float32(epsilon)

    total = sum(quality(table) for table in tables)
    bands: list[list[np.ndarray]] = [[], [], []]
    for table in tables:
        halved = gaussians(quality(table) / total, levels)
        for c in range(3):
            add_bands(np.take(table, pixels[..., c]), halved, bands[c])
    return np.stack([_as_pixels(collapsed(bands[c]), pixels.dtype) for c in range(3)], axis=-1)


def gaussians(plane: np.ndarray, levels: int) -> list[np.ndarray]:
    """The plane and its halves, quarters, and so on: levels + 1 planes."""
    planes = [plane]
    for _ in range(levels):
        planes.append(cv2.pyrDown(planes[-1]))
    return planes


def add_bands(plane: np.ndarray, weights: list[np.ndarray], bands: list[np.ndarray]) -> None:
    """Add the plane, cut into the bands of a Laplacian pyramid and weighted, to the bands; fills an empty list."""
    levels = len(weights) - 1
    for level in range(levels + 1):
        coarser = cv2.pyrDown(plane) if level < levels else None
        if coarser is not None:
            plane -= cv2.pyrUp(coarser, dstsize=plane.shape[::-1])
        plane *= weights[level]
        if len(bands) == level:
            bands.append(plane)
        else:
            bands[level] += plane
        plane = coarser


def collapsed(bands: list[np.ndarray]) -> np.ndarray:
    """The plane that the bands of a Laplacian pyramid make up; empties the list."""
    plane = bands.pop()
    while bands:
        finer = bands.pop()
        finer += cv2.pyrUp(plane, dstsize=finer.shape[::-1])
        plane = finer
    return plane


def shrunk(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The photo at another size, averaged where it shrinks, without a copy of it as floats.

    Args:
        pixels: (H, W, 3) uint8 or uint16.
        height: New height [pixels].
        width: New width [pixels].

    Returns:
        (height, width, 3) float32 in [0, 1].
    """
    narrow = spread(lambda rows: resized(as_floats(pixels[rows]), rows.stop - rows.start, width), _strips(pixels))
    return resized(np.concatenate(narrow), height, width)


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
    """Integer values as float32 in [0, 1]."""
    return pixels / np.float32(np.iinfo(pixels.dtype).max)


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


def _exposed(image: np.ndarray, ev: float, space: Space, clip_input: bool) -> np.ndarray:
    exposed = expose(image, float(ev), space)
    return clip(exposed) if clip_input else exposed


def _every_value(pixels: np.ndarray) -> np.ndarray:
    return as_floats(np.arange(np.iinfo(pixels.dtype).max + 1, dtype=pixels.dtype))


def _as_pixels(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.rint(clip(image) * np.iinfo(dtype).max).astype(dtype)


def _strips(pixels: np.ndarray) -> list[slice]:
    height, width = pixels.shape[:2]
    rows = max(1, STRIP_PIXELS // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]

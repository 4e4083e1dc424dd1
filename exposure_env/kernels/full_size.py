"""Fast paths of `retouch.full_size`: the photo cut into strips, which `kernels.strips` blends, and the coarse levels.

The finest two levels of the pyramid are finished strip by strip as 16-bit fixed-point numbers, which take the photo's
place in memory; for an 8-bit photo, the upper half of each lies in a second image. Every exposure is kept only at a
quarter of the width and height, with 16 bits per number. OpenCV blends the coarser levels from these, and a second pass
adds them. 50 megapixels and 9 exposures take 300 MB for the detail, 225 for the quarters, and 140 to blend those.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from exposure_env.image import LINEAR_KNEE, Space, srgb_to_linear
from exposure_env.kernels import strips
from exposure_env.kernels.finish import finish_rows, weigh_band
from exposure_env.retouch.bands import add_bands, collapsed, gaussians
from exposure_env.retouch.full_size import TILE, expose_clipped, levels_between
from exposure_env.retouch.guided import GuidedPlanes
from exposure_env.threads import ranges, spread

HIGHEST = 16.0  # exposed value; more, unclipped, would leave the fixed-point numbers too few steps
HEADROOM = 1.25  # the largest detail: more than 1, as it makes up for the overshoot of enlarged coarse levels
ASPECT = 4  # height of a strip by its width: long ones, since they overlap at their ends
AROUND = 16  # pixels that a strip may need around it


class Seams(NamedTuple):
    """Copies of the pixels along the seams between strips, up to `AROUND` on each side."""

    rows: dict[int, np.ndarray]  # by the first row below the seam; each begins `AROUND` rows above it
    columns: dict[int, np.ndarray]


NO_SEAMS = Seams({}, {})


def fused(
    pixels: np.ndarray, evs: Sequence[float], exponents: tuple[float, float, float], epsilon: float, space: Space,
    clip_input: bool, levels: int, tile: int
) -> np.ndarray:  # fmt: skip
    """The compiled `retouch.full_size.exposure_fusion`, for checked exposures."""
    if _highest(evs, space, clip_input) > HIGHEST:
        return NotImplemented
    none = np.empty((0, 2, 1, 1), np.float32), np.empty((0, 3, 1, 1), np.float32), np.empty((3, 0, 0), np.float32)
    return _blended(pixels, evs, (*exponents, epsilon), *none, space, clip_input, levels, tile)


def blend_detail(
    pixels: np.ndarray, evs: Sequence[float], weights: GuidedPlanes, thumbnail: np.ndarray, rendered: np.ndarray,
    space: Space = "linear", clip_input: bool = True, tile: int = TILE, reuse: bool = False
) -> np.ndarray:  # fmt: skip
    """The compiled `retouch.full_size.blend_detail`."""
    if _highest(evs, space, clip_input) > HIGHEST:
        return NotImplemented
    smalls = np.stack([_planar(expose_clipped(thumbnail, ev, space, clip_input), pixels.shape) for ev in evs])
    options, small, levels = (0.0, 0.0, 0.0, 0.0), _planar(rendered, pixels.shape), levels_between(pixels, rendered)
    return _blended(pixels, evs, options, weights.fits, smalls, small, space, clip_input, levels, tile, reuse)


def expose_locally(
    pixels: np.ndarray, evs: Sequence[float], masks: GuidedPlanes, space: Space, tile: int = TILE
) -> np.ndarray:
    """The compiled `retouch.full_size.expose_locally`."""
    fits = masks.fits
    tables, result = _tables(pixels.dtype, space), np.empty(pixels.shape, pixels.dtype)
    evs, linear = np.asarray(evs, np.float32), space == "linear"

    def work(group: list[strips.Strip]) -> None:
        room = None
        for strip in group:
            room = room if room and room.line.size == _line(strip) else strips.room(strip.width, len(evs))
            part, corner = _part(pixels, NO_SEAMS, strip)
            inside = result[strip.top : strip.top + strip.height, strip.left : strip.left + strip.width]
            out = np.empty(inside.shape, np.uint16)
            strips.local_strip(part, corner, tables, strip, room, evs, linear, fits, out)
            inside[:] = out

    spread(work, _groups(pixels.shape, tile))
    return result


def _blended(
    pixels: np.ndarray, evs: Sequence[float], options: tuple[float, ...], fits: np.ndarray, smalls: np.ndarray,
    rendered: np.ndarray, space: Space, clip_input: bool, levels: int, tile: int, reuse: bool = False
) -> np.ndarray:  # fmt: skip
    groups, count, depth = _groups(pixels.shape, tile), len(evs), min(levels, 2)
    pixels = pixels if reuse and pixels.flags.carray else pixels.copy()  # read strip by strip, then overwritten
    tables = _tables(pixels.dtype, space)[: 3 if len(fits) else 2]  # only guided weights look at encoded values
    gains, highest = _gains(evs, space, clip_input), _highest(evs, space, clip_input)
    options = tuple(np.float32(option) for option in options)
    step = np.float32(HEADROOM * highest / strips.SHORT)
    height, width = ((side + 3) // 4 if depth == 2 else 0 for side in pixels.shape[:2])
    images = [np.empty((count, height, width), np.int16) for _ in range(3)]
    weights = np.empty((count, height, width), np.uint16)
    high = np.empty(pixels.shape if pixels.dtype == np.uint8 else (0, 0, 0), np.int8)

    def work(group: list[strips.Strip], seams: Seams) -> None:
        room = None
        for strip in group:
            room = room if room and room.line.size == _line(strip) else strips.room(strip.width, count)
            part, corner = _part(pixels, seams, strip)
            strips.blend_strip(part, corner, tables, strip, room, gains, options, fits, smalls, depth, step,
                               tuple(images), weights, pixels, high)  # fmt: skip

    spread(partial(work, seams=_seams(pixels, tile)), groups)
    coarse = _coarse(images, weights, step, levels - 2) if depth == 2 else np.empty((3, 0, 0), np.float32)
    spread(lambda rows: finish_rows(pixels, high, step, coarse, rendered, (rows.start, rows.stop)),
           ranges(len(pixels), 16))  # fmt: skip
    return pixels


def _coarse(images: list[np.ndarray], weights: np.ndarray, step: np.float32, levels: int) -> np.ndarray:
    """The blend from a quarter of the resolution down, (3, h, w) float32; empties the list of images."""
    inverse = 1 / weights.sum(axis=0, dtype=np.float32)  # rounded weights add up to nearly, not exactly, 1
    coarser = spread(lambda weight: gaussians(weight * inverse, levels)[1:], weights)

    def bands(channel: np.ndarray, part: slice) -> list[np.ndarray]:
        finest: list[np.ndarray] = []
        others: list[np.ndarray] = []
        for image, weight, halved in zip(channel[part], weights[part], coarser[part], strict=True):
            half = cv2.pyrDown(image * step)
            band = cv2.pyrUp(half, dstsize=image.shape[::-1]) if levels else np.zeros(image.shape, np.float32)
            weigh_band(image, step, weight, inverse, band)
            add_bands(half, halved, others)
            finest.append(band)
            if len(finest) == 2:
                finest[0] += finest.pop()
        return finest + others

    middle = (len(weights) + 1) // 2  # the same two sums on any number of threads
    planes = np.empty((3, *inverse.shape), np.float32)
    for plane in planes:
        sums, more = spread(partial(bands, images.pop(0)), [slice(middle), slice(middle, None)])
        for band, second in zip(sums, more, strict=False):  # a single exposure has no second sum
            band += second
        del more
        plane[:] = collapsed(sums)
    return planes


def _tables(dtype: np.dtype, space: Space) -> np.ndarray:
    """Every pixel value's light ** (1 / 2.4), light and encoded value, (3, values) float32; see `strips.Room`."""
    encoded = np.linspace(0, 1, np.iinfo(dtype).max + 1)
    light = srgb_to_linear(encoded) if space == "linear" else encoded
    return np.stack([light ** (1 / 2.4) if space == "linear" else encoded, light, encoded]).astype(np.float32)


def _gains(evs: Sequence[float], space: Space, clip_input: bool) -> np.ndarray:
    """The exposures as `strips` takes them, (T, 5) float32; see `rows.expose_row`."""
    gain = 2.0 ** np.asarray(evs, np.float64)
    rows = np.zeros((len(gain), 5))
    if space == "linear":
        rows[:, :4] = np.stack([12.92 * gain, LINEAR_KNEE / gain, 1.055 * gain ** (1 / 2.4), 0.055 + 0 * gain], axis=1)
    else:
        rows[:, 1], rows[:, 2] = -1, gain
    rows[:, 4] = 1 if clip_input else np.inf
    return rows.astype(np.float32)


def _highest(evs: Sequence[float], space: Space, clip_input: bool) -> float:
    """The largest value that any of the exposures gives, which is that of white, and at least 1."""
    gain = 2.0 ** np.asarray(evs, np.float64)
    largest = 1.055 * gain ** (1 / 2.4) - 0.055 if space == "linear" else gain
    return 1.0 if clip_input else max(1.0, float(largest.max()))


def _planar(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The planes (3, h, w) of an image (h, w, 3), no larger than the photo; the strips enlarge them."""
    size = min(shape[1], image.shape[1]), min(shape[0], image.shape[0])
    shrunk = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.moveaxis(shrunk, -1, 0))


def _groups(shape: tuple[int, ...], tile: int) -> list[list[strips.Strip]]:
    """Strips of `tile` columns, in small groups for the threads to take."""
    if tile < 4 or tile % 4:
        raise ValueError(f"tile must be a positive multiple of 4, not {tile!r}")
    height, width = shape[:2]
    tall = ASPECT * tile
    found = [
        strips.Strip(top, left, *((min(most, rest) + 3) // 4 * 4 for most, rest in sides), height, width)
        for left in range(0, width, tile)
        for top in range(0, height, tall)
        for sides in [((tall, height - top), (tile, width - left))]
    ]
    return [found[start : start + 2] for start in range(0, len(found), 2)]


def _line(strip: strips.Strip) -> int:
    return 4 * (strip.width + 2 * strips.MARGIN)


def _seams(pixels: np.ndarray, tile: int) -> Seams:
    height, width = pixels.shape[:2]
    rows = {y: pixels[max(0, y - AROUND) : y + AROUND].copy() for y in range(ASPECT * tile, height, ASPECT * tile)}
    columns = {x: pixels[:, max(0, x - AROUND) : x + AROUND].copy() for x in range(tile, width, tile)}
    return Seams(rows, columns)


def _part(pixels: np.ndarray, seams: Seams, strip: strips.Strip) -> tuple[np.ndarray, tuple[int, int]]:
    """The strip's pixels and those around it as uint16, and the row and column of the first."""
    bottom, right = strip.top + strip.height, strip.left + strip.width
    top, left = max(0, strip.top - AROUND), max(0, strip.left - AROUND)
    rows, columns = slice(top, bottom + AROUND), slice(left, right + AROUND)
    part = pixels[rows, columns].astype(np.uint16, order="C")
    for x in {strip.left, right} & seams.columns.keys():  # pixels beyond a seam may have been overwritten by now
        copy, start = seams.columns[x][rows], max(0, x - AROUND) - left
        part[:, start : start + copy.shape[1]] = copy
    for y in {strip.top, bottom} & seams.rows.keys():
        copy, start = seams.rows[y][:, columns], max(0, y - AROUND) - top
        part[start : start + len(copy)] = copy
    return part, (top, left)

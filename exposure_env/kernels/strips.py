"""Compiled: a strip of a photo exposed T times and blended by a Laplacian pyramid, its two finest levels at once.

The kernel goes down a strip row by row and keeps only the last few rows of every exposure and level, which fit into the
processor's cache. A strip has a margin of 12 columns, 6 at half the resolution and 3 at a quarter: as far as two steps
of the pyramid reach. Beyond the photo's border, columns are filled in and row indices mapped back as in OpenCV:
mirrored or, where a level is enlarged, repeated at the right and the bottom.
"""

from typing import NamedTuple

import numpy as np

from exposure_env.image import LINEAR_KNEE
from exposure_env.kernels.rows import (
    HALF,
    ONE,
    ZERO,
    add_bands,
    border,
    cubic,
    down,
    enlarge_fits,
    enlarge_small,
    enlarged_row,
    exp2,
    expose_row,
    fused,
    interpolation,
    load_row,
    mirrored,
    normalise,
    quality,
    widen,
)

MARGIN = 12  # 10 are needed; a multiple of 4
SHORT, WORD = np.float32(32767), np.float32(65535)
LUMA = tuple(np.float32(value) for value in (0.2126, 0.7152, 0.0722))
SLOPE, KNEE, FACTOR, OFFSET = (np.float32(value) for value in (12.92, LINEAR_KNEE, 1.055, 0.055))  # of sRGB
TWELFTH = np.float32(1 / 12)


class Strip(NamedTuple):
    """The place of a strip in its photo; height and width are rounded up to multiples of 4."""

    top: int
    left: int
    height: int
    width: int
    photo_height: int
    photo_width: int


class Room(NamedTuple):
    """Memory for the last rows of T exposures of a strip, N pixels wide with its margins; n = N / 2, m = N / 4."""

    light: np.ndarray  # (3, 3 N): one row's light ** (1 / 2.4), light and encoded values, by channel
    full: np.ndarray  # (8, T, 4 N): red, green, blue and weight
    half: np.ndarray  # (8, T, 4 n)
    quarter: np.ndarray  # (4 m,)
    wide: np.ndarray  # (4, T, 3 N): rows of `half` without the weight, enlarged to the full width
    half_wide: np.ndarray  # (4, T, 3 n)
    band: np.ndarray  # (16, 3, N): the finest band, summed over the exposures
    half_band: np.ndarray  # (3 n,)
    wide_band: np.ndarray  # (8, 3, N): its last rows, enlarged to the full width
    line: np.ndarray  # (4 N,)
    fits: np.ndarray  # (2, T, 2 N): slopes and offsets, enlarged to the full width
    smalls: np.ndarray  # (4, T, 3 N): the exposed thumbnail, enlarged to the full width


def room(width: int, exposures: int) -> Room:
    """The memory for strips of that width."""
    full = width + 2 * MARGIN
    half, quarter = full // 2, full // 4
    shapes = Room((3, 3 * full), (8, exposures, 4 * full), (8, exposures, 4 * half), (4 * quarter,),
                  (4, exposures, 3 * full), (4, exposures, 3 * half), (16, 3, full), (3 * half,), (8, 3, full),
                  (4 * full,), (2, exposures, 2 * full), (4, exposures, 3 * full))  # fmt: skip
    return Room(*(np.zeros(shape, np.float32) for shape in shapes))


@fused
def _guided(room, held, y, strip, fits, starts, shares, out):
    """Writes the weights of row y, slope * luma + offset, to the fourth planes of `out`, (T, 4 N)."""
    count = len(starts)
    above, share = interpolation(y, fits.shape[2], strip.photo_height, False)
    below = min(above + 1, fits.shape[2] - 1)
    for row in (above, below):
        if held[row & 1] != row:
            held[row & 1] = row
            enlarge_fits(fits, row, starts, shares, room.fits[row & 1])
    red, green, blue = room.light[2, :count], room.light[2, count:], room.light[2, 2 * count :]
    luma = room.line[:count]
    for x in range(count):
        luma[x] = LUMA[0] * red[x] + LUMA[1] * green[x] + LUMA[2] * blue[x]
    for t in range(len(fits)):
        slope0, slope1 = room.fits[above & 1, t], room.fits[below & 1, t]
        offset0, offset1, weight = slope0[count:], slope1[count:], out[t, 3 * count :]
        for x in range(count):
            slope = slope0[x] + (slope1[x] - slope0[x]) * share
            weight[x] = max(slope * luma[x] + (offset0[x] + (offset1[x] - offset0[x]) * share), ZERO)


@fused
def _subtract_smalls(room, held, y, strip, smalls, starts, shares, out):
    """Subtracts from row y of every exposed photo, (T, 4 N), its own thumbnail enlarged."""
    count, last = 3 * len(starts), smalls.shape[2] - 1
    start, share = interpolation(y, smalls.shape[2], strip.photo_height, True)
    rows = (max(start - 1, 0), min(max(start, 0), last), min(start + 1, last), min(start + 2, last))
    for row in rows:
        if held[row & 3] != row:
            held[row & 3] = row
            for t in range(len(smalls)):
                enlarge_small(smalls[t], row, starts, shares, room.smalls[row & 3, t])
    w0, w1, w2, w3 = cubic(share)
    for t in range(len(smalls)):
        a, b = room.smalls[rows[0] & 3, t], room.smalls[rows[1] & 3, t]
        c, d, target = room.smalls[rows[2] & 3, t], room.smalls[rows[3] & 3, t], out[t]
        for x in range(count):
            target[x] -= (a[x] * w0 + b[x] * w1) + (c[x] * w2 + d[x] * w3)


@fused
def _places(small, strip, cubic, starts, shares):
    """Fills in the results of `interpolation` for every column of the strip."""
    for x in range(len(starts)):
        column = mirrored(strip.left - MARGIN + x, strip.photo_width)
        starts[x], shares[x] = interpolation(column, small, strip.photo_width, cubic)


@fused
def _write(room, strip, y, inverse, low, high):
    """Writes row y of the sum of the two finest bands."""
    count = min(strip.width, strip.photo_width - strip.left)
    out = low[y, strip.left : strip.left + count]
    for c in range(3):
        band, line = room.band[y & 15, c, MARGIN:], room.line[c * count : (c + 1) * count]
        enlarged_row(room.wide_band, c, MARGIN, y, (strip.photo_height + 1) // 2, line)
        for x in range(count):
            line[x] = np.rint(min(max((band[x] + line[x]) * inverse, -SHORT), SHORT))
    red, green, blue = room.line[:count], room.line[count:], room.line[2 * count :]
    for x in range(count):  # all three at once, so that LLVM vectorises the loop
        out[x, 0], out[x, 1], out[x, 2] = np.int32(red[x]), np.int32(green[x]), np.int32(blue[x])
    if high.size:
        rest = high[y, strip.left : strip.left + count]
        for x in range(count):
            rest[x, 0], rest[x, 1] = np.int32(red[x]) >> 8, np.int32(green[x]) >> 8
            rest[x, 2] = np.int32(blue[x]) >> 8


@fused
def blend_strip(
    pixels, corner, tables, strip, room, gains, options, fits, smalls, depth, step, images, weights, low, high
):
    """Blends the exposures in one strip, except for the levels from a quarter of the resolution down.

    Args:
        pixels: (h, w, 3) uint16, the strip with a margin of 16 pixels where the photo has them.
        corner: Row and column of its first pixel.
        tables: (3, values) float32, see `Room.light`.
        strip: Where the strip lies.
        room: Memory for strips of this width.
        gains: (T, 5) float32, see `expose_row`.
        options: Exponents of contrast, saturation and exposedness, and epsilon, for Mertens weights.
        fits: (T, 2, h, w) float32 slopes and offsets for guided weights; (0, 2, 1, 1) for Mertens weights.
        smalls: (T, 3, h, w) float32 exposed thumbnails to be subtracted, with guided weights only.
        depth: Levels of the pyramid that are computed here: 0, 1 or 2.
        step: Value of one unit of `images` and of the blend.
        images: Red, green and blue, (T, h, w) int16 each, set to the exposed images at a quarter of the resolution.
        weights: (T, h, w) uint16, set to the weights at a quarter of the resolution, 65535 for 1.
        low: (H, W, 3) uint8 or uint16, set to the blend of the finer levels: 16 bits, or the lower 8 of them.
        high: (H, W, 3) int8, set to the upper 8 bits; empty where `low` has all 16.
    """
    size = strip.width + 2 * MARGIN
    half_size, quarter_size, inverse = size // 2, size // 4, ONE / step
    height, width = strip.photo_height, strip.photo_width
    rows, columns = (height + 1) // 2, (width + 1) // 2
    quarter_rows, quarter_columns = (rows + 1) // 2, (columns + 1) // 2
    half_left, quarter_left = (strip.left - MARGIN) // 2, (strip.left - MARGIN) // 4
    count = min(strip.width // 4, quarter_columns - strip.left // 4)
    bottom = strip.top + strip.height
    places = np.empty(size, np.int64)
    for x in range(size):
        places[x] = mirrored(strip.left - MARGIN + x, width) - corner[1]
    guided = len(fits) > 0
    starts, small_starts = np.empty(size, np.int64), np.empty(size, np.int64)
    shares, small_shares = np.empty(size, np.float32), np.empty(size, np.float32)
    held, held_small = np.full(2, -1), np.full(4, -1)
    if guided:
        _places(fits.shape[3], strip, False, starts, shares)
        _places(smalls.shape[3], strip, True, small_starts, small_shares)
    full, half, quarter = room.full, room.half, room.quarter
    start = max(strip.top // 4 - 3, -1)
    for j in range(start, bottom // 4 + 2):
        for y in range(4 * j + (0 if j == start else 4), 4 * j + 8):
            if 0 <= y < height:
                load_row(pixels[y - corner[0]], places, tables, room.light)
                for t in range(len(gains)):
                    expose_row(room.light, gains[t], full[y & 7, t, : 3 * size])
                if guided:
                    _guided(room, held, y, strip, fits, starts, shares, full[y & 7])
                    normalise(full[y & 7], size, room.line)
                    _subtract_smalls(room, held_small, y, strip, smalls, small_starts, small_shares, full[y & 7])
        for y in range(4 * j + 3, 4 * j + 7):
            if 0 <= y < height and not guided:
                for t in range(len(gains)):
                    above, below = full[mirrored(y - 1, height) & 7, t], full[mirrored(y + 1, height) & 7, t]
                    quality(above, full[y & 7, t], below, size, options, room.line)
                normalise(full[y & 7], size, room.line)
        for i in range(2 * j + 1, 2 * j + 3):
            if 0 <= i < rows and depth >= 1:
                for t in range(len(gains)):
                    row = half[i & 7, t]
                    down(full, i, t, height, room.line, row)
                    border(row, 4, half_left, columns, True)
                    widen(row[: 3 * half_size], room.wide[i & 3, t])
                    border(row, 4, half_left, columns, False)
        for y in range(max(4 * j, strip.top), min(4 * j + 4, bottom, height)):
            for c in range(3):
                out = room.band[y & 15, c, MARGIN : size - MARGIN]
                add_bands(full, room.wide, y, rows, size, MARGIN, c, out)
        if 0 <= j < quarter_rows and depth >= 2:
            for t in range(len(gains)):
                down(half, j, t, rows, room.line, quarter)
                if strip.top <= 4 * j < bottom:
                    source, target = quarter[3 * quarter_size + 3 :], weights[t, j, strip.left // 4 :]
                    for x in range(count):
                        target[x] = np.uint16(source[x] * WORD + HALF)
                for x in range(3 * quarter_size):
                    quarter[x] = np.rint(min(max(quarter[x] * inverse, -SHORT), SHORT))
                if strip.top <= 4 * j < bottom:
                    for c in range(3):
                        source, target = quarter[c * quarter_size + 3 :], images[c][t, j, strip.left // 4 :]
                        for x in range(count):
                            target[x] = np.int16(source[x])
                for x in range(3 * quarter_size):  # the finer level adds what rounding takes away here
                    quarter[x] *= step
                border(quarter, 4, quarter_left, quarter_columns, True)
                widen(quarter[: 3 * quarter_size], room.half_wide[j & 3, t])
        for i in range(2 * j - 2, 2 * j):
            if 0 <= i < rows and depth >= 1:
                for c in range(3):
                    out = room.half_band[c * half_size + 5 : (c + 1) * half_size - 5]
                    add_bands(half, room.half_wide, i, quarter_rows, half_size, 5, c, out)
                border(room.half_band, 3, half_left, columns, True)
                widen(room.half_band, room.wide_band[i & 7].reshape(3 * size))
        for y in range(max(4 * j - 8, strip.top), min(4 * j - 4, bottom, height)):
            _write(room, strip, y, inverse, low, high)


@fused
def local_strip(pixels, corner, tables, strip, room, evs, linear, fits, out):
    """Exposes every pixel of a strip by its own EV, the mean of the EVs weighted by the squared masks.

    Args:
        pixels: See `blend_strip`, like the next four.
        corner: Row and column of its first pixel.
        tables: (3, values).
        strip: Where the strip lies.
        room: Memory.
        evs: (T,) float32 stops.
        linear: Whether exposures multiply light rather than encoded values.
        fits: (T, 2, h, w) float32 slopes and offsets of the masks.
        out: (h, w, 3) uint16, set to the strip's part of the result.
    """
    size, (height, width) = strip.width + 2 * MARGIN, out.shape[:2]
    places, starts, shares = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.float32)
    for x in range(size):
        places[x] = mirrored(strip.left - MARGIN + x, strip.photo_width) - corner[1]
    _places(fits.shape[3], strip, False, starts, shares)
    held, top = np.full(2, -1), np.float32(tables.shape[1] - 1)
    total, gain, root = np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.float32)
    for y in range(strip.top, strip.top + height):
        load_row(pixels[y - corner[0]], places, tables, room.light)
        _guided(room, held, y, strip, fits, starts, shares, room.full[0])
        for x in range(size):
            total[x] = gain[x] = ZERO
        for t in range(len(evs)):
            weight, ev = room.full[0, t, 3 * size :], evs[t]
            for x in range(size):
                square = weight[x] * weight[x]
                total[x] += square
                gain[x] += square * ev
        for x in range(size):
            twelfth = exp2(gain[x] / total[x] * TWELFTH)
            third = (twelfth * twelfth) * (twelfth * twelfth)
            gain[x] = third * third * third
            root[x] = third * twelfth  # the gain to the power of 1 / 2.4
        for c in range(3):
            power, light = room.light[0, c * size + MARGIN :], room.light[1, c * size + MARGIN :]
            for x in range(width):
                value = light[x] * gain[x + MARGIN]
                if linear:
                    bright = power[x] * root[x + MARGIN] * FACTOR - OFFSET
                    value = value * SLOPE if value <= KNEE else bright
                out[y - strip.top, x, c] = np.uint16(np.rint(min(value, ONE) * top))

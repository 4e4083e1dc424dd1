"""Compiled: what follows the strip-by-strip blend, namely coarser bands and a second pass; see `kernels.full_size`.

Numba recompiles only functions whose own file has changed: after a change in `kernels.rows`, touch this file, too.
"""

import numpy as np

from exposure_env.acceleration import compiled
from exposure_env.kernels.rows import (
    ONE,
    ZERO,
    border,
    cubic,
    enlarge_small,
    enlarged_row,
    fused,
    interpolation,
    mirrored,
    widen,
)


@compiled
def weigh_band(image, step, weight, inverse, band):
    """Computes a weighted band of an image, (image * step - band) * (weight * inverse), rounded as NumPy does it.

    Args:
        image: (h, w) int16.
        step: Value of one unit of the image.
        weight: (h, w) uint16.
        inverse: (h, w) float32.
        band: (h, w) float32, the next coarser level enlarged; set to the band.
    """
    for y in range(len(band)):
        values, factors, scales, out = image[y], weight[y], inverse[y], band[y]
        for x in range(len(out)):
            out[x] = (np.float32(values[x]) * step - out[x]) * (np.float32(factors[x]) * scales[x])


@fused
def _enlarge_quarter(coarse, q, row, out):
    """Writes row q of the planes at a quarter of the resolution, at twice its width, (3, ...), from column -2 on."""
    for c in range(3):
        for x in range(coarse.shape[2]):
            row[x + 1] = coarse[c, q, x]
        border(row, 1, -1, coarse.shape[2], True)
        widen(row, out[c])


@fused
def _enlarge_half(coarse, i, columns, held, quarters, quarter, half, out):
    """Writes row i of the planes at half the resolution, at twice its width, (3, ...), from column -4 on."""
    rows, k = coarse.shape[1], i // 2
    for q in (mirrored(k - 1, rows), k, min(k + 1, rows - 1)):
        if held[q & 3] != q:
            held[q & 3] = q
            _enlarge_quarter(coarse, q, quarter, quarters[q & 3])
    for c in range(3):
        enlarged_row(quarters, c, 0, i, rows, half)
        border(half, 1, -2, columns, True)
        widen(half, out[c])


@fused
def finish_rows(low, high, step, coarse, rendered, rows):
    """Writes rows of the result: the detail plus the enlarged coarser levels and the enlarged rendered thumbnail.

    Args:
        low: (H, W, 3) uint8 or uint16, the detail by `blend_strip`; set to the result.
        high: The upper bits of the detail, also by `blend_strip`.
        step: Value of one unit of the detail.
        coarse: (3, h, w) float32 at a quarter of the resolution; (3, 0, 0) for none.
        rendered: (3, h, w) float32 to be enlarged to the full size; (3, 0, 0) for none.
        rows: First row, and the one after the last.
    """
    height, width = low.shape[:2]
    half_rows, half_columns = (height + 1) // 2, (width + 1) // 2
    top = np.float32(255) if low.itemsize == 1 else np.float32(65535)
    size = 4 * ((width + 3) // 4) + 8
    quarter, half = np.zeros(size // 4, np.float32), np.zeros(size // 2, np.float32)
    quarter_wide, half_wide = np.zeros((4, 3, size // 2), np.float32), np.zeros((4, 3, size), np.float32)
    line = np.empty((3, width), np.float32)
    held_quarter, held_half, held = np.full(4, -1), np.full(4, -1), np.full(4, -1)
    smalls = np.empty((4, 3 * width), np.float32)
    starts, shares = np.empty(width, np.int64), np.empty(width, np.float32)
    if rendered.size:
        for x in range(width):
            starts[x], shares[x] = interpolation(x, rendered.shape[2], width, True)
    for y in range(rows[0], rows[1]):
        for c in range(3):
            for x in range(width):
                line[c, x] = ZERO
        if coarse.size:
            for i in (mirrored(y // 2 - 1, half_rows), y // 2, min(y // 2 + 1, half_rows - 1)):
                if held_half[i & 3] != i:
                    held_half[i & 3] = i
                    _enlarge_half(coarse, i, half_columns, held_quarter, quarter_wide, quarter, half, half_wide[i & 3])
            for c in range(3):
                enlarged_row(half_wide, c, 4, y, half_rows, line[c])
        if rendered.size:
            start, share = interpolation(y, rendered.shape[1], height, True)
            last = rendered.shape[1] - 1
            near = (max(start - 1, 0), min(max(start, 0), last), min(start + 1, last), min(start + 2, last))
            for row in near:
                if held[row & 3] != row:
                    held[row & 3] = row
                    enlarge_small(rendered, row, starts, shares, smalls[row & 3])
            w0, w1, w2, w3 = cubic(share)
            for c in range(3):
                a, b = smalls[near[0] & 3, c * width :], smalls[near[1] & 3, c * width :]
                d, e, sums = smalls[near[2] & 3, c * width :], smalls[near[3] & 3, c * width :], line[c]
                for x in range(width):
                    sums[x] += (a[x] * w0 + b[x] * w1) + (d[x] * w2 + e[x] * w3)
        out, red, green, blue = low[y], line[0], line[1], line[2]
        if high.size:
            rest = high[y]
            for x in range(width):  # all three at once, so that LLVM vectorises the loop
                red[x] += np.int16(rest[x, 0] * 256 + out[x, 0]) * step
                green[x] += np.int16(rest[x, 1] * 256 + out[x, 1]) * step
                blue[x] += np.int16(rest[x, 2] * 256 + out[x, 2]) * step
        else:
            for x in range(width):
                red[x] += np.int16(out[x, 0]) * step
                green[x] += np.int16(out[x, 1]) * step
                blue[x] += np.int16(out[x, 2]) * step
        for x in range(width):
            out[x, 0] = np.rint(min(max(red[x], ZERO), ONE) * top)
            out[x, 1] = np.rint(min(max(green[x], ZERO), ONE) * top)
            out[x, 2] = np.rint(min(max(blue[x], ZERO), ONE) * top)

"""Compiled: the second pass over a photo that was blended strip by strip, see `kernels_full_size`.

Numba keeps compiled functions on disk until their own file changes: after a change in `kernels_rows`, touch this file.
"""

import numpy as np

from exposure_env.kernels_rows import (
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


@fused
def _enlarge_quarter(coarse, q, row, out):
    """Row q of the planes at a quarter of the resolution at twice its width, (3, ...), from column -2 on."""
    for c in range(3):
        for x in range(coarse.shape[2]):
            row[x + 1] = coarse[c, q, x]
        border(row, 1, -1, coarse.shape[2], True)
        widen(row, out[c])


@fused
def _enlarge_half(coarse, i, columns, held, quarters, quarter, half, out):
    """Row i of the planes at half the resolution at twice its width, (3, ...), from column -4 on."""
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
def finish_rows(detail, step, coarse, rendered, rows, out):
    """Write rows of the result: the detail, the coarser levels enlarged, and the rendered thumbnail enlarged.

    Args:
        detail: (H, W, 3) int16 of `blend_strip`.
        step: What 1 means in there.
        coarse: (3, h, w) float32 at a quarter of the resolution; (3, 0, 0) for none.
        rendered: (3, h, w) float32 to be enlarged to the full size; (3, 0, 0) for none.
        rows: First row, and the one after the last.
        out: (H, W, 3) uint8 or uint16; may be the memory of `detail`.
    """
    height, width = detail.shape[:2]
    half_rows, half_columns = (height + 1) // 2, (width + 1) // 2
    top = np.float32(255) if out.itemsize == 1 else np.float32(65535)
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
        source, target = detail[y], out[y]
        red, green, blue = line[0], line[1], line[2]
        for x in range(width):  # all three at once: that way, LLVM makes vectors of it
            target[x, 0] = np.rint(min(max(red[x] + source[x, 0] * step, ZERO), ONE) * top)
            target[x, 1] = np.rint(min(max(green[x] + source[x, 1] * step, ZERO), ONE) * top)
            target[x, 2] = np.rint(min(max(blue[x] + source[x, 2] * step, ZERO), ONE) * top)

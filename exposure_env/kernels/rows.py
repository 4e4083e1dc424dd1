"""Compiled: what happens to single rows of a photo that is exposed and blended by a pyramid, see `kernels.strips`.

A row holds several planes side by side, each with a margin. Row y of a level lies in slot y modulo the number of slots.
Inner loops count from 0 over float32 numbers, so that LLVM vectorises them.
Numba recompiles only functions whose own file has changed: after a change in here, `kernels.strips` and
`kernels.finish` must be touched.
"""

import numpy as np

from exposure_env.acceleration import compiled

fused = compiled(fastmath={"contract"})  # a product and a sum may become one instruction
TINY, LEAST = np.float32(1e-15), np.float32(1e-37)
NOISE = np.float32(3e-7)  # of a Laplacian in float32; up to this a slope counts as even, whatever the exposure
ZERO, ONE, HALF, FOUR, SIX = (np.float32(value) for value in (0, 1, 0.5, 4, 6))
EIGHTH, NINTH, TAPS = np.float32(1 / 8), np.float32(1 / 9), np.float32(1 / 256)
GREY = tuple(np.float32(value) for value in (0.299, 0.587, 0.114))
SHIFT, LOWEST = np.float32(1.5 * 2**23), np.float32(-126)  # adding and subtracting SHIFT rounds to whole numbers
LOG2 = np.log(2.0)
E1, E2, E3, E4, E5, E6 = (np.float32(LOG2**n / np.prod(np.arange(1.0, n + 1))) for n in range(1, 7))


@fused
def mirrored(index, length):
    """The index within 0..length-1 after reflection at the border pixels."""
    if length == 1:
        return 0
    index = index % (2 * length - 2)
    return min(index, 2 * length - 2 - index)


@fused
def exp2(x):
    """2 to the power of x, for x up to 127: the whole part by the bits of a float, the rest by a Taylor series."""
    x = max(x, LOWEST)
    shifted = np.float32(x + SHIFT)
    rest = x - (shifted - SHIFT)
    series = ONE + rest * (E1 + rest * (E2 + rest * (E3 + rest * (E4 + rest * (E5 + rest * E6)))))
    bits = np.int32((shifted.view(np.int32) << 23) + (127 << 23))
    return series * bits.view(np.float32)


@fused
def load_row(row, columns, tables, light):
    """Looks up a row of pixels in the tables."""
    count = len(columns)
    for k in range(len(tables)):
        red, green, blue = light[k], light[k, count:], light[k, 2 * count :]
        for x in range(count):
            pixel = row[columns[x]]
            red[x], green[x], blue[x] = tables[k, pixel[0]], tables[k, pixel[1]], tables[k, pixel[2]]


@fused
def expose_row(light, gain, out):
    """Exposes a row; `gain` is the slope below the knee, the knee, factor and offset above it, the largest result."""
    slope, knee, factor, offset, top = gain
    power, linear = light[0], light[1]
    for x in range(len(power)):
        value = linear[x] * slope if linear[x] <= knee else power[x] * factor - offset
        out[x] = min(value, top)


@fused
def multiply(weight, factor, exponent, count):
    """Multiplies weights by a power of the factor; an exponent of 1 is quick."""
    if exponent == 1:
        for x in range(count):
            weight[x] *= factor[x]
    else:
        for x in range(count):
            weight[x] *= factor[x] ** exponent


@fused
def quality(above, row, below, size, options, line):
    """Writes the Mertens weights of an exposed row to its fourth plane; see `fusion.mertens_weights`."""
    contrast, saturation, exposedness, epsilon = options
    steepness = np.float32(-exposedness / 0.08 / LOG2)
    count = size - 8
    r, g, b = row[3 : size - 3], row[size + 3 : 2 * size - 3], row[2 * size + 3 : 3 * size - 3]
    r0, g0, b0 = above[4:], above[size + 4 :], above[2 * size + 4 :]
    r2, g2, b2 = below[4:], below[size + 4 :], below[2 * size + 4 :]
    weight = row[3 * size + 4 : 4 * size - 4]
    for x in range(count):
        dr, dg, db = r[x + 1] - HALF, g[x + 1] - HALF, b[x + 1] - HALF
        weight[x] = exp2(steepness * (dr * dr + dg * dg + db * db))
    if contrast != 0:
        for x in range(count):  # channel by channel, since neighbours subtract exactly
            p, q, s = r[x + 1], g[x + 1], b[x + 1]
            p = ((r[x] - p) + (r[x + 2] - p)) + ((r0[x] - p) + (r2[x] - p))
            q = ((g[x] - q) + (g[x + 2] - q)) + ((g0[x] - q) + (g2[x] - q))
            s = ((b[x] - s) + (b[x + 2] - s)) + ((b0[x] - s) + (b2[x] - s))
            laplacian = abs(GREY[0] * p + GREY[1] * q + GREY[2] * s)
            line[x] = laplacian if laplacian > NOISE else TINY
        multiply(weight, line, contrast, count)
    if saturation != 0:
        for x in range(count):
            p, q, s = r[x + 1] - g[x + 1], g[x + 1] - b[x + 1], b[x + 1] - r[x + 1]
            line[x] = np.sqrt((p * p + q * q + s * s) * NINTH + TINY * TINY)
        multiply(weight, line, saturation, count)
    for x in range(count):
        weight[x] += epsilon


@fused
def normalise(rows, size, total):
    """Makes the weights of a row add up to 1 over the exposures."""
    start = 3 * size
    for x in range(size):
        total[x] = ZERO
    for t in range(len(rows)):
        weight = rows[t, start:]
        for x in range(size):
            total[x] += weight[x]
    for x in range(size):
        total[x] = ONE / max(total[x], LEAST)
    for t in range(len(rows)):
        weight = rows[t, start:]
        for x in range(size):
            weight[x] *= total[x]


@fused
def down(last, i, t, rows, line, out):
    """Writes row i of the next coarser level of exposure t, from the last of `rows` rows, which are in `last`."""
    a, b, c = last[mirrored(2 * i - 2, rows) & 7, t], last[mirrored(2 * i - 1, rows) & 7, t], last[2 * i & 7, t]
    d, e = last[mirrored(2 * i + 1, rows) & 7, t], last[mirrored(2 * i + 2, rows) & 7, t]
    count = len(out)
    even, odd, inner = line[:count], line[count:], out[1:]
    for j in range(count):
        even[j] = (a[2 * j] + e[2 * j]) + FOUR * (b[2 * j] + d[2 * j]) + SIX * c[2 * j]
        odd[j] = (a[2 * j + 1] + e[2 * j + 1]) + FOUR * (b[2 * j + 1] + d[2 * j + 1]) + SIX * c[2 * j + 1]
    for j in range(count - 2):
        inner[j] = ((even[j] + even[j + 2]) + FOUR * (odd[j] + odd[j + 1]) + SIX * even[j + 1]) * TAPS


@fused
def widen(row, out):
    """Writes a row of planes side by side at twice its width."""
    inner = out[2:]
    for j in range(len(row) - 2):
        inner[2 * j] = ((row[j] + row[j + 2]) + SIX * row[j + 1]) * EIGHTH
        inner[2 * j + 1] = (row[j + 1] + row[j + 2]) * HALF


@fused
def border(row, planes, first, length, repeat):
    """Fills in the two columns beyond either border, if they are in the row; its planes start at column `first`."""
    size = len(row) // planes
    for beyond in range(-2, 2):
        index = beyond if beyond < 0 else length + beyond
        source = length - 1 if repeat and beyond >= 0 else mirrored(index, length)
        index, source = index - first, source - first
        if 0 <= index < size and 0 <= source < size:
            for plane in range(planes):
                row[plane * size + index] = row[plane * size + source]


@fused
def add_bands(last, wide, y, rows, size, margin, plane, out):
    """Writes the sum over the exposures of row y, less the coarser level enlarged, times the weight.

    Args:
        last: (8, T, 4 size) the last rows of one level.
        wide: (4, T, 3 size) those of the next coarser level, enlarged in width.
        y: Index of the row.
        rows: Number of rows of the coarser level.
        size: Columns of a plane.
        margin: Columns to leave out on either side.
        plane: 0, 1 or 2.
        out: (size - 2 margin,), written.
    """
    i, count, start, weights = y // 2, len(out), plane * size + margin, 3 * size + margin
    above, below = mirrored(i - 1, rows) & 3, min(i + 1, rows - 1) & 3
    for x in range(count):
        out[x] = ZERO
    for t in range(last.shape[1]):
        row, weight = last[y & 7, t, start:], last[y & 7, t, weights:]
        b, c = wide[i & 3, t, start:], wide[below, t, start:]
        if y % 2 == 0:
            a = wide[above, t, start:]
            for x in range(count):
                out[x] += weight[x] * (row[x] - ((a[x] + c[x]) + SIX * b[x]) * EIGHTH)
        else:
            for x in range(count):
                out[x] += weight[x] * (row[x] - (b[x] + c[x]) * HALF)


@fused
def enlarged_row(wide, plane, skip, y, rows, out):
    """Writes row y of a plane enlarged from `rows` rows, the last of which are in `wide`, (slots, planes, ...)."""
    i, slots = y // 2, len(wide) - 1  # a power of 2, less 1
    b, c = wide[i & slots, plane, skip:], wide[min(i + 1, rows - 1) & slots, plane, skip:]
    if y % 2 == 0:
        a = wide[mirrored(i - 1, rows) & slots, plane, skip:]
        for x in range(len(out)):
            out[x] = ((a[x] + c[x]) + SIX * b[x]) * EIGHTH
    else:
        for x in range(len(out)):
            out[x] = (b[x] + c[x]) * HALF


@fused
def interpolation(position, small, length, cubic):
    """The first neighbour of a pixel of the enlarged plane, and the pixel's distance from it, as in OpenCV."""
    place = np.float32((position + 0.5) * (small / length) - 0.5)
    first = int(np.floor(place))
    share = np.float32(place - first)
    if not cubic and (first < 0 or first >= small - 1):
        return min(max(first, 0), small - 1), ZERO
    return first, share


@fused
def cubic(share):
    """The weights of the four neighbours, as in OpenCV."""
    a = np.float32(-0.75)
    one, rest = share + ONE, ONE - share
    w0 = ((a * one - np.float32(5) * a) * one + np.float32(8) * a) * one - FOUR * a
    w1 = ((a + np.float32(2)) * share - (a + np.float32(3))) * share * share + ONE
    w2 = ((a + np.float32(2)) * rest - (a + np.float32(3))) * rest * rest + ONE
    return w0, w1, w2, ONE - w0 - w1 - w2


@fused
def enlarge_small(small, row, starts, shares, out):
    """Writes a row of an image, (3, h, w), enlarged to the full width."""
    count, last = len(starts), small.shape[2] - 1
    for x in range(count):
        w0, w1, w2, w3 = cubic(shares[x])
        i = starts[x]
        i0, i1, i2, i3 = max(i - 1, 0), max(i, 0), min(i + 1, last), min(i + 2, last)
        for c in range(3):
            source = small[c, row]
            out[c * count + x] = (source[i0] * w0 + source[i1] * w1) + (source[i2] * w2 + source[i3] * w3)


@fused
def enlarge_fits(fits, row, starts, shares, out):
    """Writes a row of slopes and offsets, (T, 2, h, w), enlarged to the full width."""
    count, last = len(starts), fits.shape[3] - 1
    for t in range(len(fits)):
        for k in range(2):
            source, target = fits[t, k, row], out[t, k * count :]
            for x in range(count):
                left = source[starts[x]]
                target[x] = left + (source[min(starts[x] + 1, last)] - left) * shares[x]

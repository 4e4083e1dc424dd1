"""The compiled part of `kernels_fusion`: float32 arrays in and out, one photo after the other.

Planes are rows in one long array, with two columns of room on either side for reflected pixels: R, G and B of a row,
then those of the next row; level after level for a pyramid. `levels` says where: `kernels_fusion.levels_of`.
"""

import numpy as np

from exposure_env.fusion import TINY
from exposure_env.image import ENCODED_KNEE
from exposure_env.kernels import compiled

FUSED = {"contract"}  # x * y + z in one instruction
FLOAT = np.float32  # a Python number in a sum would make it float64, of which half as many fit into a register
POSITIVE = (1 << 40) - 1  # offsets are not negative; without `& POSITIVE` the compiler would check every index

ZERO, QUARTER, HALF, ONE, TWO, FOUR, SIX, EIGHTH, NINTH = map(FLOAT, (0, 0.25, 0.5, 1, 2, 4, 6, 0.125, 1 / 9))
KNEE, LIFT, STRETCH, SLOPE = map(FLOAT, (ENCODED_KNEE, 0.055, 1.055, 12.92))
PER_STRETCH, PER_SLOPE = FLOAT(1 / 1.055), FLOAT(1 / 12.92)
LINEAR_END = FLOAT(12.92 * 0.0031308)  # `image.LINEAR_KNEE`, encoded: where the straight branch ends
RED, GREEN, BLUE = map(FLOAT, (0.299, 0.587, 0.114))
SMALLEST, TINY_VARIANCE = FLOAT(TINY**0.5), FLOAT(TINY)
ROUND = FLOAT(1.5 * 2**23)  # adding and subtracting it leaves no digits after the point
SQRT_HALF_BITS, MANTISSA, BIAS = map(np.int32, (0x3F3504F3, 23, 127))
# Constants as a sum: the first part is short, so that its product with a whole number is exact.
LOG2_E, LN2, LN2_HIGH, LN2_LOW = map(FLOAT, (1 / np.log(2), np.log(2), 0.693145751953125, 1.42860682030941723e-6))
DARK_HIGH, DARK_LOW = FLOAT(0.41650390625), FLOAT(1 / 2.4 - 0.41650390625)
BRIGHT_HIGH, BRIGHT_LOW = FLOAT(2.3984375), FLOAT(2.4 - 2.3984375)


@compiled(fastmath=FUSED)
def _scaled_exp(r: np.float32, n: np.float32) -> np.float32:
    """exp(r) * 2^n for |r| <= log(2) / 2, by the Taylor series, and whole n from -126 to 127."""
    p = (FLOAT(1 / 5040) * r + FLOAT(1 / 720)) * r + FLOAT(1 / 120)
    p = ((p * r + FLOAT(1 / 24)) * r + FLOAT(1 / 6)) * r + HALF
    return ((p * r + ONE) * r + ONE) * np.int32((np.int32(n) + BIAS) << MANTISSA).view(np.float32)


@compiled(fastmath=FUSED)
def _exp(x: np.float32) -> np.float32:
    """exp(x) for x <= 0, to 1e-7 of it; unlike the library's, several at once."""
    x = FLOAT(-87) if x < FLOAT(-87) else x
    n = (x * LOG2_E + ROUND) - ROUND
    return _scaled_exp((x - n * LN2_HIGH) - n * LN2_LOW, n)


@compiled(fastmath=FUSED)
def _power(x: np.float32, high: np.float32, low: np.float32) -> np.float32:
    """x^(high + low) for x >= 0, to 2e-7 of it, several at once."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32((bits - SQRT_HALF_BITS) >> MANTISSA)
    mantissa = np.int32(bits - (exponent << MANTISSA)).view(np.float32)  # from sqrt(1/2) to sqrt(2)
    s = (mantissa - ONE) / (mantissa + ONE)
    square = s * s
    series = ((NINTH * square + FLOAT(1 / 7)) * square + FLOAT(1 / 5)) * square + FLOAT(1 / 3)
    whole = FLOAT(exponent)
    rest = low * whole + (high + low) * (TWO * LOG2_E * (s + s * square * series))
    n = (high * whole + rest + ROUND) - ROUND
    return _scaled_exp(LN2 * ((high * whole - n) + rest), n)


@compiled(fastmath=FUSED)
def _parts(x: np.ndarray, linear: bool, straight: np.ndarray, bent: np.ndarray) -> None:
    """The straight and the bent branch of `image.linear_to_srgb`, each of all values."""
    for i in range(x.size):
        if not linear:
            straight[i] = bent[i] = x[i]
            continue
        dark = x[i] <= KNEE
        base = x[i] * PER_SLOPE if dark else (x[i] + LIFT) * PER_STRETCH
        power = _power(base if base > ZERO else ZERO, DARK_HIGH if dark else BRIGHT_HIGH,
                       DARK_LOW if dark else BRIGHT_LOW)
        straight[i] = x[i] if dark else SLOPE * power
        bent[i] = STRETCH * power - LIFT if dark else x[i]


@compiled(fastmath=FUSED)
def _expose(straight: np.ndarray, bent: np.ndarray, photo: np.ndarray, ev: float, linear: bool, bounds: tuple,
            minus: np.float32, out: np.ndarray) -> None:
    """The exposed photo within the bounds, minus `minus` times the photo itself; not for 0 EV."""
    gain, bent_gain = FLOAT(2.0**ev), FLOAT(2.0 ** (ev / 2.4))
    lift = FLOAT(0.055 * (2.0 ** (ev / 2.4) - 1.0))
    end, (low, high) = LINEAR_END if linear else FLOAT(np.inf), bounds
    for i in range(photo.size):
        value = straight[i] * gain
        value = value if value <= end else bent[i] * bent_gain + lift
        value = low if value < low else value
        out[i] = (high if value > high else value) - minus * photo[i]


@compiled
def _reflect(index: int, length: int) -> int:
    """Index within 0..length-1 after reflection at the border pixels; for indices from -2 to length + 1."""
    index = abs(index) if length > 1 else 0
    return index if index < length else abs(2 * (length - 1) - index)


@compiled
def _reflect_columns(rows: np.ndarray, start: int, stride: int, num: int, width: int) -> None:
    """Fills the two columns of room on the left and right of `num` rows, from `start` on."""
    a, b, c, d = _reflect(-2, width), _reflect(-1, width), _reflect(width, width), _reflect(width + 1, width)
    for r in range(num):
        x = (start + r * stride) & POSITIVE
        rows[x], rows[x + 1] = rows[(x + 2 + a) & POSITIVE], rows[(x + 2 + b) & POSITIVE]
        rows[(x + 2 + width) & POSITIVE] = rows[(x + 2 + c) & POSITIVE]
        rows[(x + 3 + width) & POSITIVE] = rows[(x + 2 + d) & POSITIVE]


@compiled(fastmath=FUSED)
def _down(levels: np.ndarray, level: int, channels: int, pyramid: np.ndarray, tall: np.ndarray) -> None:
    """The next level of a pyramid, as `pyramid.pyr_down`."""
    height, width, stride, start = levels[level]
    small_height, small_width, small_stride, small_start = levels[level + 1]
    size, small_width = (channels * stride) & POSITIVE, small_width & POSITIVE
    for r in range(small_height):
        a = (channels * start + size * _reflect(2 * r - 2, height)) & POSITIVE
        b = (channels * start + size * _reflect(2 * r - 1, height)) & POSITIVE
        c = (channels * start + size * 2 * r) & POSITIVE
        d = (channels * start + size * _reflect(2 * r + 1, height)) & POSITIVE
        e = (channels * start + size * _reflect(2 * r + 2, height)) & POSITIVE
        t = (r * size) & POSITIVE
        for j in range(size):
            tall[t + j] = (
                (pyramid[a + j] + pyramid[e + j]) + FOUR * (pyramid[b + j] + pyramid[d + j]) + SIX * pyramid[c + j]
            )
    _reflect_columns(tall, 0, stride, channels * small_height, width)
    for r in range(channels * small_height):
        x, out = (r * stride) & POSITIVE, (channels * small_start + r * small_stride + 2) & POSITIVE
        for j in range(small_width):
            x0, x1, x2, x3, x4 = x + 2 * j, x + 2 * j + 1, x + 2 * j + 2, x + 2 * j + 3, x + 2 * j + 4
            total = (tall[x0] + tall[x4]) + FOUR * (tall[x1] + tall[x3]) + SIX * tall[x2]
            pyramid[out + j] = total * FLOAT(1 / 256)


@compiled(fastmath=FUSED)
def _widen(levels: np.ndarray, level: int, top: int, bottom: int, pyramid: np.ndarray, wide: np.ndarray) -> None:
    """Rows top..bottom-1 of level level + 1, three channels, stretched to the width of the level before."""
    stride = levels[level, 2]
    _, width, small_stride, start = levels[level + 1]
    width = width & POSITIVE
    for r in range(3 * top, 3 * bottom):  # on the left as by reflection, on the right repeated, as in OpenCV
        x = (3 * start + r * small_stride + 1) & POSITIVE
        pyramid[x] = pyramid[x + 1 + min(1, width - 1)]
        pyramid[x + 1 + width] = pyramid[x + width]
    for r in range(3 * top, 3 * bottom):
        x, out = (3 * start + r * small_stride + 1) & POSITIVE, (r * stride + 2) & POSITIVE
        for j in range(width):
            wide[out + 2 * j] = ((pyramid[x + j] + pyramid[x + j + 2]) + SIX * pyramid[x + j + 1]) * EIGHTH
            wide[out + 2 * j + 1] = (pyramid[x + j + 1] + pyramid[x + j + 2]) * HALF


@compiled
def _neighbours(r: int, small_height: int, size: int) -> tuple[int, int, int]:
    """Offsets of the three coarser rows around row r."""
    here = r // 2
    above, below = min(abs(here - 1), small_height - 1), min(here + 1, small_height - 1)
    return (above * size) & POSITIVE, (here * size) & POSITIVE, (below * size) & POSITIVE


@compiled
def _fill(array: np.ndarray, start: int, num: int, value: np.float32) -> None:
    start = start & POSITIVE
    for i in range(num):
        array[start + i] = value


@compiled
def _repeat(plane: np.ndarray, start: int, stride: int, row: np.ndarray) -> None:
    """A row of one channel for all three."""
    x, stride = start & POSITIVE, stride & POSITIVE
    for j in range(stride):
        row[j] = row[stride + j] = row[2 * stride + j] = plane[x + j]


@compiled(fastmath=FUSED)
def _add_bands(levels: np.ndarray, top: int, bottom: int, change: np.ndarray, weight: np.ndarray, bands: np.ndarray,
               wide: np.ndarray, row: np.ndarray) -> None:
    """Adds the Laplacian bands of a change, under its weight, which is zero except in rows top..bottom-1."""
    last = len(levels) - 1
    for level in range(last):
        height, width, stride, start = levels[level]
        width = width & POSITIVE
        small_height = levels[level + 1, 0]
        _down(levels, level, 3, change, wide)
        _down(levels, level, 1, weight, wide)
        small_top, small_bottom = max(0, (top - 1) // 2), min(small_height, (bottom + 1) // 2 + 1)
        _widen(levels, level, small_top, small_bottom, change, wide)
        size = (3 * stride) & POSITIVE
        for r in range(top, bottom):
            a, b, c = _neighbours(r, small_height, size)
            x = (3 * start + r * size) & POSITIVE
            _repeat(weight, start + r * stride, stride, row)
            if r % 2 == 0:
                for j in range(size):
                    smooth = ((wide[a + j] + wide[c + j]) + SIX * wide[b + j]) * EIGHTH
                    bands[x + j] += row[j] * (change[x + j] - smooth)
            else:
                for j in range(size):
                    smooth = (wide[b + j] + wide[c + j]) * HALF
                    bands[x + j] += row[j] * (change[x + j] - smooth)
        top, bottom = small_top, small_bottom
    _, _, stride, start = levels[last]
    size = (3 * stride) & POSITIVE
    for r in range(top, bottom):
        x = (3 * start + r * size) & POSITIVE
        _repeat(weight, start + r * stride, stride, row)
        for j in range(size):
            bands[x + j] += row[j] * change[x + j]


@compiled(fastmath=FUSED)
def _collapse(levels: np.ndarray, bands: np.ndarray, wide: np.ndarray) -> None:
    """Level 0 of the bands becomes their sum."""
    for level in range(len(levels) - 2, -1, -1):
        height, _, stride, start = levels[level]
        small_height = levels[level + 1, 0]
        size = (3 * stride) & POSITIVE
        _widen(levels, level, 0, small_height, bands, wide)
        for r in range(height):
            above, here, below = _neighbours(r, small_height, size)
            x = (3 * start + r * size) & POSITIVE
            if r % 2 == 0:
                for j in range(size):
                    bands[x + j] += ((wide[above + j] + wide[below + j]) + SIX * wide[here + j]) * EIGHTH
            else:
                for j in range(size):
                    bands[x + j] += (wide[here + j] + wide[below + j]) * HALF


@compiled(fastmath=FUSED)
def _measures(laplacian: np.float32, red: np.float32, green: np.float32, blue: np.float32) -> tuple:
    """Contrast and saturation of a pixel, and its squared distance from mid grey."""
    u, v, t = red - green, green - blue, blue - red
    spread = np.sqrt((u * u + v * v + t * t) * NINTH + TINY_VARIANCE)
    red, green, blue, laplacian = red - HALF, green - HALF, blue - HALF, abs(laplacian)
    laplacian = laplacian if laplacian > SMALLEST else SMALLEST
    return laplacian, spread, red * red + green * green + blue * blue


@compiled(fastmath=FUSED)
def _quality(level: np.ndarray, top: int, bottom: int, image: np.ndarray, powers: tuple, epsilon: np.float32,
             row: np.ndarray, mask: np.ndarray, weight: np.ndarray, offset: int) -> None:
    """Rows top..bottom-1 of (`fusion.mertens_weights` + epsilon) * mask."""
    height, width, stride = level[0], level[1] & POSITIVE, level[2] & POSITIVE
    contrast, saturation, exposedness = powers
    size, slope = 3 * stride, -exposedness / FLOAT(0.08)
    _reflect_columns(image, 0, stride, 3 * height, width)
    for r in range(top, bottom):
        above, below = (size * _reflect(r - 1, height)) & POSITIVE, (size * _reflect(r + 1, height)) & POSITIVE
        here = (size * r) & POSITIVE
        for j in range(size - 2):  # differences of neighbours first: they are exact
            centre = image[here + j + 1]
            across = (image[here + j + 2] - centre) - (centre - image[here + j])
            row[j] = across + ((image[below + j + 1] - centre) - (centre - image[above + j + 1]))
        x, y, z = here + 2, here + stride + 2, here + 2 * stride + 2
        w, m = (offset + r * stride + 2) & POSITIVE, (r * stride + 2) & POSITIVE
        if contrast == ONE and saturation == ONE:
            for j in range(width):
                laplacian = RED * row[j + 1] + GREEN * row[j + 1 + stride] + BLUE * row[j + 1 + 2 * stride]
                laplacian, spread, exponent = _measures(laplacian, image[x + j], image[y + j], image[z + j])
                weight[w + j] = (laplacian * spread * _exp(slope * exponent) + epsilon) * mask[m + j]
        else:
            for j in range(width):
                laplacian = RED * row[j + 1] + GREEN * row[j + 1 + stride] + BLUE * row[j + 1 + 2 * stride]
                laplacian, spread, exponent = _measures(laplacian, image[x + j], image[y + j], image[z + j])
                product = laplacian**contrast * spread**saturation * _exp(slope * exponent)
                weight[w + j] = (product + epsilon) * mask[m + j]


@compiled(fastmath=FUSED)
def _soften(level: np.ndarray, top: int, bottom: int, passes: int, mask: np.ndarray, other: np.ndarray) -> tuple:
    """Blurs a mask, zero except in rows top..bottom-1, in place; gives the rows in which it is not zero then."""
    height, width, stride = level[0], level[1] & POSITIVE, level[2] & POSITIVE
    for _ in range(passes):
        top, bottom = max(0, top - 1), min(height, bottom + 1)
        for r in range(top, bottom):
            above, below = (stride * _reflect(r - 1, height)) & POSITIVE, (stride * _reflect(r + 1, height)) & POSITIVE
            here = (stride * r) & POSITIVE
            for j in range(stride):
                other[here + j] = (mask[above + j] + mask[below + j] + TWO * mask[here + j]) * QUARTER
        _reflect_columns(other, stride * top, stride, bottom - top, width)
        for r in range(top, bottom):
            here = (stride * r + 1) & POSITIVE
            for j in range(width):
                mask[here + j + 1] = (other[here + j] + other[here + j + 2] + TWO * other[here + j + 1]) * QUARTER
    return top, bottom


@compiled
def _cut_out(level: np.ndarray, labels: np.ndarray, segment: int, rows: np.ndarray, feather: int, mask: np.ndarray,
             other: np.ndarray) -> tuple:
    """The mask of one segment, softened, and the rows in which it is not zero; -1 stands for the whole image."""
    height, width, stride = level[0], level[1], level[2] & POSITIVE
    _fill(mask, 0, height * stride, ONE if segment < 0 else ZERO)
    if segment < 0:
        return 0, height
    top, bottom = rows[segment, 0], rows[segment, 1]
    for r in range(top, bottom):
        here = (r * stride + 2) & POSITIVE
        for j in range(width):
            mask[here + j] = FLOAT(labels[r, j] == segment)
    return _soften(level, top, bottom, feather, mask, other) if top < bottom else (top, bottom)


@compiled
def _rows_of_segments(labels: np.ndarray, rows: np.ndarray) -> None:
    """(K, 2) first row of every segment and the one after its last; equal where there is none."""
    for k in range(len(rows)):
        rows[k, 0] = rows[k, 1] = 0
    for r in range(labels.shape[0]):
        last = -1
        for j in range(labels.shape[1]):
            segment = labels[r, j]
            if segment != last:
                last = segment
                if rows[segment, 1] == 0:
                    rows[segment, 0] = r
                rows[segment, 1] = r + 1


@compiled(fastmath=FUSED)
def blend(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, counts: np.ndarray, levels: np.ndarray,
           linear: bool, masked: bool, weighed: bool, include_input: bool, feather: int, powers: tuple,
           epsilon: np.float32, clips: tuple, out: np.ndarray) -> None:
    """Renders photos by `mask_pyramid`, `mertens` or `mertens_masked`.

    Args:
        photos: (N, H, W, 3), like `out`, which it fills.
        labels: (N, H, W) int32, each less than K.
        evs: (N, K) in stops.
        counts: (N,) int32, how many of the exposures take part.
        levels: See `kernels_fusion.levels_of`.
        linear: Whether exposing multiplies light; else encoded values.
        masked: Whether an exposure counts where its segment lies; else everywhere.
        weighed: Whether an exposure counts where it looks good.
        include_input: Whether the photo itself is weighed against the exposures.
        feather: Passes of the blur over the masks.
        powers: Exponents of contrast, saturation and exposedness.
        epsilon: Added to every weight.
        clips: Whether exposures, and whether results are clipped to [0, 1].
        out: (N, H, W, 3).
    """
    num, height, width = photos.shape[:3]
    slots, stride = evs.shape[1], levels[0, 2]
    plane, room = height * stride, levels[-1, 3] + levels[-1, 0] * levels[-1, 2]
    photo, straight, bent = np.zeros(3 * plane, FLOAT), np.zeros(3 * plane, FLOAT), np.zeros(3 * plane, FLOAT)
    change, bands = np.zeros(3 * room, FLOAT), np.zeros(3 * room, FLOAT)
    wide, row = np.zeros(3 * (height // 2 + 1) * stride, FLOAT), np.zeros(3 * stride, FLOAT)
    mask, other, total = np.zeros(room, FLOAT), np.zeros(plane, FLOAT), np.ones(plane, FLOAT)
    weights = np.zeros((slots + 1 if weighed else 0) * plane, FLOAT)
    rows, spans = np.zeros((slots, 2), np.int64), np.zeros((slots + 1, 2), np.int64)
    infinite = (FLOAT(-np.inf), FLOAT(np.inf))
    bounds, ends = (ZERO, ONE) if clips[0] else infinite, (ZERO, ONE) if clips[1] else infinite
    for n in range(num):
        pixels, image = photos[n].reshape(-1), out[n].reshape(-1)
        for r in range(height):
            i, x = (3 * r * width) & POSITIVE, (3 * r * stride + 2) & POSITIVE
            y, z = (x + stride) & POSITIVE, (x + 2 * stride) & POSITIVE
            for j in range(width):
                red, green, blue = pixels[i + 3 * j], pixels[i + 3 * j + 1], pixels[i + 3 * j + 2]
                photo[x + j], photo[y + j], photo[z + j] = red, green, blue
        _parts(photo, linear, straight, bent)
        for i in range(photo.size):
            value = bounds[0] if photo[i] < bounds[0] else photo[i]
            photo[i] = bounds[1] if value > bounds[1] else value
        _fill(bands, 0, bands.size, ZERO)
        if masked:
            _rows_of_segments(labels[n], rows)
        count = min(counts[n], slots)
        if weighed:
            _fill(total, 0, plane, ZERO)
            _fill(mask, 0, plane, ONE)
            for t in range(0, count + include_input):
                ev = evs[n, t] if t < count else ZERO
                top, bottom = 0, height
                if masked:
                    segment = t if t < count else -1
                    top, bottom = _cut_out(levels[0], labels[n], segment, rows, feather, mask, other)
                    _fill(weights, t * plane, plane, ZERO)
                spans[t, 0], spans[t, 1] = top, bottom
                if ev == ZERO:
                    for i in range(photo.size):
                        change[i] = photo[i]
                else:
                    _expose(straight, bent, photo, ev, linear, bounds, ZERO, change)
                _quality(levels[0], top, bottom, change, powers, epsilon, row, mask, weights, t * plane)
                base = (t * plane) & POSITIVE
                for i in range(plane):
                    total[i] += weights[base + i]
            for i in range(plane):
                total[i] = ONE / total[i] if total[i] > ZERO else ZERO
        for t in range(count):
            if evs[n, t] == ZERO:
                continue
            if weighed:
                top, bottom = spans[t, 0], spans[t, 1]
                base = (t * plane) & POSITIVE
                for i in range(plane):
                    mask[i] = weights[base + i] * total[i]
            else:
                top, bottom = _cut_out(levels[0], labels[n], t, rows, feather, mask, other)
            if top < bottom:
                _expose(straight, bent, photo, evs[n, t], linear, bounds, ONE, change)
                _add_bands(levels, top, bottom, change, mask, bands, wide, row)
        _collapse(levels, bands, wide)
        for i in range(photo.size):
            value = photo[i] + bands[i]
            value = ends[0] if value < ends[0] else value
            bands[i] = ends[1] if value > ends[1] else value
        for r in range(height):
            i, x = (3 * r * width) & POSITIVE, (3 * r * stride + 2) & POSITIVE
            y, z = (x + stride) & POSITIVE, (x + 2 * stride) & POSITIVE
            for j in range(width):
                red, green, blue = bands[x + j], bands[y + j], bands[z + j]
                image[i + 3 * j], image[i + 3 * j + 1], image[i + 3 * j + 2] = red, green, blue


@compiled(fastmath=FUSED)
def expose_segments(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, linear: bool, clip_output: bool,
           out: np.ndarray) -> None:
    """Photos (N, H, W, 3) with every segment under its own exposure, to `out`."""
    num, height, width, _ = photos.shape
    size = height * width * 3
    straight, bent = np.empty(size, FLOAT), np.empty(size, FLOAT)
    gain, bent_gain = np.empty(size, FLOAT), np.empty(size, FLOAT)
    gains, bent_gains = np.empty(evs.shape[1], FLOAT), np.empty(evs.shape[1], FLOAT)
    end = LINEAR_END if linear else FLOAT(np.inf)
    low, high = (ZERO, ONE) if clip_output else (FLOAT(-np.inf), FLOAT(np.inf))
    for n in range(num):
        photo, image, segment = photos[n].reshape(-1), out[n].reshape(-1), labels[n].reshape(-1)
        for k in range(evs.shape[1]):
            gains[k], bent_gains[k] = FLOAT(2.0 ** evs[n, k]), FLOAT(2.0 ** (evs[n, k] / 2.4))
        _parts(photo, linear, straight, bent)
        for i in range(segment.size):
            k = segment[i]
            gain[3 * i] = gain[3 * i + 1] = gain[3 * i + 2] = gains[k]
            bent_gain[3 * i] = bent_gain[3 * i + 1] = bent_gain[3 * i + 2] = bent_gains[k]
        for i in range(size):
            value = straight[i] * gain[i]
            value = value if value <= end else bent[i] * bent_gain[i] + LIFT * (bent_gain[i] - ONE)
            value = photo[i] if gain[i] == ONE else value
            value = low if value < low else value
            image[i] = high if value > high else value

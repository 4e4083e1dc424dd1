"""The compiled part of `kernels.fusion`: float32 arrays in and out, one photo after the other.

A channel is stored as two planes, its even and its odd rows, each in a frame of reflected pixels: one row above and
below, two columns left and right. So a filter with steps of two rows finds its neighbours at the same distance
everywhere, and one loop runs over a whole plane, frame included. The levels of a pyramid lie one after the other, and
so do the channels of an image. `levels` says where a plane lies, see `kernels.fusion.levels_of`.
"""

import numpy as np

from exposure_env.acceleration import compiled
from exposure_env.fusion import TINY
from exposure_env.image import ENCODED_KNEE

FUSED = {"contract"}  # x * y + z in one instruction
FLOAT = np.float32  # a Python number would turn a sum into float64, half as many of which fit into a register
POSITIVE = (1 << 40) - 1  # offsets are not negative; without `& POSITIVE` the compiler would check every index
ZERO, QUARTER, HALF, ONE, TWO, FOUR, SIX, EIGHTH, NINTH = map(FLOAT, (0, 0.25, 0.5, 1, 2, 4, 6, 0.125, 1 / 9))
KNEE, LIFT, STRETCH, SLOPE = map(FLOAT, (ENCODED_KNEE, 0.055, 1.055, 12.92))
PER_STRETCH, PER_SLOPE = FLOAT(1 / 1.055), FLOAT(1 / 12.92)
LINEAR_END = FLOAT(12.92 * 0.0031308)  # `image.LINEAR_KNEE`, encoded: where the straight branch ends
RED, GREEN, BLUE = map(FLOAT, (0.299, 0.587, 0.114))
SMALLEST, TINY_VARIANCE = FLOAT(TINY**0.5), FLOAT(TINY)
ROUND = FLOAT(1.5 * 2**23)  # adding and subtracting it rounds to a whole number
SQRT_HALF_BITS, MANTISSA, BIAS = map(np.int32, (0x3F3504F3, 23, 127))
# Constants as sums of two: the first part is short, so that its product with a whole number is exact.
BENT_LN2 = FLOAT(np.log(2) / 2.4)  # slope of the bent branch, per EV
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
    """exp(x) for x <= 0, to a relative error of 1e-7; unlike the library's, it can be vectorised."""
    x = FLOAT(-87) if x < FLOAT(-87) else x
    n = (x * LOG2_E + ROUND) - ROUND
    return _scaled_exp((x - n * LN2_HIGH) - n * LN2_LOW, n)


@compiled(fastmath=FUSED)
def _power(x: np.float32, high: np.float32, low: np.float32) -> np.float32:
    """x^(high + low) for x >= 0, to a relative error of 2e-7; can be vectorised."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32(np.int32(bits - SQRT_HALF_BITS) >> MANTISSA)
    mantissa = np.int32(bits - np.int32(exponent << MANTISSA)).view(np.float32)  # from sqrt(1/2) to sqrt(2)
    s = (mantissa - ONE) / (mantissa + ONE)
    square = s * s
    series = ((NINTH * square + FLOAT(1 / 7)) * square + FLOAT(1 / 5)) * square + FLOAT(1 / 3)
    whole = FLOAT(exponent)
    rest = low * whole + (high + low) * (TWO * LOG2_E * (s + s * square * series))
    n = (high * whole + rest + ROUND) - ROUND
    return _scaled_exp(LN2 * ((high * whole - n) + rest), n)


@compiled(fastmath=FUSED)
def _parts(x: np.ndarray, linear: bool, straight: np.ndarray, bent: np.ndarray) -> None:
    """Writes both branches of `image.linear_to_srgb`, the straight and the bent one, for all values."""
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
def _expose(straight: np.ndarray, bent: np.ndarray, photo: np.ndarray, start: int, num: int, ev: float, linear: bool,
            high: np.float32, minus: bool, out: np.ndarray, into: int) -> None:
    """Writes `num` values of the exposed photo, at most `high`; less the photo itself if `minus`, but not for 0 EV."""
    gain, bent_gain = FLOAT(2.0**ev), FLOAT(2.0 ** (ev / 2.4))
    lift = FLOAT(0.055 * (2.0 ** (ev / 2.4) - 1.0))
    end = LINEAR_END if linear else FLOAT(np.inf)
    start, into = start & POSITIVE, into & POSITIVE
    if ev == ZERO:
        for i in range(num):
            out[into + i] = photo[start + i]
        return
    for i in range(num):
        value = straight[start + i] * gain
        value = value if value <= end else bent[start + i] * bent_gain + lift
        value = high if value > high else value
        out[into + i] = value - photo[start + i] if minus else value


@compiled
def _reflect(index: int, length: int) -> int:
    """The index within 0..length-1 after reflection at the border pixels; for indices from -2 to length + 1."""
    index = abs(index) if length > 1 else 0
    return index if index < length else abs(2 * (length - 1) - index)


@compiled
def _at(levels: np.ndarray, level: int, r: int, c: int) -> int:
    """The place of pixel (r, c) of a level or, from -2 on, of its frame."""
    stride, plane, start = levels[level, 2], levels[level, 3], levels[level, 4]
    return (start + (r & 1) * plane + (r // 2 + 1) * stride + c + 2) & POSITIVE


@compiled
def _rows(stride: int, top: int, bottom: int) -> tuple[int, int]:
    """The start and length of rows top..bottom-1 in a plane without its frame, perhaps with a row more."""
    return (top // 2 * stride) & POSITIVE, (((bottom + 1) // 2 - top // 2) * stride) & POSITIVE


@compiled
def _beside(parity: int, stride: int, plane: int, first: int) -> tuple[int, int, int]:
    """The offsets of the even or odd rows of level 0, of the rows above and of those below."""
    above = (1 - parity) * plane + parity * stride + first
    return (parity * plane + stride + first) & POSITIVE, above & POSITIVE, (above + stride) & POSITIVE


@compiled
def _frame(levels: np.ndarray, level: int, top: int, bottom: int, array: np.ndarray, offset: int) -> None:
    """Fills the frame by reflection: above, below, and beside rows top..bottom-1."""
    height, width, stride = levels[level, 0], levels[level, 1] & POSITIVE, levels[level, 2] & POSITIVE
    a, b = (2 + _reflect(-2, width)) & POSITIVE, (2 + _reflect(-1, width)) & POSITIVE
    c, d = (2 + _reflect(width, width)) & POSITIVE, (2 + _reflect(width + 1, width)) & POSITIVE
    for r in range(top, bottom):
        x = (offset + _at(levels, level, r, -2)) & POSITIVE
        array[x], array[x + 1] = array[x + a], array[x + b]
        array[x + width + 2], array[x + width + 3] = array[x + c], array[x + d]
    for k in range(3 + height % 2):
        r = k - 2 if k < 2 else height + k - 2
        x = (offset + _at(levels, level, r, -2)) & POSITIVE
        y = (offset + _at(levels, level, _reflect(r, height), -2)) & POSITIVE
        for j in range(stride):
            array[x + j] = array[y + j]


@compiled(fastmath=FUSED)
def _down(levels: np.ndarray, level: int, array: np.ndarray, offset: int, tall: np.ndarray, small: np.ndarray) -> None:
    """Computes the next level of a pyramid, as in `pyramid.pyr_down`, as rows with a frame of one pixel."""
    height, stride, plane, start = levels[level, 0], levels[level, 2], levels[level, 3], levels[level, 4]
    half, num = (stride // 2) & POSITIVE, ((height + 1) // 2 * stride) & POSITIVE
    even = (offset + start + stride) & POSITIVE
    above, below, odd = (even - stride) & POSITIVE, (even + stride) & POSITIVE, (even + plane) & POSITIVE
    before = (odd - stride) & POSITIVE
    for i in range(num):
        tall[i] = (
            (array[above + i] + array[below + i]) + FOUR * (array[before + i] + array[odd + i]) + SIX * array[even + i]
        )
    for i in range(num // 2 - 2):
        total = (tall[2 * i] + tall[2 * i + 4]) + FOUR * (tall[2 * i + 1] + tall[2 * i + 3]) + SIX * tall[2 * i + 2]
        small[half + 1 + i] = total * FLOAT(1 / 256)


@compiled
def _split(levels: np.ndarray, level: int, small: np.ndarray, stride: int, array: np.ndarray, offset: int) -> None:
    """Copies rows with a frame to a level, and fills its frame."""
    height, width = levels[level, 0], levels[level, 1] & POSITIVE
    for p in range(2):
        x, y = ((p + 1) * stride + 1) & POSITIVE, (offset + _at(levels, level, p, 0)) & POSITIVE
        for _ in range((height + 1 - p) // 2):
            for j in range(width):
                array[y + j] = small[x + j]
            x, y = (x + 2 * stride) & POSITIVE, (y + levels[level, 2]) & POSITIVE
    _frame(levels, level, 0, height, array, offset)


@compiled
def _join(levels: np.ndarray, level: int, small: np.ndarray, stride: int, array: np.ndarray, offset: int) -> None:
    """Copies a level to rows with a frame; the frame is left as it is."""
    height, width = levels[level, 0], levels[level, 1] & POSITIVE
    for r in range(height):
        x, y = ((r + 1) * stride + 1) & POSITIVE, (offset + _at(levels, level, r, 0)) & POSITIVE
        for j in range(width):
            small[x + j] = array[y + j]


@compiled(fastmath=FUSED)
def _widen(levels: np.ndarray, level: int, small: np.ndarray, wide: np.ndarray) -> None:
    """Stretches the next level, in rows with a frame, to the width of this one."""
    height, width, stride = levels[level, 0], levels[level, 1], levels[level, 2]
    rows, columns, half = (height + 1) // 2, (width + 1) // 2, (stride // 2) & POSITIVE
    for r in range(1, rows + 1):  # reflected on the left and above, repeated on the right and below, as in OpenCV
        x = (r * half) & POSITIVE
        small[x] = small[(x + 1 + min(1, columns - 1)) & POSITIVE]
        small[(x + columns + 1) & POSITIVE] = small[(x + columns) & POSITIVE]
    second, last = (min(2, rows) * half) & POSITIVE, (rows * half) & POSITIVE
    for j in range(half):
        small[j] = small[second + j]
    for j in range(half):
        small[last + half + j] = small[last + j]
    for i in range(last + 2 * half - 2):
        wide[2 * i + 2] = ((small[i] + small[i + 2]) + SIX * small[i + 1]) * EIGHTH
        wide[2 * i + 3] = (small[i + 1] + small[i + 2]) * HALF


@compiled
def _fill(array: np.ndarray, start: int, num: int, value: np.float32) -> None:
    start = start & POSITIVE
    for i in range(num):
        array[start + i] = value


@compiled(fastmath=FUSED)
def _add_bands(levels: np.ndarray, top: int, bottom: int, change: np.ndarray, bands: np.ndarray, tall: np.ndarray,
               small: np.ndarray) -> None:
    """Adds the Laplacian bands of a change times its weight, the fourth channel, zero except in rows top..bottom-1."""
    last, room = len(levels) - 1, (len(change) // 4) & POSITIVE
    weight = (3 * room) & POSITIVE
    _frame(levels, 0, 0, levels[0, 0], change, weight)
    for level in range(last):
        height, stride, plane, start = levels[level, 0], levels[level, 2], levels[level, 3], levels[level, 4]
        half, rows = (stride // 2) & POSITIVE, (height + 1) // 2
        first, num = _rows(stride, top, bottom)
        for offset in (weight, 0, room, 2 * room):
            _down(levels, level, change, offset, tall, small)
            _split(levels, level + 1, small, half, change, offset)
            if offset == weight:
                continue
            _widen(levels, level, small, tall)
            here, x = (stride + first) & POSITIVE, (offset + start + stride + first) & POSITIVE
            above, below, w = (here - stride) & POSITIVE, (here + stride) & POSITIVE, (x + weight - offset) & POSITIVE
            for i in range(num):
                smooth = ((tall[above + i] + tall[below + i]) + SIX * tall[here + i]) * EIGHTH
                bands[x + i] += change[w + i] * (change[x + i] - smooth)
            x, w = (x + plane) & POSITIVE, (w + plane) & POSITIVE
            for i in range(num):
                smooth = (tall[here + i] + tall[below + i]) * HALF
                bands[x + i] += change[w + i] * (change[x + i] - smooth)
        top, bottom = max(0, (top - 1) // 2), min(rows, (bottom + 1) // 2 + 1)
    start, num = levels[last, 4], (2 * levels[last, 3]) & POSITIVE
    w = (weight + start) & POSITIVE
    for offset in range(0, weight, room):
        x = (offset + start) & POSITIVE
        for i in range(num):
            bands[x + i] += change[w + i] * change[x + i]


@compiled(fastmath=FUSED)
def _collapse(levels: np.ndarray, room: int, bands: np.ndarray, tall: np.ndarray, small: np.ndarray) -> None:
    """Adds up the bands in level 0."""
    for level in range(len(levels) - 2, -1, -1):
        height, stride, plane, start = levels[level, 0], levels[level, 2] & POSITIVE, levels[level, 3], levels[level, 4]
        num = ((height + 1) // 2 * stride) & POSITIVE
        for offset in range(0, 3 * room, room):
            _join(levels, level + 1, small, stride // 2, bands, offset)
            _widen(levels, level, small, tall)
            x, c = (offset + start + stride) & POSITIVE, (2 * stride) & POSITIVE
            for i in range(num):
                bands[x + i] += ((tall[i] + tall[c + i]) + SIX * tall[stride + i]) * EIGHTH
            x = (x + plane) & POSITIVE
            for i in range(num):
                bands[x + i] += (tall[stride + i] + tall[c + i]) * HALF


@compiled(fastmath=FUSED)
def _measures(laplacian: np.float32, red: np.float32, green: np.float32, blue: np.float32) -> tuple:
    """The contrast and saturation of a pixel, and its squared distance from mid-grey."""
    u, v, t = red - green, green - blue, blue - red
    spread = np.sqrt((u * u + v * v + t * t) * NINTH + TINY_VARIANCE)
    red, green, blue, laplacian = red - HALF, green - HALF, blue - HALF, abs(laplacian)
    laplacian = laplacian if laplacian > SMALLEST else SMALLEST
    return laplacian, spread, red * red + green * green + blue * blue


@compiled(fastmath=FUSED)
def _steps(image: np.ndarray, room: int, here: int, there: int, num: int, out: np.ndarray) -> None:
    """Writes how much lighter the grey image is there than here, from the steps of the channels, which are exact."""
    room, here, there = room & POSITIVE, here & POSITIVE, there & POSITIVE
    green, blue, greener, bluer = room + here, 2 * room + here, room + there, 2 * room + there
    for i in range(num):
        red_step, green_step = image[there + i] - image[here + i], image[greener + i] - image[green + i]
        out[here + i] = RED * red_step + GREEN * green_step + BLUE * (image[bluer + i] - image[blue + i])


@compiled(fastmath=FUSED)
def _quality(levels: np.ndarray, top: int, bottom: int, image: np.ndarray, room: int, powers: tuple,
             epsilon: np.float32, right: np.ndarray, down: np.ndarray, mask: np.ndarray, weight: np.ndarray,
             offset: int) -> None:
    """Writes (`fusion.mertens_weights` + epsilon) * mask in rows top..bottom-1; an empty mask is 1 everywhere."""
    stride, plane, (contrast, saturation, exposedness) = levels[0, 2], levels[0, 3], powers
    slope = -exposedness / FLOAT(0.08)
    _steps(image, room, 0, 1, 2 * plane - 1, right)
    _steps(image, room, 0, plane, plane, down)  # from even rows to the odd ones below
    _steps(image, room, plane, stride, plane - stride, down)
    first, num = _rows(stride, top, bottom)
    for p in range(2):
        x, above, _ = _beside(p, stride, plane, first)
        left, y, z, w = (x - 1) & POSITIVE, (room + x) & POSITIVE, (2 * room + x) & POSITIVE, (offset + x) & POSITIVE
        if contrast == ONE and saturation == ONE:
            for i in range(num):
                laplacian = (right[x + i] - right[left + i]) + (down[x + i] - down[above + i])
                laplacian, spread, exponent = _measures(laplacian, image[x + i], image[y + i], image[z + i])
                weight[w + i] = laplacian * spread * _exp(slope * exponent) + epsilon
        else:
            for i in range(num):
                laplacian = (right[x + i] - right[left + i]) + (down[x + i] - down[above + i])
                laplacian, spread, exponent = _measures(laplacian, image[x + i], image[y + i], image[z + i])
                weight[w + i] = laplacian**contrast * spread**saturation * _exp(slope * exponent) + epsilon
        if len(mask):
            for i in range(num):
                weight[w + i] *= mask[x + i]


@compiled(fastmath=FUSED)
def _soften(levels: np.ndarray, top: int, bottom: int, passes: int, mask: np.ndarray, other: np.ndarray) -> tuple:
    """Blurs a mask, zero except in rows top..bottom-1, in place; returns the rows in which it is then not zero."""
    height, stride, plane = levels[0, 0], levels[0, 2], levels[0, 3]
    for _ in range(passes):
        top, bottom = max(0, top - 1), min(height, bottom + 1)
        _frame(levels, 0, top, bottom, mask, 0)
        first, num = _rows(stride, top, bottom)
        for p in range(2):
            here, above, below = _beside(p, stride, plane, first)
            for i in range(num):
                other[here + i] = (mask[above + i] + mask[below + i] + TWO * mask[here + i]) * QUARTER
        for p in range(2):
            here, _, _ = _beside(p, stride, plane, first)
            left, right = (here - 1) & POSITIVE, (here + 1) & POSITIVE
            for i in range(num):
                mask[here + i] = (other[left + i] + other[right + i] + TWO * other[here + i]) * QUARTER
    return top, bottom


@compiled
def _cut_out(levels: np.ndarray, labels: np.ndarray, segment: int, rows: np.ndarray, feather: int, mask: np.ndarray,
             other: np.ndarray) -> tuple:
    """Writes the softened mask of a segment, or of the whole image for -1; returns the rows in which it is not zero."""
    height, width, plane = levels[0, 0], levels[0, 1], levels[0, 3]
    _fill(mask, 0, 2 * plane, ONE if segment < 0 else ZERO)
    if segment < 0:
        return 0, height
    top, bottom = rows[segment, 0], rows[segment, 1]
    for r in range(top, bottom):
        here = _at(levels, 0, r, 0)
        for j in range(width):
            mask[here + j] = FLOAT(labels[r, j] == segment)
    return _soften(levels, top, bottom, feather, mask, other) if top < bottom else (top, bottom)


@compiled
def _rows_of_segments(labels: np.ndarray, rows: np.ndarray) -> None:
    """Writes the first row of every segment and the one after its last, (K, 2); equal if there is none."""
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
def _take(levels: np.ndarray, photo: np.ndarray, linear: bool, low: np.float32, planes: np.ndarray,
          straight: np.ndarray, bent: np.ndarray) -> None:
    """Writes a photo, (H, W, 3), as planes with frames, at least `low`, and the `_parts` of these."""
    height, width = photo.shape[:2]
    pixels, size = photo.reshape(-1), (planes.size // 3) & POSITIVE
    for r in range(height):
        i, x = (3 * r * width) & POSITIVE, _at(levels, 0, r, 0)
        y, z = (x + size) & POSITIVE, (x + 2 * size) & POSITIVE
        for j in range(width):
            red, green, blue = pixels[i + 3 * j], pixels[i + 3 * j + 1], pixels[i + 3 * j + 2]
            planes[x + j], planes[y + j], planes[z + j] = red, green, blue
    for offset in range(0, 3 * size, size):
        _frame(levels, 0, 0, height, planes, offset)
    for i in range(planes.size):
        planes[i] = low if planes[i] < low else planes[i]
    _parts(planes, linear, straight, bent)


@compiled(fastmath=FUSED)
def blend(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, counts: np.ndarray, levels: np.ndarray,
           linear: bool, masked: bool, weighed: bool, include_input: bool, feather: int, powers: tuple,
           epsilon: np.float32, clips: tuple, out: np.ndarray) -> None:
    """Renders photos by `mask_pyramid`, `mertens` or `mertens_masked`.

    Args:
        photos: (N, H, W, 3) float32.
        labels: (N, H, W) int32, each less than K.
        evs: (N, K) in stops.
        counts: (N,) int32, how many of the exposures take part.
        levels: See `kernels.fusion.levels_of`.
        linear: Whether exposing multiplies light; else encoded values.
        masked: Whether an exposure counts where its segment lies; else everywhere.
        weighed: Whether an exposure counts more where it looks good.
        include_input: Whether the photo itself is weighed against the exposures.
        feather: Passes of the blur over the masks.
        powers: Exponents of contrast, saturation and exposedness.
        epsilon: Added to every weight.
        clips: Whether exposed images are clipped to [0, 1], and whether results are.
        out: (N, H, W, 3) float32, written.
    """
    num, height, width = photos.shape[:3]
    slots, last = evs.shape[1], len(levels) - 1
    planes, room = (2 * levels[0, 3]) & POSITIVE, (levels[last, 4] + 2 * levels[last, 3]) & POSITIVE
    photo, straight, bent = np.zeros(3 * planes, FLOAT), np.zeros(3 * planes, FLOAT), np.zeros(3 * planes, FLOAT)
    change, bands = np.zeros(4 * room, FLOAT), np.zeros(3 * room, FLOAT)
    mask = change[3 * room :]
    tall, small = np.zeros(planes // 2, FLOAT), np.zeros(planes // 2, FLOAT)
    total, steps, other = np.zeros(planes, FLOAT), np.zeros(planes, FLOAT), np.zeros(planes, FLOAT)
    weights = np.zeros((slots + 1 if weighed else 0) * planes, FLOAT)
    rows, spans = np.zeros((slots, 2), np.int64), np.zeros((slots + 1, 2), np.int64)
    infinite = (FLOAT(-np.inf), FLOAT(np.inf))
    bounds, ends = (ZERO, ONE) if clips[0] else infinite, (ZERO, ONE) if clips[1] else infinite
    for n in range(num):
        image = out[n].reshape(-1)
        _take(levels, photos[n], linear, bounds[0], photo, straight, bent)
        for i in range(photo.size):  # only now, since a darker exposure shows what is lighter than white
            photo[i] = bounds[1] if photo[i] > bounds[1] else photo[i]
        _fill(bands, 0, bands.size, ZERO)
        if masked:
            _rows_of_segments(labels[n], rows)
        count = min(counts[n], slots)
        if weighed:
            _fill(total, 0, planes, ZERO)
            for t in range(0, count + include_input):
                ev = evs[n, t] if t < count else ZERO
                top, bottom = 0, height
                if masked:
                    segment = t if t < count else -1
                    top, bottom = _cut_out(levels, labels[n], segment, rows, feather, mask, other)
                    _fill(weights, t * planes, planes, ZERO)
                spans[t, 0], spans[t, 1] = top, bottom
                for c in range(3):
                    _expose(straight, bent, photo, c * planes, planes, ev, linear, bounds[1], False, change, c * room)
                _quality(levels, top, bottom, change, room, powers, epsilon, steps, other,
                         mask if masked else mask[:0], weights, t * planes)
                base = (t * planes) & POSITIVE
                for i in range(planes):
                    total[i] += weights[base + i]
            for i in range(planes):
                total[i] = ONE / total[i] if total[i] > ZERO else ZERO
        for t in range(count):
            if evs[n, t] == ZERO:
                continue
            if weighed:
                top, bottom = spans[t, 0], spans[t, 1]
                base = (t * planes) & POSITIVE
                for i in range(planes):
                    mask[i] = weights[base + i] * total[i]
            else:
                top, bottom = _cut_out(levels, labels[n], t, rows, feather, mask, other)
            if top < bottom:
                for c in range(3):
                    _expose(straight, bent, photo, c * planes, planes, evs[n, t], linear, bounds[1], True, change,
                            c * room)
                _add_bands(levels, top, bottom, change, bands, tall, small)
        _collapse(levels, room, bands, tall, small)
        for c in range(3):
            x, y = (c * planes) & POSITIVE, (c * room) & POSITIVE
            for i in range(planes):
                value = photo[x + i] + bands[y + i]
                value = ends[0] if value < ends[0] else value
                bands[y + i] = ends[1] if value > ends[1] else value
        for r in range(height):
            i, x = (3 * r * width) & POSITIVE, _at(levels, 0, r, 0)
            y, z = (x + room) & POSITIVE, (x + 2 * room) & POSITIVE
            for j in range(width):
                red, green, blue = bands[x + j], bands[y + j], bands[z + j]
                image[i + 3 * j], image[i + 3 * j + 1], image[i + 3 * j + 2] = red, green, blue


@compiled(fastmath=FUSED)
def expose_segments(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, linear: bool, clip_output: bool,
           out: np.ndarray) -> None:
    """Writes the photos, (N, H, W, 3), with every segment under its own exposure, to `out`."""
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


@compiled(fastmath=FUSED)
def _slope(straight: np.ndarray, bent: np.ndarray, start: int, num: int, ev: float, linear: bool, high: np.float32,
           out: np.ndarray, into: int) -> None:
    """Writes the derivatives by the EV of `num` values of the exposed photo; 0 where it is cut off at `high`."""
    gain, bent_gain = FLOAT(2.0**ev), FLOAT(2.0 ** (ev / 2.4))
    lift = FLOAT(0.055 * (2.0 ** (ev / 2.4) - 1.0))
    end = LINEAR_END if linear else FLOAT(np.inf)
    start, into = start & POSITIVE, into & POSITIVE
    for i in range(num):
        value, slope = straight[start + i] * gain, LN2 * straight[start + i] * gain
        curved = bent[start + i] * bent_gain + lift
        slope = slope if value <= end else BENT_LN2 * (curved + LIFT)
        value = value if value <= end else curved
        out[into + i] = ZERO if value > high else slope


@compiled(fastmath=FUSED)
def slopes(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, gradients: np.ndarray, levels: np.ndarray,
           linear: bool, feather: int, clip_input: bool, out: np.ndarray) -> None:
    """Derivatives by the EVs of a function of the images that `mask_pyramid` renders.

    Args:
        photos: (N, H, W, 3) float32.
        labels: (N, H, W) int32, each less than K.
        evs: (N, K) in stops.
        gradients: (N, 3 * room) float32: the function's derivatives by the bands of the pyramid, laid out as the bands
            are, with frames of 0.
        levels: See `kernels.fusion.levels_of`.
        linear: See `blend`.
        feather: See `blend`.
        clip_input: Whether exposed images are clipped to [0, 1].
        out: (N, K) float32, written.
    """
    num, (slots, last) = len(photos), (evs.shape[1], len(levels) - 1)
    planes, room = (2 * levels[0, 3]) & POSITIVE, (levels[last, 4] + 2 * levels[last, 3]) & POSITIVE
    photo, straight, bent = np.zeros(3 * planes, FLOAT), np.zeros(3 * planes, FLOAT), np.zeros(3 * planes, FLOAT)
    change, bands = np.zeros(4 * room, FLOAT), np.zeros(3 * room, FLOAT)
    mask = change[3 * room :]
    tall, small, other = np.zeros(planes // 2, FLOAT), np.zeros(planes // 2, FLOAT), np.zeros(planes, FLOAT)
    rows = np.zeros((slots, 2), np.int64)
    low, high = (ZERO, ONE) if clip_input else (FLOAT(-np.inf), FLOAT(np.inf))
    for n in range(num):
        _take(levels, photos[n], linear, low, photo, straight, bent)
        _rows_of_segments(labels[n], rows)
        gradient = gradients[n]
        for t in range(slots):
            top, bottom = _cut_out(levels, labels[n], t, rows, feather, mask, other)
            total = 0.0
            if top < bottom:
                for c in range(3):
                    _slope(straight, bent, c * planes, planes, evs[n, t], linear, high, change, c * room)
                _fill(bands, 0, bands.size, ZERO)
                _add_bands(levels, top, bottom, change, bands, tall, small)
                for c in range(3 * (last + 1)):  # in parts, so that float32 suffices for each
                    channel, level = c % 3, c // 3
                    start = (channel * room + levels[level, 4]) & POSITIVE
                    part = ZERO
                    for i in range((2 * levels[level, 3]) & POSITIVE):
                        part += gradient[start + i] * bands[start + i]
                    total += part
            out[n, t] = FLOAT(total)

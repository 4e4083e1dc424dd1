"""Compiled Felzenszwalb segmentation, with exactly the same labels as scikit-image's.

Costs are computed with the same rounding as there. What remains is the order of edges of equal cost, which in
scikit-image is that of NumPy's unstable sort. Here edges are sorted by radix, and where the order of equal ones could
make a difference, which is rare, the segments are grown once more in NumPy's order.
"""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from exposure_env.acceleration import compiled

DIGIT = 11  # bits sorted at a time: 2048 counters stay in the first-level cache
FEW_EDGES = 1 << 18  # up to here the keys have two digits, above it three
SMALLEST = -31  # exponent of two; costs below that power share a key
LOW_BITS = 0xFFFFFFFF  # of an item: the index of an edge


def felzenszwalb(image: np.ndarray, scale: float, sigma: float, min_size: int) -> np.ndarray:
    """The (H, W) int32 labels, equal to those of `skimage.segmentation.felzenszwalb`.

    Args:
        image: (H, W, 3) float32 in [0, 1].
        scale: As in scikit-image.
        sigma: As in scikit-image [px].
        min_size: Smallest segment [px].
    """
    height, width = image.shape[:2]
    weights = _weights(sigma)
    if weights is None:
        blurred = ndimage.gaussian_filter(image.astype(np.float64), [sigma, sigma, 0], mode="reflect")
        planes = np.ascontiguousarray(blurred.transpose(2, 0, 1))
    else:
        planes = _blurred(np.require(image, requirements="CAW"), weights)  # numba compiles anew for read-only arrays
    costs = _costs(planes)
    edges, ranked, is_sorted = _sorted_edges(costs)
    scale, min_size = float(scale) / 255.0, min(min_size, height * width)
    if is_sorted:
        labels, is_certain = _grown(edges, ranked, height, width, scale, min_size, False)
        if is_certain:
            return labels
    edges = _in_order_of_scikit_image(np.arange(4 * height * width, dtype=np.int32).reshape(4, height, width))
    edges = edges[np.argsort(_in_order_of_scikit_image(costs))]
    return _grown(edges, costs.ravel()[edges], height, width, scale, min_size, True)[0]


@lru_cache(64, typed=True)
def _weights(sigma: float) -> np.ndarray | None:
    """SciPy's Gaussian weights; None if its blur is rounded differently from ours, as by fused multiply-adds."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    image = np.random.default_rng(0).random((19, 23, 3), np.float32)
    expected = ndimage.gaussian_filter(image.astype(np.float64), [sigma, sigma, 0], mode="reflect")
    return weights if np.array_equal(_blurred(image, weights), expected.transpose(2, 0, 1)) else None


def _in_order_of_scikit_image(values: np.ndarray) -> np.ndarray:
    """The (E,) values of the edges that exist, from (4, H, W)."""
    right, down, falling, rising = values
    parts = right[:, :-1], down[:-1], falling[:-1, :-1], rising[:-1, :-1]
    return np.concatenate([part.ravel() for part in parts])


@compiled
def _reflected(index, length):
    """The index that a pixel at any distance beyond the border is reflected to: d c b a | a b c d | d c b a."""
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index


@compiled
def _blurred(image, weights):
    """The (3, H, W) float64 blur of an (H, W, 3) image: columns, then rows, adding outermost pairs of pixels first."""
    height, width, _ = image.shape
    radius = len(weights) // 2
    planes = np.empty((3, height, width))
    rows = image.reshape(height, 3 * width)
    column = np.empty(3 * width)
    padded = np.empty(width + 2 * radius)
    for y in range(height):
        row = rows[y]
        for i in range(3 * width):
            column[i] = np.float64(row[i]) * weights[radius]
        for k in range(radius, 0, -1):
            above, below, weight = rows[_reflected(y - k, height)], rows[_reflected(y + k, height)], weights[radius - k]
            for i in range(3 * width):
                column[i] += (np.float64(above[i]) + np.float64(below[i])) * weight
        for c in range(3):
            for x in range(width):
                padded[radius + x] = column[3 * x + c]
            for k in range(radius):
                padded[k] = padded[radius + _reflected(k - radius, width)]
                padded[radius + width + k] = padded[radius + _reflected(width + k, width)]
            out = planes[c, y]
            for x in range(width):
                out[x] = padded[radius + x] * weights[radius]
            for k in range(radius, 0, -1):
                before, after, weight = padded[radius - k :], padded[radius + k :], weights[radius - k]
                for x in range(width):
                    out[x] += (before[x] + after[x]) * weight
    return planes


@compiled
def _distance(red, green, blue, red2, green2, blue2, out):
    for x in range(len(out)):
        r, g, b = red[x] - red2[x], green[x] - green2[x], blue[x] - blue2[x]
        out[x] = np.sqrt(r * r + g * g + b * b)


@compiled
def _costs(planes):
    """The (4, H, W) colour distances of the edges right, down, falling and rising; undefined where there is no edge."""
    _, height, width = planes.shape
    costs = np.empty((4, height, width))
    last = width - 1
    for y in range(height):
        r, g, b = planes[0, y], planes[1, y], planes[2, y]
        _distance(r[1:], g[1:], b[1:], r[:last], g[:last], b[:last], costs[0, y, :last])
        if y + 1 < height:
            u, v, w = planes[0, y + 1], planes[1, y + 1], planes[2, y + 1]
            _distance(u, v, w, r, g, b, costs[1, y])
            _distance(u[1:], v[1:], w[1:], r[:last], g[:last], b[:last], costs[2, y, :last])
            _distance(u[:last], v[:last], w[:last], r[1:], g[1:], b[1:], costs[3, y, :last])
    return costs


@compiled
def _sorted_by_digit(items, shift):
    """The uint64 items sorted by the digit at this bit; equal ones keep their order."""
    shift, digits = np.uint64(shift), np.uint64((1 << DIGIT) - 1)
    starts = np.zeros(1 << DIGIT, np.int64)
    for item in items:
        starts[item >> shift & digits] += 1
    start = 0
    for digit in range(1 << DIGIT):
        starts[digit], start = start, start + starts[digit]
    moved = np.empty_like(items)
    for item in items:
        digit = item >> shift & digits
        moved[np.uint64(starts[digit])] = item
        starts[digit] += 1
    return moved


@compiled
def _sorted_edges(costs):
    """The flat indices of the edges and their costs, cheapest first, and whether the sort was completed.

    The items sorted have 64 bits: the leading bits of a cost, then the index of its edge. Costs are below two, so five
    bits of their exponents are enough. Costs that share those bits end up side by side and are sorted by insertion.
    """
    _, height, width = costs.shape
    pixels, last = height * width, width - 1
    count = height * last + (height - 1) * (width + 2 * last)
    digits = 2 if count <= FEW_EDGES else 3
    drop = 52 + 5 - min(digits * DIGIT, 31)
    least = (1023 + SMALLEST) << (52 - drop)
    values = costs.ravel()
    bits = values.view(np.int64)
    items = np.empty(count, np.uint64)
    filled = 0
    for family in range(4):
        for y in range(height if family == 0 else height - 1):
            start = family * pixels + y * width
            for index in range(start, start + (width if family == 1 else last)):
                items[filled] = np.uint64(max((bits[index] >> drop) - least, 0) << 32 | index)
                filled += 1
    for digit in range(digits):
        items = _sorted_by_digit(items, 32 + digit * DIGIT)
    edges, ranked = np.empty(count, np.int32), np.empty(count)
    moves = 0
    for i in range(count):
        index = items[i] & np.uint64(LOW_BITS)
        cost = values[index]
        place = i
        while place > 0 and ranked[place - 1] > cost:
            ranked[place], edges[place] = ranked[place - 1], edges[place - 1]
            place -= 1
        ranked[place], edges[place] = cost, index
        moves += i - place
        if moves > 32 * count:  # many costs share their bits: insertion would take forever
            return edges, ranked, False
    return edges, ranked, True


@compiled
def _sides(edge, pixels, width):
    """The pixels on both sides of an edge, computed without a branch, since edges come in random order."""
    family = np.int64(edge >= pixels) + np.int64(edge >= 2 * pixels) + np.int64(edge >= 3 * pixels)
    pixel = edge - family * pixels
    return np.uint64(pixel + (family == 3)), np.uint64(pixel + (family != 0) * width + (family & 1 ^ 1))


@compiled
def _join(one, other, names, following, sizes):
    """Gives the pixels of the smaller segment the name of the larger one, and returns that name.

    Every pixel knows its segment's name, and the next pixel in a ring through the segment. Names are looked up far
    more often than they change.
    """
    if sizes[one] < sizes[other]:
        one, other = other, one
    pixel = other
    for _ in range(sizes[other]):
        names[pixel] = one
        pixel = following[pixel]
    following[one], following[other] = following[other], following[one]
    sizes[one] += sizes[other]
    return one


@compiled
def _grown(edges, ranked, height, width, scale, min_size, trusted):
    """The (H, W) labels from the edges, cheapest first, and whether any order among equal costs would give them.

    Args:
        edges: (E,) int32 indices into the costs.
        ranked: (E,) their costs.
        height: Rows of the image.
        width: Columns of the image.
        scale: Preference for large segments, in units of the costs.
        min_size: Smallest segment [px].
        trusted: Whether the order among equal costs is known to be right, so that it need not be checked.
    """
    pixels = height * width
    names, following = np.arange(pixels).astype(np.uint32), np.arange(pixels).astype(np.uint32)
    sizes = np.ones(pixels, np.int32)
    limits = np.full(pixels, np.float64(np.float32(scale)))  # scikit-image rounds them to single precision
    labels = np.empty((height, width), np.int32)
    kept, kept_costs, left = np.empty_like(edges), np.empty_like(ranked), 0
    for i in range(len(edges)):
        start, stop = _sides(edges[i], pixels, width)
        one, other = names[start], names[stop]
        if one == other:
            continue
        cost = ranked[i]
        if cost < limits[one] and cost < limits[other]:
            joined = _join(one, other, names, following, sizes)
            limits[joined] = np.float64(np.float32(cost + scale / sizes[joined]))
            # Edges of one cost give the same in any order: a segment closed to that cost stays closed, as it merges
            # with none, and an open one stays open, as its limit is above the cost, unless rounding brings it down.
            if not (trusted or cost < limits[joined]) and (
                (i > 0 and ranked[i - 1] == cost) or (i + 1 < len(edges) and ranked[i + 1] == cost)
            ):
                return labels, False
        else:
            kept[left], kept_costs[left] = edges[i], cost
            left += 1
    # Small segments join their nearest neighbour. Only the edges kept above can still lie between two segments.
    end, group, partners = 0, np.full(pixels, -1), np.empty(pixels, np.uint32)
    for i in range(left):
        if i == end:  # the next edges of equal cost: their order does not matter if they join separate pairs
            while end < left and kept_costs[end] == kept_costs[i]:
                end += 1
            for k in range(i, end if end > i + 1 and not trusted else i):
                start, stop = _sides(kept[k], pixels, width)
                one, other = names[start], names[stop]
                if one != other and min(sizes[one], sizes[other]) < min_size:
                    if (group[one] == i and partners[one] != other) or (group[other] == i and partners[other] != one):
                        return labels, False
                    group[one] = group[other] = i
                    partners[one], partners[other] = other, one
        start, stop = _sides(kept[i], pixels, width)
        one, other = names[start], names[stop]
        if one != other and min(sizes[one], sizes[other]) < min_size:
            _join(one, other, names, following, sizes)
    flat, numbers, count = labels.ravel(), np.full(pixels, -1, np.int32), 0
    for pixel in range(pixels):  # in the order of the first pixels
        name = names[pixel]
        if numbers[name] < 0:
            numbers[name] = count
            count += 1
        flat[pixel] = numbers[name]
    return labels, True

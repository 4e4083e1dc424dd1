"""Compiled Ward merging and numbering of segments: the same labels as in `segmentation.merging`, down to every tie."""

import numpy as np

from exposure_env.acceleration import compiled


def merged(labels: np.ndarray, image: np.ndarray, max_segments: int) -> np.ndarray:
    """The labels that `segmentation.merge_segments` gives.

    Args:
        labels: (H, W) int32 0..K-1, every label present.
        image: (H, W, 3) float32 in [0, 1].
        max_segments: At least 1.
    """
    count = int(labels.max()) + 1
    if count <= max_segments:
        return labels
    labels, image = np.require(labels, requirements="CAW"), np.require(image, requirements="CAW")
    return _merged(labels, image, count, max_segments)


def regions(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The compiled `segmentation.merging.regions`, except for labels that lie far apart."""
    if not np.can_cast(labels.dtype, np.int32) and (labels.min() < -(2**31) or labels.max() >= 2**31):
        return NotImplemented
    numbered, firsts, areas = _regions(np.require(labels, np.int32, "CAW"))
    return (numbered, firsts, areas) if len(areas) else NotImplemented


@compiled
def _ward(sizes, sums, one, other):
    distance = 0.0
    for c in range(3):
        difference = sums[one, c] / sizes[one] - sums[other, c] / sizes[other]
        distance += difference * difference
    return sizes[one] * sizes[other] / (sizes[one] + sizes[other]) * distance


@compiled
def _merged(labels, image, count, max_segments):
    """The labels after merging K = `count` segments down to `max_segments`."""
    height, width = labels.shape
    sizes, sums = np.zeros(count), np.zeros((count, 3))
    flat, colours = labels.ravel(), image.reshape(height * width, 3)
    pixel = 0
    while pixel < len(flat):  # run by run: neighbours mostly share their label
        start, label = pixel, flat[pixel]
        red, green, blue = sums[label]
        while pixel < len(flat) and flat[pixel] == label:
            red += np.float64(colours[pixel, 0])
            green += np.float64(colours[pixel, 1])
            blue += np.float64(colours[pixel, 2])
            pixel += 1
        sizes[label] += pixel - start
        sums[label, 0], sums[label, 1], sums[label, 2] = red, green, blue
    # Pairs (low, high, cost). Repeated ones do no harm, so a forgetful hash table is enough to skip most of them.
    seen = np.full(1024, -1, np.int64)
    low, high = np.empty(4 * labels.size, np.int32), np.empty(4 * labels.size, np.int32)
    pairs = 0
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for y in range(height - dy):
            here, there = labels[y], labels[y + dy]
            for x in range(max(-dx, 0), width - max(dx, 0)):
                if here[x] != there[x + dx]:
                    one, other = np.int64(min(here[x], there[x + dx])), np.int64(max(here[x], there[x + dx]))
                    slot = (31 * one + other) & 1023
                    if seen[slot] != (one << 32 | other):
                        seen[slot] = one << 32 | other
                        low[pairs], high[pairs] = one, other
                        pairs += 1
    costs = np.empty(pairs)
    for i in range(pairs):
        costs[i] = _ward(sizes, sums, low[i], high[i])
    owner = np.arange(count)
    for _ in range(count - max_segments):
        best = 0
        for i in range(1, pairs):
            if costs[i] < costs[best] or (costs[i] == costs[best] and (low[i], high[i]) < (low[best], high[best])):
                best = i
        stays, gone = low[best], high[best]
        sizes[stays] += sizes[gone]
        for c in range(3):  # assigning whole rows would take seconds: numba compiles the error messages, too
            sums[stays, c] += sums[gone, c]
        owner[gone] = stays
        old, pairs = pairs, 0
        for i in range(old):
            one = stays if low[i] == gone else low[i]
            other = stays if high[i] == gone else high[i]
            if one != other:
                touched = one == stays or other == stays
                low[pairs], high[pairs] = min(one, other), max(one, other)
                costs[pairs] = _ward(sizes, sums, one, other) if touched else costs[i]
                pairs += 1
    names, number = np.empty(count, np.int32), 0
    for label in range(count):  # owners are smaller, so they have their number already
        if owner[label] == label:
            names[label] = number
            number += 1
        else:
            names[label] = names[owner[label]]
    merged = np.empty_like(labels)
    for y in range(height):
        for x in range(width):
            merged[y, x] = names[labels[y, x]]
    return merged


@compiled
def _regions(labels):
    """`regions` for int32 labels; empty if the table of labels would be large."""
    low, high = np.int64(labels.min()), np.int64(labels.max())
    span = high - low + 1 if high - low <= 4 * labels.size else 0
    areas, firsts = np.zeros(span, np.int64), np.empty(span, np.int64)
    names = np.empty(span, np.int32)
    flat, start = labels.ravel(), 0
    while span and start < len(flat):  # run by run: neighbours mostly share their label
        label, stop = flat[start], start + 1
        while stop < len(flat) and flat[stop] == label:
            stop += 1
        if areas[label - low] == 0:
            firsts[label - low] = start
        areas[label - low] += stop - start
        start = stop
    count = 0
    for label in range(span):
        if areas[label]:
            areas[count], firsts[count], names[label] = areas[label], firsts[label], count
            count += 1
    numbered = np.empty_like(labels)
    out = numbered.ravel()
    for pixel in range(len(flat) if count else 0):
        out[pixel] = names[flat[pixel] - low]
    return numbered, firsts[:count].copy(), areas[:count].copy()

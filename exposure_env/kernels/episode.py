"""Compiled steps of an episode: the local image where a segment was just exposed, and the observations, in place.

Plain functions at the top take states and share the episodes among the threads; results do not depend on the number of
threads. Exposing takes no power function except for values that cross the knee of the sRGB curve: below it, a gain in
light is a gain in encoded values, and above it a gain in these plus 0.055. For images in 8 bits see `kernels.planes`.
"""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from exposure_env.acceleration import compiled
from exposure_env.image import ENCODED_KNEE, Space
from exposure_env.kernels.planes import write_floats, write_images, write_masks, write_words
from exposure_env.threads import ranges, spread

_BLOCK = 128  # pixels: a block in which nothing changes is skipped
_LIFT, _STRETCH, _SLOPE, _KNEE = map(np.float32, (0.055, 1.055, 12.92, ENCODED_KNEE))
_ZERO, _HALF, _ONE, _LEVELS = map(np.float32, (0, 0.5, 1, 255))
_ROUND = np.float32(1.5 * 2**23)  # numbers of its size have no fractions, so adding it rounds, halves to even
_LOG2, _TWO_PER_LOG2 = np.float32(np.log(2)), np.float32(2 / np.log(2))
_THIRD, _FIFTH, _SEVENTH, _NINTH = (np.float32(1 / n) for n in (3, 5, 7, 9))
_SERIES = tuple(np.float32(1 / n) for n in (2, 6, 24, 120, 720, 5040))  # of the exponential function
_SQRT_HALF_BITS, _MANTISSA, _BIAS = map(np.int32, (0x3F3504F3, 23, 127))


def local_image(state: Any, space: str = "linear") -> np.ndarray:
    """The compiled `episode.local_image`, for float32 photos and EVs and int32 labels."""
    if not (isinstance(state.photos, np.ndarray) and state.photos.dtype == state.evs.dtype == np.float32
            and state.labels.dtype == np.int32 and space in get_args(Space)):
        return NotImplemented
    out = np.empty(state.photos.shape, np.float32)
    photos, labels, evs = (np.require(array, None, "CAW") for array in (state.photos, state.labels, state.evs))
    _shared(_local, len(out), _pixels(photos), _flat(labels), evs, space == "linear", _pixels(out))
    return out


def expose(before: Any, after: Any, space: str, images: np.ndarray, words: np.ndarray) -> None:
    """Turns the local images of the states `before` into those of the states `after`.

    Args:
        before: N states.
        after: The next states.
        space: "linear" or "encoded".
        images: (N, H, W, 3) float32, written.
        words: (N, H, W) uint32, the same in 8 bits, written; (0, H, W) if not needed.
    """
    _shared(_expose_next, len(images), _pixels(before.photos), _flat(before.labels), after.evs, before.step,
            before.num_segments, space == "linear", _pixels(images), _flat(words))


def put(source: np.ndarray, sources: np.ndarray, rows: np.ndarray, images: np.ndarray, words: np.ndarray) -> None:
    """Copies whole images, `images[rows] = source[sources]`, also in 8 bits.

    Args:
        source: (M, H, W, 3) float32.
        sources: (R,) int64.
        rows: (R,) int64.
        images: (N, H, W, 3) float32, written, or (0, H, W, 3).
        words: (N, H, W) uint32, written, or (0, H, W).
    """
    _shared(_put, len(rows), _pixels(source), sources, rows, _pixels(images), _flat(words))


def write(rows: np.ndarray, state: Any, photos: np.ndarray, shown: np.ndarray, *out: np.ndarray) -> None:
    """Writes the observations of the states in these rows.

    Args:
        rows: (M,) int64.
        state: N states.
        photos: (N, H, W) uint32 words; for observations in floats (N, H, W, 3) float32.
        shown: Likewise, the images so far.
        *out: (M, H, W, 9 or 12) uint8 or float32, or (M, H, W, 3) uint8 for each of the three images; written.
    """
    plan = _flat(state.labels), state.step, state.num_segments
    progress = state.step.astype(np.float32) / state.num_segments.astype(np.float32)
    planes = [array.reshape(len(array), -1, array.shape[-1]) for array in out]
    if planes[0].dtype == np.float32:
        _shared(write_floats, len(rows), rows, _pixels(photos), _pixels(shown), *plan, progress, planes[0])
    elif planes[0].shape[2] == 12:
        levels = np.rint(progress * 255).astype(np.uint32)
        _shared(write_words, len(rows), rows, _flat(photos), _flat(shown), *plan, levels, planes[0].view(np.uint32))
    else:
        images = planes if len(planes) == 3 else [planes[0][:, :, start : start + 3] for start in (0, 3, 6)]
        _shared(write_images, len(rows), rows, _flat(photos), _flat(shown), *plan, *images)


def write_segments(rows: np.ndarray, state: Any, mask: np.ndarray, done: np.ndarray) -> None:
    """Writes the masks of the segment to expose and of those done, (M, H, W, 1) uint8 each; see `write`."""
    plan = _flat(state.labels), state.step, state.num_segments
    _shared(write_masks, len(rows), rows, *plan, _flat(mask), _flat(done))


def squared_error(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The (N,) float32 mean squared differences of (N, ...) float32 images."""
    if not (isinstance(images, np.ndarray) and images.dtype == targets.dtype == np.float32
            and images.shape == targets.shape):
        return NotImplemented
    out = np.empty(len(images), np.float32)
    _shared(_squared_errors, len(out), _flat(images), _flat(targets), out)
    return out


def _shared(kernel: Callable[..., None], count: int, *arrays: Any) -> None:
    spread(lambda part: kernel(*arrays, part.start, part.stop), ranges(count, 16))


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), images.shape[1] * images.shape[2], 3)


def _flat(planes: np.ndarray) -> np.ndarray:
    return planes.reshape(len(planes), -1) if len(planes) else planes.reshape(0, 1)


@compiled
def _power(x: np.float32, exponent: np.float32) -> np.float32:
    """x^exponent for positive x with a logarithm of moderate size, to a relative error of 1e-6; can be vectorised."""
    bits = np.float32(x).view(np.int32)
    whole = np.int32((bits - _SQRT_HALF_BITS) >> _MANTISSA)
    mantissa = np.int32(bits - (whole << _MANTISSA)).view(np.float32)  # from sqrt(1/2) to sqrt(2)
    s = (mantissa - _ONE) / (mantissa + _ONE)
    square = s * s
    series = ((_NINTH * square + _SEVENTH) * square + _FIFTH) * square + _THIRD
    high, rest = exponent * np.float32(whole), exponent * (_TWO_PER_LOG2 * (s + s * square * series))
    n = (high + rest + _ROUND) - _ROUND
    r = _LOG2 * ((high - n) + rest)
    p = ((_SERIES[5] * r + _SERIES[4]) * r + _SERIES[3]) * r + _SERIES[2]
    p = ((p * r + _SERIES[1]) * r + _SERIES[0]) * r + _ONE
    return (p * r + _ONE) * np.int32((np.int32(n) + _BIAS) << _MANTISSA).view(np.float32)


@compiled
def _expose_segment(photo: np.ndarray, labels: np.ndarray, segment: int, ev: np.float32, linear: bool,
                    image: np.ndarray, words: np.ndarray, room: np.ndarray) -> None:
    """Exposes the pixels of one segment and clips them.

    Args:
        photo: (P, 3) float32.
        labels: (P,) int32.
        segment: Label of the segment.
        ev: Exposure [stops]; 0 gives the photo to the last bit.
        linear: Whether exposures multiply light; else encoded values.
        image: (P, 3) float32, written where the segment lies.
        words: (P,) uint32, the image in 8 bits, written there as well; (0,) if not needed.
        room: (_BLOCK, 3) int32 to work in.
    """
    gain = np.float32(2.0 ** np.float64(ev))
    more = np.float32(2.0 ** (np.float64(ev) / 2.4) - 1.0) if linear else gain - _ONE
    knee, segment = _KNEE if linear else np.float32(np.inf), np.int32(segment)
    dark, bright = np.float32(1 / 2.4), np.float32(2.4)
    for start in range(0, labels.shape[0], _BLOCK):
        label = labels[start : start + _BLOCK]
        count = np.int32(0)
        for p in range(label.shape[0]):
            count += np.int32(label[p] == segment)
        if count == 0:
            continue
        inside = room[: label.shape[0]]
        for p in range(label.shape[0]):
            here = np.int32(label[p] == segment)
            inside[p, 0], inside[p, 1], inside[p, 2] = here, here, here
        chosen, source = inside.reshape(-1), photo[start : start + _BLOCK].reshape(-1)
        result = image[start : start + _BLOCK].reshape(-1)
        crossing = np.int32(0)
        for i in range(source.shape[0]):  # as if no value crossed the knee
            value = source[i]
            exposed = value + (value + _LIFT) * more if value > knee else value * gain
            crossing |= chosen[i] & np.int32((value > knee) != (exposed > knee))
            exposed = exposed if exposed > _ZERO else _ZERO
            exposed = exposed if exposed < _ONE else _ONE
            result[i] = exposed if chosen[i] else result[i]
        if crossing:
            for i in range(source.shape[0]):
                value = source[i]
                above = value > knee
                exposed = value + (value + _LIFT) * more if above else value * gain
                root = (value + _LIFT) / _STRETCH if above else value / _SLOPE * gain
                power = _power(root, bright if above else dark)
                crossed = power * gain * _SLOPE if above else _STRETCH * power - _LIFT
                crossed = crossed if crossed < _ONE else _ONE
                result[i] = crossed if chosen[i] and above != (exposed > knee) else result[i]
        if words.shape[0]:
            _pack(image[start : start + _BLOCK], room, words[start : start + _BLOCK])


@compiled
def _pack(image: np.ndarray, levels: np.ndarray, words: np.ndarray) -> None:
    """Writes pixels (P, 3) as words (P,); `levels`, (P or more, 3) int32, is room to work in."""
    values, room = image.reshape(-1), levels.reshape(-1)
    for i in range(values.shape[0]):
        value = values[i] if values[i] > _ZERO else _ZERO
        value = value if value < _ONE else _ONE
        room[i] = np.int32((value * _LEVELS + _ROUND) - _ROUND)
    for p in range(words.shape[0]):
        words[p] = np.uint32(levels[p, 0] | levels[p, 1] << np.int32(8) | levels[p, 2] << np.int32(16))


@compiled
def _local(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, linear: bool, out: np.ndarray, first: int,
                 last: int) -> None:
    """Writes the `episode.local_image` of episodes first..last-1.

    Args:
        photos: (N, P, 3) float32, P pixels each.
        labels: (N, P) int32.
        evs: (N, K) float32.
        linear: Whether exposures multiply light; else encoded values.
        out: (N, P, 3) float32, written.
        first: First episode.
        last: The one after the last.
    """
    room, nowhere = np.empty((_BLOCK, 3), np.int32), np.empty(0, np.uint32)
    for n in range(first, last):
        out[n] = photos[n]
        for k in range(evs.shape[1]):
            if evs[n, k] != _ZERO:
                _expose_segment(photos[n], labels[n], k, evs[n, k], linear, out[n], nowhere, room)


@compiled
def _expose_next(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, step: np.ndarray, num_segments: np.ndarray,
                linear: bool, images: np.ndarray, words: np.ndarray, first: int, last: int) -> None:
    """Turns the local images before a step into those after it: only the segment just exposed changes.

    Args:
        photos: (N, P, 3) float32.
        labels: (N, P) int32.
        evs: (N, K) float32, including that of the segment just exposed.
        step: (N,) int64 before the exposure, which is the label of that segment.
        num_segments: (N,) int64; episodes that were over stay as they are.
        linear: See `_local`.
        images: (N, P, 3) float32, written.
        words: (N, P) uint32, the same in 8 bits, written; (0, P) if not needed.
        first: First episode.
        last: The one after the last.
    """
    room, nowhere = np.empty((_BLOCK, 3), np.int32), np.empty(0, np.uint32)
    for n in range(first, last):
        t = step[n]
        if t < num_segments[n]:
            word = words[n] if words.shape[0] else nowhere
            _expose_segment(photos[n], labels[n], t, evs[n, t], linear, images[n], word, room)


@compiled
def _put(source: np.ndarray, sources: np.ndarray, rows: np.ndarray, images: np.ndarray, words: np.ndarray, first: int,
        last: int) -> None:
    """Copies whole images, `images[rows[m]] = source[sources[m]]` for m in first..last-1, also as words.

    Args:
        source: (M, P, 3) float32.
        sources: (R,) int64 rows of the source.
        rows: (R,) int64 rows of the images.
        images: (N, P, 3) float32, written; (0, P, 3) if not needed.
        words: (N, P) uint32, written; (0, P) if not needed.
        first: First m.
        last: The one after the last.
    """
    levels = np.empty(source.shape[1:], np.int32)
    for m in range(first, last):
        given = source[sources[m]]
        if images.shape[0]:
            pixels, shown = given.reshape(-1), images[rows[m]].reshape(-1)
            for i in range(pixels.size):  # an assignment would take seconds to compile
                shown[i] = pixels[i]
        if words.shape[0]:
            _pack(given, levels, words[rows[m]])


@compiled
def _squared_errors(images: np.ndarray, targets: np.ndarray, out: np.ndarray, first: int, last: int) -> None:
    """Writes the mean squared differences of rows first..last-1.

    Sixty-four sums side by side give the same result on every processor.

    Args:
        images: (N, P) float32.
        targets: (N, P) float32.
        out: (N,) float32, written.
        first: First row.
        last: The one after the last.
    """
    sums = np.empty(64, np.float32)
    for n in range(first, last):
        sums[:] = _ZERO
        image, target = images[n], targets[n]
        size = image.shape[0]
        for start in range(0, size - 63, 64):
            left, right = image[start : start + 64], target[start : start + 64]
            for i in range(64):
                sums[i] += (left[i] - right[i]) * (left[i] - right[i])
        total = 0.0
        for i in range(64):
            total += sums[i]
        for i in range(size - size % 64, size):
            difference = image[i] - target[i]
            total += difference * difference
        out[n] = total / size

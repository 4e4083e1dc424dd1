"""Compiled: the planes of an observation, written once, where they belong.

The definition is `episode.observe` with `observations.encode`. An image in 8 bits comes as one 32-bit word per pixel,
red lowest. Twelve planes are then three words, written for many pixels at a time. Processors must be little-endian.
"""

import numpy as np

from exposure_env.acceleration import compiled

_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled
def write_words(rows: np.ndarray, photos: np.ndarray, shown: np.ndarray, labels: np.ndarray, step: np.ndarray,
                num_segments: np.ndarray, progress: np.ndarray, out: np.ndarray, first: int, last: int) -> None:
    """Writes the twelve planes in 8 bits.

    Args:
        rows: (M,) int64, the episodes to be observed.
        photos: (N, P) uint32 words of P pixels.
        shown: (N, P) uint32 words of the images so far.
        labels: (N, P) int32.
        step: (N,) int64.
        num_segments: (N,) int64.
        progress: (N,) uint32, 0..255.
        out: (M, P, 3) uint32, written.
        first: Position of the first row to write.
        last: Position after the last row to write; likewise below.
    """
    for m in range(first, last):
        n = rows[m]
        t = np.int32(step[n])
        now = np.int32(-1) if step[n] >= num_segments[n] else t  # an episode that is over has no next segment
        photo, image, label, planes, level = photos[n], shown[n], labels[n], out[m], progress[n] << np.uint32(24)
        for p in range(label.shape[0]):
            mask = np.uint32(0xFFFFFF) if label[p] == now else np.uint32(0)
            done = np.uint32(0xFF0000) if label[p] < t else np.uint32(0)
            segment = photo[p] & mask
            planes[p, 0] = photo[p] | segment << np.uint32(24)
            planes[p, 1] = segment >> np.uint32(8) | image[p] << np.uint32(16)
            planes[p, 2] = image[p] >> np.uint32(16) | mask & np.uint32(0xFF00) | done | level


@compiled
def write_images(rows: np.ndarray, photos: np.ndarray, shown: np.ndarray, labels: np.ndarray, step: np.ndarray,
                 num_segments: np.ndarray, photo: np.ndarray, segment: np.ndarray, local: np.ndarray, first: int,
                 last: int) -> None:
    """Writes the three images in 8 bits: like `write_words`, but to three arrays, (M, P, 3) uint8."""
    for m in range(first, last):
        n = rows[m]
        now = np.int32(-1) if step[n] >= num_segments[n] else np.int32(step[n])
        words, image, label = photos[n], shown[n], labels[n]
        for p in range(label.shape[0]):
            mask = np.uint32(0xFFFFFF) if label[p] == now else np.uint32(0)
            _spill(words[p], photo[m, p])
            _spill(words[p] & mask, segment[m, p])
            _spill(image[p], local[m, p])


@compiled
def _spill(word: np.uint32, channels: np.ndarray) -> None:
    channels[0] = np.uint8(word)
    channels[1] = np.uint8(word >> np.uint32(8))
    channels[2] = np.uint8(word >> np.uint32(16))


@compiled
def write_masks(rows: np.ndarray, labels: np.ndarray, step: np.ndarray, num_segments: np.ndarray, mask: np.ndarray,
                done: np.ndarray, first: int, last: int) -> None:
    """Writes the masks of the segment to expose and of those done, (M, P) uint8 each; the rest as in `write_words`."""
    for m in range(first, last):
        n = rows[m]
        t = np.int32(step[n])
        now = np.int32(-1) if step[n] >= num_segments[n] else t
        label, here, past = labels[n], mask[m], done[m]
        for p in range(label.shape[0]):
            here[p] = np.uint8(255) if label[p] == now else np.uint8(0)
            past[p] = np.uint8(255) if label[p] < t else np.uint8(0)


@compiled
def write_floats(rows: np.ndarray, photos: np.ndarray, shown: np.ndarray, labels: np.ndarray, step: np.ndarray,
                 num_segments: np.ndarray, progress: np.ndarray, out: np.ndarray, first: int, last: int) -> None:
    """Writes nine or twelve planes of floats.

    Like `write_words`, but from (N, P, 3) float32 photos and images and (N,) float32 progress to (M, P, 9 or 12)
    float32.
    """
    for m in range(first, last):
        n = rows[m]
        t = np.int32(step[n])
        now = np.int32(-1) if step[n] >= num_segments[n] else t
        photo, image, label, planes = photos[n], shown[n], labels[n], out[m]
        for p in range(label.shape[0]):
            mask = _ONE if label[p] == now else _ZERO
            for c in range(3):
                planes[p, c] = photo[p, c]
                planes[p, 3 + c] = photo[p, c] * mask
                planes[p, 6 + c] = min(max(image[p, c], _ZERO), _ONE)
            if planes.shape[1] > 9:
                planes[p, 9] = mask
                planes[p, 10] = _ONE if label[p] < t else _ZERO
                planes[p, 11] = progress[n]

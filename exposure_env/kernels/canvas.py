"""`observations.Canvas` in place: an exposure costs only the pixels of its segment, an observation only its writing.

Beside its images, a canvas gets `words`: photos and images in 8 bits, one 32-bit word per pixel (see `planes`). They
are valid as long as the canvas shows the very array of images they were made with; definitions always make a new one.
"""

import sys
from typing import Any, NamedTuple

import numpy as np

from exposure_env.episode import CHANNELS, EpisodeState
from exposure_env.kernels import episode as kernel


class Words(NamedTuple):
    """The words kept beside a canvas's images."""

    images: np.ndarray  # the array that the words were made with
    photos: np.ndarray  # (N, size, size) uint32; (0, 1, 1) for observations in floats, which need none
    shown: np.ndarray  # likewise, for the images


def begin(canvas: Any, state: EpisodeState, rows: np.ndarray | None = None) -> None:
    """`Canvas.begin`, in place."""
    if rows is None or len(canvas.images) != len(state.step):
        rows, canvas.images = np.arange(len(state.step)), np.empty_like(state.photos)
    words = _known(canvas)
    none = np.empty((0, 1, 1), np.uint32)
    photos, shown = (none, none) if words is None else words[1:]
    kernel.put(state.photos, rows, rows, canvas.images, shown)
    if len(shown):
        photos[rows] = shown[rows]


def expose(canvas: Any, before: EpisodeState, after: EpisodeState) -> None:
    """`Canvas.expose`, in place."""
    words = _kept_up(canvas, before)
    kernel.expose(before, after, canvas.config.space, canvas.images, words.shown)


def show(canvas: Any, state: EpisodeState, images: np.ndarray, rows: np.ndarray) -> None:
    """`Canvas.show`, in place."""
    images = np.broadcast_to(np.asarray(images, np.float32), (len(rows), *canvas.images.shape[1:]))
    words = _kept_up(canvas, state)
    kernel.put(np.ascontiguousarray(images), np.arange(len(rows)), rows, canvas.images, words.shown)


def observe(canvas: Any, state: EpisodeState, rows: np.ndarray | None = None) -> Any:
    """The observations of `Canvas.observe`."""
    memory = vars(canvas).setdefault("memory", Recycled())
    rows = np.arange(len(state.step)) if rows is None else rows
    shape = len(rows), *state.labels.shape[1:]
    if canvas.obs_type != "dict":
        out = memory.empty((*shape, CHANNELS[canvas.config.planes]), np.dtype(canvas.obs_type))
        source = (state.photos, canvas.images) if canvas.obs_type == "float32" else _kept_up(canvas, state)[1:]
        kernel.write(rows, state, *source, out)
        return out
    parts = {name: memory.empty((*shape, 3), np.dtype(np.uint8)) for name in ("photo", "segment", "local")}
    kernel.write(rows, state, *_kept_up(canvas, state)[1:], *parts.values())
    if canvas.config.planes == "full":
        masks = {name: np.empty((*shape, 1), np.uint8) for name in ("mask", "exposed")}
        kernel.write_segments(rows, state, *masks.values())
        progress = state.step[rows].astype(np.float32) / state.num_segments[rows].astype(np.float32)
        parts |= {**masks, "progress": progress[:, None]}
    return parts


def _known(canvas: Any) -> Words | None:
    """The canvas's words if they are valid, else None."""
    words = vars(canvas).get("words")
    return words if words is not None and words.images is canvas.images else None


def _kept_up(canvas: Any, state: EpisodeState) -> Words:
    """The canvas's words, made now if there are no valid ones."""
    words = _known(canvas)
    if words is None:
        every, nowhere = np.arange(len(canvas.images)), canvas.images[:0]
        shape = canvas.images.shape[:3] if canvas.obs_type != "float32" else (0, 1, 1)
        words = canvas.words = Words(canvas.images, np.empty(shape, np.uint32), np.empty(shape, np.uint32))
        for source, target in zip((state.photos, canvas.images), words[1:], strict=True):
            kernel.put(source, every, every, nowhere, target)
    return words


class Recycled:
    """Memory for large arrays, reused once nobody holds the array any more.

    Fresh memory costs a page fault every few kilobytes, which takes as long as filling it.
    """

    def __init__(self):
        self._blocks: list[np.ndarray] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return Recycled, ()  # a copy starts with none

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array as from `np.empty`, for the caller alone."""
        size = int(np.prod(shape)) * dtype.itemsize
        for i in range(len(self._blocks)):
            if self._blocks[i].nbytes == size and _holders(self._blocks, i) == _NOBODY:
                return self._blocks[i].view(dtype).reshape(shape)
        fresh = np.empty(size, np.uint8)
        if size >= 1 << 20:  # malloc recycles smaller ones itself
            self._blocks = [*self._blocks[-3:], fresh]
        return fresh.view(dtype).reshape(shape)


def _holders(blocks: list[np.ndarray], i: int) -> int:
    """The number of references to a block; every view of it, and every tensor made from one, holds one."""
    return sys.getrefcount(blocks[i])


_NOBODY = _holders([np.empty(0)], 0)

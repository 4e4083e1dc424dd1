"""The planes of `episode.observe` as Gymnasium observations: their spaces, their types, and how they are kept up."""

import sys
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from exposure_env import kernels
from exposure_env.episode import EpisodeState, observe
from exposure_env.task import ExposureTask, select

ObsType = Literal["uint8", "float32", "dict"]


def observation_space(task: ExposureTask, obs_type: ObsType) -> spaces.Space:
    """The space of a task's observations.

    Raises:
        ValueError: If `obs_type` is unknown.
    """
    size = task.config.size
    if obs_type == "uint8":
        return spaces.Box(0, 255, (size, size, task.channels), np.uint8)
    if obs_type == "float32":
        return spaces.Box(0.0, 1.0, (size, size, task.channels), np.float32)
    if obs_type != "dict":
        raise ValueError(f'obs_type must be "uint8", "float32" or "dict", not {obs_type!r}')
    images = {name: spaces.Box(0, 255, (size, size, 3), np.uint8) for name in ("photo", "segment", "local")}
    if task.config.planes == "paper":
        return spaces.Dict(images)
    masks = {name: spaces.Box(0, 255, (size, size, 1), np.uint8) for name in ("mask", "done")}
    return spaces.Dict({**images, **masks, "progress": spaces.Box(0.0, 1.0, (1,), np.float32)})


def encode(planes: np.ndarray, obs_type: ObsType) -> np.ndarray | dict[str, np.ndarray]:
    """Observations of the given type from (N, H, W, 9 or 12) float planes in [0, 1]."""
    if obs_type == "float32":
        return planes
    if obs_type == "uint8":
        return np.rint(planes * 255).astype(np.uint8)
    images = encode(planes[..., :11], "uint8")
    parts = {"photo": images[..., 0:3], "segment": images[..., 3:6], "local": images[..., 6:9]}
    if planes.shape[-1] > 9:
        parts |= {"mask": images[..., 9:10], "done": images[..., 10:11], "progress": planes[:, 0, 0, 11:12]}
    return parts


class Canvas:
    """The images so far of N episodes, and the observations that show them.

    With compiled functions an exposure costs what the pixels of its segment cost, and an observation what it takes to
    write it once; without, all follows from `episode.observe`.

    Args:
        task: The task of the episodes.
        obs_type: "uint8", "float32" or "dict".
    """

    def __init__(self, task: ExposureTask, obs_type: ObsType):
        self.task, self.obs_type = task, obs_type
        self.images = np.empty(0, np.float32)  # (N, size, size, 3) as observed: local so far, or final
        self._words: tuple[np.ndarray, np.ndarray] | None = None  # photos and images in 8 bits; None if not kept up
        self._memory = Recycled()

    def begin(self, state: EpisodeState, rows: np.ndarray | None = None) -> None:
        """Shows the photos of the episodes in these rows, which have just begun; by default of all."""
        if rows is None or len(self.images) != len(state.step):
            rows, self.images, self._words = np.arange(len(state.step)), np.empty_like(state.photos), None
        if kernel := kernels.load("episode"):
            photos, shown = self._words or (np.empty((0, 1, 1), np.uint32),) * 2
            kernel.put(state.photos, rows, rows, self.images, shown)
            if len(shown):
                photos[rows] = shown[rows]
        else:
            self.images[rows], self._words = state.photos[rows], None

    def expose(self, before: EpisodeState, after: EpisodeState) -> None:
        """Shows the local images of the states `after`, where those of the states `before` were shown."""
        if kernel := kernels.load("episode"):
            _, shown = self._kept_up(kernel, before)
            kernel.expose(before, after, self.task.config.space, self.images, shown)
        else:
            self.images, self._words = self.task.local(after), None

    def show(self, state: EpisodeState, images: np.ndarray, rows: np.ndarray) -> None:
        """Shows these images (M, size, size, 3) in M rows."""
        images = np.broadcast_to(np.asarray(images, np.float32), (len(rows), *self.images.shape[1:]))
        if kernel := kernels.load("episode"):
            _, shown = self._kept_up(kernel, state)
            kernel.put(np.ascontiguousarray(images), np.arange(len(rows)), rows, self.images, shown)
        else:
            self.images[rows], self._words = images, None

    def observe(self, state: EpisodeState, rows: np.ndarray | None = None) -> Any:
        """Observations of the states in these rows; by default of all. They are the caller's to keep and to change."""
        kernel, planes = kernels.load("episode"), self.task.config.planes
        if kernel is None:
            chosen, images = (state, self.images) if rows is None else (select(state, rows), self.images[rows])
            return encode(observe(chosen, images, planes), self.obs_type)
        rows = np.arange(len(state.step)) if rows is None else rows
        shape = len(rows), *state.labels.shape[1:]
        if self.obs_type != "dict":
            out = self._memory.empty((*shape, self.task.channels), np.dtype(self.obs_type))
            source = (state.photos, self.images) if self.obs_type == "float32" else self._kept_up(kernel, state)
            kernel.write(rows, state, *source, out)
            return out
        parts = {name: self._memory.empty((*shape, 3), np.dtype(np.uint8)) for name in ("photo", "segment", "local")}
        kernel.write(rows, state, *self._kept_up(kernel, state), *parts.values())
        if planes == "full":
            masks = {name: np.empty((*shape, 1), np.uint8) for name in ("mask", "done")}
            kernel.write_segments(rows, state, *masks.values())
            progress = state.step[rows].astype(np.float32) / state.num_segments[rows].astype(np.float32)
            parts |= {**masks, "progress": progress[:, None]}
        return parts

    def _kept_up(self, kernel: Any, state: EpisodeState) -> tuple[np.ndarray, np.ndarray]:
        """Photos and images in 8 bits, a word a pixel: (N, size, size) uint32 each, or none for other observations."""
        if self._words is None:
            every, nowhere = np.arange(len(self.images)), self.images[:0]
            shape = self.images.shape[:3] if self.obs_type != "float32" else (0, 1, 1)
            self._words = np.empty(shape, np.uint32), np.empty(shape, np.uint32)
            for source, words in zip((state.photos, self.images), self._words, strict=True):
                kernel.put(source, every, every, nowhere, words)
        return self._words


class Recycled:
    """Memory for large arrays, used again once nobody holds the array any more.

    An array of fresh memory costs a page fault every few kilobytes, as much as filling it.
    """

    def __init__(self):
        self._blocks: list[np.ndarray] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return Recycled, ()  # a copy starts with none

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array as from `np.empty`, the caller's alone."""
        size = int(np.prod(shape)) * dtype.itemsize
        for i in range(len(self._blocks)):
            if self._blocks[i].nbytes == size and _holders(self._blocks, i) == _NOBODY:
                return self._blocks[i].view(dtype).reshape(shape)
        fresh = np.empty(size, np.uint8)
        if size >= 1 << 20:  # smaller ones malloc recycles itself
            self._blocks = [*self._blocks[-3:], fresh]
        return fresh.view(dtype).reshape(shape)


def _holders(blocks: list[np.ndarray], i: int) -> int:
    """References to a block; every view of it, and every tensor made of one, holds one."""
    return sys.getrefcount(blocks[i])


_NOBODY = _holders([np.empty(0)], 0)

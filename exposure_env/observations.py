"""What goes in and out: the planes of `episode.observe` as Gymnasium observations; actions and seeds, checked."""

import operator
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from exposure_env.acceleration import accelerated
from exposure_env.episode import CHANNELS, LAYOUT, EpisodeState, local_image, observe, select
from exposure_env.errors import NotFinite
from exposure_env.settings import TaskConfig

ObsType = Literal["uint8", "float32", "dict"]


def observation_space(config: TaskConfig, obs_type: ObsType) -> spaces.Space:
    """The space of a task's observations.

    Raises:
        ValueError: If `obs_type` is unknown.
    """
    size, channels = config.size, CHANNELS[config.planes]
    if obs_type == "uint8":
        return spaces.Box(0, 255, (size, size, channels), np.uint8)
    if obs_type == "float32":
        return spaces.Box(0.0, 1.0, (size, size, channels), np.float32)
    if obs_type != "dict":
        raise ValueError(f'obs_type must be "uint8", "float32" or "dict", not {obs_type!r}')
    parts: dict[str, spaces.Space] = {
        name: spaces.Box(0, 255, (size, size, where.stop - where.start), np.uint8)
        for name, where in LAYOUT.items() if where.stop <= channels
    }  # fmt: skip
    if "progress" in parts:
        parts["progress"] = spaces.Box(0.0, 1.0, (1,), np.float32)
    return spaces.Dict(parts)


def encode(planes: np.ndarray, obs_type: ObsType) -> np.ndarray | dict[str, np.ndarray]:
    """Observations of the given type from (N, H, W, 9 or 12) float planes in [0, 1]."""
    if obs_type == "float32":
        return planes
    levels = np.rint(planes * 255).astype(np.uint8)
    if obs_type == "uint8":
        return levels
    parts = {name: levels[..., where] for name, where in LAYOUT.items() if where.stop <= planes.shape[-1]}
    if "progress" in parts:
        parts["progress"] = planes[:, 0, 0, LAYOUT["progress"]]
    return parts


class Canvas:
    """The images so far of N episodes, updated from step to step, and the observations that show them.

    Args:
        config: Settings of the task.
        obs_type: "uint8", "float32" or "dict".
    """

    def __init__(self, config: TaskConfig, obs_type: ObsType):
        self.config, self.obs_type = config, obs_type
        self.images = np.empty(0, np.float32)  # (N, size, size, 3) as observed: local so far, or final at the end

    @accelerated("canvas.begin")
    def begin(self, state: EpisodeState, rows: np.ndarray | None = None) -> None:
        """Shows the photos of the episodes in these rows, by default all, which have just begun."""
        if rows is None or len(self.images) != len(state.step):
            self.images = state.photos.copy()
        else:
            self.show(state, state.photos[rows], rows)

    @accelerated("canvas.expose")
    def expose(self, before: EpisodeState, after: EpisodeState) -> None:
        """Replaces the local images of the states `before` with those of the states `after`."""
        self.images = local_image(after, self.config.space)

    @accelerated("canvas.show")
    def show(self, state: EpisodeState, images: np.ndarray, rows: np.ndarray) -> None:
        """Shows these images, (M, size, size, 3), in the M given rows."""
        self.images = self.images.copy()
        self.images[rows] = images

    @accelerated("canvas.observe")
    def observe(self, state: EpisodeState, rows: np.ndarray | None = None) -> Any:
        """The observations of the states in these rows, by default all; the caller may keep and change them."""
        rows = slice(None) if rows is None else rows
        return encode(observe(select(state, rows), self.images[rows], self.config.planes), self.obs_type)


def checked_action(action: Any, shape: tuple[int, ...], used: np.ndarray | bool = True) -> np.ndarray:
    """The action as float32; only the entries that are used must be finite.

    Raises:
        ValueError: If it has another shape or is not made of real numbers; a `NotFinite` if a used one is not finite.
    """
    try:
        numbers = np.asarray(action)
    except (TypeError, ValueError) as error:
        raise ValueError(f"action must be numbers of shape {shape}, not {action!r:.200}") from error
    if numbers.dtype.kind not in "fiub":  # Python's integers of more than 64 bits are objects
        raise ValueError(f"action must be real numbers of shape {shape}, not {action!r:.200}")
    if numbers.shape != shape:
        raise ValueError(f"action has shape {numbers.shape}, want {shape}")
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32, copy=False)
    if not np.isfinite(numbers).all(where=used):
        raise NotFinite(f"action must be finite, not {action}")
    return numbers


def checked_seed(seed: Any) -> int | None:
    """The seed as an `int`, or None: Gymnasium takes no other integers.

    Raises:
        ValueError: If it isn't None or an integer from 0.
    """
    if seed is None:
        return None
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"a seed must be None or an integer of at least 0, not {seed!r}")
    return number

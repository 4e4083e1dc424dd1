"""The planes of `episode.observe` as Gymnasium observations: their spaces and their types."""

from typing import Literal

import numpy as np
from gymnasium import spaces

from exposure_env.task import ExposureTask

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

"""The images so far of N episodes, kept up from step to step, and the observations that show them."""

from typing import Any

import numpy as np

from exposure_env.acceleration import accelerated
from exposure_env.episode import EpisodeState, observe, select
from exposure_env.observations import ObsType, encode
from exposure_env.task import ExposureTask


class Canvas:
    """What N episodes look like by now.

    Args:
        task: The task of the episodes.
        obs_type: "uint8", "float32" or "dict".
    """

    def __init__(self, task: ExposureTask, obs_type: ObsType):
        self.task, self.obs_type = task, obs_type
        self.images = np.empty(0, np.float32)  # (N, size, size, 3) as observed: local so far, or final

    @accelerated("canvas.begin")
    def begin(self, state: EpisodeState, rows: np.ndarray | None = None) -> None:
        """Shows the photos of the episodes in these rows, which have just begun; by default of all."""
        if rows is None or len(self.images) != len(state.step):
            self.images = state.photos.copy()
        else:
            self.show(state, state.photos[rows], rows)

    @accelerated("canvas.expose")
    def expose(self, before: EpisodeState, after: EpisodeState) -> None:
        """Shows the local images of the states `after`, where those of the states `before` were shown."""
        self.images = self.task.local(after)

    @accelerated("canvas.show")
    def show(self, state: EpisodeState, images: np.ndarray, rows: np.ndarray) -> None:
        """Shows these images (M, size, size, 3) in M rows."""
        self.images = self.images.copy()
        self.images[rows] = images

    @accelerated("canvas.observe")
    def observe(self, state: EpisodeState, rows: np.ndarray | None = None) -> Any:
        """Observations of the states in these rows; by default of all. They are the caller's to keep and to change."""
        rows = slice(None) if rows is None else rows
        return encode(observe(select(state, rows), self.images[rows], self.task.config.planes), self.obs_type)

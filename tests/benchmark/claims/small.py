"""The smallest trainings that there are, and episodes that nobody played."""

from dataclasses import replace

import numpy as np
import torch

from agents.benchmark.cells import QUICK
from agents.training.configuration import PRESETS
from exposure_env.episode import EpisodeState
from exposure_env.task import ExposureTask

BASE = replace(PRESETS["planes"], device="cpu", **QUICK)


def finished(task: ExposureTask, evs: float) -> EpisodeState:
    """All photos of a task, every segment given the same exposure; Torch."""
    rng = np.random.default_rng(0)
    state = task.start([task.scene(i, rng) for i in range(len(task.photos))])
    slots = np.arange(state.evs.shape[1]) < state.num_segments[:, None]
    state = state._replace(evs=(slots * evs).astype(np.float32), step=state.num_segments, targets=None)
    return EpisodeState(*(None if column is None else torch.as_tensor(column) for column in state))

"""The planes of episodes as the networks see them: channels first, in whole batches."""

from collections.abc import Mapping

import torch
from torch import Tensor

from exposure_env import episode
from exposure_env.decoding import decode
from exposure_env.observations import ObsType
from exposure_env.task import ExposureTask


def planes(task: ExposureTask, obs_type: ObsType, states: episode.EpisodeState, local: Tensor | None = None) -> Tensor:
    """(N, C, H, W) planes as the actor sees them while it plays; gradients flow back to the exposures so far.

    Args:
        task: The task.
        obs_type: Type of the environment's observations; unless it is "float32", images are rounded to bytes.
        states: N episodes, as tensors.
        local: (N, H, W, 3) local images of the episodes, if already known.
    """
    seen = episode.observe(states, task.local(states) if local is None else local, task.config.planes)
    if obs_type != "float32":  # bytes, except the progress of "dict"; the gradient ignores the rounding
        rounded = (seen.detach() * 255).round() / 255
        if obs_type == "dict":
            rounded[..., episode.LAYOUT["progress"]] = seen[..., episode.LAYOUT["progress"]]
        seen = seen + (rounded - seen).detach() if seen.requires_grad else rounded
    return seen.permute(0, 3, 1, 2)


def visited_planes(task: ExposureTask, obs_type: ObsType, finished: episode.EpisodeState, rows: Tensor,
                   states: episode.EpisodeState) -> Tensor:
    """(M, C, H, W) planes of the states from `episode.visited`, without gradients.

    A local image differs from the finished one only in the segments still to come, so each photo is exposed just once.
    """
    with torch.no_grad():
        done = (states.labels < states.step[:, None, None])[..., None]
        local = torch.where(done, task.local(finished)[rows], states.photos)
        return planes(task, obs_type, states, local)


def observed_planes(observations: Tensor | Mapping[str, Tensor]) -> Tensor:
    """(N, C, H, W) floats in [0, 1] from N observations of any type, channels first or last."""
    return decode(observations).permute(0, 3, 1, 2)

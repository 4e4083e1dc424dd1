"""A policy plays photos to their ends: what every use of an agent begins with."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from exposure_env import episode, observations
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask, Scene


class Policy(Protocol):
    """Anything that plays: every Stable-Baselines3 model and policy, every baseline.

    One that has a method `plan(state: EpisodeState) -> EpisodeState` gives finished episodes at once instead, and an
    attribute `fusion` takes the place of the task's.
    """

    def predict(self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None,
                deterministic: bool = False) -> tuple[np.ndarray, Any]:
        """Actions (N, 1) in [-1, 1] for N observations, and the policy's next hidden state."""
        ...


def play(policy: Policy, task: ExposureTask, state: episode.EpisodeState,
         obs_type: observations.ObsType | None = None) -> episode.EpisodeState:
    """The N episodes, played to their ends by the policy; arguments as for `evaluate`."""
    obs_type = obs_type or _obs_type(getattr(policy, "observation_space", None))
    hidden, episode_start = None, np.ones(len(state.step), bool)
    while not episode.is_done(state).all():
        observation = observations.encode(episode.observe(state, task.local(state), task.config.planes), obs_type)
        actions, hidden = policy.predict(observation, state=hidden, episode_start=episode_start, deterministic=True)
        state = task.advance(state, task.exposure(observations.checked_action(actions, (len(state.step), 1))[:, 0]))
        episode_start = np.zeros_like(episode_start)
    return state


def _obs_type(space: spaces.Space | None) -> observations.ObsType:
    if isinstance(space, spaces.Dict):
        return "dict"
    return "float32" if space is not None and space.dtype == np.float32 else "uint8"


Photos = Sequence[Photo | int] | None


def paired_scenes(task: ExposureTask, photos: Photos = None) -> list[Scene]:
    """Photos with targets, made ready for the task; by default all its own, also by their positions.

    Raises:
        ValueError: If there is no photo, or one has no target.
    """
    rng = np.random.default_rng(0)  # a task with random transforms or orders is played alike by every policy
    scenes = [task.scene(photo, rng) for photo in (range(len(task.photos)) if photos is None else photos)]
    if not scenes:
        raise ValueError("there are no photos")
    if missing := [scene.photo.name for scene in scenes if scene.target is None]:
        raise ValueError(f"{len(missing)} of {len(scenes)} photos have no target, such as {missing[0]!r}")
    return scenes

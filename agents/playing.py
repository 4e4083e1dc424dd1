"""Episodes played to their end by a policy: the first step of every use of an agent."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from exposure_env import episode, observations
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask, Scene


class Policy(Protocol):
    """Anything that plays: every Stable-Baselines3 model and policy, every baseline.

    A policy may also have a method `plan(state: EpisodeState) -> EpisodeState`, which finishes all episodes at once and
    is then used instead of `predict`, and an attribute `fusion`, which replaces the task's.
    """

    def predict(self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None,
                deterministic: bool = False) -> tuple[np.ndarray, Any]:
        """Actions (N, 1) in [-1, 1] for N observations, and the policy's next hidden state."""
        ...


def play(policy: Policy, task: ExposureTask, state: episode.EpisodeState,
         obs_type: observations.ObsType | None = None) -> episode.EpisodeState:
    """The N episodes, played to their end by the policy; arguments as for `evaluate`."""
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
    """Scenes of photos with targets, given as photos or as positions in the task's; by default all of the task's.

    Raises:
        ValueError: If there are no photos, or one has no target.
    """
    rng = np.random.default_rng(0)  # every policy meets the same random transforms and orders
    scenes = [task.scene(photo, rng) for photo in (range(len(task.photos)) if photos is None else photos)]
    if not scenes:
        raise ValueError("there are no photos")
    if missing := [scene.photo.name for scene in scenes if scene.target is None]:
        raise ValueError(f"{len(missing)} of {len(scenes)} photos have no target, such as {missing[0]!r}")
    return scenes

"""Policies that learn nothing: baselines that an agent should beat, and an oracle that it can't.

All have Stable-Baselines3's `predict`, for observations of any type. Only `Oracle` sees the targets: the gap between it
and `Identity` is all there is to gain.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from agents.playing import Photos, paired_scenes
from agents.vec_env import ExposureVecEnv
from exposure_env import episode
from exposure_env.decoding import decode
from exposure_env.image import Space, luminance, srgb_to_linear
from exposure_env.photos import Photo
from exposure_env.rewards import psnr
from exposure_env.task import ExposureTask

Observation = np.ndarray | Mapping[str, np.ndarray]


def photos_in(observation: Observation) -> np.ndarray:
    """The untouched photos that observations show.

    Args:
        observation: Planes or dict of images, uint8 or float32, channels last or first, one observation or N.

    Returns:
        ([N,] H, W, 3) float32 in [0, 1].

    Raises:
        ValueError: If the observation doesn't come from one of this project's environments.
    """
    return decode(observation)[..., episode.LAYOUT["photo"]]


class PhotoPolicy:
    """A policy with one exposure per photo, the same for all its segments, that depends on the photo alone."""

    max_ev = 3.0  # exposure of action 1 [stops]; must be the task's

    def evs(self, photos: np.ndarray) -> np.ndarray:
        """Exposures (N,) [stops] for photos (N, H, W, 3), float32 in [0, 1]."""
        raise NotImplementedError

    def predict(self, observation: Observation, state: Any = None, episode_start: np.ndarray | None = None,
                deterministic: bool = True) -> tuple[np.ndarray, Any]:
        """Actions (N, 1) float32 in [-1, 1], or (1,) for one observation; and the unchanged state."""
        photos = photos_in(observation)
        evs = self.evs(photos.reshape(-1, *photos.shape[-3:]))
        return (evs / self.max_ev).astype(np.float32).reshape(*photos.shape[:-3], 1), state


class Identity(PhotoPolicy):
    """The policy that leaves every photo as it is."""

    def evs(self, photos: np.ndarray) -> np.ndarray:
        """Exposures (N,), all 0."""
        return np.zeros(len(photos))


class ConstantEV(PhotoPolicy):
    """The same exposure for every segment of every photo.

    Args:
        ev: Exposure [stops].
        max_ev: Exposure of action 1 [stops], the task's.

    Raises:
        ValueError: If `ev` is beyond `max_ev`.
    """

    def __init__(self, ev: float, max_ev: float = 3.0):
        if not abs(ev) <= max_ev:
            raise ValueError(f"ev is {ev} stops, but actions reach only {max_ev}")
        self.ev, self.max_ev = float(ev), max_ev

    @classmethod
    def fit(cls, task: ExposureTask, photos: Photos = None, batch_size: int = 64) -> "ConstantEV":
        """The constant exposure with the best mean PSNR on training photos (see `paired_scenes`), rendered by the task.

        Raises:
            ValueError: If a photo has no target.
        """
        batches = [state for _, state in by_length(task.start(paired_scenes(task, photos)), batch_size)]

        def mean_psnr(ev: np.ndarray) -> np.ndarray:  # (1,) -> (1,)
            scores = [_constant_psnr(task, state, ev.repeat(len(state.step))) for state in batches]
            return np.concatenate(scores).mean(keepdims=True)

        return cls(_maximise(mean_psnr, 1, task.config.max_ev)[0], task.config.max_ev)

    def evs(self, photos: np.ndarray) -> np.ndarray:
        """Exposures (N,) [stops], all the same."""
        return np.full(len(photos), self.ev)


class AutoExposure(PhotoPolicy):
    """A policy that brings every photo to the same mean luminance, as a camera would.

    Args:
        target: Mean luminance of linear light to reach, in (0, 1), measured after clipping. A photo that can't reach it
            within `max_ev` gets as close as it can.
        max_ev: Exposure of action 1 [stops], the task's.
        space: The task's; see `image.expose`.

    Raises:
        ValueError: If `target` is out of range.
    """

    def __init__(self, target: float = 0.18, max_ev: float = 3.0, space: Space = "linear"):
        if not 0 < target < 1:
            raise ValueError(f"target is {target}, but a mean luminance lies between 0 and 1")
        self.target, self.max_ev, self.space = float(target), max_ev, space

    @classmethod
    def fit(cls, experts: Sequence[Photo], max_ev: float = 3.0, space: Space = "linear") -> "AutoExposure":
        """The policy whose target is the average of the experts' photos' mean linear luminance."""
        return cls(np.mean([luminance(srgb_to_linear(photo.image)).mean() for photo in experts]), max_ev, space)

    def evs(self, photos: np.ndarray) -> np.ndarray:
        """Exposures (N,) [stops], by bisection: the clipped luminance never falls as the exposure rises."""
        low, high = np.full(len(photos), -self.max_ev), np.full(len(photos), self.max_ev)
        light = srgb_to_linear(photos) if self.space == "linear" else photos
        for _ in range(24):
            ev = (low + high) / 2
            exposed = np.minimum(light * np.exp2(ev, dtype=np.float32)[:, None, None, None], 1.0)
            exposed = exposed if self.space == "linear" else srgb_to_linear(exposed)
            dark = luminance(exposed).mean((1, 2)) < self.target
            low, high = np.where(dark, ev, low), np.where(dark, high, ev)
        return (low + high) / 2


class FixedBracket:
    """The same five exposures of every whole photo, blended with the photo by exposure fusion: the paper's FI.

    `evaluation.evaluate` uses `plan` and `fusion` instead of `predict` and the task's own rendering, so each photo gets
    five exposures, however many segments it has. In an environment, where segments and rendering are fixed, `predict`
    gives one exposure of the bracket after another, and starts over when it runs out. It counts them in the `state`
    that it returns, as SB3's recurrent policies do; a call without `state` is taken for a photo's first.

    Args:
        max_ev: Exposure of action 1 [stops], the task's; it limits `predict`, but not `plan`.
        evs: The bracket [stops], in the order that `predict` follows.
    """

    fusion = "mertens"

    def __init__(self, max_ev: float = 3.0, evs: Sequence[float] = (0, -1, 1, -2, 2)):
        self.bracket, self.max_ev = np.array(evs, np.float32), max_ev

    def plan(self, state: episode.EpisodeState) -> episode.EpisodeState:
        """The finished brackets of N photos; their segments are ignored, as if each photo were a single one."""
        whole = episode.start(state.photos, np.zeros_like(state.labels), len(self.bracket), state.targets)
        count = np.full_like(state.step, len(self.bracket))
        return whole._replace(evs=whole.evs + self.bracket, step=count, num_segments=count)

    def predict(self, observation: Observation, state: np.ndarray | None = None,
                episode_start: np.ndarray | None = None, deterministic: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Actions (N, 1), or (1,) for one observation; and the number of exposures that each photo has had, (N,)."""
        batch = photos_in(observation).shape[:-3]
        count = np.zeros(batch, int) if state is None else state
        count = count if episode_start is None else np.where(np.reshape(episode_start, batch), 0, count)
        evs = self.bracket[count % len(self.bracket)]
        return np.clip(evs / np.float32(self.max_ev), -1, 1)[..., None], count + 1


class Oracle:
    """The policy that knows the targets and gives each photo the best plan it can find: the upper bound of the task.

    It starts from the best single exposure of each photo and follows the gradient of PSNR through the task's own
    rendering. It keeps the best plan on the way, so it is never worse than a constant exposure. In an environment,
    given by `set_env`, `predict` looks past the observations at the episodes themselves.

    Args:
        task: Rendering and `max_ev`; the photos must have targets.
        steps: Steps of Adam.
        learning_rate: Adam's initial learning rate [stops]; it falls to 0 along a half cosine.
        batch_size: Photos optimised at once.
        device: Device of the computation.
    """

    def __init__(self, task: ExposureTask, steps: int = 100, learning_rate: float = 0.2, batch_size: int = 16,
                 device: str | torch.device = "cpu"):
        self.task, self.steps, self.learning_rate = task, steps, learning_rate
        self.batch_size, self.device = batch_size, device
        self._env: ExposureVecEnv | None = None
        self._evs: np.ndarray | None = None  # (N, K) plans of the episodes that the environment is playing

    def plan(self, state: episode.EpisodeState) -> episode.EpisodeState:
        """The finished episodes of N photos under their best plans; exposures already given are replaced.

        Raises:
            ValueError: If there are no targets.
        """
        if state.targets is None:
            raise ValueError("the oracle compares with targets, and the photos have none: give paired photos")
        evs = np.zeros_like(state.evs)
        for chosen, batch in by_length(state, self.batch_size):
            evs[chosen, : batch.evs.shape[1]] = self._optimised(batch)
        return finished_with(state, evs)

    def _optimised(self, state: episode.EpisodeState) -> np.ndarray:
        max_ev, num = self.task.config.max_ev, len(state.step)
        constant = _maximise(lambda evs: _constant_psnr(self.task, state, evs), num, max_ev)
        state = finished_with(state, np.repeat(constant[:, None], state.evs.shape[1], axis=1))
        state = state.map(lambda array: torch.as_tensor(array, device=self.device))
        evs = state.evs.clone().requires_grad_()
        best, best_scores = state.evs, torch.full((num,), -torch.inf, device=self.device)
        optimizer = torch.optim.Adam([evs], self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps + 1)
        with torch.enable_grad():
            for _ in range(self.steps + 1):  # the first scores the constant, the last the end of the ascent
                scores = psnr(self.task.fused(state._replace(evs=evs)), targets=state.targets)
                better = scores.detach() > best_scores
                best = torch.where(better[:, None], evs.detach(), best)
                best_scores = torch.where(better, scores.detach(), best_scores)
                optimizer.zero_grad()
                (-scores.sum()).backward()
                optimizer.step()
                schedule.step()
                evs.data.clamp_(-max_ev, max_ev)
        return best.cpu().numpy()

    def set_env(self, env: ExposureVecEnv) -> None:
        """Sets the environment that `predict` plays, in SB3's wrappers or not; its task replaces the oracle's."""
        self._env, self._evs = env.unwrapped, None
        self.task = self._env.task

    def predict(self, observation: Observation, state: Any = None, episode_start: np.ndarray | None = None,
                deterministic: bool = True) -> tuple[np.ndarray, Any]:
        """Actions (N, 1) for the environment's N current episodes, planned when they begin; and the unchanged state."""
        if self._env is None:
            raise ValueError("the oracle reads the targets from the environment: call set_env() first")
        episodes = self._env.envs.state
        if self._evs is None:
            self._evs = self.plan(episodes).evs
        elif (fresh := episodes.step == 0).any():
            self._evs[fresh] = self.plan(episode.select(episodes, fresh)).evs
        evs = np.take_along_axis(self._evs, episodes.step[:, None], axis=1)
        return (evs / self.task.config.max_ev).astype(np.float32), state


def by_length(state: episode.EpisodeState, batch_size: int) -> Iterator[tuple[np.ndarray, episode.EpisodeState]]:
    """Positions and states of batches of episodes of similar length: a batch costs as much as its longest episode."""
    order = np.argsort(state.num_segments, kind="stable")
    for i in range(0, len(order), batch_size):
        batch = episode.select(state, order[i : i + batch_size])
        yield order[i : i + batch_size], batch._replace(evs=batch.evs[:, : batch.num_segments.max()])


def finished_with(state: episode.EpisodeState, evs: np.ndarray) -> episode.EpisodeState:
    """The N episodes, finished with exposures (N, K) [stops]; slots without a segment become 0."""
    there = np.arange(evs.shape[1]) < state.num_segments[:, None]
    return state._replace(evs=np.where(there, evs, 0).astype(np.float32), step=state.num_segments.copy())


def _constant_psnr(task: ExposureTask, state: episode.EpisodeState, evs: np.ndarray) -> np.ndarray:
    """The PSNR (N,) of N photos against their targets, each with one exposure (N,) [stops] for all its segments."""
    plan = finished_with(state, np.repeat(evs[:, None], state.evs.shape[1], axis=1))
    return psnr(task.fused(plan), targets=state.targets)


def _maximise(score: Callable[[np.ndarray], np.ndarray], num: int, max_ev: float) -> np.ndarray:
    """N EVs within ±max_ev, each maximising its own score: the best of a grid, refined in ever smaller steps."""
    grid = np.linspace(-max_ev, max_ev, 13)
    scores = np.stack([score(np.full(num, ev)) for ev in grid])
    best, at_best, step = grid[scores.argmax(0)], scores.max(0), grid[1] - grid[0]
    for _ in range(7):
        step /= 2
        for candidate in (best - step, best + step):
            at_candidate = score(candidate := np.clip(candidate, -max_ev, max_ev))
            best, at_best = np.where(at_candidate > at_best, candidate, best), np.maximum(at_candidate, at_best)
    return best

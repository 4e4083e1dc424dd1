"""Diagnostics of a training: numbers to log, and pictures of what the agent does."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.arrays import on_host
from agents.pictures import episode_picture
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.experts import ExpertPhotos
from agents.saved_agent import Agent
from exposure_env.image import clip, expose
from exposure_env.photos import Photo
from exposure_env.rewards import RewardModel

SHIFTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # stops
BINS = 25  # of the histogram of EVs; the middle one is centred on 0
PANEL = 64  # side of a storyboard's pictures [px]


def ev_response(reward: RewardModel, images: np.ndarray, shifts: Sequence[float] = SHIFTS) -> np.ndarray:
    """The mean score of good photos under uniform EV shifts; a healthy discriminator peaks at 0.

    Args:
        reward: A reward model that needs no targets.
        images: (N, H, W, 3) floats in [0, 1].
        shifts: Exposure shifts [stops].

    Returns:
        One score per shift.
    """
    shifted = [clip(expose(images, shift)) for shift in shifts]
    return np.array([float(np.mean(reward(image, inputs=images, targets=None))) for image in shifted])


class Diagnostics(BaseCallback):
    """A callback that logs the episodes' EVs, and the scores of good photos, as they are and under EV shifts.

    It draws no random numbers, so a training is the same with and without it.

    Args:
        game: The adversarial callback whose discriminator is examined; None if the reward doesn't learn.
        held_out: Good photos that the discriminator is never shown, to tell what it knows from what it remembers.
            Without them, a fixed part of the experts' photos is shifted, and no held-out score is logged.
        every: Rollouts between two measurements of the EV shifts.
    """

    def __init__(self, game: AdversarialCallback | None = None, held_out: Sequence[Photo] | None = None,
                 every: int = 10):
        super().__init__()
        self.game, self.every, self.rollouts = game, every, 0
        self.held_out = self.images = None
        self.response: list[float] = []
        self.evs: list[np.ndarray] = []  # (N, K) each, NaN beyond the last segment
        if game is not None:
            size, photos = game.experts.size, game.experts.images[:64]
            if held_out is not None:
                photos = self.held_out = ExpertPhotos(held_out[:64], size).images[:, :size, :size]
            self.images = np.ascontiguousarray(photos[:, :size, :size])

    def _on_step(self) -> bool:
        if (finished := self.training_env.unwrapped.finished) is not None:
            evs, lengths = on_host(finished.state.evs), on_host(finished.state.num_segments)
            given = np.arange(evs.shape[1]) < lengths[:, None]
            self.evs.append(np.where(given, evs, np.nan))
        return True

    def _on_rollout_end(self) -> None:
        task = self.training_env.unwrapped.task
        if self.evs:
            self._record_evs(np.concatenate(self.evs), task.config.max_ev)
            self.evs.clear()
        if self.game is not None:
            if self.rollouts % self.every == 0:
                response = ev_response(task.reward_model, self.images)
                self.response = (response - response[SHIFTS.index(0.0)]).tolist()
            for shift, score in zip(SHIFTS, self.response, strict=True):
                self.logger.record(f"response/{shift:+.1f}", score)
        if self.held_out is not None:
            score = task.reward_model(self.images, inputs=self.images, targets=None)
            self.logger.record("discriminator/held_out", float(np.mean(score)))
        self.rollouts += 1

    def _record_evs(self, evs: np.ndarray, max_ev: float) -> None:
        for step, column in enumerate(evs.T, start=1):
            if (given := column[~np.isnan(column)]).size:  # few photos have the largest number of segments
                self.logger.record(f"ev/step_{step}_mean", float(given.mean()))
                self.logger.record(f"ev/step_{step}_std", float(given.std()))
        edges = np.linspace(-max_ev, max_ev, BINS + 1) * (1 + 1e-6)  # float32 may round beyond the limits
        shares = np.histogram(evs[~np.isnan(evs)], edges)[0] / np.sum(~np.isnan(evs))
        for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True):
            self.logger.record(f"ev/share_{(low + high) / 2 + 0.0:+.2f}", float(share))

    def state_dict(self) -> dict[str, Any]:
        """The state, between two updates, that later rows of the log depend on."""
        return {"rollouts": self.rollouts, "response": list(self.response)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where another callback left off.

        Args:
            state: The result of its `state_dict`.
        """
        self.rollouts, self.response = state["rollouts"], list(state["response"])


def storyboards(agent: Agent, photos: Sequence[Photo]) -> np.ndarray:
    """Small storyboards of the agent's episodes on some photos, side by side: (rows, columns, 3) uint8."""
    boards = [episode_picture(agent, photo, PANEL) for photo in photos]
    rows = max(len(board) for board in boards)
    return np.concatenate([np.pad(board, ((0, rows - len(board)), (0, 0), (0, 0)), "edge") for board in boards], axis=1)

"""The best plan by any reward model: an action is at most eight numbers, so it can be searched for nearly exactly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from agents.baselines.untrained import by_length, finished_with
from exposure_env import episode
from exposure_env.rewards import is_differentiable
from exposure_env.task import ExposureTask

GRID = 13  # single exposures that are tried first
STEPS = (0.8, 0.4, 0.2, 0.1, 0.05, 0.025)  # of the search along one exposure after another [stops]
ASCENT, RATE = 100, 0.2  # steps of Adam, and its initial learning rate [stops]
NEAR = 0.1  # differences of scores that stand for a slope are taken so far apart, in both directions [stops]
BATCH = 64  # photos searched at once


def best_plans(task: ExposureTask, state: episode.EpisodeState, model: Callable[..., Any] | None = None
               ) -> episode.EpisodeState:
    """The finished episodes of N photos under the best plans that a search found, by a reward model.

    The search begins with the best single exposure of each photo and follows the slope of its score: the model's own,
    or where it has none, that of scores a little higher and lower. It looks at each exposure over its whole range,
    follows the slope again, and then tries each exposure higher and lower, in ever smaller steps, as long as that
    helps. It needs scores only, so it takes any model. A result is never worse than the best single exposure of the
    grid, or than no exposure.

    Args:
        task: Rendering and `max_ev`.
        state: N episodes, arrays; exposures already given are replaced.
        model: The reward model; by default the task's.
    """
    model = task.reward_model if model is None else model
    evs = np.zeros_like(state.evs)
    for chosen, batch in by_length(state, BATCH):
        evs[chosen, : batch.evs.shape[1]] = _Search(task, batch, model).best()
    return finished_with(state, evs)


class _Search:
    """A search for the plans of photos whose episodes are about equally long."""

    def __init__(self, task: ExposureTask, state: episode.EpisodeState, model: Callable[..., Any]):
        self.task, self.state, self.model, self.limit = task, state, model, task.config.max_ev

    def best(self) -> np.ndarray:
        evs, scores = self._single()
        evs, scores = self._ascended(evs, scores, ASCENT)
        evs, scores = self._ascended(*self._scanned(evs, scores), ASCENT // 2)
        for step in STEPS:
            evs, scores = self._refined(evs, scores, step)
        return evs

    def scores(self, evs: np.ndarray) -> np.ndarray:
        """(N,) scores of plans (N, K)."""
        plan = finished_with(self.state, evs)
        return np.asarray(self.task.score(plan, self.model), np.float64)

    def _single(self) -> tuple[np.ndarray, np.ndarray]:
        shape = self.state.evs.shape
        every = [0.0, *np.linspace(-self.limit, self.limit, GRID)]  # 0 first: of equals the first is kept
        scores = np.stack([self.scores(np.full(shape, ev, np.float32)) for ev in every])
        best = np.array(every, np.float32)[scores.argmax(0)]
        return np.repeat(best[:, None], shape[1], axis=1), scores.max(0)

    def _ascended(self, evs: np.ndarray, scores: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        slopes = self._slopes if is_differentiable(self.model) else self._differences
        plan = torch.as_tensor(evs.copy()).requires_grad_()
        optimizer = torch.optim.Adam([plan], RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            now, plan.grad = slopes(plan)
            better = now > scores
            evs, scores = np.where(better[:, None], plan.detach().numpy(), evs), np.where(better, now, scores)
            optimizer.step()
            schedule.step()
            plan.data.clamp_(-self.limit, self.limit)
        return self._kept(evs, scores, plan.detach().numpy())

    def _scanned(self, evs: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One exposure after another over the whole grid: where a segment is white, no slope leads back."""
        for k in range(evs.shape[1]):
            for ev in np.linspace(-self.limit, self.limit, GRID):
                tried = evs.copy()
                tried[:, k] = ev
                evs, scores = self._kept(evs, scores, tried)
        return evs, scores

    def _slopes(self, plan: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
        """(N,) scores of plans (N, K), and minus their slopes."""
        with torch.enable_grad():
            state = finished_with(self.state, plan.detach().numpy()).map(torch.as_tensor)
            scores = self.task.score(state._replace(evs=plan), self.model)
            (slopes,) = torch.autograd.grad(scores.sum(), plan)
        return scores.detach().double().numpy(), -slopes

    def _differences(self, plan: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
        """The same from scores alone."""
        evs = plan.detach().numpy()
        slopes = np.zeros_like(evs)
        for k in range(evs.shape[1]):
            near = [self.scores(evs + move * (np.arange(evs.shape[1]) == k)) for move in (NEAR, -NEAR)]
            slopes[:, k] = (near[0] - near[1]) / (2 * NEAR)
        return self.scores(evs), torch.as_tensor(-slopes)

    def _refined(self, evs: np.ndarray, scores: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
        for k in range(evs.shape[1]):
            for move in (step, -step):
                tried = evs.copy()
                tried[:, k] = np.clip(tried[:, k] + move, -self.limit, self.limit)
                evs, scores = self._kept(evs, scores, tried)
        return evs, scores

    def _kept(self, evs: np.ndarray, scores: np.ndarray, tried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The better of two plans for each photo."""
        now = self.scores(tried)
        better = now > scores
        return np.where(better[:, None], tried, evs), np.where(better, now, scores)

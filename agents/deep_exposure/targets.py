"""What the critics learn: TD(lambda) targets, with rewards from the current reward model."""

import torch
from torch import Tensor

from agents.arrays import on_host
from agents.deep_exposure.learner import Learner
from agents.planes import Visited
from exposure_env import episode, increments
from exposure_env.image import clip
from exposure_env.rewards import is_differentiable
from exposure_env.task import ExposureTask


def lambda_returns(rewards: Tensor, values: Tensor, lengths: Tensor, gamma: float, td_lambda: float) -> Tensor:
    """The targets of a critic, (N, K): TD(lambda), which is eq. (6) for lambda 0, the discounted return for lambda 1.

    Args:
        rewards: (N, K) rewards of the steps.
        values: (N, K) values V(s_t) of the states in which the steps were taken.
        lengths: (N,) steps of each episode, at most K; beyond them the result is 0.
        gamma: Discount factor.
        td_lambda: Weight of longer returns, in [0, 1].
    """
    targets = torch.zeros_like(rewards)
    following = next_value = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        inside = t < lengths
        target = rewards[:, t] + gamma * ((1 - td_lambda) * next_value + td_lambda * following)
        targets[:, t] = following = torch.where(inside, target, torch.zeros_like(target))
        next_value = torch.where(inside, values[:, t], torch.zeros_like(target))
    return targets


def critic_values(model: Learner, finished: episode.EpisodeState) -> Tensor:
    """(M,) values that the critic gives to the states, or for Q(s, a) states and actions, of N finished episodes."""
    seen = Visited(model.task, finished, model.policy.halvings, model.obs_type)
    actions = seen.taken(finished.evs) / model.task.config.max_ev
    return model.policy.critic.value(seen.planes, actions if model.method.value == "q" else None)


def critic_targets(model: Learner, finished: episode.EpisodeState, guesses: Tensor | None = None) -> Tensor:
    """What a critic learns from N finished episodes: (M,) detached targets of the states from `episode.visited`.

    Rewards come from the reward model as it is now, not as it was when the episodes were played.

    Args:
        model: The algorithm.
        finished: N finished episodes.
        guesses: (M,) result of `critic_values`, if already known.
    """
    task = model.task
    rows, states = episode.visited(finished)
    with torch.no_grad():
        rewards = torch.zeros_like(finished.evs)
        final, everyone = _score(task, finished), torch.arange(len(finished.step), device=rewards.device)
        rewards[everyone, finished.num_segments - 1] = final
        if task.config.relative:
            rewards[everyone, finished.num_segments - 1] -= _score(task, episode.untouched(finished), finished.photos)
        if model.method.shaping:
            scores = _scores_before(model, finished)
            before = torch.zeros_like(finished.evs).index_put((rows, states.step), scores)  # 0 beyond the end
            after = torch.cat([before[:, 1:], torch.zeros_like(before[:, :1])], dim=1)
            rewards += episode.shaping(before, after, torch.zeros_like(after, dtype=torch.bool), model.method.gamma)
        values = torch.zeros_like(rewards)
        if model.method.td_lambda < 1:
            guesses = critic_values(model, finished) if guesses is None else guesses.detach()
            values = values.index_put((rows, states.step), guesses)
        targets = lambda_returns(rewards, values, finished.num_segments, model.method.gamma, model.method.td_lambda)
    return targets[rows, states.step]


def _scores_before(model: Learner, finished: episode.EpisodeState) -> Tensor:
    """(M,) scores of the images in all visited states, without gradients."""
    task, (rows, states) = model.task, episode.visited(finished)
    if not increments.is_additive(task.config.fusion) or not is_differentiable(task.reward_model):
        return _score(task, states)
    before = clip(increments.pictures_before(finished, rows, states, task.config.fusion, task.config.space))
    return task.score(states, fused=before)


def _score(task: ExposureTask, state: episode.EpisodeState, fused: Tensor | None = None) -> Tensor:
    """(N,) scores, also from a reward model that takes only NumPy arrays; `fused` as in `ExposureTask.score`."""
    if is_differentiable(task.reward_model):
        return task.score(state, fused=fused)
    scores = task.score(state.map(on_host), fused=None if fused is None else on_host(fused))
    return torch.as_tensor(scores, dtype=state.evs.dtype, device=state.evs.device)

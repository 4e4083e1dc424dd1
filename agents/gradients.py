"""Where the actor's gradient comes from: the four ways to value an exposure, and the critics' targets.

Every function takes the algorithm and N finished episodes on its device, and gives minus the sum of all transitions'
advantages, to be minimised, with the actions the actor would take now. Everything a gradient flows through is the
project's own: the transition is known and so is the blend.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from exposure_env.episode import EpisodeState, is_done, observe, select, visited
from exposure_env.image import clip, expose
from exposure_env.increments import increment, is_additive, pictures_before
from exposure_env.task import ExposureTask

if TYPE_CHECKING:
    from agents.deep_exposure import DeepExposure

FACTORS: dict[str, Callable[[float], float]] = {
    "potential": lambda gamma: 1.0,
    "paper_abs": lambda gamma: abs(gamma - 1),
    "paper_literal": lambda gamma: gamma - 1,
}


def planes(model: "DeepExposure", states: EpisodeState, local: Tensor | None = None) -> Tensor:
    """(N, C, H, W) planes as the actor sees them while it plays; gradients flow to the exposures so far.

    Args:
        model: The algorithm.
        states: N episodes.
        local: (N, H, W, 3) their local images, where they are known already.
    """
    task, obs_type = model.exposure_env.task, model.exposure_env.envs.obs_type
    seen = observe(states, task.local(states) if local is None else local, task.config.planes)
    if obs_type != "float32":  # bytes, but for the progress of "dict"; the gradient passes as if they were not
        rounded = (seen.detach() * 255).round() / 255
        if obs_type == "dict":
            rounded[..., 11:] = seen[..., 11:]
        seen = seen + (rounded - seen).detach() if seen.requires_grad else rounded
    return seen.permute(0, 3, 1, 2)


def visited_planes(model: "DeepExposure", finished: EpisodeState, episode: Tensor, states: EpisodeState) -> Tensor:
    """(M, C, H, W) planes of the states that `episode.visited` tells, without gradient.

    A local image differs from the finished one only in the segments still to come, so each photo is exposed once.
    """
    with torch.no_grad():
        done = (states.labels < states.step[:, None, None])[..., None]
        local = torch.where(done, model.exposure_env.task.local(finished)[episode], states.photos)
        return planes(model, states, local)


def exposures(model: "DeepExposure", states: EpisodeState, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Exposures [stops] of actions (M,) in M states, and the penalties on them, summed."""
    task = model.exposure_env.task
    evs = task.exposure(actions)
    penalty = model.ev_penalty * (evs - model.ev_centre).square().sum()
    if model.overshoot_penalty:  # clipping stops the score's gradient, not this one's
        beyond = (expose(states.photos, evs[:, None, None], task.config.space) - 1).clamp(min=0).square().mean(-1)
        penalty = penalty + model.overshoot_penalty * (beyond * (states.labels == states.step[:, None, None])).mean(
            (1, 2)).sum()
    if model.max_slope is not None and evs.requires_grad:
        evs = evs.clone()  # the score's slope is limited, not the penalty's
        evs.register_hook(lambda slope: slope.clamp(-model.max_slope, model.max_slope))
    return evs, penalty


def next_scores(model: "DeepExposure", finished: EpisodeState, episode: Tensor, states: EpisodeState,
                evs: Tensor) -> Tensor:
    """(M,) scores of the images after the step; gradients flow to the exposures `evs` (M,) of that step alone.

    Args:
        model: The algorithm.
        finished: N finished episodes.
        episode: (M,) the episode of each state.
        states: M of the states that `episode.visited` tells.
        evs: (M,) exposures to try in them [stops].
    """
    task = model.exposure_env.task
    after, fused, config = task.advance(states, evs), None, task.config
    if is_additive(config.fusion) and config.reward_image != "local":
        with torch.no_grad():
            before = pictures_before(finished, *visited(finished), config.fusion, config.space)
            lengths = finished.num_segments
            before = before[(torch.cumsum(lengths, 0) - lengths)[episode] + states.step]
        fused = clip(before + increment(states, evs, config.fusion, config.space))
    return task.score(after, fused=fused)


def discriminator(model: "DeepExposure", finished: EpisodeState) -> tuple[Tensor, Tensor]:
    """DeepExposure II: the reward model's score of an image is the value of its state (eq. 14 and 15).

    Only the score after the step depends on the action, so the score before it, V(s), is left out.
    """
    task = model.exposure_env.task
    episode, states = visited(finished)
    seen = visited_planes(model, finished, episode, states)
    actions = model.policy.actor(seen)[:, 0]
    evs, penalty = exposures(model, states, actions)
    remaining = states.num_segments - 1 - states.step  # K - 1 - t
    weights = FACTORS[model.advantage](model.gamma) * model.gamma**remaining
    if model.value_image == "next":
        loss = -(weights * next_scores(model, finished, episode, states, evs)).sum()
    else:  # all exposures of an episode in one finished image: its score's gradient reaches each action, weighted
        weighted = weights * evs + ((1 - weights) * evs).detach()
        plans = torch.zeros_like(finished.evs).index_put((episode, states.step), weighted)
        loss = -task.score(finished._replace(evs=plans)).sum()
    return loss + penalty, actions.detach()


def critic(model: "DeepExposure", finished: EpisodeState) -> tuple[Tensor, Tensor]:
    """DeepExposure I: Q(s, a) = r(s, a) + gamma V(p(s, a)), through the known transition p (eq. 7, 8 and 10).

    V(s), which eq. (7) subtracts, does not depend on the action. There is no V after the last exposure.
    """
    task = model.exposure_env.task
    episode, states = visited(finished)
    seen = visited_planes(model, finished, episode, states)
    actions = model.policy.actor(seen)[:, 0]
    evs, penalty = exposures(model, states, actions)
    last = states.step == states.num_segments - 1
    counted = slice(None) if model.shaping else last  # with a potential every score after a step is part of the reward
    scores = next_scores(model, finished, episode[counted], select(states, counted), evs[counted])
    discounts = torch.where(last[counted], 1.0, model.gamma)
    value = (discounts * scores).sum()
    if not last.all():
        ahead = task.advance(select(states, ~last), evs[~last])
        value = value + model.gamma * model.policy.critic(planes(model, ahead)).sum()
    return penalty - value, actions.detach()


def q(model: "DeepExposure", finished: EpisodeState) -> tuple[Tensor, Tensor]:
    """DDPG's own: a learned Q(s, a), which knows neither the transition nor the reward model."""
    episode, states = visited(finished)
    seen = visited_planes(model, finished, episode, states)
    actions = model.policy.actor(seen)[:, 0]
    evs, penalty = exposures(model, states, actions)
    value = model.policy.critic(seen, evs / model.exposure_env.task.config.max_ev).sum()
    return penalty - value, actions.detach()


def pathwise(model: "DeepExposure", finished: EpisodeState) -> tuple[Tensor, Tensor]:
    """The whole episode played anew, without noise, and differentiated from the final score to every weight.

    What the other forms leave out is in it: that an exposure changes what the actor sees, and does, later.
    """
    task = model.exposure_env.task
    state = finished._replace(evs=torch.zeros_like(finished.evs), step=torch.zeros_like(finished.step))
    penalty, taken = torch.zeros((), device=state.evs.device), []
    while not is_done(state).all():
        active = torch.nonzero(~is_done(state))[:, 0]
        playing = select(state, active)
        actions = model.policy.actor(planes(model, playing))[:, 0]
        evs, cost = exposures(model, playing, actions)
        state = task.advance(state, torch.zeros_like(state.evs[:, 0]).index_put((active,), evs))
        penalty = penalty + cost
        taken.append(actions.detach())
    return penalty - task.score(state).sum(), torch.cat(taken)


GRADIENTS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "critic": critic, "discriminator": discriminator, "pathwise": pathwise, "q": q,
}  # fmt: skip


def lambda_returns(rewards: Tensor, values: Tensor, lengths: Tensor, gamma: float, td_lambda: float) -> Tensor:
    """Targets of a critic, (N, K): TD(lambda), eq. (6) for lambda 0, the discounted return for lambda 1.

    Args:
        rewards: (N, K) reward of every step.
        values: (N, K) value of the state in which the step was taken, V(s_t).
        lengths: (N,) steps of each episode, at most K; what lies beyond is 0 in the result.
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


def critic_values(model: "DeepExposure", finished: EpisodeState) -> Tensor:
    """(M,) values that the critic gives the states, and for Q(s, a) the actions, of N finished episodes."""
    episode, states = visited(finished)
    seen = visited_planes(model, finished, episode, states)
    actions = finished.evs[episode, states.step] / model.exposure_env.task.config.max_ev
    return model.policy.critic(seen, actions) if model.value == "q" else model.policy.critic(seen)


def critic_targets(model: "DeepExposure", finished: EpisodeState, guesses: Tensor | None = None) -> Tensor:
    """What a critic learns from N finished episodes: (M,) targets of the states that `visited` tells, detached.

    Rewards are those of the reward model as it is now, not as it was when the episodes were played.

    Args:
        model: The algorithm.
        finished: N finished episodes.
        guesses: (M,) what `critic_values` gives, where it is known already.
    """
    task = model.exposure_env.task
    episode, states = visited(finished)
    with torch.no_grad():
        rewards = torch.zeros_like(finished.evs)
        final, everyone = _score(task, finished), torch.arange(len(finished.step), device=rewards.device)
        rewards[everyone, finished.num_segments - 1] = final
        if task.config.relative:
            untouched = finished._replace(step=torch.zeros_like(finished.step), evs=torch.zeros_like(finished.evs))
            rewards[everyone, finished.num_segments - 1] -= _score(task, untouched, finished.photos)
        if model.shaping:  # F_t = gamma Phi(s_t+1) - Phi(s_t), with Phi = 0 once the episode is over
            scores = _scores_before(model, finished)
            potential = torch.zeros_like(finished.evs).index_put((episode, states.step), scores)
            rewards += model.gamma * torch.cat([potential[:, 1:], torch.zeros_like(potential[:, :1])], 1) - potential
        values = torch.zeros_like(rewards)
        if model.td_lambda < 1:
            guesses = critic_values(model, finished) if guesses is None else guesses.detach()
            values = values.index_put((episode, states.step), guesses)
        targets = lambda_returns(rewards, values, finished.num_segments, model.gamma, model.td_lambda)
    return targets[episode, states.step]


def _scores_before(model: "DeepExposure", finished: EpisodeState) -> Tensor:
    """(M,) scores of the images in all visited states, without gradient."""
    task, (episode, states) = model.exposure_env.task, visited(finished)
    if not is_additive(task.config.fusion) or not getattr(task.reward_model, "differentiable", False):
        return _score(task, states)
    before = clip(pictures_before(finished, episode, states, task.config.fusion, task.config.space))
    return task.score(states, fused=before)


def _score(task: ExposureTask, state: EpisodeState, fused: Tensor | None = None) -> Tensor:
    """(N,) scores without gradient, also of a reward model that knows NumPy alone; `fused` as in `task.score`."""
    if getattr(task.reward_model, "differentiable", False):
        return task.score(state, fused=fused)
    columns = (None if column is None else column.cpu().numpy() for column in state)
    fused = None if fused is None else fused.cpu().numpy()
    scores = task.score(EpisodeState(*columns), fused=fused)
    return torch.as_tensor(scores, dtype=state.evs.dtype, device=state.evs.device)

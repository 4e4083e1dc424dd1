"""Where the actor's gradient comes from: the four ways to value an exposure.

Every function takes the algorithm and N finished episodes on its device, and gives minus the sum of all transitions'
advantages, to be minimised, with the actions the actor would take now. Everything a gradient flows through is the
project's own: the transition is known and so is the blend.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from agents.deep_exposure.learner import Learner
from agents.planes import planes, visited_planes
from exposure_env import episode, increments
from exposure_env.image import clip, expose

FACTORS: dict[str, Callable[[float], float]] = {  # of II's advantage, by the discount factor
    "potential": lambda gamma: 1.0,
    "paper_abs": lambda gamma: abs(gamma - 1),
    "paper_literal": lambda gamma: gamma - 1,
}


def exposures(model: Learner, states: episode.EpisodeState, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Exposures [stops] of actions (M,) in M states, and the penalties on them, summed."""
    task = model.task
    evs = task.exposure(actions)
    penalty = model.method.ev_penalty * (evs - model.ev_centre).square().sum()
    if model.method.overshoot_penalty:  # clipping stops the score's gradient, not this one's
        beyond = (expose(states.photos, evs[:, None, None], task.config.space) - 1).clamp(min=0).square().mean(-1)
        inside = states.labels == states.step[:, None, None]
        penalty = penalty + model.method.overshoot_penalty * (beyond * inside).mean((1, 2)).sum()
    if model.method.max_slope is not None and evs.requires_grad:
        evs = evs.clone()  # the score's slope is limited, not the penalty's
        evs.register_hook(lambda slope: slope.clamp(-model.method.max_slope, model.method.max_slope))
    return evs, penalty


class Tried(NamedTuple):
    """What the actor would do now in all M states that N finished episodes went through."""

    rows: Tensor  # (M,) the episode of each state
    states: episode.EpisodeState
    seen: Tensor  # (M, C, H, W) planes
    actions: Tensor  # (M,)
    evs: Tensor  # (M,) [stops]
    penalty: Tensor  # of all of them


def try_out(model: Learner, finished: episode.EpisodeState) -> Tried:
    """The actor's present actions in every state of N finished episodes; gradients flow to its weights."""
    rows, states = episode.visited(finished)
    seen = visited_planes(model.task, model.obs_type, finished, rows, states)
    actions = model.policy.actor(seen)[:, 0]
    return Tried(rows, states, seen, actions, *exposures(model, states, actions))


def next_scores(model: Learner, finished: episode.EpisodeState, rows: Tensor, states: episode.EpisodeState,
                evs: Tensor) -> Tensor:
    """(M,) scores of the images after the step; gradients flow to the exposures `evs` (M,) of that step alone.

    Args:
        model: The algorithm.
        finished: N finished episodes.
        rows: (M,) the episode of each state.
        states: M of the states that `episode.visited` tells.
        evs: (M,) exposures to try in them [stops].
    """
    task = model.task
    after, fused, config = task.advance(states, evs), None, task.config
    if increments.is_additive(config.fusion) and config.reward_image != "local":
        with torch.no_grad():
            before = increments.pictures_before(finished, *episode.visited(finished), config.fusion, config.space)
            lengths = finished.num_segments
            before = before[(torch.cumsum(lengths, 0) - lengths)[rows] + states.step]
        fused = clip(before + increments.increment(states, evs, config.fusion, config.space))
    return task.score(after, fused=fused)


def discriminator(model: Learner, finished: episode.EpisodeState) -> tuple[Tensor, Tensor]:
    """DeepExposure II: the reward model's score of an image is the value of its state (eq. 14 and 15).

    Only the score after the step depends on the action, so the score before it, V(s), is left out.
    """
    tried = try_out(model, finished)
    states, evs = tried.states, tried.evs
    remaining = states.num_segments - 1 - states.step  # K - 1 - t
    weights = FACTORS[model.method.advantage](model.method.gamma) * model.method.gamma**remaining
    if model.method.value_image == "next":
        loss = -(weights * next_scores(model, finished, tried.rows, states, evs)).sum()
    else:  # all exposures of an episode in one finished image: its score's gradient reaches each action, weighted
        weighted = weights * evs + ((1 - weights) * evs).detach()
        plans = torch.zeros_like(finished.evs).index_put((tried.rows, states.step), weighted)
        loss = -model.task.score(finished._replace(evs=plans)).sum()
    return loss + tried.penalty, tried.actions.detach()


def critic(model: Learner, finished: episode.EpisodeState) -> tuple[Tensor, Tensor]:
    """DeepExposure I: Q(s, a) = r(s, a) + gamma V(p(s, a)), through the known transition p (eq. 7, 8 and 10).

    V(s), which eq. (7) subtracts, does not depend on the action. There is no V after the last exposure.
    """
    task, tried = model.task, try_out(model, finished)
    states, evs = tried.states, tried.evs
    last = states.step == states.num_segments - 1
    counted = slice(None) if model.method.shaping else last  # a potential makes every score after a step a reward
    scores = next_scores(model, finished, tried.rows[counted], episode.select(states, counted), evs[counted])
    discounts = torch.where(last[counted], 1.0, model.method.gamma)
    value = (discounts * scores).sum()
    if not last.all():
        ahead = task.advance(episode.select(states, ~last), evs[~last])
        value = value + model.method.gamma * model.policy.critic(planes(task, model.obs_type, ahead)).sum()
    return tried.penalty - value, tried.actions.detach()


def q(model: Learner, finished: episode.EpisodeState) -> tuple[Tensor, Tensor]:
    """DDPG's own: a learned Q(s, a), which knows neither the transition nor the reward model."""
    tried = try_out(model, finished)
    value = model.policy.critic(tried.seen, tried.evs / model.task.config.max_ev).sum()
    return tried.penalty - value, tried.actions.detach()


def pathwise(model: Learner, finished: episode.EpisodeState) -> tuple[Tensor, Tensor]:
    """The whole episode played anew, without noise, and differentiated from the final score to every weight.

    What the other forms leave out is in it: that an exposure changes what the actor sees, and does, later.
    """
    task = model.task
    state = episode.untouched(finished)
    penalty, taken = torch.zeros((), device=state.evs.device), []
    while not episode.is_done(state).all():
        active = torch.nonzero(~episode.is_done(state))[:, 0]
        playing = episode.select(state, active)
        actions = model.policy.actor(planes(task, model.obs_type, playing))[:, 0]
        evs, cost = exposures(model, playing, actions)
        state = task.advance(state, torch.zeros_like(state.evs[:, 0]).index_put((active,), evs))
        penalty = penalty + cost
        taken.append(actions.detach())
    return penalty - task.score(state).sum(), torch.cat(taken)


GRADIENTS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "critic": critic, "discriminator": discriminator, "pathwise": pathwise, "q": q,
}  # fmt: skip

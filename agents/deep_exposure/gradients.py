"""Where the actor's gradient comes from: four ways to value an exposure.

Each of the four functions takes the algorithm and N finished episodes on its device. It returns minus the sum of all
transitions' advantages, to be minimised, and the actions that the actor would take now. Everything that a gradient
flows through is the project's own: the transition is known, and so is the blend.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from agents.deep_exposure.learner import Learner
from agents.planes import Visited
from exposure_env import episode, increments
from exposure_env.image import clip, expose

FACTORS: dict[str, Callable[[float], float]] = {  # factor of II's advantage, from the discount factor
    "potential": lambda gamma: 1.0,
    "paper_abs": lambda gamma: abs(gamma - 1),
    "paper_literal": lambda gamma: gamma - 1,
}


def exposures(model: Learner, states: episode.EpisodeState, actions: Tensor, usual: Tensor | None = None
              ) -> tuple[Tensor, Tensor]:
    """The exposures of actions in M states, and the sum of the penalties on them.

    The distance to a reference is one of EV maps: an exposure counts by the area of its segment.

    Args:
        model: The algorithm.
        states: M states.
        actions: (M,) actions.
        usual: (M,) actions of the reference policy, if there is one.

    Returns:
        (M,) exposures [stops], and a number.
    """
    task, method = model.task, model.method
    evs, inside = task.exposure(actions), states.labels == states.step[:, None, None]
    areas = inside.float().mean((1, 2))
    counts = areas if method.penalised == "map" else 1.0
    penalty = method.ev_penalty * (counts * (evs - model.ev_centre).square()).sum()
    if usual is not None:
        penalty = penalty + method.reference_penalty * (areas * (evs - task.exposure(usual)).square()).sum()
    if method.overshoot_penalty:  # clipping stops the gradient of the score, but not this one
        beyond = (expose(states.photos, evs[:, None, None], task.config.space) - 1).clamp(min=0).square().mean(-1)
        penalty = penalty + method.overshoot_penalty * (beyond * inside).mean((1, 2)).sum()
    if method.max_slope is not None and evs.requires_grad:
        evs = evs.clone()  # the score's slope is limited, not the penalty's
        evs.register_hook(lambda slope: slope.clamp(-method.max_slope, method.max_slope))
    return evs, penalty


class Tried(NamedTuple):
    """The actor's present choices in all M states that N finished episodes went through."""

    seen: Visited
    actions: Tensor  # (M,)
    evs: Tensor  # (M,) [stops]
    penalty: Tensor  # summed over all M

    @property
    def rows(self) -> Tensor:
        """(M,) the episode of each state."""
        return self.seen.rows

    @property
    def states(self) -> episode.EpisodeState:
        """The M states."""
        return self.seen.states


def try_out(model: Learner, finished: episode.EpisodeState) -> Tried:
    """The actor's present actions in every state of N finished episodes; gradients flow to its weights."""
    seen = Visited(model.task, finished, model.policy.halvings, model.obs_type)
    actions, usual = model.policy.actor.acts(seen), None
    if model.reference is not None:
        with torch.no_grad():
            usual = model.reference.acts(seen)
    return Tried(seen, actions, *exposures(model, seen.states, actions, usual))


def next_scores(model: Learner, finished: episode.EpisodeState, rows: Tensor, states: episode.EpisodeState,
                evs: Tensor) -> Tensor:
    """(M,) scores of the images after the step; gradients flow only to the exposures `evs` (M,) of that step.

    Args:
        model: The algorithm.
        finished: N finished episodes.
        rows: (M,) the episode of each state.
        states: M of the states from `episode.visited`.
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


def with_slope(values: Tensor, slope: Tensor | float) -> Tensor:
    """The same values, but a gradient that flows back through them is multiplied by `slope`.

    x -> c x + (1 - c) [x], the bracket held fixed: the value is x, the derivative c.

    Args:
        values: Floats of any shape.
        slope: Factors that broadcast to it.
    """
    return slope * values + (1 - slope) * values.detach()


def discriminator(model: Learner, finished: episode.EpisodeState) -> tuple[Tensor, Tensor]:
    """DeepExposure II: the value of a state is the reward model's score of its image (eq. 14 and 15).

    The score before the step, V(s), doesn't depend on the action and is left out. An image finished by the same episode
    stands for all of its steps: its score's slope at each exposure, times the factor of that step, is what the K
    separate scores would have given, for one evaluation instead of K.
    """
    tried, gamma = try_out(model, finished), model.method.gamma
    states, evs = tried.states, tried.evs
    ahead = states.num_segments - 1 - states.step  # K - 1 - t, exposures still to come
    sign = FACTORS[model.method.advantage]
    factor = sign(gamma) * gamma**ahead  # A = factor D(S_t+1), eq. (15)
    if model.method.value_image == "next":
        advantage = factor * next_scores(model, finished, tried.rows, states, evs)
    else:
        plans = torch.zeros_like(finished.evs).index_put((tried.rows, states.step), with_slope(evs, factor))
        advantage = model.task.score(finished._replace(evs=plans))
    return tried.penalty - advantage.sum(), tried.actions.detach()


def critic(model: Learner, finished: episode.EpisodeState) -> tuple[Tensor, Tensor]:
    """DeepExposure I: Q(s, a) = r(s, a) + gamma V(p(s, a)), through the known transition p (eq. 7, 8 and 10).

    V(s), which eq. (7) subtracts, doesn't depend on the action and is left out. After the last exposure V is 0.
    """
    tried = try_out(model, finished)
    states, evs = tried.states, tried.evs
    last = states.step == states.num_segments - 1
    if model.method.shaping:  # the score after every step is a reward
        scores = next_scores(model, finished, tried.rows, states, evs)
        value = (torch.where(last, 1.0, model.method.gamma) * scores).sum()
    else:
        plans = finished.evs.index_put((tried.rows[last], states.step[last]), evs[last])
        value = model.task.score(finished._replace(evs=plans)).sum()
    if not last.all():
        ahead = tried.seen.planes_after(evs, ~last)
        value = value + model.method.gamma * model.policy.critic.value(ahead).sum()
    return tried.penalty - value, tried.actions.detach()


def q(model: Learner, finished: episode.EpisodeState) -> tuple[Tensor, Tensor]:
    """DDPG's gradient: a learned Q(s, a), which knows neither the transition nor the reward model."""
    tried = try_out(model, finished)
    value = model.policy.critic.value(tried.seen.planes, tried.evs / model.task.config.max_ev).sum()
    return tried.penalty - value, tried.actions.detach()


def pathwise(model: Learner, finished: episode.EpisodeState) -> tuple[Tensor, Tensor]:
    """The whole episode, played again without noise and differentiated from the final score to every weight.

    It includes what the other forms leave out: an exposure changes what the actor sees, and does, later.
    """
    task, actor = model.task, model.policy.actor
    state = episode.untouched(finished)
    memory = actor.remember(task, state)
    usually = None if model.reference is None else model.reference.remember(task, state)
    penalty, taken, usual = torch.zeros((), device=state.evs.device), [], None
    while not episode.is_done(state).all():
        active = torch.nonzero(~episode.is_done(state))[:, 0]
        actions = actor.act(task, model.obs_type, state, memory)[active]
        if model.reference is not None:
            with torch.no_grad():
                usual = model.reference.act(task, model.obs_type, state, usually)[active]
        evs, cost = exposures(model, episode.select(state, active), actions, usual)
        state = task.advance(state, torch.zeros_like(state.evs[:, 0]).index_put((active,), evs))
        penalty = penalty + cost
        taken.append(actions.detach())
    return penalty - task.score(state).sum(), torch.cat(taken)


GRADIENTS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "critic": critic, "discriminator": discriminator, "pathwise": pathwise, "q": q,
}  # fmt: skip

"""Eq. (13) of the paper, measured: the angles between the gradients that DeepExposure's forms give the same actor."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from torch import Tensor

from agents.deep_exposure import DeepExposure
from agents.deep_exposure.gradients import GRADIENTS
from agents.training.building import build
from agents.training.configuration import TrainConfig
from exposure_env import episode
from exposure_env.photos import Photo

NUM_MOMENTS = 5  # how many times in a training gradients are compared


class Gradients(BaseCallback):
    """A callback that compares the actor's gradients of all forms: same actor, same episodes, same discriminator.

    The penalty on exposures is left out, as it is the same in all. Both critics, with shaping and without, learn from
    every rollout, whichever of them the agent itself uses.

    Args:
        config: Configuration of the training.
        moments: Number of comparisons in the training.
    """

    def __init__(self, config: TrainConfig, moments: int = NUM_MOMENTS):
        super().__init__()
        self.config, self.due, self.moments = replace(config, ev_penalty=0.0), moments, []

    def _on_training_start(self) -> None:
        changes: dict[str, dict[str, Any]] = {
            "I": {"value": "critic", "shaping": False}, "I, shaped": {"value": "critic", "shaping": True},
            "II, final": {"value": "discriminator", "value_image": "final"},
            "II, next": {"value": "discriminator", "value_image": "next"}, "pathwise": {"value": "pathwise"},
        }  # fmt: skip
        grey = [Photo("grey", np.full((64, 64, 3), 0.5, np.float32))]  # never retouched: only the networks are needed
        self.forms = {}
        for name, changed in changes.items():
            form, _ = build(replace(self.config, **changed), grey, grey)
            form.set_env(self.model.env, force_reset=False)
            form.policy.actor = self.model.policy.actor
            form.set_logger(configure(None, []))
            self.forms[name] = form

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        finished = episode.concatenate([outcome.state for outcome in self.locals["outcomes"]])
        state = finished.map(torch.as_tensor)
        for form in self.forms.values():
            form._current_progress_remaining = self.model._current_progress_remaining
            if form.policy.critic is not None:
                form.train_critic(state)
        if self.num_timesteps >= (len(self.moments) + 1) / self.due * self.config.total_timesteps:
            self.moments.append({"timesteps": self.num_timesteps, **compare_gradients(self.forms, state)})


def compare_gradients(forms: dict[str, DeepExposure], finished: episode.EpisodeState) -> dict[str, Any]:
    """The cosines between the forms' gradients with respect to the actor's weights.

    Args:
        forms: Algorithms, by name, that share one actor and one environment.
        finished: N finished episodes, as tensors.

    Returns:
        "cosines" of each pair of forms, "norms" of the gradients per transition, and "halves", the cosine between the
        gradients of the first and the second half of the episodes, which shows how far a gradient can be trusted.
    """
    halves = torch.arange(len(finished.step)).tensor_split(2)
    parts = {name: [gradient(form, episode.select(finished, half)) for half in halves] for name, form in forms.items()}
    whole, transitions = {name: sum(part) for name, part in parts.items()}, int(finished.num_segments.sum())
    return {
        "cosines": {one: {other: cosine(whole[one], whole[other]) for other in forms} for one in forms},
        "norms": {name: float(vector.norm()) / transitions for name, vector in whole.items()},
        "halves": {name: cosine(*part) for name, part in parts.items()},
    }


def gradient(form: DeepExposure, finished: episode.EpisodeState) -> Tensor:
    """The gradient that the actor would ascend, summed over transitions, as one vector.

    Args:
        form: The algorithm.
        finished: N finished episodes, as tensors.
    """
    weights = list(form.policy.actor.parameters())
    total = torch.zeros(sum(weight.numel() for weight in weights))
    for episodes in torch.arange(len(finished.step)).split(form.method.batch_size):
        loss, _ = GRADIENTS[form.method.value](form, episode.select(finished, episodes))
        total -= torch.cat([part.flatten() for part in torch.autograd.grad(loss, weights)])
    return total


def cosine(first: Tensor, second: Tensor) -> float | None:
    """The cosine of the angle between two vectors; None if either is zero."""
    norms = float(first.norm() * second.norm())
    return None if norms == 0 else float(first @ second) / norms

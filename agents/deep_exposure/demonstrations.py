"""Demonstrations that cost nothing: experts' photos, misexposed, and the plan that undoes it.

They need no input photo and no pair: only the experts' photos, and a family of misexposures. An actor learns from them
by DeepExposure II's gradient, with PSNR in place of the discriminator. It then knows how to undo such misexposures;
what the real inputs need, and what the experts' style is, only the game with real inputs can teach.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.arrays import RandomSource
from agents.deep_exposure.gradients import discriminator
from agents.deep_exposure.learner import Learner
from agents.method import Method
from agents.policy import ExposurePolicy
from exposure_env import episode
from exposure_env.observations import ObsType
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask

MAX_SLOPE = 4.0  # limit on PSNR's slope, which is infinite at a perfect match [dB/stop]


@dataclass
class Demonstrator:
    """What `gradients` needs to know of an actor that learns from demonstrations."""

    policy: ExposurePolicy
    task: ExposureTask
    obs_type: ObsType
    method: Method = field(default_factory=lambda: Method(gamma=1.0, max_slope=MAX_SLOPE))
    ev_centre: float = 0.0
    reference: Any = None


class Demonstrations(RandomSource):
    """A source of demonstrations.

    Args:
        photos: Misexposed photos with the good ones as their targets, such as `photos.Variants` of experts' photos.
        task: The task whose segments, rendering and planes they take; its photos and reward model play no part.
        batch_size: Demonstrations at once.
        seed: Seed of the choice of photos and of the order of segments.
    """

    def __init__(self, photos: Sequence[Photo], task: ExposureTask, batch_size: int = 64, seed: int = 0):
        config = replace(task.config, transform=None, shaping=None, labels_folder=None)
        settings = {name: getattr(config, name) for name in config.__dataclass_fields__}
        self.task = ExposureTask(photos, task.segmenter, "psnr", **settings)
        self.batch_size, self.rng = batch_size, np.random.default_rng(seed)

    def batch(self) -> episode.EpisodeState:
        """The first states of new demonstrations, with targets."""
        return self.task.start(self.task.scenes([None] * self.batch_size, [self.rng] * self.batch_size))

    def loss(self, model: Learner) -> tuple[Tensor, int]:
        """Minus the sum of PSNRs [dB] of the actor's plans for new demonstrations, and the number of their exposures.

        Args:
            model: The algorithm whose actor it is.
        """
        device = next(model.policy.parameters()).device
        state = self.batch().map(lambda array: torch.as_tensor(array, device=device))
        learner = Demonstrator(model.policy, self.task, model.obs_type)
        with torch.no_grad():
            finished = played(learner, state)
        loss, actions = discriminator(learner, finished)
        return loss, len(actions)


def played(learner: Learner, state: episode.EpisodeState) -> episode.EpisodeState:
    """N episodes of tensors, played to their end by the actor without noise."""
    actor = learner.policy.actor
    memory = actor.remember(learner.task, state)
    while not bool(episode.is_done(state).all()):
        actions = actor.act(learner.task, learner.obs_type, state, memory)
        state = learner.task.advance(state, learner.task.exposure(actions))
    return state


def learn_from(demonstrations: Demonstrations, model: Learner, steps: int, learning_rate: float) -> list[float]:
    """Lets an actor learn from demonstrations alone, with a learning rate that rises for a quarter and then falls.

    Args:
        demonstrations: Where to take them from.
        model: The algorithm whose actor it is.
        steps: Steps of Adam.
        learning_rate: The largest.

    Returns:
        The mean PSNR of each step's plans [dB].
    """
    weights, told = list(model.policy.actor.parameters()), []
    optimizer = torch.optim.Adam(weights, learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=max(steps, 4))
    model.policy.set_training_mode(True)
    for _ in range(steps):
        loss, _ = demonstrations.loss(model)
        optimizer.zero_grad()
        (loss / demonstrations.batch_size).backward(inputs=weights)
        optimizer.step()
        schedule.step()
        told.append(-loss.item() / demonstrations.batch_size)
    return told

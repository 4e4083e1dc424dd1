"""Trainings that several files look at; none changes them."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agents.training.building import build
from agents.training.diagnostics import Diagnostics
from agents.training.run import Run
from tests.training.small import EXPERTS, HELD_OUT, KEPT, PHOTOS, TINY, StopAfter, run


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Run:
    """A finished run."""
    torch.set_num_threads(1)
    return run(tmp_path_factory.mktemp("runs") / "new" / "whole", KEPT)


@pytest.fixture(scope="session")
def stopped(tmp_path_factory) -> Run:
    """The same run, stopped amid the episodes of its fourth update; its folder is to be copied before it is changed."""
    torch.set_num_threads(1)
    return run(tmp_path_factory.mktemp("runs") / "stopped", KEPT, [StopAfter(13)])


class Seen(BaseCallback):
    """The exposures of all finished episodes, and the discriminator's scores of some images, update by update."""

    def __init__(self, images: np.ndarray):
        super().__init__()
        self.images, self.scores, self.updates, self.evs = images, [], [], []

    def _on_step(self) -> bool:
        finished = self.training_env.unwrapped.finished
        if finished is not None:
            state = finished.state
            self.evs += [evs[:count].tolist() for evs, count in zip(state.evs, state.num_segments, strict=True)]
        return True

    def _on_rollout_end(self) -> None:
        self.updates.append(self.evs)
        self.evs = []
        self.scores.append(float(np.mean(self.training_env.unwrapped.task.reward_model(self.images))))


class Watched(NamedTuple):
    """A run, and what was seen of it."""

    run: Run
    seen: Seen


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Watched:
    """A run with everything there is to log; of its held-out photos, the scores were asked for."""
    torch.set_num_threads(1)
    _, game = build(TINY, PHOTOS, EXPERTS)
    seen = Seen(Diagnostics(game, HELD_OUT).images)
    config = replace(TINY, value="critic", exploration=0.3)
    return Watched(run(tmp_path_factory.mktemp("runs") / "run", config, [seen], held_out=HELD_OUT), seen)

"""Is a training worth continuing? A callback that ends it in time, and says why."""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter

from agents.errors import Diverged
from agents.rewards.adversarial import AdversarialCallback


class Health(BaseCallback):
    """A callback that ends a training that is beyond repair, by raising `Diverged`.

    Args:
        game: The adversarial callback, whose discriminator's weights are checked too; None if there is none.
        saturated: Largest healthy fraction of actions at the limits of the EV.
        patience: Number of updates in a row above `saturated` that end the training.
        largest: Largest healthy magnitude of the experts' mean score, and of the critic's loss.
    """

    def __init__(self, game: AdversarialCallback | None = None, saturated: float = 0.5, patience: int = 10,
                 largest: float = 1e4):
        super().__init__()
        self.game, self.saturated, self.patience, self.largest = game, saturated, patience, largest
        self.row, self.streak = LastRow(), 0

    @property
    def healthy(self) -> bool:
        """Whether the last update gave no reason to worry."""
        return self.streak == 0

    def _on_training_start(self) -> None:
        self.logger.output_formats.append(self.row)

    def _on_rollout_start(self) -> None:
        self._check()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._check()

    def _check(self) -> None:
        row, self.row.values = self.row.values, {}
        for name, value in row.items():
            if name.startswith(("train/", "discriminator/", "rollout/")) and not np.isfinite(value):
                raise Diverged(f"{name} is {value}: lower the learning rates")
        networks = {"agent": self.model.policy} | ({} if self.game is None else {
            "discriminator": self.game.trainer.network})
        for name, network in networks.items():
            if not all(torch.isfinite(weights).all() for weights in network.parameters()):
                raise Diverged(f"weights of the {name} are not finite: lower the learning rates")
        for name, advice in {"discriminator/real": "lower discriminator_learning_rate, or raise drift",
                             "train/critic_loss": "lower critic_learning_rate"}.items():
            if abs(row.get(name, 0)) > self.largest:
                raise Diverged(f"{name} is {row[name]:.3g}, beyond {self.largest:g}: {advice}")
        if row:
            self.streak = self.streak + 1 if row.get("train/saturated", 0) > self.saturated else 0
        if self.streak >= self.patience:
            raise Diverged(f"more than {self.saturated:.0%} of the actions are at the limits of the EV, for "
                           f"{self.streak} updates: lower learning_rate, or raise ev_penalty")

    def state_dict(self) -> dict[str, Any]:
        """The number of updates for which the actions have been at their limits."""
        return {"streak": self.streak}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where another callback left off.

        Args:
            state: The result of its `state_dict`.
        """
        self.streak = state["streak"]


class LastRow(KVWriter):
    """A log writer that keeps only the last row."""

    def __init__(self):
        self.values: dict[str, Any] = {}

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        """Keeps the row; arguments as in SB3."""
        self.values = dict(key_values)

    def close(self) -> None:
        """Does nothing: there is nothing to close."""

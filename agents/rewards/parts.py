"""What rewards are made of, in the log: the mean of each part over the episodes of a rollout, as `reward/<name>`."""

from collections.abc import Mapping, Sequence

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.arrays import on_host
from exposure_env.image import Array


def log_parts(logger: Logger, parts: Sequence[Mapping[str, Array]]) -> None:
    """Records the mean of each part of the scores of finished episodes; nothing for a reward without parts.

    Args:
        logger: Where to record.
        parts: `Outcome.parts` of each batch of episodes.
    """
    for name in parts[0] if parts else ():
        values = np.concatenate([on_host(each[name]) for each in parts])
        logger.record(f"reward/{name}", float(values.mean()))


class RewardParts(BaseCallback):
    """A callback that does so for any algorithm on an `ExposureVecEnv`; DeepExposure needs none."""

    def __init__(self):
        super().__init__()
        self.parts: list[Mapping[str, Array]] = []

    def _on_step(self) -> bool:
        finished = self.training_env.unwrapped.finished
        if finished is not None:
            self.parts.append(finished.parts)
        return True

    def _on_rollout_end(self) -> None:
        log_parts(self.logger, self.parts)
        self.parts.clear()

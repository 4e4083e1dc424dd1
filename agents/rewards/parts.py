"""What rewards are made of, in the log: the mean of each part over the episodes of a rollout, as `reward/<name>`."""

from collections.abc import Sequence

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.arrays import on_host
from exposure_env.task import Outcome


def log_parts(logger: Logger, outcomes: Sequence[Outcome]) -> None:
    """Records the mean of each part of the scores of finished episodes; nothing for a reward without parts."""
    for name in outcomes[0].parts if outcomes else ():
        values = np.concatenate([on_host(each.parts[name]) for each in outcomes])
        logger.record(f"reward/{name}", float(values.mean()))


class RewardParts(BaseCallback):
    """A callback that does so for any algorithm on an `ExposureVecEnv`; DeepExposure needs none."""

    def __init__(self):
        super().__init__()
        self.outcomes: list[Outcome] = []

    def _on_step(self) -> bool:
        finished = self.training_env.unwrapped.finished
        if finished is not None:
            self.outcomes.append(finished)
        return True

    def _on_rollout_end(self) -> None:
        log_parts(self.logger, self.outcomes)
        self.outcomes.clear()

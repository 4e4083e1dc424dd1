"""What gradients and targets read of the algorithm."""

from typing import Protocol

from agents.method import Method
from agents.policy import ExposurePolicy
from exposure_env.observations import ObsType
from exposure_env.task import ExposureTask


class Learner(Protocol):
    """An algorithm, seen from `gradients` and `targets`."""

    method: Method
    policy: ExposurePolicy
    task: ExposureTask
    obs_type: ObsType
    ev_centre: float  # what `ev_penalty` pulls to [stops]

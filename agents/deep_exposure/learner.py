"""The interface of the algorithm that gradients and targets rely on."""

from typing import Protocol

from torch.nn import Module

from agents.method import Method
from agents.policy import ExposurePolicy
from exposure_env.observations import ObsType
from exposure_env.task import ExposureTask


class Learner(Protocol):
    """An algorithm as `gradients` and `targets` see it."""

    method: Method
    policy: ExposurePolicy
    task: ExposureTask
    obs_type: ObsType
    ev_centre: float  # EV that `ev_penalty` pulls towards [stops]
    reference: Module | None  # actor that `reference_penalty` keeps the policy near

"""The settings of the decision process, and their presets."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np

from exposure_env.episode import CHANNELS, Planes
from exposure_env.image import MAX_EV, Array, Space
from exposure_env.photos import Photo


@dataclass(frozen=True)
class TaskConfig:
    """Settings of the decision process. The defaults are recommended; the paper's choices are in `TASK_PRESETS`."""

    size: int = 64  # side of the thumbnail that the agent sees [px]
    thumbnail: Literal["squeeze", "letterbox"] = "squeeze"  # how a photo becomes square; the paper squeezes
    max_segments: int = 8  # segments are merged down to this number; 1 makes the whole photo one segment
    order: Literal["area", "luminance", "label", "random"] = "area"  # which segment comes first
    max_ev: float = 3.0  # exposure of action 1; -1 gives the opposite [stops]
    space: Space = "linear"  # "linear": an EV is a photographic stop; "encoded": the paper's literal product
    fusion: str | Callable[..., Array] = "mask_pyramid"  # how the finished plan is rendered
    reward_image: Literal["fused", "local", "both"] = "fused"  # which image is scored; "both" averages the two scores
    relative: bool = True  # reward is the gain over the untouched photo; False: the score itself (eq. 3)
    planes: Planes = "full"  # what the agent sees: the paper's nine planes, or twelve
    labels_folder: str | None = None  # where labels are kept for the next run; None keeps them in memory only
    transform: Callable[[Photo, np.random.Generator], Photo] | None = None  # applied afresh in every episode
    shaping: Any = None  # reward model whose score of the image so far is a shaping potential
    gamma: float = 0.99  # discount factor of the shaping


TASK_PRESETS = {
    "recommended": TaskConfig(),
    "paper": TaskConfig(
        relative=False, fusion="mertens", reward_image="local", space="encoded", planes="paper", max_ev=3.5
    ),
}


def checked(config: TaskConfig) -> TaskConfig:
    """The settings, unchanged.

    Raises:
        ValueError: If one of them makes no sense; the message names it.
    """
    choices = {"thumbnail": ("squeeze", "letterbox"), "reward_image": ("fused", "local", "both"),
               "space": ("linear", "encoded"), "planes": tuple(CHANNELS),
               "order": ("area", "luminance", "label", "random")}
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, not {getattr(config, name)!r}")
    for name, (least, most) in {"size": (4, 1024), "max_segments": (1, 4096)}.items():
        value = getattr(config, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{name} must be an integer of at least {least} and at most {most}, not {value!r:.200}")
    for name in ("max_ev", "gamma"):
        if not isinstance(getattr(config, name), Real):
            raise ValueError(f"{name} must be a number, not {getattr(config, name)!r}")
    if not (config.transform is None or callable(config.transform)):
        raise ValueError(f"transform must be a function of a photo and a generator, not {config.transform!r}")
    if not 0 < config.max_ev <= MAX_EV:  # NaN fails, too
        raise ValueError(f"max_ev must be a positive number of stops, at most {MAX_EV:g}, not {config.max_ev!r:.200}")
    if not 0 <= config.gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], not {config.gamma!r}")
    return config

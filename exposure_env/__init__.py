"""Gymnasium environments in which an agent retouches photographs, segment by segment.

Importing it registers `Exposure/Local-v0` (a step per segment), `Exposure/Global-v0` (one step for the whole photo) and
`Exposure/WhiteBox-v0` (a filter per step, on the whole photo).
"""

import gymnasium as _gym

from exposure_env.env import ExposureEnv
from exposure_env.episode import EpisodeState
from exposure_env.photos import (
    FolderPhotos,
    Misexpose,
    PairedPhotos,
    Photo,
    misexpose,
    misexposed,
    sample_photos,
    sample_scenes,
)
from exposure_env.retouch import RetouchPlan, apply_plan, exposure_fusion
from exposure_env.rewards import RewardModel
from exposure_env.segmentation import segment_many
from exposure_env.settings import TaskConfig
from exposure_env.task import ExposureTask
from exposure_env.vector import ExposureVectorEnv
from exposure_env.white_box import WhiteBoxEnv

__version__ = "0.1.0"
__all__ = [
    "EpisodeState", "ExposureEnv", "ExposureTask", "ExposureVectorEnv", "FolderPhotos", "Misexpose", "PairedPhotos",
    "Photo", "RetouchPlan", "RewardModel", "TaskConfig", "WhiteBoxEnv", "apply_plan", "exposure_fusion", "misexpose",
    "misexposed", "sample_photos", "sample_scenes", "segment_many",
]  # fmt: skip

for _id, _kwargs in {"Exposure/Local-v0": {}, "Exposure/Global-v0": {"max_segments": 1}}.items():
    if _id not in _gym.registry:
        _gym.register(_id, "exposure_env.env:ExposureEnv", kwargs=_kwargs,
                      vector_entry_point="exposure_env.vector:ExposureVectorEnv")  # fmt: skip
if "Exposure/WhiteBox-v0" not in _gym.registry:
    _gym.register("Exposure/WhiteBox-v0", "exposure_env.white_box:WhiteBoxEnv")

"""Stable-Baselines3's own algorithms as rows of the benchmark, against the discriminator that DeepExposure plays.

They look at photos through the convolutions of DeepExposure's network on planes, and have no warm start. Their settings
are in sb3.yml; `benchmarks/tuning.py` searches for better ones.
"""

from importlib import import_module
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from agents.baselines.off_policy import PlaneFeatures
from agents.benchmark.sb3_settings import missing, package_of
from agents.benchmark.splits import Split
from agents.exploration import exploration
from agents.training.against import build_against
from agents.training.configuration import TrainConfig

OURS = ("n_timesteps", "n_envs", "policy_kwargs", "noise_type", "noise_std")  # all else goes to the algorithm as it is
NOISES = {"normal": "gaussian", "ornstein-uhlenbeck": "ou"}  # of rl-baselines3-zoo, by our names


def build_sb3(name: str, block: dict[str, Any], config: TrainConfig, split: Split
              ) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """The untrained model of an algorithm, and the callbacks that it learns with.

    Args:
        name: The algorithm's, such as PPO.
        block: Its settings, see sb3.yml.
        config: The task and the discriminator's game.
        split: The photos to learn to retouch, and experts' photos.

    Raises:
        ValueError: If it is one of sb3-contrib's, which isn't installed, or a kind of noise is unknown.
    """
    settings = {key: value for key, value in block.items() if key not in OURS}
    if (kind := block.get("noise_type")) is not None:
        if kind not in NOISES:
            raise ValueError(f"noise_type must be one of {', '.join(NOISES)}, not {kind!r}")
        settings["action_noise"] = exploration(NOISES[kind], block.get("noise_std"))
    seen = {"features_extractor_class": PlaneFeatures,
            "features_extractor_kwargs": {"width": config.width, "halvings": config.halvings}}
    return build_against(algorithm(name), split.inputs, split.experts, config,
                         policy_kwargs=seen | block.get("policy_kwargs", {}), **settings)


def algorithm(name: str) -> type[BaseAlgorithm]:
    """The class of an algorithm.

    Raises:
        ValueError: If it is one of sb3-contrib's, which isn't installed.
    """
    try:
        return getattr(import_module(package_of(name)), name)
    except ImportError as error:
        raise ValueError(missing(name)) from error

"""Any algorithm of Stable-Baselines3 against a reward that learns."""

from collections.abc import Sequence
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agents.baselines.replay import RelabelReplayBuffer
from agents.deep_exposure import DeepExposure
from agents.rewards.parts import RewardParts
from agents.training.building import build
from agents.training.configuration import PRESETS, TrainConfig
from exposure_env.photos import Photo

BUFFER = 10_000  # transitions kept by default: 98 kB each


def train_against(algorithm: type[BaseAlgorithm], photos: Sequence[Photo], experts: Sequence[Photo],
                  total_timesteps: int, *, config: TrainConfig = PRESETS["quick"], policy: str = "CnnPolicy",
                  relabel: bool = True, callbacks: Sequence[BaseCallback] = (), **settings: Any) -> BaseAlgorithm:
    """Trains an algorithm of Stable-Baselines3 or sb3-contrib against a discriminator that learns with it.

    The game is DeepExposure's: the discriminator learns after each rollout, from the agent's results and experts'
    photos. Algorithms with a replay buffer get rewards scored anew, by the discriminator as it is when they are
    sampled. Infos tell, as "reward_version", which one has scored an episode.

    Args:
        algorithm: A class such as `stable_baselines3.PPO`, A2C, SAC, TD3, DDPG or `sb3_contrib.TQC`.
        photos: Photos to learn to retouch; their targets play no part.
        experts: Good photos, unpaired.
        total_timesteps: Exposures to try.
        config: See `build_against`.
        policy: The name of the algorithm's policy.
        relabel: Whether replayed rewards are scored anew; without it, a warning says that they grow stale.
        callbacks: Further callbacks.
        **settings: Arguments of the algorithm; `buffer_size` is 10,000 unless given, as each transition takes 98 kB.
            Also `reward_scale`, see `build_against`.

    Returns:
        The trained model; the game is its first callback, and `model.env` the environment.

    Raises:
        ValueError: If it is DeepExposure, which `agents.train` trains, or `build` raises it.
    """
    model, own = build_against(algorithm, photos, experts, config, policy, relabel, **settings)
    model.learn(total_timesteps, [*own, *callbacks])
    return model


def build_against(algorithm: type[BaseAlgorithm], photos: Sequence[Photo], experts: Sequence[Photo],
                  config: TrainConfig = PRESETS["quick"], policy: str = "CnnPolicy", relabel: bool = True,
                  reward_scale: float = 1.0, **settings: Any) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """The untrained model, and the callbacks that it learns with; see `train_against`.

    Args:
        algorithm: See `train_against`.
        photos: Likewise.
        experts: Likewise.
        config: The task, the photos' versions, the discriminator and its game; settings of DeepExposure itself play no
            part, nor does its warm start.
        policy: The name of the algorithm's policy.
        relabel: See `train_against`.
        reward_scale: What rewards are multiplied by. The discriminator's are tens, and SB3's algorithms expect ones.
        **settings: See `train_against`.

    Raises:
        ValueError: If it is DeepExposure, which `agents.train` trains, or `build` raises it.
    """
    if issubclass(algorithm, DeepExposure):
        raise ValueError("DeepExposure has a function of its own: agents.train")
    photos = [Photo(photo.name, photo.image) for photo in photos]
    deep_exposure, game = build(config, photos, experts, reward_scale)
    env = deep_exposure.exposure_env
    settings = {"seed": config.seed, "device": deep_exposure.device} | settings
    if "policy_kwargs" in settings:
        settings["policy_kwargs"] = dict(settings["policy_kwargs"])  # SB3's SAC writes into it
    if issubclass(algorithm, OffPolicyAlgorithm):
        settings = {"buffer_size": BUFFER} | settings
        if relabel:
            settings |= {"replay_buffer_class": RelabelReplayBuffer,
                         "replay_buffer_kwargs": {"relative": env.task.config.relative,
                                                  "reward_model": env.task.reward_model}}
    return algorithm(policy, env, **settings), [*([] if game is None else [game]), RewardParts()]

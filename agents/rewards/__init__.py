"""Rewards that learn: discriminators, their training and game, models of preferences; and how any reward is checked."""

from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.checking import InvalidReward, RewardFault, RewardReport, check_reward_model
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.modules import TorchReward
from agents.rewards.saved import FrozenReward, load_ensemble, load_reward, save_reward
from agents.rewards.trainer import DiscriminatorTrainer

__all__ = [
    "AdversarialCallback", "DiscriminatorReward", "DiscriminatorTrainer", "ExpertPhotos", "FrozenReward",
    "InvalidReward", "RewardFault", "RewardReport", "TorchReward", "check_reward_model", "load_ensemble", "load_reward",
    "save_reward",
]  # fmt: skip

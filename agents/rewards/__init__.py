"""The reward that learns: a discriminator, its trainer, and a callback that trains it along with any agent."""

from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer

__all__ = ["AdversarialCallback", "DiscriminatorReward", "DiscriminatorTrainer", "ExpertPhotos"]

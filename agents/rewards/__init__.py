"""The reward that learns: a discriminator, how it is trained, and the callback that does so around any agent."""

from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer

__all__ = ["AdversarialCallback", "DiscriminatorReward", "DiscriminatorTrainer", "ExpertPhotos"]

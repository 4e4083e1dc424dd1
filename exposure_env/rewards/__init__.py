"""What is a good retouch? Reward models: anything that scores a batch of images.

A reward model is called with images (N, H, W, 3) in [0, 1], NumPy or Torch, and the context `inputs` (the untouched
photos) and `targets` (experts' versions, or None), and returns N scores, higher is better. A plain function will do.
"""

from exposure_env.rewards.combined import Anchored, WeightedReward
from exposure_env.rewards.compared import ciede2000, negative_mse, psnr, ssim
from exposure_env.rewards.model import (
    BatchFunction,
    RewardModel,
    Scored,
    as_reward_model,
    is_differentiable,
    name_of,
    score,
    scored,
)
from exposure_env.rewards.plain import MeanLuminance, colourfulness, entropy, unclipped, well_exposedness
from exposure_env.rewards.process import ProcessReward
from exposure_env.rewards.references import SlicedWasserstein
from exposure_env.rewards.resolving import REWARDS, resolve_reward, reward_names

__all__ = [
    "REWARDS", "Anchored", "BatchFunction", "MeanLuminance", "ProcessReward", "RewardModel", "Scored",
    "SlicedWasserstein", "WeightedReward", "as_reward_model", "ciede2000", "colourfulness", "entropy",
    "is_differentiable", "name_of", "negative_mse", "psnr", "resolve_reward", "reward_names", "score", "scored",
    "ssim", "unclipped", "well_exposedness",
]  # fmt: skip

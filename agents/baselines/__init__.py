"""The baselines of DeepExposure: policies that learn nothing, and Stable-Baselines3's own agents."""

from agents.baselines.untrained import AutoExposure, ConstantEV, FixedBracket, Identity, Oracle

__all__ = ["AutoExposure", "ConstantEV", "FixedBracket", "Identity", "Oracle"]

"""Baselines of DeepExposure: policies that learn nothing, supervised yardsticks, and Stable-Baselines3's own agents."""

from agents.baselines.ev_maps import GreyRule
from agents.baselines.untrained import AutoExposure, ConstantEV, FixedBracket, Identity, Oracle

__all__ = ["AutoExposure", "ConstantEV", "FixedBracket", "GreyRule", "Identity", "Oracle"]

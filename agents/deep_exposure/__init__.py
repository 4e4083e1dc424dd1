"""DeepExposure I and II (Yu et al., NeurIPS 2018), as a Stable-Baselines3 algorithm."""

from agents.deep_exposure.algorithm import DeepExposure
from agents.method import Method

__all__ = ["DeepExposure", "Method"]

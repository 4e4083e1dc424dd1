"""Exploration noise, added to the actions while episodes are collected (section 5.1)."""

import numpy as np
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise, OrnsteinUhlenbeckActionNoise


def exploration(noise: str | ActionNoise | None, sigma: float | None = None) -> ActionNoise | None:
    """The noise with the given name; SB3's own noise objects and None are passed through.

    Args:
        noise: "ou", Ornstein-Uhlenbeck with theta 0.015 and dt 1 as in the paper (SB3's dt of 0.01 would shrink it);
            "gaussian", independent at every step; an `ActionNoise` of SB3; or None.
        sigma: Sigma of the noise, in actions; by default the paper's 0.03 for "ou" and 0.1 for "gaussian".

    Raises:
        ValueError: If the noise is unknown, or sigma is negative or given for any other noise.
    """
    if sigma is not None and (noise not in ("ou", "gaussian") or sigma < 0):
        raise ValueError(f'sigma must be at least 0 and is of the noises "ou" and "gaussian", not {sigma} of {noise!r}')
    if noise == "ou":
        return OrnsteinUhlenbeckActionNoise(np.zeros(1), np.full(1, 0.03 if sigma is None else sigma), 0.015, 1.0)
    if noise == "gaussian":
        return NormalActionNoise(np.zeros(1), np.full(1, 0.1 if sigma is None else sigma))
    if noise is not None and not isinstance(noise, ActionNoise):
        raise ValueError(f'noise must be "ou", "gaussian", an ActionNoise of SB3 or None, not {noise!r}')
    return noise

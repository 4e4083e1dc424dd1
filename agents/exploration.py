"""Noise on the actions while they are collected (section 5.1)."""

import numpy as np
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise, OrnsteinUhlenbeckActionNoise


def exploration(noise: str | ActionNoise | None, sigma: float | None = None) -> ActionNoise | None:
    """The noise of that name, or what was given.

    Args:
        noise: "ou", Ornstein-Uhlenbeck with theta 0.015 and dt 1 as in the paper (SB3's dt of 0.01 would shrink it);
            "gaussian", independent; SB3's own; or None.
        sigma: Of "ou", by default the paper's 0.03, or of "gaussian", by default 0.1; in actions.

    Raises:
        ValueError: If there is no such noise, or sigma is negative or of another one.
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

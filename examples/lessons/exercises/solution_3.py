"""Solutions of lesson 3's exercises; `exercise_3.py` says what is asked."""

import numpy as np
from exercise_3 import check


def shaped_rewards(rewards: np.ndarray, potentials: np.ndarray, gamma: float) -> np.ndarray:
    """The potential of the end is replaced by 0."""
    after = potentials[:, 1:].copy()
    after[:, -1] = 0
    return rewards + gamma * after - potentials[:, :-1]


def lambda_returns(rewards: np.ndarray, values: np.ndarray, gamma: float, lam: float) -> np.ndarray:
    """Backwards from the end, where both the next value and the next return are 0."""
    returns = np.zeros_like(rewards)
    next_value = next_return = np.zeros(len(rewards))
    for t in reversed(range(rewards.shape[1])):
        next_return = rewards[:, t] + gamma * ((1 - lam) * next_value + lam * next_return)
        returns[:, t], next_value = next_return, values[:, t]
    return returns


if __name__ == "__main__":
    check(shaped_rewards, lambda_returns)
    print("All checks pass.")

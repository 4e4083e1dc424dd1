"""What a policy is refused."""

import gymnasium as gym
import numpy as np
import pytest

from agents.policy import ExposurePolicy


def test_other_observations_are_an_error():
    cartpole = gym.make("CartPole-v1")
    with pytest.raises(ValueError, match="not the observations of an exposure environment"):
        ExposurePolicy(cartpole.observation_space, gym.spaces.Box(-1, 1, (1,)))
    with pytest.raises(ValueError, match="square, not 16x32"):
        ExposurePolicy(gym.spaces.Box(0, 255, (16, 32, 12), np.uint8), gym.spaces.Box(-1, 1, (1,)))

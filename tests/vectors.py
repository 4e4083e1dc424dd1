"""Vector environments: ours beside Gymnasium's, and how to play and compare them."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from exposure_env.photos import sample_photos
from exposure_env.vector import ExposureVectorEnv
from tests.environments import LOCAL

PHOTOS = sample_photos("inputs", 8)
modes = pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name.lower())


def assert_same(ours, theirs, path=""):
    """Equal in structure, types, shapes and values."""
    assert type(ours) is type(theirs), f"{path}: {type(ours)}, {type(theirs)}"
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), path
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(theirs, tuple | list) or (isinstance(theirs, np.ndarray) and theirs.dtype.kind == "O"):
        assert len(ours) == len(theirs), path
        for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(our, their, f"{path}[{i}]")
    elif isinstance(theirs, np.ndarray):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), path
        np.testing.assert_array_equal(ours, theirs, err_msg=path)
    else:
        assert ours == theirs, path


def pair(mode, num_envs=4, id=LOCAL, **kwargs):
    """Our vector environment, and Gymnasium's of as many single environments."""
    kwargs = {"photos": PHOTOS, **kwargs}
    ours = gym.make_vec(id, num_envs=num_envs, autoreset_mode=mode, **kwargs)
    how = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
    theirs = gym.make_vec(id, num_envs=num_envs, **how, **kwargs)
    assert isinstance(ours.unwrapped, ExposureVectorEnv) and isinstance(theirs, SyncVectorEnv)
    return ours, theirs


def rollout(envs, steps, seed=11):
    """Resets and steps with random actions; what every call returns. Where the caller must reset, it does."""
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, envs.num_envs, 1)).astype(np.float32)
    yield envs.reset(seed=seed)
    for action in actions:
        out = envs.step(action)
        yield out
        if envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED and out[2].any():
            yield envs.reset(options={"reset_mask": out[2]})

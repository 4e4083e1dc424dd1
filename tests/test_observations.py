import gymnasium as gym
import numpy as np
import pytest

from exposure_env.env import ExposureEnv
from tests.environments import PHOTOS, play


@pytest.mark.parametrize("planes, channels", [("paper", 9), ("full", 12)])
def test_spaces(planes, channels):
    def space(obs_type):
        return ExposureEnv(PHOTOS, planes=planes, obs_type=obs_type, size=48).observation_space

    assert space("uint8") == gym.spaces.Box(0, 255, (48, 48, channels), np.uint8)
    assert space("float32") == gym.spaces.Box(0, 1, (48, 48, channels), np.float32)
    names = {"photo": 3, "segment": 3, "local": 3} | ({"mask": 1, "exposed": 1} if channels == 12 else {})
    parts = {name: gym.spaces.Box(0, 255, (48, 48, depth), np.uint8) for name, depth in names.items()}
    progress = {"progress": gym.spaces.Box(0, 1, (1,), np.float32)} if channels == 12 else {}
    assert space("dict") == gym.spaces.Dict({**parts, **progress})
    assert ExposureEnv(PHOTOS, planes=planes).action_space == gym.spaces.Box(-1, 1, (1,), np.float32)


@pytest.mark.parametrize("planes", ["paper", "full"])
def test_observations_of_all_types_show_the_same(planes):
    envs = {kind: ExposureEnv(PHOTOS, obs_type=kind, planes=planes) for kind in ("uint8", "float32", "dict")}
    played = {kind: [out[0] for out in play(env, 0.5, -0.5, seed=1)] for kind, env in envs.items()}
    for as_uint8, as_float32, as_dict in zip(*played.values(), strict=True):
        np.testing.assert_allclose(as_uint8, as_float32 * 255, atol=0.5 + 1e-4)
        parts = ("photo", "segment", "local", "mask", "exposed")[: len(as_dict)]
        if planes == "full":
            assert as_dict["progress"] == as_float32[0, 0, 11]
            as_uint8 = as_uint8[..., :11]
        else:
            parts = parts[:3]
        np.testing.assert_array_equal(np.concatenate([as_dict[name] for name in parts], -1), as_uint8)

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from exposure_env.photos import Photo
from exposure_env.vector import ExposureVectorEnv
from tests.environments import halves
from tests.vectors import PHOTOS, assert_same, pair


class TestBadInput:
    @pytest.mark.parametrize("actions, message", [
        (np.zeros((2,)), r"\(2,\)"), (np.zeros((3, 1)), r"\(3, 1\)"), (np.array([[0.0], [np.nan]]), "nan"),
        (np.array([[0.0], [np.inf]]), "inf"),
    ])  # fmt: skip
    def test_actions(self, actions, message):
        envs, twin = ExposureVectorEnv(2, PHOTOS), ExposureVectorEnv(2, PHOTOS)
        envs.reset(seed=0)
        twin.reset(seed=0)
        with pytest.raises(ValueError, match=message):
            envs.step(actions)
        assert_same(envs.step(np.zeros((2, 1))), twin.step(np.zeros((2, 1))))

    def test_step_before_reset(self):
        with pytest.raises(ValueError, match="reset"):
            ExposureVectorEnv(2, PHOTOS).step(np.zeros((2, 1)))

    def test_a_first_reset_of_some(self):
        with pytest.raises(ValueError, match="first reset"):
            ExposureVectorEnv(2, PHOTOS).reset(options={"reset_mask": np.array([True, False])})

    @pytest.mark.parametrize("mask", [[True, False], np.array([1, 0]), np.array([True]), np.array([False, False])])
    def test_masks(self, mask):
        envs = ExposureVectorEnv(2, PHOTOS)
        envs.reset(seed=0)
        with pytest.raises(ValueError, match=r"reset_mask.*\(2,\)"):
            envs.reset(options={"reset_mask": mask})

    @pytest.mark.parametrize("arguments", [{"seed": [1, 2, 3]}, {"options": {"photo": [0]}}])
    def test_numbers_of_seeds_and_photos(self, arguments):
        with pytest.raises(ValueError, match="[13] entries in .* for 2 environments"):
            ExposureVectorEnv(2, PHOTOS).reset(**arguments)

    @pytest.mark.parametrize(
        "settings, message",
        [({"num_envs": 0}, "0"), ({"num_envs": 2.0}, r"2\.0"), ({"photos": []}, "photos is empty"),
         ({"obs_type": "float64"}, "'float64'"), ({"render_mode": "ansi"}, "'ansi'"),
         ({"preset": "nature"}, "'nature'"), ({"autoreset_mode": "Sometimes"}, "Sometimes")],
    )  # fmt: skip
    def test_settings(self, settings, message):
        with pytest.raises(ValueError, match=message):
            ExposureVectorEnv(**{"num_envs": 2, "photos": PHOTOS, **settings})

    def test_a_photo_that_is_none(self):
        bad = [Photo("bad", np.full((4, 4, 3), np.nan))]
        with pytest.raises(ValueError, match="bad.*nan"):
            ExposureVectorEnv(2, bad).reset(seed=0)

    @pytest.mark.parametrize("bad", [lambda images: images.mean(), lambda images: np.full(len(images), np.nan)])
    def test_a_reward_that_returns_nonsense(self, bad):
        envs = ExposureVectorEnv(2, PHOTOS, halves, bad)
        envs.reset(seed=0)
        envs.step(np.zeros((2, 1)))
        with pytest.raises(ValueError, match="reward model"):
            envs.step(np.zeros((2, 1)))

    def test_an_action_that_is_ignored_may_be_anything_of_its_shape(self):
        ours, theirs = pair(AutoresetMode.NEXT_STEP, num_envs=2, segmenter=halves)
        for envs in (ours, theirs):
            envs.reset(seed=0)
            for _ in range(2):
                envs.step(np.zeros((2, 1), np.float32))
        assert_same(ours.step(np.full((2, 1), np.nan, np.float32)), theirs.step(np.full((2, 1), np.nan, np.float32)))

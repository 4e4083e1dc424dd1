"""Bad input is named, and extreme photos are none."""

import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from exposure_env.env import ExposureEnv
from exposure_env.photos import Photo
from tests.environments import EXPERTS, GREY, LOCAL, PHOTOS, brightness, obs_types, play


class TestBadInput:
    @pytest.mark.parametrize(
        "action, message",
        [([np.nan], "nan"), ([np.inf], "inf"), ([-np.inf], "-inf"), (0.5, r"\(\)"), ([0.5, 0.5], r"\(2,\)"),
         ([[0.5]], r"\(1, 1\)"), ([], r"\(0,\)")],
    )  # fmt: skip
    def test_an_action_that_is_not_one_finite_number_is_an_error_and_changes_nothing(self, action, message):
        env, twin = ExposureEnv(PHOTOS), ExposureEnv(PHOTOS)
        env.reset(seed=0)
        twin.reset(seed=0)
        with pytest.raises(ValueError, match=message):
            env.step(action)
        assert data_equivalence(env.step([0.5]), twin.step([0.5]), exact=True)

    def test_actions_beyond_the_box_are_clipped(self):
        env = ExposureEnv(PHOTOS, max_ev=2.0)
        env.reset(seed=0)
        assert env.step(np.array([7.0]))[4]["ev"] == 2.0

    def test_step_before_reset_and_after_the_end_is_an_error(self):
        env = ExposureEnv(PHOTOS)
        with pytest.raises(ValueError, match="reset"):
            env.step([0.0])
        with pytest.raises(ValueError, match="reset"):
            env.result()
        play(env, 0.0, seed=0)
        with pytest.raises(ValueError, match="reset"):
            env.step([0.0])
        assert len(play(env, 0.0)) > 1

    @pytest.mark.parametrize(
        "settings, message",
        [
            ({"photos": []}, "photos is empty"), ({"obs_type": "float64"}, "'float64'"),
            ({"preset": "nature"}, "'nature'"), ({"fusion": "hdr"}, "'hdr'"), ({"order": "size"}, "'size'"),
            ({"render_mode": "ansi"}, "'ansi'"),
            ({"segmenter": "watershed"}, "'watershed'"),
            ({"reward_model": "beauty"}, "'beauty'"), ({"photos": "/no/such/folder"}, "/no/such/folder"),
        ],
    )  # fmt: skip
    def test_a_setting_that_makes_no_sense_is_an_error_that_names_it(self, settings, message):
        with pytest.raises(ValueError, match=message):
            ExposureEnv(**{"photos": PHOTOS, **settings})

    @pytest.mark.parametrize(
        "image, message",
        [(np.zeros((0, 4, 3), np.float32), r"\(0, 4, 3\)"), (np.full((4, 4, 3), np.nan), "nan"),
         (np.zeros((4, 4, 3), np.int16), "int16"), (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
         (np.zeros(4, np.float32), r"\(4,\)"), (np.full((4, 4, 3), 255.0), "255")],
    )  # fmt: skip
    def test_what_is_no_photo_is_an_error_wherever_it_comes_from(self, image, message):
        with pytest.raises(ValueError, match=message):
            ExposureEnv([Photo("bad", image)]).reset(seed=0)
        with pytest.raises(ValueError, match=message):
            ExposureEnv(PHOTOS).reset(options={"photo": image})

    def test_a_data_set_of_something_else_than_photos_is_an_error_that_says_what_is_wanted(self):
        for photos in ([GREY], PHOTOS[0], GREY):
            with pytest.raises(ValueError, match="Photo"):
                ExposureEnv(photos).reset(seed=0)

    @pytest.mark.parametrize(
        "bad, message",
        [(lambda images: images.mean(), r"\(\)"), (lambda images: images, r"\(2, 64, 64, 3\)"),
         (lambda images: np.full(len(images), np.nan), "nan")],
        ids=["scalar", "images", "nan"],
    )  # fmt: skip
    def test_a_reward_that_returns_nonsense_is_an_error(self, bad, message):
        env = ExposureEnv(PHOTOS, reward_model=bad)
        with pytest.raises(ValueError, match=message):
            play(env, 0.0, seed=0)

    def test_a_reward_that_needs_targets_says_so_where_there_are_none(self):
        with pytest.raises(ValueError, match="targets"):
            play(ExposureEnv(EXPERTS), 0.0, seed=0)


@obs_types
@pytest.mark.parametrize("segmenter", ["felzenszwalb", "luminance_bands", "slic"])
@pytest.mark.parametrize(
    "image",
    [np.random.default_rng(0).random((40, 1, 3)), np.random.default_rng(0).random((1, 40, 3)), np.full((1, 1, 3), 0.3),
     np.zeros((9, 7, 3)), np.ones((9, 7, 3)), np.full((9, 7, 3), 0.5), np.zeros((9, 7), np.uint8)],
    ids=["one-px-wide", "one-px-high", "one-px", "black", "white", "constant", "grey-uint8"],
)  # fmt: skip
def test_extreme_photos_play_like_any_other(image, segmenter, obs_type):
    photos = [Photo("extreme", image.astype(np.float32) if image.dtype == float else image)]
    for settings in ({}, {"preset": "paper"}, {"thumbnail": "letterbox", "fusion": "mertens_masked"}):
        settings = {"segmenter": segmenter, "reward_model": brightness, "obs_type": obs_type, **settings}
        env = gym.make(LOCAL, photos=photos, **settings)
        for action in (1.0, -1.0):
            transitions = play(env, action)
            assert all(out[0] in env.observation_space for out in transitions)
            assert math.isfinite(transitions[-1][1])

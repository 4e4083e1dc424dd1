"""`Exposure/WhiteBox-v0`: both checkers, what a step does and earns, infos, pictures, bad input, PPO."""

import pickle
import re
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from exposure_env import Misexpose, Photo, WhiteBoxEnv, sample_photos
from exposure_env.image import expose
from exposure_env.white_box import FILTERS, LAYOUT, PLACES, apply_filters

ID = "exposure_env:Exposure/WhiteBox-v0"
PHOTOS = sample_photos("inputs", 4)
GREY = Photo("grey", np.full((64, 64, 3), 0.25, np.float32), np.full((64, 64, 3), 0.5, np.float32))
kinds = pytest.mark.parametrize("action_type", ["box", "dict"])


def brightness(images):
    return images.mean((1, 2, 3))


def action(name, *values):
    """A flat action that chooses a filter, with numbers in [-1, 1] for its parameters and random ones for others."""
    flat = np.random.default_rng(len(name)).uniform(-0.9, 0.9, 47).astype(np.float32)
    flat[list(FILTERS).index(name)] = 1.0
    flat[8:][PLACES[name]] = values
    return flat


def play(env, **reset):
    """All that reset and the steps of an episode return, under actions from a generator of their own."""
    rng, transitions, done = np.random.default_rng(7), [env.reset(**reset)], False
    while not done:
        transitions.append(env.step(rng.uniform(-1, 1, 47).astype(np.float32)))
        done = transitions[-1][2]
    return transitions


class TestCheckers:
    @kinds
    @pytest.mark.parametrize("obs_type", ["uint8", "float32"])
    def test_gymnasiums_has_nothing_to_complain_about(self, action_type, obs_type):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = gym.make(ID, photos=PHOTOS, action_type=action_type, obs_type=obs_type, render_mode="rgb_array")
            check_env(env.unwrapped)
            env.reset(seed=0)
            for step in range(1, 6):  # the wrappers of `make` check what every step returns
                assert env.step(env.action_space.sample())[2:4] == (step == 5, False)

    def test_sb3s_has_nothing_to_complain_about(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sb3_check_env(gym.make(ID).unwrapped)
            sb3_check_env(gym.make(ID, photos=PHOTOS, render_mode="rgb_array").unwrapped)

    def test_the_spaces_are_as_documented(self):
        env = gym.make(ID, photos=PHOTOS)
        assert env.action_space == gym.spaces.Box(-1, 1, (47,), np.float32)
        assert env.observation_space == gym.spaces.Box(0, 255, (64, 64, 12), np.uint8)
        assert env.spec.max_episode_steps is None


class TestStep:
    def test_the_preferred_filter_is_applied_with_parameters_of_its_own(self):
        env = WhiteBoxEnv([GREY], brightness, obs_type="float32")
        env.reset(seed=0)
        observation, *_, info = env.step(action("exposure", 0.4))  # of 3.5 stops
        brighter = expose(GREY.image, 1.4)
        np.testing.assert_allclose(observation[..., :3], brighter, atol=1e-6)
        np.testing.assert_allclose(env.result(), brighter, atol=1e-6)
        assert info["filter"] == 0 and info["parameters"][0] == pytest.approx(1.4)
        assert not info["parameters"][1:].any()

    def test_both_kinds_of_action_do_the_same(self):
        envs = [WhiteBoxEnv(PHOTOS, action_type=kind) for kind in ("box", "dict")]
        rng, begun = np.random.default_rng(3), [env.reset(seed=5) for env in envs]
        assert data_equivalence(*begun, exact=True)
        for _ in range(5):
            flat = rng.uniform(-1, 1, 47).astype(np.float32)
            parts = {"filter": np.argmax(flat[:8]), "parameters": flat[8:]}
            assert data_equivalence(envs[0].step(flat), envs[1].step(parts), exact=True)

    def test_planes_tell_the_steps_left_and_the_filters_used(self):
        env = WhiteBoxEnv(PHOTOS, max_steps=4)
        observation, _ = env.reset(seed=0)
        assert (observation[..., LAYOUT["steps_left"]] == 255).all() and not observation[..., LAYOUT["used"]].any()
        for name in ("contrast", "gamma", "contrast", "colour_curve"):
            observation = env.step(action(name, *np.zeros(FILTERS[name].num_parameters)))[0]
        assert not observation[..., LAYOUT["steps_left"]].any()
        assert observation[0, 0, LAYOUT["used"]].tolist() == [0, 255, 0, 0, 0, 255, 0, 255]
        assert (observation[..., LAYOUT["used"]] == observation[0, 0, LAYOUT["used"]]).all()

    def test_the_image_stays_in_range_and_infos_replay_it(self):
        env = WhiteBoxEnv(PHOTOS, brightness)
        transitions = play(env, seed=2)
        image = env.scene.image
        for *_, info in transitions[1:]:
            image = apply_filters(image[None], np.array([info["filter"]]), info["parameters"][None])[0].clip(0, 1)
        np.testing.assert_array_equal(env.result(), image)

    def test_numbers_beyond_the_range_are_clipped(self):
        env = WhiteBoxEnv([GREY], brightness)
        infos = []
        for value in (1.0, 7.5):
            env.reset(seed=0)
            infos.append(env.step(action("gamma", value))[4])
        assert data_equivalence(*infos, exact=True) and infos[0]["parameters"][1] == pytest.approx(np.log2(3))

    def test_black_and_white_starts_at_the_least_number(self):
        """The parameter's range is from 0 to 1, so -1 leaves the photo as it is."""
        env = WhiteBoxEnv(PHOTOS)
        env.reset(seed=0)
        assert env.step(action("black_and_white", -1.0))[1] == 0


class TestReward:
    def test_rewards_add_up_to_what_the_result_gains(self):
        env = WhiteBoxEnv(PHOTOS)
        transitions = play(env, seed=1)
        last = transitions[-1][4]
        assert sum(step[1] for step in transitions[1:]) == pytest.approx(last["score"] - last["input_score"], abs=1e-4)
        assert transitions[0][1]["score"] == transitions[0][1]["input_score"]

    def test_a_better_image_is_rewarded_at_once(self):
        env = WhiteBoxEnv([GREY])
        env.reset(seed=0)
        assert env.step(action("exposure", 0.5))[1] > 0 > env.step(action("exposure", -0.5))[1]

    def test_using_a_filter_again_costs_the_penalty(self):
        rewards = {}
        for penalty in (0.0, 0.25):
            env = WhiteBoxEnv([GREY], brightness, reuse_penalty=penalty)
            env.reset(seed=0)
            names = ("exposure", "gamma", "exposure", "gamma", "contrast")
            rewards[penalty] = np.array([env.step(action(name, 0.1))[1] for name in names])
        np.testing.assert_allclose(rewards[0.0] - rewards[0.25], [0, 0, 0.25, 0.25, 0])

    def test_a_model_that_changes_during_an_episode_is_asked_for_both_scores(self):
        """Its scores rise by 1 with every call; the reward of doing nothing is still 0."""
        calls = []

        def drifting(images):
            calls.append(len(images))
            return images.mean((1, 2, 3)) + len(calls)

        env = WhiteBoxEnv([GREY], drifting)
        env.reset(seed=0)
        _, reward, _, _, info = env.step(action("gamma", 0.0))
        assert reward == 0 and info["score"] == info["input_score"] == 2.25 and calls == [1, 3]


class TestPhotos:
    def test_a_given_photo_is_taken(self):
        env = WhiteBoxEnv(PHOTOS, brightness)
        assert env.reset(options={"photo": 2})[1]["photo_index"] == 2
        observation, info = env.reset(options={"photo": np.full((80, 120, 3), 60, np.uint8)})
        assert info["photo_index"] == -1 and (observation[..., :3] == 60).all()

    def test_the_seed_decides_photos_and_transforms(self):
        settings = {"photos": [Photo(photo.name, photo.image) for photo in PHOTOS], "transform": Misexpose()}
        env, twin = (WhiteBoxEnv(**settings) for _ in range(2))
        assert data_equivalence(play(env, seed=4), play(twin, seed=4), exact=True)
        assert data_equivalence(play(env), play(twin), exact=True)
        assert not data_equivalence(env.reset(seed=5), twin.reset(seed=6), exact=True)

    def test_the_spec_rebuilds_the_environment(self):
        env = gym.make(ID, photos=PHOTOS, max_steps=3, reuse_penalty=0.5)
        assert data_equivalence(play(env, seed=3), play(gym.make(env.spec), seed=3), exact=True)

    def test_a_pickled_environment_goes_on_where_it_was(self):
        env = gym.make(ID, photos=PHOTOS)
        env.reset(seed=3)
        env.step(action("gamma", 0.3))
        twin = pickle.loads(pickle.dumps(env))
        assert data_equivalence(env.step(action("contrast", 0.5)), twin.step(action("contrast", 0.5)), exact=True)


def test_infos_are_as_the_docstring_says():
    told = dict(re.findall(r'^    - "(\w+)" \((.+?)\):', WhiteBoxEnv.__doc__, re.MULTILINE))
    assert told.pop("photo") == "int, `Photo` or image array"  # the option of `reset`
    kinds = {"int": int, "float": float, "(39,) float32 array": np.ndarray}
    for transition in play(WhiteBoxEnv(PHOTOS), seed=0):
        assert {name: type(value) for name, value in transition[-1].items()} == {
            name: kinds[kind] for name, kind in told.items()}
        assert (transition[-1]["parameters"].shape, transition[-1]["parameters"].dtype) == ((39,), np.float32)


def test_what_is_returned_is_the_callers_own():
    env, twin = (WhiteBoxEnv(PHOTOS) for _ in range(2))
    observation, info = env.reset(seed=0)
    twin.reset(seed=0)
    observation[:], info["parameters"][:] = 0, 9.0
    env.result()[:] = 0
    assert data_equivalence(env.step(action("gamma", 0.2)), twin.step(action("gamma", 0.2)), exact=True)


class TestPictures:
    def test_they_have_one_even_size_and_change_with_every_step(self):
        env = gym.make(ID, photos=PHOTOS, render_mode="rgb_array")
        env.reset(seed=0)
        pictures = [env.render()]
        for name in ("exposure", "gamma", "saturation", "contrast", "black_and_white"):
            env.step(action(name, 0.5))
            pictures.append(env.render())
        assert {(picture.shape, picture.dtype.name) for picture in pictures} == {(pictures[0].shape, "uint8")}
        assert not any(side % 2 for side in pictures[0].shape[:2])  # or common players won't show the video
        assert all((a != b).any() for a, b in zip(pictures, pictures[1:], strict=False))

    def test_the_filter_is_named(self):
        """Two filters that change nothing give pictures that differ in the caption alone."""
        env = WhiteBoxEnv(PHOTOS, render_mode="rgb_array")
        pictures = []
        for name in ("gamma", "contrast"):
            env.reset(options={"photo": 0})
            env.step(action(name, 0.0))
            pictures.append(env.render())
        rows, columns = (pictures[0] != pictures[1]).any(-1).nonzero()
        assert rows.min() > pictures[0].shape[0] * 0.85 and columns.min() > pictures[0].shape[1] * 0.6

    def test_without_a_render_mode_there_is_none(self):
        env = WhiteBoxEnv(PHOTOS)
        env.reset(seed=0)
        assert env.render() is None


class TestBadInput:
    @pytest.mark.parametrize("settings, message", [
        ({"max_steps": 0}, "max_steps must be an integer from 1 to 255, not 0"),
        ({"max_steps": 2.5}, "max_steps must be an integer from 1 to 255, not 2.5"),
        ({"action_type": "flat"}, "action_type must be one of .'box', 'dict'., not 'flat'"),
        ({"obs_type": "dict"}, "obs_type must be one of .'uint8', 'float32'., not 'dict'"),
        ({"reuse_penalty": -1.0}, "reuse_penalty must be a finite number of at least 0, not -1.0"),
        ({"reuse_penalty": "high"}, "reuse_penalty must be a finite number of at least 0, not 'high'"),
        ({"reuse_penalty": float("nan")}, "reuse_penalty must be a finite number of at least 0, not nan"),
        ({"size": 2}, "size must be an integer of at least 4"),
        ({"render_mode": "ansi"}, "render_mode must be one of .*, not 'ansi'"),
        ({"reward_model": "psrn"}, "reward 'psrn' is neither"),
    ], ids=str)  # fmt: skip
    def test_arguments_are_refused_by_name(self, settings, message):
        with pytest.raises(ValueError, match=message):
            WhiteBoxEnv(PHOTOS, **settings)

    @pytest.mark.parametrize("wrong, message", [
        (np.zeros(46), r"action has shape \(46,\), want \(47,\)"),
        (np.full(47, np.nan), "action must be finite"),
        ("brighter", "action must be real numbers"),
    ], ids=["short", "nan", "text"])  # fmt: skip
    def test_flat_actions_are_refused(self, wrong, message):
        env = WhiteBoxEnv(PHOTOS)
        env.reset(seed=0)
        with pytest.raises(ValueError, match=message):
            env.step(wrong)

    @pytest.mark.parametrize("wrong, message", [
        (np.zeros(47), 'action must be a dict of "filter" and "parameters"'),
        ({"filter": 8, "parameters": np.zeros(39)}, "filter must be an integer from 0 to 7, not 8"),
        ({"filter": 1.5, "parameters": np.zeros(39)}, "filter must be an integer from 0 to 7, not 1.5"),
        ({"filter": 1, "parameters": np.zeros(38)}, r"action has shape \(38,\), want \(39,\)"),
    ], ids=["flat", "eight", "half", "short"])  # fmt: skip
    def test_dict_actions_are_refused(self, wrong, message):
        env = WhiteBoxEnv(PHOTOS, action_type="dict")
        env.reset(seed=0)
        with pytest.raises(ValueError, match=message):
            env.step(wrong)

    def test_a_step_needs_an_episode(self):
        env = WhiteBoxEnv(PHOTOS, max_steps=1)
        with pytest.raises(ValueError, match="call reset"):
            env.step(action("gamma", 0.0))
        with pytest.raises(ValueError, match="call reset"):
            env.result()
        env.reset(seed=0)
        env.step(action("gamma", 0.0))
        with pytest.raises(ValueError, match="call reset"):
            env.step(action("gamma", 0.0))


class TestClients:
    def test_many_at_once_are_as_many_single_ones(self):
        envs = gym.make_vec(ID, num_envs=2, photos=PHOTOS)
        observations, _ = envs.reset(seed=3)
        for index in range(2):
            np.testing.assert_array_equal(observations[index], WhiteBoxEnv(PHOTOS).reset(seed=3 + index)[0])
        rewards = envs.step(np.stack([action("gamma", 0.3)] * 2))[1]
        assert rewards.shape == (2,) and rewards[0] != rewards[1]

    @pytest.mark.usefixtures("one_thread")
    def test_ppo_learns_on_it_unchanged(self):
        model = PPO("CnnPolicy", gym.make(ID, photos=PHOTOS), n_steps=20, batch_size=20, n_epochs=1, seed=0)
        before = [each.detach().clone() for each in model.policy.parameters()]
        model.learn(20)
        assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))
        (episode, *_) = model.ep_info_buffer
        assert len(model.ep_info_buffer) == 4 and episode["l"] == 5

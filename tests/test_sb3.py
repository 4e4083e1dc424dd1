"""Stable-Baselines3 with our environments: its checker, its algorithms, its wrappers."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO, TD3
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import SubprocVecEnv, VecMonitor, VecTransposeImage, VecVideoRecorder

from agents.vec_env import ExposureVecEnv
from exposure_env.photos import Photo, sample_photos

LOCAL, GLOBAL = "exposure_env:Exposure/Local-v0", "exposure_env:Exposure/Global-v0"
PHOTOS = sample_photos("inputs", 6)
GREY = Photo("grey", np.full((64, 64, 3), 0.25, np.float32), np.full((64, 64, 3), 0.5, np.float32))
ids = pytest.mark.parametrize("id", [LOCAL, GLOBAL], ids=["local", "global"])
settings = pytest.mark.parametrize("settings", [{}, {"planes": "paper"}, {"preset": "paper"}], ids=str)

pytestmark = pytest.mark.usefixtures("one_thread")


class Constant:
    """A policy that gives every segment the same exposure."""

    def __init__(self, action):
        self.action = action

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        """An action for each observation."""
        num = len(next(iter(observation.values())) if isinstance(observation, dict) else observation)
        return np.full((num, 1), self.action, np.float32), state


def actions(steps, num_envs=3):
    return np.random.default_rng(0).uniform(-1, 1, (steps, num_envs, 1)).astype(np.float32)


class TestChecker:
    @ids
    @settings
    @pytest.mark.parametrize("wrapped", [False, True])
    def test_uint8_has_no_warning(self, id, settings, wrapped):
        env = gym.make(id, photos=PHOTOS, render_mode="rgb_array", **settings)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env if wrapped else env.unwrapped)

    @ids
    def test_uint8_has_no_warning_without_any_argument(self, id):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(gym.make(id))

    @ids
    @settings
    def test_dict_has_no_warning(self, id, settings):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(gym.make(id, photos=PHOTOS, obs_type="dict", **settings))

    @ids
    @settings
    def test_float32_has_the_two_warnings_that_the_checker_gives_every_image_of_floats(self, id, settings):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_env(gym.make(id, photos=PHOTOS, obs_type="float32", **settings))
        messages = sorted(str(warning.message).strip() for warning in caught)
        assert len(messages) == 2
        assert "`dtype` is (float32) whereas it has to be `np.uint8`" in messages[0]
        assert "upper and lower bounds are not in [0, 255]" in messages[1]


class TestLearning:
    def test_ppo_as_everybody_writes_it(self):
        model = PPO("CnnPolicy", "exposure_env:Exposure/Local-v0", n_steps=128, batch_size=128, n_epochs=1, seed=0)
        before = [parameter.clone() for parameter in model.policy.parameters()]
        model.learn(640)
        assert model.num_timesteps == 640 and len(model.ep_info_buffer) == 100  # SB3 keeps the last hundred
        assert all((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))
        assert 1 <= np.mean([info["l"] for info in model.ep_info_buffer]) <= 8
        mean, _ = evaluate_policy(model, model.get_env(), 3)
        assert np.isfinite(mean)

    def test_td3_as_everybody_writes_it(self, tmp_path):
        model = TD3("CnnPolicy", "exposure_env:Exposure/Local-v0", buffer_size=800, batch_size=32, learning_starts=64,
                    train_freq=128, gradient_steps=2, seed=0)  # fmt: skip
        before = [parameter.clone() for parameter in model.actor.parameters()]
        model.learn(768)
        assert model.num_timesteps == 768 and model.replay_buffer.size() == 768
        assert any((a != b).any() for a, b in zip(before, model.actor.parameters(), strict=True))
        assert not model.replay_buffer.timeouts.any() and model.replay_buffer.dones.sum() > 100
        model.save(tmp_path / "td3")
        observation = model.get_env().reset()
        loaded = TD3.load(tmp_path / "td3", buffer_size=1)
        np.testing.assert_array_equal(loaded.predict(observation)[0], model.predict(observation)[0])

    def test_the_replay_buffer_holds_the_finished_image_as_the_last_observation(self):
        photo = Photo("grey", np.full((64, 64, 3), 51, np.uint8))
        env = gym.make(GLOBAL, photos=[photo], reward_model="well_exposedness", space="encoded", max_ev=1.0)
        model = TD3("CnnPolicy", env, buffer_size=8, learning_starts=100)
        model.learn(4)
        buffer = model.replay_buffer
        assert buffer.dones[:4].all()
        for index in range(4):
            expected = 51 * 2 ** buffer.actions[index, 0, 0]  # channels first there
            np.testing.assert_allclose(buffer.next_observations[index, 0, 6:9], expected, atol=0.51)
            np.testing.assert_array_equal(buffer.observations[index, 0, 6:9], 51)

    def test_float32_is_refused_by_sb3s_cnn_and_taken_by_its_mlp(self):
        env = gym.make(GLOBAL, photos=PHOTOS, obs_type="float32")
        with pytest.raises(AssertionError, match="NatureCNN"):
            PPO("CnnPolicy", env)
        PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, policy_kwargs={"net_arch": [4]}).learn(8)


class TestVectorsOfSingleEnvironments:
    def test_subprocesses_play_the_same_episodes(self):
        kwargs = {"n_envs": 2, "seed": 3, "env_kwargs": {"photos": PHOTOS}}
        apart, here = make_vec_env(LOCAL, vec_env_cls=SubprocVecEnv, **kwargs), make_vec_env(LOCAL, **kwargs)
        try:
            np.testing.assert_array_equal(apart.reset(), here.reset())
            ended = 0
            for action in np.random.default_rng(0).uniform(-1, 1, (12, 2, 1)).astype(np.float32):
                (seen, rewards, dones, infos), (expected, *others) = apart.step(action), here.step(action)
                np.testing.assert_array_equal(seen, expected)
                np.testing.assert_array_equal(rewards, others[0])
                np.testing.assert_array_equal(dones, others[1])
                for i in np.flatnonzero(dones):
                    last = others[2][i]["terminal_observation"]
                    np.testing.assert_array_equal(infos[i]["terminal_observation"], last)
                    ended += 1
            assert ended >= 3
        finally:
            apart.close()

    def test_a_video_of_two(self, tmp_path):
        pytest.importorskip("moviepy", reason="moviepy writes the video: pip install '.[video]'")
        envs = make_vec_env(LOCAL, n_envs=2, env_kwargs={"photos": PHOTOS, "render_mode": "rgb_array"})
        envs = VecVideoRecorder(envs, str(tmp_path / "video"), lambda step: step == 0, video_length=3)
        envs.reset()
        for _ in range(4):
            envs.step(np.zeros((2, 1), np.float32))
        envs.close()
        (file,) = tmp_path.glob("video/*.mp4")
        assert file.stat().st_size > 1000


class TestWithSB3:
    @pytest.mark.parametrize("obs_type", ["uint8", "dict"])
    def test_evaluate_policy_gives_the_rewards_of_the_episodes_without_a_warning(self, obs_type):
        envs = ExposureVecEnv(GLOBAL, num_envs=2, photos=[GREY], space="encoded", max_ev=2.0, obs_type=obs_type)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # SB3 warns where nothing records the episodes
            for action, gain in ((0.5, 100 - 20 * np.log10(4)), (0.0, 0.0)):
                rewards, lengths = evaluate_policy(Constant(action), envs, 5, return_episode_rewards=True)
                assert lengths == [1] * 5 and rewards == pytest.approx([gain] * 5, abs=1e-3)

    def test_vec_monitor_records_the_same(self, tmp_path):
        with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):  # the infos hold the episodes already
            envs = VecMonitor(ExposureVecEnv(num_envs=3, photos=PHOTOS), str(tmp_path / "log"))
        plain = ExposureVecEnv(num_envs=3, photos=PHOTOS)
        for each in (envs, plain):
            each.seed(2)
            each.reset()
        episodes = []
        for action in actions(14):
            *_, infos = envs.step(action)
            *_, expected = plain.step(action)
            for info, other in zip(infos, expected, strict=True):
                assert ("episode" in info) == ("episode" in other)
                if "episode" in info:
                    assert info["episode"]["l"] == other["episode"]["l"]
                    assert info["episode"]["r"] == pytest.approx(other["episode"]["r"], abs=1e-4)
                    episodes.append(info["episode"])
        envs.close()
        assert len((tmp_path / "log.monitor.csv").read_text().splitlines()) == 2 + len(episodes) > 4

    def test_vec_transpose_image(self):
        envs = VecTransposeImage(ExposureVecEnv(num_envs=2, photos=PHOTOS))
        plain = ExposureVecEnv(num_envs=2, photos=PHOTOS)
        for each in (envs, plain):
            each.seed(0)
        assert envs.observation_space.shape == (12, 64, 64)
        np.testing.assert_array_equal(envs.reset(), plain.reset().transpose(0, 3, 1, 2))
        for action in actions(9, 2):
            *_, dones, infos = envs.step(action)
            *_, expected = plain.step(action)
            for i in np.flatnonzero(dones):
                np.testing.assert_array_equal(
                    infos[i]["terminal_observation"], expected[i]["terminal_observation"].transpose(2, 0, 1)
                )
        assert envs.unwrapped.task.config.size == 64

    @pytest.mark.parametrize("obs_type, policy", [("uint8", "CnnPolicy"), ("dict", "MultiInputPolicy")])
    def test_ppo_trains_on_it(self, obs_type, policy):
        envs = ExposureVecEnv(num_envs=8, photos=PHOTOS, obs_type=obs_type)
        model = PPO(policy, envs, n_steps=8, batch_size=64, n_epochs=1, seed=0)
        before = [parameter.clone() for parameter in model.policy.parameters()]
        model.learn(64)
        assert model.num_timesteps == 64 and len(model.ep_info_buffer) > 8
        changes = [(a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True)]
        assert all(changes)
        mean, spread = evaluate_policy(model, envs, 4)
        assert np.isfinite([mean, spread]).all()

    def test_the_panels_are_tiled(self):
        envs = ExposureVecEnv(num_envs=2, photos=PHOTOS, render_mode="rgb_array")
        envs.seed(0)
        envs.reset()
        one, other = envs.get_images()
        assert envs.render_mode == "rgb_array" and envs.metadata["render_modes"] == ["human", "rgb_array"]
        tiled = envs.render()
        assert tiled.dtype == np.uint8 and tiled.size == one.size + other.size
        np.testing.assert_array_equal(tiled[: len(one), : one.shape[1]], one)

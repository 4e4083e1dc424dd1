"""Rollouts of an agent that plays on its device."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

from agents.deep_exposure import DeepExposure
from agents.deep_exposure.device_env import DeviceVecEnv
from agents.exploration import exploration
from tests.deep_exposure.on_device import NO_GPU, Noted, agent, textured, vec_env
from tests.deep_exposure.small import Brightness, Indifferent, grey, halves, weights

pytestmark = pytest.mark.usefixtures("one_thread")


class TestRollouts:
    def test_exactly_as_many_episodes_as_wanted_in_batches(self, device):
        noted = Noted()
        model = agent(n_batches=5, batch_size=2, device=device)
        finished = []
        model.train = finished.append
        model.learn(1, noted)
        assert [len(outcome.score) for outcome in noted.ended] == [4, 4, 2] and len(finished) == 1
        state = finished[0]
        assert state.evs.shape == (10, 5) and state.photos.device.type == device
        assert bool((state.step == state.num_segments).all())
        assert model.num_timesteps == int(state.num_segments.sum()) == noted.steps[-1]
        longest = [int(outcome.state.num_segments.max()) for outcome in noted.ended]
        assert [len(dones) for dones in noted.dones] == [4] * longest[0] + [4] * longest[1] + [2] * longest[2]
        assert [bool(dones.all()) for dones in noted.dones if dones.all() == dones.any()] == [
            t == steps - 1 for steps in longest for t in range(steps)]  # fmt: skip
        returns = torch.cat([outcome.score - outcome.input_score for outcome in noted.ended])
        assert [info["r"] for info in model.ep_info_buffer] == pytest.approx(returns.tolist(), abs=1e-6)
        assert [info["l"] for info in model.ep_info_buffer] == state.num_segments.tolist()
        assert model.exposure_env.elsewhere is None and model._last_obs.shape == (4, *model.observation_space.shape)

    @pytest.mark.parametrize("obs_type", ["uint8", "float32"])
    def test_a_training_resembles_the_hosts(self, obs_type, device):
        """Where all episodes are of one length, both play the same photos with the same noise."""
        trained = {}
        for rollouts in ("host", "device"):
            env = vec_env([textured(3, seed) for seed in range(6)], num_envs=8, obs_type=obs_type)
            model = agent(env, rollouts=rollouts, learning_rate=1e-3, device=device)
            model.learn(4 * 8 * 3)
            assert model._n_updates == 4 and model.num_timesteps == 96
            trained[rollouts] = model
        one, other = (np.array([info["r"] for info in model.ep_info_buffer]) for model in trained.values())
        assert one.std() > 1e-3
        np.testing.assert_allclose(one, other, atol=1e-4 if device == "cpu" else 1e-3)
        begin = weights(agent(env))
        moved = np.abs(weights(trained["host"]) - begin).max()
        assert np.abs(weights(trained["host"]) - weights(trained["device"])).max() < 0.05 * moved

    @pytest.mark.parametrize("options", [
        {"value": "critic", "shaping": True, "td_lambda": 0.5}, {"value": "discriminator"},
        {"value": "discriminator", "value_image": "next"}, {"value": "pathwise"}, {"value": "q"},
    ], ids=lambda options: "-".join(map(str, options.values())))
    def test_all_forms_learn_to_brighten_what_is_too_dark(self, options, device):
        """The reward is the mean; an exposure of 0 is where all begin."""
        model = agent(vec_env(obs_type="uint8"), width=8, learning_rate=3e-3, critic_learning_rate=3e-3, critic_steps=4,
                      n_batches=1, batch_size=8, device=device, **options)
        model.learn(500)
        gain, _ = evaluate_policy(model, vec_env(obs_type="uint8"), 8, warn=False)
        assert np.isfinite(weights(model)).all()
        assert gain > 0.05

    @pytest.mark.parametrize("value_image", ["next", "final"])
    def test_photos_a_stop_too_dark_are_restored(self, value_image, device):
        env = vec_env([grey(0.2, 0.4), grey(0.25, 0.5)], num_envs=8, segmenter=halves, reward_model="negative_mse",
                      space="encoded", max_ev=2.0, fusion="local")
        model = agent(env, learning_rate=3e-3, batch_size=8, value_image=value_image, device=device)
        model.learn(20 * 16 * 2)
        after, _ = evaluate_policy(model, env, 8, warn=False)
        assert model._n_updates == 20 and after > 0.9 * (0.2**2 + 0.25**2) / 2  # of the error that there was

    @pytest.mark.parametrize("obs_type, policy", [("float32", "CnnPolicy"), ("dict", "MultiInputPolicy")])
    @pytest.mark.parametrize("planes", ["paper", "full"])
    def test_observations_of_all_types(self, obs_type, policy, planes, device):
        model = agent(vec_env(obs_type=obs_type, planes=planes), policy=policy, learning_rate=1e-3, device=device)
        before = weights(model)
        model.learn(30)
        assert (weights(model) != before).any() and np.isfinite(weights(model)).all()

    def test_same_seed_same_training(self, device):
        trained, told = [], []
        for seed in (0, 0, 1):
            model = agent(vec_env(obs_type="uint8"), seed=seed, learning_rate=1e-3, device=device)
            model.learn(80)
            trained.append(weights(model))
            told.append([info["r"] for info in model.ep_info_buffer])
        np.testing.assert_allclose(trained[0], trained[1], atol=0 if device == "cpu" else 5e-3)
        assert told[0] == pytest.approx(told[1], abs=1e-6 if device == "cpu" else 1e-2) and told[0] != told[2]
        assert (trained[0] != trained[2]).any()

    @pytest.mark.parametrize("reset_noise", [True, False])
    def test_noise_begins_anew_with_an_episode_or_not(self, reset_noise, device):
        noted = Noted()
        env = vec_env([textured(5)], num_envs=64, reward_model=Indifferent())  # its actor stays at 0: all is noise
        agent(env, n_batches=8, batch_size=64, reset_noise=reset_noise, device=device).learn(8 * 64 * 5, noted)
        assert [dones.all() for dones in noted.dones] == ([False] * 4 + [True]) * 8
        noise = np.array(noted.actions)
        starts = np.arange(5, 40, 5)
        afresh = noise[starts].std() / 0.03
        continued = (noise[starts] - 0.985 * noise[starts - 1]).std() / 0.03
        within = (noise[starts + 1] - 0.985 * noise[starts]).std() / 0.03
        assert within == pytest.approx(1, rel=0.1)
        assert (afresh if reset_noise else continued) == pytest.approx(1, rel=0.1)
        assert (continued if reset_noise else afresh) > 1.8

    def test_no_noise_and_gaussian_noise_in_bounds(self, device):
        noted = Noted()
        agent(vec_env(reward_model=Indifferent()), action_noise=None, device=device).learn(16, noted)
        assert (np.concatenate(noted.actions) == 0).all()
        noted = Noted()
        noise = exploration("gaussian", 3.0)
        agent(vec_env(reward_model=Indifferent()), action_noise=noise, device=device).learn(40, noted)
        actions = np.concatenate(noted.actions)
        assert actions.min() == -1 and actions.max() == 1 and 0 < np.mean(np.abs(actions) < 1) < 1

    def test_a_callback_stops_it_and_learning_goes_on(self, device):
        model = agent(vec_env([textured(3)]), device=device)
        model.learn(1000, lambda local, other: model.num_timesteps < 8)
        assert model.num_timesteps == 8 and model._n_updates == 0 and model.exposure_env.elsewhere is None
        model.learn(20, reset_num_timesteps=False)
        assert model._n_updates == 1 and model.num_timesteps == 8 + 24

    def test_a_score_that_is_not_finite_is_an_error_and_leaves_nothing_behind(self, device):
        class Astray(Brightness):
            def __call__(self, images, **context):
                return super().__call__(images) + float("nan")

        model = agent(vec_env(reward_model=Astray()), device=device)
        with pytest.raises(ValueError, match="not finite"):
            model.learn(16)
        assert model.exposure_env.elsewhere is None

    @pytest.mark.filterwarnings("ignore:The environment is already wrapped")
    def test_sb3s_wrappers_and_saving(self, tmp_path, device):
        model = agent(VecMonitor(vec_env(obs_type="uint8")), learning_rate=1e-3, device=device)
        model.learn(40)
        model.save(tmp_path / "model")
        loaded = DeepExposure.load(tmp_path / "model", env=vec_env(obs_type="uint8"), device=device)
        np.testing.assert_array_equal(weights(loaded), weights(model))
        assert loaded.rollouts == "device" and loaded.device_env.exposure_env is loaded.exposure_env
        loaded.learn(40, reset_num_timesteps=False)
        assert (weights(loaded) != weights(model)).any()

    def test_another_environment_has_another_device_env(self, device):
        model = agent(device=device)
        model.learn(8)
        first = model.device_env
        assert model.device_env is first
        model.set_env(vec_env([textured(2)]))
        model.learn(8)
        assert model.device_env is not first and model.device_env.exposure_env is model.exposure_env

    def test_where_it_plays(self):
        assert agent(rollouts="auto").device_env is None and agent(rollouts="host").device_env is None
        assert isinstance(agent().device_env, DeviceVecEnv)
        with pytest.raises(ValueError, match="rollouts must be one of.*'gpu'"):
            agent(rollouts="gpu")

    @NO_GPU
    def test_a_gpu_is_where_it_plays_by_itself(self):
        assert agent(rollouts="auto", device="cuda").device_env.device.type == "cuda"

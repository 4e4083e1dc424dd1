"""DeepExposure as one of SB3's algorithms: what it learns, its habits, and the environments that it takes."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from agents.deep_exposure import DeepExposure
from agents.vec_env import ExposureVecEnv
from exposure_env.vector import ExposureVectorEnv
from tests.deep_exposure.small import (
    LOCAL,
    SIZE,
    VARYING,
    Brightness,
    agent,
    grey,
    halves,
    play,
    stripes,
    textured,
    train,
    vec_env,
    weights,
)

pytestmark = pytest.mark.usefixtures("one_thread")


class TestLearning:
    @pytest.mark.parametrize("value_image", ["next", "final"])
    def test_photos_a_stop_too_dark_are_restored(self, value_image):
        env = vec_env([grey(0.2, 0.4), grey(0.25, 0.5)], halves, "negative_mse", space="encoded", max_ev=2.0,
                      num_envs=8)
        model = agent(env, learning_rate=3e-3, n_batches=2, batch_size=8, value_image=value_image)
        before, _ = evaluate_policy(model, env, 8, warn=False)
        model.learn(20 * 16 * 2)
        after, _ = evaluate_policy(model, env, 8, warn=False)
        assert model._n_updates == 20 and before == pytest.approx(0, abs=1e-6)
        assert after > 0.9 * (0.2**2 + 0.25**2) / 2  # of the error that there was

    def test_same_seed_same_weights(self):
        trained = []
        for seed in (0, 0, 1):
            model = agent(vec_env(obs_type="uint8"), seed=seed, learning_rate=1e-3)
            model.learn(80)
            trained.append(weights(model))
        np.testing.assert_array_equal(trained[0], trained[1])
        assert (trained[0] != trained[2]).any()

    @pytest.mark.parametrize("obs_type, policy", [("uint8", "CnnPolicy"), ("float32", "CnnPolicy"),
                                                  ("dict", "MultiInputPolicy")])  # fmt: skip
    @pytest.mark.parametrize("planes", ["paper", "full"])
    def test_observations_of_all_types(self, obs_type, policy, planes):
        model = agent(vec_env(obs_type=obs_type, planes=planes), policy=policy, learning_rate=1e-3)
        before = weights(model)
        model.learn(30)
        assert (weights(model) != before).any() and np.isfinite(weights(model)).all()

    def test_progress_changes_the_learning_rate(self):
        model = agent(vec_env([textured(2)]), learning_rate=lambda remaining: 1e-3 * remaining)
        model.learn(64)
        assert model.policy.optimizer.param_groups[0]["lr"] == 0
        model.learn(20)  # overshoots: 32 exposures are played
        assert model.policy.optimizer.param_groups[0]["lr"] == 0

    def test_a_score_that_is_not_finite_is_an_error(self):
        class Astray(Brightness):
            def __call__(self, images, **context):
                return super().__call__(images) + float("nan")

        with pytest.raises(ValueError, match="not finite"):
            agent(vec_env(reward_model=Astray())).learn(16)


class TestHabits:
    def test_save_and_load_go_on_where_they_were(self, tmp_path):
        model = agent(vec_env(obs_type="uint8"), learning_rate=1e-3, gamma=0.7, value_image="next")
        model.learn(40)
        model.save(tmp_path / "model")
        loaded = DeepExposure.load(tmp_path / "model", env=vec_env(obs_type="uint8"), device="cpu")
        np.testing.assert_array_equal(weights(loaded), weights(model))
        observation = vec_env(obs_type="uint8").reset()
        np.testing.assert_array_equal(loaded.predict(observation)[0], model.predict(observation)[0])
        assert loaded.method == model.method and (model.method.gamma, model.method.value_image) == (0.7, "next")
        assert loaded.num_timesteps == model.num_timesteps
        one, other = (m.policy.optimizer.state_dict()["state"] for m in (model, loaded))
        assert one.keys() == other.keys() and len(one) > 0
        assert all((one[i]["exp_avg"] == other[i]["exp_avg"]).all() for i in one)
        loaded.learn(40, reset_num_timesteps=False)
        assert loaded.num_timesteps >= model.num_timesteps + 40
        assert (weights(loaded) != weights(model)).any()

    def test_load_without_an_environment_predicts_and_says_what_is_missing_to_learn(self, tmp_path):
        agent().save(tmp_path / "model")
        model = DeepExposure.load(tmp_path / "model", device="cpu")
        assert model.predict(vec_env().reset())[0].shape == (4, 1)
        with pytest.raises(ValueError, match="no environment"):
            model.learn(10)
        model.set_env(vec_env())
        model.learn(10)
        assert model.num_timesteps >= 10

    def test_parameters_are_read_and_set(self):
        one, other = agent(lively=True), agent()
        assert set(one.get_parameters()) == {"policy", "policy.optimizer"}
        other.set_parameters(one.get_parameters())
        np.testing.assert_array_equal(weights(one), weights(other))

    def test_learning_goes_on(self):
        model = agent()
        assert model.learn(20) is model
        steps = model.num_timesteps
        model.learn(20, reset_num_timesteps=False)
        assert steps >= 20 and model.num_timesteps >= steps + 20
        model.learn(20)
        assert 20 <= model.num_timesteps < steps + 20

    def test_whole_updates(self):
        model = agent(vec_env([textured(2)]), n_batches=3, batch_size=4)
        model.learn(25)  # an update takes 12 episodes of 2 steps
        assert model.num_timesteps == 48 and model._n_updates == 2

    def test_callbacks(self, tmp_path):
        evaluation = EvalCallback(vec_env(), n_eval_episodes=4, eval_freq=4, warn=False, verbose=0,
                                  best_model_save_path=str(tmp_path))  # fmt: skip
        agent().learn(40, [CheckpointCallback(4, str(tmp_path), "step"), evaluation])
        assert len(list(tmp_path.glob("step_*_steps.zip"))) >= 2 and (tmp_path / "best_model.zip").exists()
        assert np.isfinite(evaluation.last_mean_reward)

    def test_a_callback_stops_it(self):
        model = agent()
        model.learn(1000, lambda local, other: model.num_timesteps < 8)
        assert model.num_timesteps == 8 and model._n_updates == 0

    def test_rollouts_begin_and_end_around_the_steps(self):
        class Order(BaseCallback):
            events: list[str] = []

            def _on_training_start(self):
                self.events.append("training start")

            def _on_rollout_start(self):
                self.events.append("rollout start")

            def _on_step(self):
                self.events.append("step")
                return True

            def _on_rollout_end(self):
                self.events.append("rollout end")

            def _on_training_end(self):
                self.events.append("training end")

        callback = Order()
        agent(vec_env([textured(2)]), n_batches=1).learn(9, callback)
        rollout = ["rollout start", "step", "step", "rollout end"]
        assert callback.events == ["training start", *rollout, *rollout, "training end"]

    @pytest.mark.filterwarnings("ignore:rich is experimental")
    def test_progress_bar(self, capsys):
        agent().learn(20, progress_bar=True)
        assert "it/s" in "".join(capsys.readouterr())

    def test_log(self, tmp_path, capsys):
        model = agent(vec_env([textured(2)]), verbose=1, tensorboard_log=str(tmp_path))
        model.learn(32)
        printed = capsys.readouterr().out
        for name in ("ep_rew_mean", "ep_len_mean", "fps", "iterations", "total_timesteps", "time_elapsed",
                     "learning_rate", "n_updates", "actor_loss", "ev_mean", "ev_std", "saturated"):  # fmt: skip
            assert name in printed
        assert list(tmp_path.glob("DeepExposure_1/events*"))

    def test_log_interval(self, capsys):
        agent(vec_env([textured(2)]), verbose=1).learn(64, log_interval=3)
        assert capsys.readouterr().out.count("actor_loss") == 1  # four updates

    def test_logged_exposures_are_in_stops(self):
        model = agent(vec_env(max_ev=2.0))
        torch.nn.init.constant_(model.policy.actor.stack.head.bias, 0.5)
        train(model, play(vec_env(), 4))
        values = model.logger.name_to_value
        assert values["train/ev_mean"] == pytest.approx(2 * np.tanh(0.5), rel=1e-5)
        assert values["train/ev_std"] == pytest.approx(0, abs=1e-5) and values["train/saturated"] == 0


class TestEnvironments:
    def test_ids_and_vector_environments(self):
        model = DeepExposure("CnnPolicy", LOCAL, device="cpu", policy_kwargs={"width": 4})
        assert isinstance(model.exposure_env, ExposureVecEnv) and model.n_envs == 8
        vector = ExposureVectorEnv(3, VARYING, stripes, Brightness(), size=SIZE, autoreset_mode="SameStep")
        for env in (vector, RecordEpisodeStatistics(vector)):
            model = agent(env)
            assert model.n_envs == 3 and model.exposure_env.envs is vector
        model.learn(10)
        assert model.num_timesteps >= 10

    @pytest.mark.filterwarnings("ignore:The environment is already wrapped")
    def test_sb3s_wrappers_stay(self):
        model = agent(VecMonitor(vec_env()))
        model.learn(10)
        assert isinstance(model.env, VecMonitor) and len(model.ep_info_buffer) > 0

    @pytest.mark.parametrize(
        "make",
        [
            lambda: DummyVecEnv([lambda: gym.make(LOCAL, photos=VARYING, size=SIZE)]),
            lambda: gym.make(LOCAL, photos=VARYING, size=SIZE),
            lambda: gym.make("CartPole-v1"),
        ],
        ids=["DummyVecEnv", "single", "CartPole"],
    )
    def test_another_environment_is_an_error_that_says_so(self, make):
        with pytest.raises(ValueError, match="needs an ExposureVecEnv"):
            DeepExposure("CnnPolicy", make())

    def test_set_env_takes_and_refuses_the_same(self):
        model = agent(vec_env(obs_type="uint8", num_envs=1))
        with pytest.raises(ValueError, match="needs an ExposureVecEnv"):
            model.set_env(DummyVecEnv([lambda: gym.make(LOCAL, photos=VARYING, size=SIZE)]))
        vector = ExposureVectorEnv(1, VARYING, stripes, Brightness(), size=SIZE, autoreset_mode="SameStep")
        model.set_env(vector)
        assert model.exposure_env.envs is vector
        model.learn(4)

    def test_load_takes_and_refuses_the_same(self, tmp_path):
        agent(vec_env(obs_type="uint8")).save(tmp_path / "model")
        with pytest.raises(ValueError, match="needs an ExposureVecEnv"):
            DeepExposure.load(tmp_path / "model", env=DummyVecEnv([lambda: gym.make(LOCAL, photos=VARYING, size=SIZE)]))
        vector = ExposureVectorEnv(2, VARYING, stripes, Brightness(), size=SIZE, autoreset_mode="SameStep")
        assert DeepExposure.load(tmp_path / "model", env=vector).exposure_env.envs is vector

    def test_a_reward_model_without_gradient_is_an_error(self):
        def brightness(images):
            return images.mean((1, 2, 3))

        with pytest.raises(ValueError, match="differentiable reward model.*brightness"):
            agent(vec_env(reward_model=brightness)).learn(10)

    def test_one_segment(self):
        model = agent(vec_env([textured(1)], max_segments=1), learning_rate=1e-3)
        model.learn(16)
        assert model.num_timesteps == 16 and model._n_updates == 2

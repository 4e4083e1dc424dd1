"""SB3's off-policy algorithms with DeepExposure's networks."""

import numpy as np
import pytest
import torch
from stable_baselines3 import DDPG, TD3
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise

from agents import networks
from agents.baselines.off_policy import OffPolicyPolicy, replay_bytes, rollout_steps
from agents.baselines.replay import RelabelReplayBuffer
from agents.evaluation.judging import evaluate
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer
from exposure_env.photos import Photo, sample_photos
from exposure_env.task import ExposureTask
from tests.baselines.small import NUM_ENVS, SIZE, algorithms, build, environment, judge, stir

pytestmark = pytest.mark.usefixtures("one_thread")


class TestPolicy:
    @pytest.mark.parametrize("obs_type", ["uint8", "float32"])
    @pytest.mark.parametrize("planes, halvings", [("full", 0), ("paper", 1)])
    def test_actor_is_that_of_deep_exposure(self, obs_type, planes, halvings):
        env = environment(obs_type=obs_type, planes=planes)
        channels = {"full": 12, "paper": 9}[planes]
        model = build(env, width=6, halvings=halvings)
        ours = networks.Actor(channels, SIZE, 6, halvings)
        stir(ours, 0.05)
        features, mu = model.actor.features_extractor.stack, model.actor.mu[0]
        features.convolutions.load_state_dict(ours.stack.convolutions.state_dict())
        features.hidden.load_state_dict(ours.stack.hidden.state_dict())
        mu.load_state_dict(ours.stack.head.state_dict())

        observation = env.reset()
        planes = torch.as_tensor(observation).permute(0, 3, 1, 2).float() / (255 if obs_type == "uint8" else 1)
        expected = ours(planes).detach()
        seen = model.policy.obs_to_tensor(observation)[0]
        np.testing.assert_array_equal(model.actor(seen).detach(), expected)
        np.testing.assert_allclose(model.predict(observation)[0], expected, atol=1e-6)  # SB3 scales it twice
        assert expected.abs().max() < 0.99 and expected.std() > 1e-3
        assert sum(p.numel() for p in model.actor.parameters()) == sum(p.numel() for p in ours.parameters())

    def test_photos_are_untouched_before_training(self):
        env = environment()
        model = build(env)
        assert (model.predict(env.reset())[0] == 0).all()
        assert (model.actor_target(torch.randint(256, (2, 12, SIZE, SIZE), dtype=torch.uint8)) == 0).all()

    @pytest.mark.parametrize("algorithm, num", [("ddpg", 1), ("td3", 2)])
    def test_critics_tell_actions_apart_differently_from_state_to_state(self, algorithm, num):
        critic = build(environment(), algorithm).critic
        stir(critic, 0.1)
        planes = torch.linspace(0, 255, 8).byte()[:, None, None, None].expand(8, 12, SIZE, SIZE)
        slopes = []
        for value in (-1.0, 1.0):
            actions = torch.full((8, 1), value, requires_grad=True)
            values = critic(planes, actions)
            assert len(values) == num and all(q.shape == (8, 1) for q in values)
            slopes.append(torch.autograd.grad(critic.q1_forward(planes, actions).sum(), actions)[0].numpy())
        assert (slopes[0] != slopes[1]).any() and np.ptp(slopes[0]) > 0.01 < np.ptp(slopes[1])

    def test_adam_has_exposures_betas(self):
        model = build(environment(), learning_rate=0.02)
        for optimizer in (model.actor.optimizer, model.critic.optimizer):
            assert optimizer.param_groups[0]["betas"] == (0.5, 0.9) and optimizer.param_groups[0]["lr"] == 0.02

    def test_written_and_read_by_itself(self, tmp_path):
        env = environment()
        model = build(env, width=6, halvings=1)
        stir(model.policy)
        model.policy.save(tmp_path / "policy")
        loaded = OffPolicyPolicy.load(tmp_path / "policy")
        observation = env.reset()
        np.testing.assert_array_equal(loaded.predict(observation)[0], model.predict(observation)[0])
        assert len(loaded.critic.q_networks) == 1


class TestBuilt:
    @algorithms
    def test_plays_the_adversarial_game(self, algorithm):
        env = environment(judge(), num_envs=32)
        trainer = DiscriminatorTrainer(env.task.reward_model, learning_rate=1e-3)
        game = AdversarialCallback(trainer, ExpertPhotos(sample_photos("experts", 6), SIZE), warm_up=5, n_critic=2)
        model = build(env, algorithm, buffer_size=1000, train_freq=None, gradient_steps=4)
        before = [parameter.clone() for parameter in model.actor.parameters()]
        model.learn(500, game)
        assert isinstance(model, {"ddpg": DDPG, "td3": TD3}[algorithm])
        assert game.rollouts >= 3 and model._n_updates == 4 * game.rollouts
        assert all((a != b).any() for a, b in zip(before, model.actor.parameters(), strict=True))

        buffer = model.replay_buffer
        rows, columns = np.nonzero(buffer.dones)
        last = buffer.next_observations[rows, columns]
        image, photo = (last[:, c : c + 3].transpose(0, 2, 3, 1).astype(np.float32) / 255 for c in (6, 0))
        today = env.task.reward_model(image) - env.task.reward_model(photo)
        np.testing.assert_allclose(buffer.gains(torch.as_tensor(last)), today, atol=1e-6)
        assert np.abs(today - buffer.rewards[rows, columns]).max() > 1e-3  # most were of an earlier network

        result = evaluate(model.policy, env.task, sample_photos("test", 4))
        evs = np.concatenate([record.evs for record in result.records])
        assert len(result.records) == 4 and (evs != 0).any() and (np.abs(evs) <= env.task.config.max_ev).all()

    @algorithms
    def test_solves_a_task_that_can_be_solved(self, algorithm):
        photos = [Photo("grey", np.full((SIZE, SIZE, 3), value, np.float32)) for value in (0.15, 0.3, 0.7, 0.85)]
        env = environment("well_exposedness", photos, 16, max_segments=1)
        model = build(env, algorithm, learning_rate=3e-3, noise="gaussian", sigma=0.3, gradient_steps=8, tau=0.05,
                      train_freq=2, buffer_size=2000, batch_size=16)  # fmt: skip
        assert type(model.replay_buffer) is not RelabelReplayBuffer  # this reward does not change
        model.learn(800)
        scores = []
        for photo in photos:
            actions, _ = model.predict(env.envs.reset(options={"photo": photo})[0])
            env.step(actions)
            scores.append(env.finished.score[0])
            assert (actions > 0.15).all() if photo.image[0, 0, 0] < 0.5 else (actions < -0.15).all()
        assert np.mean(scores) > 0.5  # untouched photos have 0.12

    def test_same_seed_same_agent_and_another_seed_another(self):
        weights = []
        for seed in (0, 0, 1):
            torch.manual_seed(5)
            model = build(environment(judge()), seed=seed)
            model.learn(60)
            weights.append(torch.nn.utils.parameters_to_vector(model.policy.parameters()).detach())
        assert (weights[0] == weights[1]).all() and (weights[0] != weights[2]).any()

    def test_a_rollout_is_of_about_64_episodes(self):
        def stripes(image):  # one, two or three segments, told by the brightness
            return np.arange(SIZE)[:, None] * round(image.mean() * 10) // SIZE * np.ones((1, SIZE), int)

        photos = [Photo("grey", np.full((SIZE, SIZE, 3), value, np.float32)) for value in (0.1, 0.2, 0.3)]
        task = ExposureTask(photos, stripes, size=SIZE, max_segments=8)
        assert rollout_steps(task, 8) == 16  # 64 episodes of two steps in the mean, eight at once
        assert rollout_steps(task, 8, episodes=5) == 2 and rollout_steps(task, 1000) == 1
        env = environment(photos=photos, segmenter=stripes, max_segments=8, num_envs=8)
        assert build(env, train_freq=None).train_freq.frequency == 16

    def test_noise_is_the_papers_by_default(self):
        env = environment()
        model = build(env)
        noise = model.action_noise
        assert (noise._theta, noise._dt, noise._mu, noise._sigma) == (0.015, 1.0, 0, 0.03)
        model.learn(4)
        assert isinstance(model.action_noise, VectorizedActionNoise) and len(model.action_noise.noises) == NUM_ENVS
        assert build(env, sigma=0.2).action_noise._sigma == 0.2
        gaussian = build(env, noise="gaussian").action_noise
        assert isinstance(gaussian, NormalActionNoise) and gaussian._sigma == 0.1
        assert build(env, noise=gaussian).action_noise is gaussian and build(env, noise=None).action_noise is None

    def test_size_of_the_replay(self):
        model = build(environment(), buffer_size=100)
        # 25 rows of four; two observations, an action, reward, done and timeout of four bytes each
        assert replay_bytes(model) == 100 * (2 * 12 * SIZE * SIZE + 4 * 4)
        assert replay_bytes(build(environment(obs_type="float32"), buffer_size=100)) == 100 * 4 * (2 * 12 * SIZE**2 + 4)

    def test_written_and_read_as_sb3_does(self, tmp_path):
        env = environment(judge(spectral_norm=True))
        model = build(env)
        model.learn(40)
        model.save(tmp_path / "model")
        loaded = DDPG.load(tmp_path / "model", env=env, device="cpu")
        observation = env.reset()
        np.testing.assert_array_equal(loaded.predict(observation)[0], model.predict(observation)[0])
        with pytest.raises(ValueError, match="after load"):
            loaded.learn(40)
        loaded.replay_buffer.reward_model = env.task.reward_model
        loaded.learn(40)
        assert loaded._n_updates > model._n_updates

    @pytest.mark.parametrize("settings, named", [
        ({"reward_image": "local"}, "'local' and None"), ({"reward_image": "both"}, "'both' and None"),
        ({"shaping": "well_exposedness"}, "'fused' and 'well_exposedness'"),
    ])  # fmt: skip
    def test_rewards_that_cannot_be_scored_anew(self, settings, named):
        env = environment(**settings)
        with pytest.raises(ValueError, match=f"no shaping, not {named}, or relabel=False"):
            build(env)
        assert type(build(env, relabel=False).replay_buffer) is not RelabelReplayBuffer

    @pytest.mark.parametrize("options, message", [
        ({"algorithm": "sac"}, "algorithm must be one of .*'ddpg', 'td3'.*, not 'sac'"),
        ({"buffer_size": 3}, "buffer_size must be at least 4, not 3"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"train_freq": 0}, "train_freq must be at least 1, not 0"),
        ({"noise": "pink"}, "noise must be .* not 'pink'"),
        ({"sigma": -0.1}, "sigma must be at least 0.*-0.1"),
        ({"sigma": 0.1, "noise": None}, "sigma .*0.1 of None"),
        ({"ev_penalty": -1.0}, "ev_penalty must be at least 0, not -1.0"),
        ({"ev_penalty": 0.5, "relabel": False}, "ev_penalty=0.5 .*relabel=True"),
        ({"shaping": True, "relabel": False}, "shaping=True .*relabel=True"),
        ({"n_steps": 3}, "n_steps=3 .*relabel=False"),
        ({"optimize_memory_usage": True}, "optimize_memory_usage=True loses"),
    ])  # fmt: skip
    def test_options_that_make_no_sense(self, options, message):
        with pytest.raises(ValueError, match=message):
            build(environment(), **options)

    def test_other_environments_are_errors(self):
        with pytest.raises(ValueError, match="must be an ExposureVecEnv, not ExposureVectorEnv"):
            build(environment().envs)
        with pytest.raises(ValueError, match='use obs_type="uint8" or "float32"'):
            build(environment(obs_type="dict"))

import numpy as np
import pytest
import torch
from stable_baselines3 import DDPG, TD3
from stable_baselines3.common.callbacks import ConvertCallback
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise
from stable_baselines3.common.vec_env import VecNormalize

from agents import networks
from agents.baselines.off_policy import OffPolicyPolicy, build_off_policy, replay_bytes, rollout_steps
from agents.baselines.replay import RelabelReplayBuffer
from agents.evaluation.judging import evaluate
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import Photo, sample_photos
from exposure_env.task import ExposureTask

SIZE, NUM_ENVS = 16, 4
PHOTOS = sample_photos("inputs", 6)

algorithms = pytest.mark.parametrize("algorithm", ["ddpg", "td3"])
pytestmark = pytest.mark.usefixtures("one_thread")


def judge(**settings):
    return DiscriminatorReward(size=SIZE, width=4, **settings)


def environment(reward_model=None, photos=PHOTOS, num_envs=NUM_ENVS, **settings):
    settings = {"size": SIZE, "max_segments": 3, **settings}
    return ExposureVecEnv(None, num_envs, photos=photos, reward_model=reward_model or judge(), **settings)


def build(env, algorithm="ddpg", **options):
    options = {"width": 4, "seed": 0, "device": "cpu", "buffer_size": 200, "batch_size": 16, "train_freq": 4,
               "gradient_steps": 1, "learning_rate": 1e-3, **options}  # fmt: skip
    return build_off_policy(algorithm, env, **options)


class Notes:
    """What the environment says of the episodes that end: (step, environment) -> reward, result, photo."""

    def __init__(self):
        self.rewards, self.images, self.photos, self.steps = {}, {}, {}, 0
        self.callback = ConvertCallback(self)

    def __call__(self, local, other):
        for k, i in enumerate(np.flatnonzero(local["dones"])):
            finished = local["env"].unwrapped.finished
            self.rewards[self.steps, i] = local["rewards"][i]
            self.images[self.steps, i], self.photos[self.steps, i] = finished.image[k], finished.state.photos[k]
        self.steps += 1
        return True


def stir(network, scale=0.2, seed=1):
    """Other weights, as if the discriminator had learned."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator)


class TestRelabelling:
    @pytest.mark.parametrize("relative", [True, False])
    @pytest.mark.parametrize("obs_type, planes", [("uint8", "full"), ("uint8", "paper"), ("float32", "full")])
    def test_samples_have_todays_rewards(self, obs_type, planes, relative):
        env = environment(obs_type=obs_type, planes=planes, relative=relative)
        reward, notes = env.task.reward_model, Notes()
        model = build(env, gradient_steps=0, noise="gaussian", sigma=0.5)
        model.learn(120, notes.callback)
        buffer = model.replay_buffer
        channels = {"full": 12, "paper": 9}[planes]
        shape = (channels, SIZE, SIZE) if obs_type == "uint8" else (SIZE, SIZE, channels)
        assert buffer.obs_shape == shape and buffer.pos == 32 and len(notes.rewards) > 20
        stored = {key: buffer.rewards[key] for key in notes.rewards}
        assert stored == pytest.approx(notes.rewards)

        stir(reward.network)
        image, photo = (np.stack(list(x.values())) for x in (notes.images, notes.photos))
        exact = reward(image) - relative * reward(photo)
        if obs_type == "uint8":  # what bytes keep of them
            image, photo = np.rint(image * 255).astype(np.float32) / 255, np.rint(photo * 255).astype(np.float32) / 255
        today = reward(image) - relative * reward(photo)
        assert np.median(np.abs(today - list(stored.values()))) > 0.01 and np.abs(today - exact).max() < 0.1

        expected = dict(zip(notes.rewards, today, strict=True))
        place = {float(buffer.actions[step, i, 0]): (step, i) for step in range(32) for i in range(NUM_ENVS)}
        assert len(place) > 110  # an action tells where a sample is from, but for those clipped to 1 and -1
        samples = buffer.sample(400)
        seen = set()
        for action, done, given in zip(samples.actions, samples.dones, samples.rewards, strict=True):
            assert given.shape == (1,)
            if abs(action.item()) < 1:
                key = place[action.item()]
                assert done.item() == (key in expected)
                assert given.item() == pytest.approx(expected.get(key, 0), abs=1e-5)
                seen.add(key)
        assert len(seen & expected.keys()) > 20 and len(seen - expected.keys()) > 20
        assert {key: buffer.rewards[key] for key in notes.rewards} == stored and not samples.rewards.requires_grad

    def test_a_reward_model_may_be_of_numpy_only(self):
        def brightness(images, inputs):
            assert isinstance(images, np.ndarray) and isinstance(inputs, np.ndarray)
            return images.mean((1, 2, 3)) - 0.5 * inputs.mean((1, 2, 3))

        env = environment(brightness, max_segments=1, relative=True)
        model = build(env, relabel=True, gradient_steps=0, noise="gaussian", sigma=0.5)
        model.learn(40)
        buffer = model.replay_buffer
        planes = buffer.next_observations.reshape(-1, 12, SIZE, SIZE)[:40].astype(np.float64) / 255
        expected = planes[:, 6:9].mean((1, 2, 3)) - planes[:, 0:3].mean((1, 2, 3))  # the inputs' halves cancel
        rewards = buffer.gains(torch.as_tensor(buffer.next_observations.reshape(-1, 12, SIZE, SIZE)[:40]))
        np.testing.assert_allclose(rewards, expected, atol=1e-6)
        assert np.abs(expected).min() > 1e-4

    def test_ev_penalty_is_taken_off_every_reward(self):
        env = environment(max_ev=2.0)
        model = build(env, ev_penalty=0.25, noise="gaussian", sigma=0.5, gradient_steps=0)
        model.learn(60)
        with_it = model.replay_buffer.sample(100)
        evs, rewards = 2 * with_it.actions, np.zeros((100, 1), np.float32)
        ended = with_it.dones[:, 0] > 0
        rewards[ended, 0] = model.replay_buffer.gains(with_it.next_observations[ended])
        np.testing.assert_allclose(with_it.rewards, rewards - 0.25 * evs.square().numpy(), atol=1e-6)
        assert 10 < ended.sum() < 90 and evs.abs().max() > 1

    @pytest.mark.parametrize("relative", [True, False])
    def test_shaping_adds_the_change_of_the_local_image_s_score(self, relative):
        env = environment(relative=relative)
        model = build(env, shaping=True, gamma=0.9, noise="gaussian", sigma=0.5, gradient_steps=0)
        model.learn(60)
        samples, judge = model.replay_buffer.sample(100), env.task.reward_model

        def potential(observations):
            planes = observations.permute(0, 2, 3, 1).float() / 255
            scores = judge(planes[..., 6:9].numpy())
            return scores - judge(planes[..., 0:3].numpy()) if relative else scores

        before, after = potential(samples.observations), potential(samples.next_observations)
        ended = samples.dones[:, 0].numpy() > 0
        expected = np.where(ended, after - before, 0.9 * after - before)
        np.testing.assert_allclose(samples.rewards[:, 0], expected, atol=1e-5)
        assert 10 < ended.sum() < 90 and np.abs(expected).min() < np.abs(expected).max()

    @algorithms
    def test_critics_may_learn_faster_than_the_actor(self, algorithm):
        model = build(environment(), algorithm, learning_rate=1e-4, critic_learning_rate=lambda left: 1e-2 * left,
                      gradient_steps=2)  # fmt: skip
        model.learn(40)
        assert model.actor.optimizer.param_groups[0]["lr"] == 1e-4
        left = model._current_progress_remaining
        assert model.critic.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * left) and left < 1

    def test_a_sample_in_which_no_episode_ends_asks_for_no_score(self):
        space = environment().observation_space
        buffer = RelabelReplayBuffer(8, space, environment().action_space, "cpu", reward_model=None)
        nothing = np.zeros((1, *space.shape), np.uint8)
        buffer.add(nothing, nothing, np.zeros((1, 1)), np.array([0.25]), np.array([False]), [{}])
        assert (buffer.sample(5).rewards == 0.25).all()  # rewards of other steps stay what they are
        buffer.add(nothing, nothing, np.zeros((1, 1)), np.array([0.25]), np.array([True]), [{}])
        with pytest.raises(ValueError, match="no reward model: set its reward_model"):
            buffer.sample(50)

    def test_a_score_that_is_not_finite_is_an_error(self):
        env = environment()
        model = build(env, gradient_steps=0)
        model.learn(40)
        with torch.no_grad():
            env.task.reward_model.network.stack.head.bias.fill_(float("nan"))
        with pytest.raises(ValueError, match="not finite"):
            model.replay_buffer.sample(50)

    def test_what_it_cannot_do_is_an_error(self):
        env, other = environment(), environment(obs_type="dict")
        spaces = env.observation_space, env.action_space
        with pytest.raises(ValueError, match="optimize_memory_usage=True loses the finished images"):
            RelabelReplayBuffer(8, *spaces, optimize_memory_usage=True)
        with pytest.raises(ValueError, match='not "dict"'):
            RelabelReplayBuffer(8, other.observation_space, env.action_space)
        model = build(env, gradient_steps=0)
        model.learn(4)
        with pytest.raises(ValueError, match="take VecNormalize off"):
            model.replay_buffer.sample(1, VecNormalize(env, norm_obs=False))

    def test_it_is_kept_without_its_reward_model(self, tmp_path):
        env = environment(judge(spectral_norm=True))  # a network that can't be pickled
        model = build(env, gradient_steps=0)
        model.learn(40)
        model.save_replay_buffer(tmp_path / "replay")
        expected = model.replay_buffer.rewards.copy()
        assert model.replay_buffer.reward_model is env.task.reward_model
        model.load_replay_buffer(tmp_path / "replay")
        np.testing.assert_array_equal(model.replay_buffer.rewards, expected)
        assert model.replay_buffer.reward_model is None and model.replay_buffer.relative


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
                      train_freq=2, buffer_size=2000, batch_size=64)  # fmt: skip
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

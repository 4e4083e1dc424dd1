"""A replay whose rewards are those of the discriminator of today."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import ConvertCallback
from stable_baselines3.common.vec_env import VecNormalize

from agents.baselines.replay import RelabelReplayBuffer
from tests.baselines.small import NUM_ENVS, SIZE, algorithms, build, environment, judge, stir

pytestmark = pytest.mark.usefixtures("one_thread")


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

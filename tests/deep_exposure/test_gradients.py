"""Each way to value an exposure, against loops over episodes and steps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger

from agents.deep_exposure import DeepExposure
from agents.deep_exposure.gradients import GRADIENTS, exposures
from agents.planes import planes
from exposure_env.episode import EpisodeState, advance, is_done, select, start, visited
from exposure_env.photos import Photo
from tests.deep_exposure.small import (
    SETTINGS,
    SIZE,
    VARYING,
    Indifferent,
    agent,
    assert_same_gradient,
    doubled,
    gradient,
    halves,
    judged,
    play,
    train,
    vec_env,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def seen_in(model, states):
    return planes(model.task, model.obs_type, states)


def own_gradient(model, finished):
    """The form's loss, the actions and the gradient of the actor."""
    loss, actions = GRADIENTS[model.method.value](model, finished)
    model.policy.optimizer.zero_grad()
    loss.backward()
    return loss, actions, gradient(model)


def score_gradient(model, total):
    model.policy.optimizer.zero_grad()
    (-total).backward()
    return gradient(model)


def first_state(finished, n):
    episode = select(finished, [n])
    return episode, start(episode.photos, episode.labels, finished.evs.shape[1])


class TestCriticForm:
    """DeepExposure I."""

    @SETTINGS
    @pytest.mark.parametrize("shaping", [False, True])
    def test_gradient_of_reward_and_next_value_through_the_known_transition(self, settings, shaping):
        model, finished = judged(settings, value="critic", shaping=shaping)
        task = model.exposure_env.task
        loss, _, ours = own_gradient(model, finished)
        total = 0
        for n in range(5):
            episode, state = first_state(finished, n)
            for t in range(int(episode.num_segments)):
                with torch.no_grad():
                    seen = seen_in(model, state)
                after = advance(state, model.policy.actor(seen)[:, 0] * task.config.max_ev)
                if is_done(after).all():
                    total = total + task.score(after).sum()
                else:
                    total = total + 0.9 * model.policy.critic(seen_in(model, after)).sum()
                    total = total + (0.9 * task.score(after).sum() if shaping else 0)
                state = advance(state, episode.evs[:, t])
        assert loss.item() == pytest.approx(-total.item(), abs=1e-6)
        assert_same_gradient(ours, score_gradient(model, total))

    def test_one_segment_is_form_ii(self):
        # One exposure, no value ahead: the reward's own gradient is all there is.
        finished = play(vec_env(max_segments=1), 8)
        gradients = []
        for value in ("critic", "discriminator", "pathwise"):
            model = agent(vec_env(max_segments=1), value=value)
            train(model, finished)
            gradients.append(gradient(model))
        assert_same_gradient(gradients[0], gradients[1])
        assert_same_gradient(gradients[0], gradients[2])

    @pytest.mark.parametrize("value", ["critic", "q"])
    def test_the_critic_learns_its_targets(self, value):
        model = agent(vec_env(), value=value, width=8, batch_size=8, critic_steps=4, critic_learning_rate=2e-3,
                      learning_rate=0.0)
        model.set_logger(Logger(None, []))
        finished = play(vec_env(), 32)
        evs = np.where(finished.evs == 0, 0, 0.2 + finished.photos[:, :1, 0, 0])  # else the future would be a surprise
        finished = finished._replace(evs=evs.astype(np.float32))
        unexplained = []
        for _ in range(7):
            model.train(finished)
            unexplained.append(model.logger.name_to_value["train/critic_unexplained"])
        assert unexplained[-1] < 0.1 < 0.5 < unexplained[0], unexplained

    def test_steps_share_the_episodes(self):
        finished = play(vec_env(), 8)
        models = [agent(vec_env(), value="critic", critic_steps=steps) for steps in (1, 2, 8)]
        counts = []
        for model in models:
            train(model, finished)
            (state, *_) = model.policy.critic_optimizer.state.values()
            counts.append(int(state["step"]))
        assert counts == [1, 2, 8]

    def test_accumulating_the_critic_over_mini_batches_is_one_large_batch(self):
        finished, weights = doubled(play(vec_env(), 16), as_torch=False), []
        for n_batches, batch_size in ((8, 2), (1, 16)):
            model = agent(vec_env(), value="critic", n_batches=n_batches, batch_size=batch_size)
            model.policy.double()
            train(model, finished)
            weights.append(torch.cat([p.grad.flatten() for p in model.policy.critic.parameters()]).numpy())
        assert_same_gradient(*weights)


class TestQForm:
    def test_gradient_of_the_learned_q_alone(self):
        model, finished = judged({}, value="q")
        _, actions, ours = own_gradient(model, finished)
        with torch.no_grad():
            seen = seen_in(model, visited(finished)[1])
        again = model.policy.actor(seen)[:, 0]
        assert_same_gradient(ours, score_gradient(model, model.policy.critic(seen, again).sum()))
        np.testing.assert_allclose(actions, again.detach())

    def test_needs_no_gradient_of_the_reward_model(self):
        def opaque(images, **context):
            return np.asarray(images).mean((1, 2, 3))

        agent(vec_env(reward_model=opaque), value="q").learn(20)
        for value in ("critic", "discriminator", "pathwise"):
            with pytest.raises(ValueError, match="needs a differentiable reward model"):
                agent(vec_env(reward_model=opaque), value=value).learn(20)


class TestPathwise:
    @SETTINGS
    def test_differentiates_the_whole_episode(self, settings):
        model, finished = judged(settings, value="pathwise")
        task = model.exposure_env.task
        _, actions, ours = own_gradient(model, finished)
        total = 0
        for n in range(5):
            episode, state = first_state(finished, n)
            for _ in range(int(episode.num_segments)):
                state = advance(state, model.policy.actor(seen_in(model, state))[:, 0] * task.config.max_ev)
            total = total + task.score(state).sum()
        assert len(actions) == int(finished.num_segments.sum())
        assert_same_gradient(ours, score_gradient(model, total))

    def test_central_differences(self):
        model, finished = judged({"fusion": "mask_pyramid"}, value="pathwise")
        bias = model.policy.actor.stack.head.bias
        GRADIENTS["pathwise"](model, finished)[0].backward()
        values = []
        with torch.no_grad():
            for step in (1e-5, -2e-5):
                bias += step
                values.append(GRADIENTS["pathwise"](model, finished)[0].item())
        assert bias.grad.item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4)

    def test_knows_what_one_exposure_does_to_the_next(self):
        """Against form II, which holds the other exposures: they differ unless there is nothing ahead."""
        model, finished = judged({}, value="pathwise")
        gradients = []
        for value in ("pathwise", "discriminator"):
            model.method = replace(model.method, gamma=1.0, value=value)
            gradients.append(own_gradient(model, finished)[2])
        cosine = np.dot(*gradients) / np.prod([np.linalg.norm(g) for g in gradients])
        assert 0 < cosine < 0.9999


@pytest.mark.parametrize("value", sorted(GRADIENTS))
class TestEveryForm:
    def test_learns_to_brighten(self, value, tmp_path):
        rates = {"learning_rate": 3e-3, "critic_learning_rate": 3e-3}
        model = agent(vec_env(), value=value, width=8, critic_steps=4, n_batches=1, batch_size=8, **rates).learn(700)
        env = vec_env(VARYING)
        observation = env.reset()
        assert model.predict(observation)[0].mean() > 0.05

        model.save(tmp_path / "model")
        loaded = DeepExposure.load(tmp_path / "model", env=vec_env())
        for name, tensor in model.policy.state_dict().items():
            assert torch.equal(loaded.policy.state_dict()[name], tensor), name
        optimizer = loaded.policy.critic_optimizer
        assert (optimizer is None) == (value in ("discriminator", "pathwise"))
        assert optimizer is None or len(optimizer.state) == len(list(loaded.policy.critic.parameters()))
        loaded.learn(20, reset_num_timesteps=False)

    def test_the_penalty_is_on_the_squared_exposures(self, value, monkeypatch):
        finished, gradients = play(vec_env(), 8), []
        for ev_penalty in (0.0, 0.5):
            model = agent(vec_env(), lively=True, value=value, ev_penalty=ev_penalty, learning_rate=0.0)
            train(model, finished)
            gradients.append(gradient(model))
        seen = []

        def watched(model, states, actions, usual=None):
            seen.append(actions)
            return exposures(model, states, actions, usual)

        monkeypatch.setattr("agents.deep_exposure.gradients.exposures", watched)
        model.policy.optimizer.zero_grad()
        GRADIENTS[value](model, EpisodeState(*(None if a is None else torch.as_tensor(a) for a in finished)))
        (0.5 * (3.0 * torch.cat(seen)).square().mean()).backward()
        assert_same_gradient(gradients[1] - gradients[0], gradient(model))


def test_a_prior_at_the_mean_leaves_the_mean_free():
    finished = play(vec_env(), 8)
    model = agent(vec_env(reward_model=Indifferent()), lively=True, ev_prior="mean", ev_penalty=1.0, learning_rate=0.0)
    train(model, finished)  # it pulled towards 0, and has learned the mean
    assert abs(model.ev_centre) > 0.01
    train(model, finished)
    assert abs(model.policy.actor.stack.head.bias.grad.item()) < abs(model.ev_centre)
    state = EpisodeState(*(None if a is None else torch.as_tensor(a) for a in finished))
    loss, actions = GRADIENTS["discriminator"](model, state)
    assert loss.item() == pytest.approx(len(actions) * (3 * actions).var(correction=0).item(), rel=1e-4)


def test_the_overshoot_penalty_by_hand():
    # Encoded values 0.4 and 0.8 times 2^1 overshoot by 0 and 0.6; the segments are the upper and the lower half.
    image = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    image[SIZE // 2 :] = 0.8
    env = vec_env([Photo("halves", image)], segmenter=halves, reward_model=Indifferent(), space="encoded", max_ev=1.0)
    model = agent(env, overshoot_penalty=2.0)
    torch.nn.init.constant_(model.policy.actor.stack.head.bias, 20.0)  # action 1
    state = start(torch.as_tensor(image)[None], torch.as_tensor(halves(image))[None], 5)
    finished = state._replace(step=state.num_segments)
    for value in ("discriminator", "pathwise"):
        loss, _ = GRADIENTS[value](model, finished)
        assert loss.item() == pytest.approx(2.0 * 0.5 * 0.6**2, rel=1e-4)

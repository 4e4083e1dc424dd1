"""The gradient of DeepExposure II, through the score of an image, against loops over steps; its factors and limits."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy

from agents.deep_exposure.gradients import GRADIENTS
from agents.rewards.discriminator import DiscriminatorReward
from exposure_env.episode import EpisodeState, advance, concatenate, observe, select, start, visited
from tests.deep_exposure.small import (
    LN2,
    SETTINGS,
    SIZE,
    Brightness,
    Indifferent,
    agent,
    assert_same_gradient,
    doubled,
    gradient,
    grey,
    halves,
    judged,
    play,
    stripes,
    train,
    vec_env,
    weights,
)

pytestmark = pytest.mark.usefixtures("one_thread")


class TestGradient:
    """Against loops over episodes and steps, one at a time."""

    def path(self, model, finished, n):
        """States of one episode, before each of its actions."""
        task = model.exposure_env.task
        episode = select(finished, [n])
        state = start(episode.photos, episode.labels, 5)
        for t in range(int(episode.num_segments)):
            planes = observe(state, task.local(state), task.config.planes).permute(0, 3, 1, 2)
            yield t, state, model.policy.actor(planes)[:, 0] * task.config.max_ev
            state = advance(state, episode.evs[:, t])

    @SETTINGS
    def test_next(self, settings):
        model, finished = judged(settings, value_image="next")
        loss, _ = GRADIENTS[model.method.value](model, finished)
        loss.backward()
        ours = gradient(model)
        model.policy.optimizer.zero_grad()
        total = 0
        for n in range(5):
            length = int(finished.num_segments[n])
            for t, state, ev in self.path(model, finished, n):
                score = model.exposure_env.task.score(advance(state, ev))
                total = total + 0.9 ** (length - 1 - t) * score.sum()
        (-total).backward()
        assert loss.item() == pytest.approx(-total.item(), abs=1e-6)
        assert_same_gradient(ours, gradient(model))

    @SETTINGS
    def test_final(self, settings):
        model, finished = judged(settings, value_image="final")
        GRADIENTS[model.method.value](model, finished)[0].backward()
        ours = gradient(model)
        model.policy.optimizer.zero_grad()
        for n in range(5):
            length = int(finished.num_segments[n])
            evs = torch.cat([ev for *_, ev in self.path(model, finished, n)])
            for t in range(length):  # the score of the finished image, with all exposures but one held
                state = start(finished.photos[n : n + 1], finished.labels[n : n + 1], 5)
                for u in range(length):
                    state = advance(state, evs[u : u + 1] if u == t else evs[u : u + 1].detach())
                score = model.exposure_env.task.score(state).sum()
                (-(0.9 ** (length - 1 - t)) * score).backward(retain_graph=True)
        assert_same_gradient(ours, gradient(model))

    @pytest.mark.parametrize("value_image", ["next", "final"])
    def test_by_hand_averaged_over_the_true_number_of_transitions(self, value_image):
        # A first value of 0.1 (k-1) makes k stripes. In a photo of one value c, exposing a share s of it by EV changes
        # the mean at EV 0 by c s ln 2 per stop; the actor's slope at 0 is 1 for its bias, times max_ev = 2 stops.
        photos = [grey(0.1), grey(0.2), grey(0.4)]
        model = agent(vec_env(photos, space="encoded", max_ev=2.0, num_envs=3), gamma=0.5, value_image=value_image)
        state = start(*(np.stack(x) for x in ([p.image for p in photos], [stripes(p.image) for p in photos])), 5)
        train(model, state._replace(step=state.num_segments))
        assert state.num_segments.tolist() == [2, 3, 5]
        rows = {2: [8, 8], 3: [6, 5, 5], 5: [4, 3, 3, 3, 3]}
        total = sum(
            c * rows[k][t] / 16 * 0.5 ** (k - 1 - t) for c, k in ((0.1, 2), (0.2, 3), (0.4, 5)) for t in range(k)
        )
        bias = model.policy.actor.stack.head.bias.grad.item()
        assert bias == pytest.approx(-total * LN2 * 2 / (2 + 3 + 5), rel=1e-5)

    @pytest.mark.parametrize("value_image", ["next", "final"])
    def test_eight_mini_batches_are_one_large_batch(self, value_image):
        finished = doubled(play(vec_env(), 16), as_torch=False)
        assert len(set(finished.num_segments.tolist())) > 2
        gradients = []
        for n_batches, batch_size in ((8, 2), (1, 16)):
            model = agent(n_batches=n_batches, batch_size=batch_size, value_image=value_image)
            torch.manual_seed(5)
            torch.nn.init.normal_(model.policy.actor.stack.head.weight, std=0.5)
            model.policy.double()
            train(model, finished)
            gradients.append(gradient(model))
        assert_same_gradient(*gradients)

    @pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
    def test_the_actions_are_those_that_it_takes_while_it_plays(self, obs_type):
        env = vec_env(obs_type=obs_type, fusion="mask_pyramid")
        model = agent(env, lively=True, policy="MultiInputPolicy" if obs_type == "dict" else "CnnPolicy",
                      action_noise=None)  # fmt: skip
        finished, played = self.rollout(model)
        finished = EpisodeState(*(None if a is None else torch.as_tensor(a) for a in finished))
        _, actions = GRADIENTS[model.method.value](model, finished)
        assert actions.std() > 0.01
        np.testing.assert_allclose(actions, played, atol=2e-6)

    def rollout(self, model):
        """Finished episodes and the actions taken in them, episode by episode."""
        env = model.env
        observation = env.reset()
        states, actions, running = [], [], [[] for _ in range(env.num_envs)]
        while len(states) < 6:
            action, _ = model.predict(observation)
            observation, _, dones, _ = env.step(action)
            for i, a in enumerate(action[:, 0]):
                running[i].append(a)
            if dones.any():
                states.append(model.exposure_env.finished.state)
                for i in np.flatnonzero(dones):
                    actions += running[i]
                    running[i] = []
        return concatenate(states), np.array(actions)


class TestAdvantage:
    @pytest.mark.parametrize("value_image", ["next", "final"])
    @pytest.mark.parametrize("advantage, sign", [("potential", 1), ("paper_abs", 1), ("paper_literal", -1)])
    def test_one_step_raises_the_score_but_not_with_the_printed_sign(self, advantage, sign, value_image):
        model = agent(advantage=advantage, value_image=value_image, learning_rate=1e-3)
        finished = play(vec_env(), 8)
        evaluation = vec_env()
        before, _ = evaluate_policy(model, evaluation, 8, warn=False)
        train(model, finished)
        after, _ = evaluate_policy(model, evaluation, 8, warn=False)
        assert before == pytest.approx(0, abs=1e-6) and sign * after > 1e-4

    def test_sizes_are_those_of_the_factors(self):
        finished, gradients = play(vec_env(), 6), {}
        for advantage in ("potential", "paper_abs", "paper_literal"):
            model = agent(advantage=advantage, gamma=0.9)
            train(model, finished)
            gradients[advantage] = gradient(model)
        assert np.abs(gradients["potential"]).max() > 1e-3
        np.testing.assert_allclose(gradients["paper_abs"], 0.1 * gradients["potential"], atol=1e-7)
        np.testing.assert_array_equal(gradients["paper_literal"], -gradients["paper_abs"])

    @pytest.mark.parametrize("gamma", [1.0, 0.9])
    def test_discounted_advantages_telescope(self, gamma):
        # Section 7.1: with A_t = gamma^(K-1-t) [D(S_t+1) - D(S_t)], sum gamma^t A_t = gamma^(K-1) [D(S_K) - D(S_0)].
        judge = DiscriminatorReward(size=SIZE, width=4)
        judge.network.double()
        model = agent(vec_env(reward_model=judge, fusion="mask_pyramid"), gamma=gamma)
        finished, task = doubled(play(vec_env(), 6)), model.exposure_env.task
        with torch.no_grad():
            before, steps = task.score(visited(finished)[1]), visited(finished)[1].step
            evs = torch.cat([finished.evs[n, :k] for n, k in enumerate(finished.num_segments)])
            after = task.score(advance(visited(finished)[1], evs))
            gain = task.score(finished) - judge(finished.photos)
        episodes = torch.repeat_interleave(torch.arange(6), finished.num_segments)
        lengths = finished.num_segments[episodes]
        shaped = gamma**steps * gamma ** (lengths - 1 - steps) * (after - before)
        sums = torch.zeros(6, dtype=torch.float64).index_add(0, episodes, shaped)
        assert gain.abs().min() > 1e-6
        np.testing.assert_allclose(sums, gamma ** (finished.num_segments - 1) * gain, atol=1e-9)

    def test_undiscounted_loss_is_minus_the_return_up_to_what_no_action_changes(self):
        env = vec_env()
        model = agent(env, lively=True, gamma=1.0, value_image="next", action_noise=None)
        finished, _ = TestGradient().rollout(model)
        finished = EpisodeState(*(None if a is None else torch.as_tensor(a) for a in finished))
        loss, _ = GRADIENTS[model.method.value](model, finished)
        task = model.exposure_env.task
        gain = task.score(finished).sum() - Brightness()(finished.photos).sum()
        assert abs(gain) > 0.01
        assert -loss.item() - task.score(visited(finished)[1]).sum().item() == pytest.approx(gain.item(), abs=1e-4)


class TestLimits:
    def half(self, **options):
        """Model and finished episodes of one grey photo in two halves; a stop at EV 0 changes the mean by ln 2 / 10."""
        env = vec_env([grey(0.2)], halves, options.pop("reward_model", None), space="encoded", max_ev=2.0)
        model = agent(env, gamma=0.5, **options)
        state = start(np.full((4, SIZE, SIZE, 3), 0.2, np.float32), np.stack([halves(None)] * 4), 5)
        return model, state._replace(step=state.num_segments)

    @pytest.mark.parametrize("value_image", ["next", "final"])
    @pytest.mark.parametrize("max_slope", [0.05, 0.01, 1.0, None])
    def test_slope_of_each_transition_is_clipped(self, max_slope, value_image):
        model, finished = self.half(max_slope=max_slope, value_image=value_image)
        slopes = [0.5 * 0.1 * LN2, 0.1 * LN2]  # 0.035 and 0.069 per stop, discounted
        clipped = [min(slope, max_slope or np.inf) for slope in slopes]
        train(model, finished)
        assert model.policy.actor.stack.head.bias.grad.item() == pytest.approx(-np.mean(clipped) * 2, rel=1e-5)

    @pytest.mark.parametrize("value_image", ["next", "final"])
    @pytest.mark.parametrize("max_slope", [None, 0.01])  # limits the slope of the score, not the penalty's
    def test_ev_penalty(self, value_image, max_slope):
        model, finished = self.half(ev_penalty=0.3, max_slope=max_slope, reward_model=Indifferent(),
                                    value_image=value_image)  # fmt: skip
        torch.nn.init.constant_(model.policy.actor.stack.head.bias, 0.5)
        train(model, finished)
        action = np.tanh(0.5)  # EV = 2 a, so d (0.3 EV^2) / d bias = 0.6 * 2 a * 2 (1 - a^2)
        expected = 0.6 * 2 * action * 2 * (1 - action**2)
        assert model.policy.actor.stack.head.bias.grad.item() == pytest.approx(expected, rel=1e-5)

    def test_psnr_at_a_perfect_match_has_a_slope_that_is_limited(self):
        env = vec_env([grey(0.2, 0.2)], halves, "psnr")
        model = agent(env, max_slope=5.0, learning_rate=1e-3)
        model.learn(64)
        assert np.isfinite(weights(model)).all()

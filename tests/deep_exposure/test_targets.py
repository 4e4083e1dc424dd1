"""What the critics learn, by hand."""

import numpy as np
import pytest
import torch

from agents.deep_exposure.targets import critic_targets, lambda_returns
from agents.planes import planes
from exposure_env.episode import visited
from tests.deep_exposure.small import Brightness, agent, doubled, play, vec_env

pytestmark = pytest.mark.usefixtures("one_thread")


class TestLambdaReturns:
    """Eq. (6) and its generalisation: y_t = r_t + gamma [(1 - lambda) V(s_t+1) + lambda y_t+1]."""

    rewards = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 99.0]])
    values = torch.tensor([[7.0, 10.0, 20.0], [5.0, 30.0, 77.0]])
    lengths = torch.tensor([3, 2])

    def test_one_step_td_target_of_equation_6(self):
        found = lambda_returns(self.rewards, self.values, self.lengths, 0.5, 0.0)
        assert found.tolist() == [[1 + 0.5 * 10, 2 + 0.5 * 20, 4], [8 + 0.5 * 30, 16, 0]]

    def test_lambda_1_is_the_discounted_return(self):
        found = lambda_returns(self.rewards, self.values, self.lengths, 0.5, 1.0)
        assert found.tolist() == [[1 + 0.5 * (2 + 0.5 * 4), 2 + 0.5 * 4, 4], [8 + 0.5 * 16, 16, 0]]

    def test_between(self):
        found = lambda_returns(self.rewards, self.values, self.lengths, 0.5, 0.25)
        last = 2 + 0.5 * (0.75 * 20 + 0.25 * 4)
        assert found[0].tolist() == [1 + 0.5 * (0.75 * 10 + 0.25 * last), last, 4]
        assert found[1].tolist() == [8 + 0.5 * (0.75 * 30 + 0.25 * 16), 16, 0]


class TestCriticTargets:
    @pytest.mark.parametrize("relative", [True, False])
    def test_only_the_last_exposure_is_rewarded(self, relative):
        model = agent(vec_env(relative=relative), value="critic", gamma=0.5)
        finished = doubled(play(vec_env(), 5))
        targets = critic_targets(model, finished)
        score = model.exposure_env.task.score(finished)
        score = score - finished.photos.mean((1, 2, 3)) if relative else score
        episode, expected = visited(finished)
        remaining = finished.num_segments[episode] - 1 - expected.step
        np.testing.assert_allclose(targets, score[episode] * 0.5**remaining, atol=1e-12)
        assert not targets.requires_grad

    def test_a_potential_is_taken_off_every_target_and_nothing_else_changes(self):
        # Section 7.1 of Ng, Harada and Russell: V' = V - Phi, so that A, and the best policy, stay the same.
        finished = doubled(play(vec_env(), 5))
        plain, shaped = (
            critic_targets(agent(vec_env(), value="critic", gamma=0.7, shaping=shaping), finished)
            for shaping in (False, True)
        )
        potential = Brightness()(agent(vec_env()).exposure_env.task.fused(visited(finished)[1]))
        np.testing.assert_allclose(shaped, plain - potential, atol=1e-12)
        assert potential.std() > 0.01

    @pytest.mark.parametrize("value", ["critic", "q"])
    def test_td_0_bootstraps_from_the_critic(self, value):
        model = agent(vec_env(), value=value, gamma=0.5, td_lambda=0.0)
        model.policy.double()
        finished = doubled(play(vec_env(), 4))
        targets, (episode, states) = critic_targets(model, finished), visited(finished)
        actions = finished.evs[episode, states.step] / 3.0
        with torch.no_grad():
            seen = planes(model.task, model.obs_type, states)
            inputs = (seen, actions) if value == "q" else (seen,)
            values = model.policy.critic(*inputs)
        last = states.step == states.num_segments - 1
        gains = (Brightness()(model.exposure_env.task.fused(finished)) - finished.photos.mean((1, 2, 3)))
        np.testing.assert_allclose(targets[last], gains, atol=1e-12)
        following = torch.roll(values, -1)
        np.testing.assert_allclose(targets[~last], 0.5 * following[~last], atol=1e-12)

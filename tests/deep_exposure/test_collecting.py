"""Episodes played on the host: the noise of their actions, and the states that they went through."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise

from exposure_env.episode import EpisodeState, concatenate, select, start, visited
from tests.deep_exposure.small import Indifferent, agent, textured, vec_env

pytestmark = pytest.mark.usefixtures("one_thread")


class Actions(BaseCallback):
    """Notes the actions and ends of every step."""

    def __init__(self):
        super().__init__()
        self.actions, self.dones = [], []

    def _on_step(self):
        self.actions.append(self.locals["actions"][:, 0].copy())
        self.dones.append(self.locals["dones"].copy())
        return True


class TestNoise:
    def test_standard_deviation_after_some_steps_from_zero(self):
        np.random.seed(0)
        noise = VectorizedActionNoise(agent().action_noise, 4000)
        deviations = [noise().std() for _ in range(20)]
        # variance after n steps: sigma^2 (1 - r^2n) / (1 - r^2) with r = 1 - theta
        assert [deviations[n - 1] for n in (1, 5, 10, 20)] == pytest.approx([0.03, 0.065, 0.089, 0.117], rel=0.04)

    @pytest.mark.parametrize("reset_noise", [True, False])
    def test_added_to_the_actions_and_begun_anew_with_an_episode_or_not(self, reset_noise):
        noted = Actions()
        env = vec_env([textured(5)], num_envs=64, reward_model=Indifferent())  # its actor stays at 0: all is noise
        model = agent(env, n_batches=8, batch_size=64, reset_noise=reset_noise)
        model.learn(8 * 64 * 5, noted)
        assert (np.array(noted.dones).sum(1) > 0).tolist() == ([False] * 4 + [True]) * 8
        noise = np.array(noted.actions)
        begun = np.arange(5, 40, 5)
        afresh = noise[begun].std() / 0.03
        continued = (noise[begun] - 0.985 * noise[begun - 1]).std() / 0.03
        within = (noise[begun + 1] - 0.985 * noise[begun]).std() / 0.03
        assert within == pytest.approx(1, rel=0.1)
        assert (afresh if reset_noise else continued) == pytest.approx(1, rel=0.1)
        assert (continued if reset_noise else afresh) > 1.8

    def test_begins_anew_with_the_episodes_of_another_training(self):
        model = agent(vec_env([textured(5)], num_envs=64, reward_model=Indifferent()), n_batches=8)
        model.learn(1000, lambda local, other: model.num_timesteps < 4 * 64)  # stopped in the middle of the episodes
        noted = Actions()
        model.learn(1, noted)
        assert noted.actions[0].std() == pytest.approx(0.03, rel=0.25)

    def test_none(self):
        noted = Actions()
        agent(vec_env(reward_model=Indifferent()), action_noise=None).learn(16, noted)
        assert (np.concatenate(noted.actions) == 0).all()

    def test_any_of_sb3s_and_the_actions_stay_in_bounds(self):
        noted = Actions()
        noise = NormalActionNoise(np.zeros(1), np.full(1, 3.0))
        agent(vec_env(reward_model=Indifferent()), action_noise=noise).learn(40, noted)
        actions = np.concatenate(noted.actions)
        assert actions.min() == -1 and actions.max() == 1 and actions.dtype == np.float32


class TestVisited:
    def test_lists_the_states_that_the_episodes_went_through(self):
        env = vec_env()
        env.seed(0)
        env.reset()
        rng, path = np.random.default_rng(0), [[] for _ in range(4)]
        lengths = set()
        for _ in range(14):
            before = EpisodeState(*(None if a is None else a.copy() for a in env.envs.state))
            for i in range(4):
                path[i].append(select(before, [i]))
            *_, dones, _ = env.step(rng.uniform(-1, 1, (4, 1)).astype(np.float32))
            if not dones.any():
                continue
            expected = concatenate([state for i in np.flatnonzero(dones) for state in path[i]])
            finished = env.finished.state
            found = visited(EpisodeState(*(None if a is None else torch.as_tensor(a) for a in finished)))[1]
            for name, ours, theirs in zip(EpisodeState._fields, found, expected, strict=True):
                if theirs is not None:
                    np.testing.assert_array_equal(ours, theirs, err_msg=name)
            lengths |= set(finished.num_segments.tolist())
            for i in np.flatnonzero(dones):
                path[i] = []
        assert lengths == {1, 2, 3, 5}

    def test_by_hand(self):
        photos, labels = torch.zeros(2, 4, 4, 3), torch.zeros(2, 4, 4, dtype=torch.int32)
        labels[0, 1], labels[0, 2], labels[1, 3] = 1, 2, 1
        finished = start(photos, labels, 3)
        finished = finished._replace(evs=torch.tensor([[1.0, 2, 3], [4, 5, 0]]), step=torch.tensor([3, 2]))
        states = visited(finished)[1]
        assert states.step.tolist() == [0, 1, 2, 0, 1] and states.num_segments.tolist() == [3, 3, 3, 2, 2]
        assert states.evs.tolist() == [[0, 0, 0], [1, 0, 0], [1, 2, 0], [0, 0, 0], [4, 0, 0]]

"""The state of a game, and what diagnostics see of it."""

import csv

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger, configure

from agents.training.curves import read_csv
from agents.training.diagnostics import Diagnostics
from tests.rewards.games import agent, experts, game
from tests.rewards.small import through_a_file

pytestmark = pytest.mark.usefixtures("one_thread")


class TestState:
    @staticmethod
    def fresh(seed):
        torch.manual_seed(seed)
        env, trainer, callback = game(source=experts(seed=seed), seed=seed, misexposed=0.25, unfinished=0.25,
                                      pool_size=20, trainer_options={"seed": seed, "learning_rate": 1e-3})  # fmt: skip
        model = agent(env)
        model.set_logger(Logger(None, []))
        callback.init_callback(model)
        env.reset()
        return env, trainer, callback

    @staticmethod
    def steps(env, callback, seed):
        for action in np.random.default_rng(seed).uniform(-1, 1, (6, 4, 1)).astype(np.float32):
            env.step(action)
            callback.on_step()

    @pytest.mark.parametrize("way", [through_a_file, lambda state: state], ids=["file", "memory"])
    def test_another_game_goes_on_bit_for_bit(self, way):
        env, trainer, callback = self.fresh(0)
        self.steps(env, callback, 0)
        callback.on_rollout_end()
        self.steps(env, callback, 1)  # half a rollout: images wait for the discriminator
        assert callback.fresh and callback.unfinished
        state = way(callback.state_dict())
        trainer.real, trainer.fake = [], []
        callback.on_rollout_end()
        for _ in range(2):  # the state serves more than once
            _, other_trainer, other = self.fresh(1)
            other.load_state_dict(state)
            assert other.rollouts == 1
            other.on_rollout_end()
            np.testing.assert_array_equal(other_trainer.real, trainer.real)
            np.testing.assert_array_equal(other_trainer.fake, trainer.fake)
            np.testing.assert_array_equal(other.pool, callback.pool)
            weights = [torch.cat([tensor.flatten() for tensor in one.network.state_dict().values()])
                       for one in (trainer, other_trainer)]  # fmt: skip
            assert (weights[0] == weights[1]).all() and other.rollouts == 2
        assert other.rng.random() == callback.rng.random()
        assert other.experts.rng.random() == callback.experts.rng.random()

    def test_of_a_game_not_yet_begun(self):
        env, _, callback = game()
        callback.load_state_dict(through_a_file(game()[2].state_dict()))
        assert callback.pool is None and callback.rollouts == 0
        agent(env).learn(20, callback)
        assert callback.rollouts > 0

    def test_states_that_do_not_fit_are_errors(self):
        _, _, callback = game()
        state = callback.state_dict()
        with pytest.raises(ValueError, match=r"lacks \['rng', 'trainer'\]"):
            callback.load_state_dict({key: state[key] for key in state.keys() - {"rng", "trainer"}})
        with pytest.raises(ValueError, match=r"images of \[\(8, 8, 3\)\], not \(16, 16, 3\)"):
            callback.load_state_dict({**state, "pool": torch.zeros(2, 8, 8, 3)})


class TestDiagnostics:
    def test_logged_relative_to_no_shift(self, tmp_path):
        env, trainer, callback = game()
        model = agent(env)
        model.set_logger(configure(str(tmp_path), ["csv"]))
        model.learn(30, [callback, Diagnostics(callback, every=1)])
        text = (tmp_path / "progress.csv").read_text()
        log = read_csv(text)
        rows = list(csv.reader(text.splitlines()))
        assert set(log) == set(rows[0]) and {len(column) for column in log.values()} == {len(rows) - 1}
        assert (log["response/+0.0"] == 0).all() and (log["response/+1.0"] != 0).all()
        last = float(rows[-1][rows[0].index("time/total_timesteps")])
        assert last == log["time/total_timesteps"][-1] == model.num_timesteps

    def test_looks_only_now_and_then(self):
        env, _, callback = game()
        looks = Diagnostics(callback, every=100)
        model = agent(env, n_batches=1)
        model.learn(1, [callback, looks])
        first = looks.response
        model.learn(20, [callback, looks], reset_num_timesteps=False)
        assert looks.rollouts > 1 and looks.response is first

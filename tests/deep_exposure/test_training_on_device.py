"""The adversarial game of an agent that plays on its device, and how both go on where they stopped."""

import random

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger

from agents.deep_exposure import DeepExposure
from agents.training.checkpoints import Randomness, read_checkpoint, write_checkpoint
from agents.training.configuration import TrainConfig
from agents.training.diagnostics import Diagnostics
from agents.training.run import train
from tests.deep_exposure.on_device import EXPERTS, PHOTOS, Noted, adversarial, host
from tests.deep_exposure.small import weights

pytestmark = pytest.mark.usefixtures("one_thread")


class TestGame:
    @pytest.mark.parametrize("unfinished", [0.0, 0.25])
    def test_its_images_stay_on_the_device(self, unfinished, device):
        model, game = adversarial(device, unfinished=unfinished)
        shown, fakes = [], game._fakes

        def noted(fresh, others):
            shown.append((fresh, others))
            return fakes(fresh, others)

        game._fakes = noted
        before = weights(model)
        model.learn(40, CallbackList([game, Diagnostics(game, every=1)]))
        assert (weights(model) != before).any() and game.rollouts == model._n_updates > 1
        assert isinstance(game.pool, torch.Tensor) and game.pool.device.type == device and len(game.pool) <= 10
        for fresh, others in shown:
            assert fresh.shape == (4, 64, 64, 3) and fresh.device.type == device
            assert (len(others) > 0) == (unfinished > 0)
        assert bool(torch.isfinite(game._fakes(*shown[-1])).all())

    def test_diagnostics_and_the_log(self, device):
        model, game = adversarial(device)
        row = {}

        class Log(Logger):
            def dump(self, step=0):
                row.update(self.name_to_value)
                super().dump(step)

        model.set_logger(Log(None, []))
        model.learn(1, CallbackList([game, Diagnostics(game, every=1)]))
        assert {"ev/step_1_mean", "response/+0.0", "discriminator/real", "rollout/ep_rew_mean"} <= set(row)
        assert all(np.isfinite(value) for value in row.values())


class StopAfter(BaseCallback):
    """Ends a training after some steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def _on_step(self):
        return self.n_calls < self.steps


class TestGoingOn:
    def test_a_run_folder(self, tmp_path, device, monkeypatch):
        monkeypatch.setitem(DeepExposure.__init__.__kwdefaults__, "rollouts", "device")
        config = TrainConfig(total_timesteps=80, device=device, num_envs=4, n_batches=1, batch_size=4, width=4,
                             max_segments=4, discriminator_batch_size=4, warm_up=2, n_critic=1, checkpoint_every=2,
                             value="critic", unfinished=0.25, pooled=0.25)  # fmt: skip
        whole = train(config, PHOTOS, EXPERTS, tmp_path / "whole", progress_bar=False)
        stopped = train(config, PHOTOS, EXPERTS, tmp_path / "cut", [StopAfter(13)], progress_bar=False)
        assert whole.model.device_env is not None and 2 < stopped.model.num_updates < whole.model.num_updates
        torch.manual_seed(5), np.random.seed(5), random.seed(5)
        resumed = train(config, PHOTOS, EXPERTS, tmp_path / "cut", progress_bar=False, resume=True)
        assert resumed.model.num_timesteps == whole.model.num_timesteps
        tolerance = 0 if device == "cpu" else 5e-3
        np.testing.assert_allclose(weights(resumed.model), weights(whole.model), atol=tolerance)

    def parts(self, model, game):
        return {"model": model, "game": game, "randomness": Randomness()}

    def test_from_a_checkpoint_bit_for_bit(self, tmp_path, device):
        """On the CPU; a GPU adds up in another order every time."""
        whole, game = adversarial(device)
        whole.learn(1, game)
        whole.learn(1, game, reset_num_timesteps=False)
        path, parts = tmp_path / "checkpoint.pt", self.parts(whole, game)
        write_checkpoint(path, {name: part.state_dict() for name, part in parts.items()})
        for _ in range(2):
            whole.learn(1, game, reset_num_timesteps=False)
        expected = {name: part.state_dict() for name, part in parts.items()}

        resumed, game = adversarial(device, seed=5)
        torch.manual_seed(8), np.random.seed(8), random.seed(8)
        state, parts = read_checkpoint(path), self.parts(resumed, game)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        for _ in range(2):
            resumed.learn(1, game, reset_num_timesteps=False)
        assert resumed.num_updates == 4 and resumed.num_timesteps == whole.num_timesteps
        tolerance = 0 if device == "cpu" else 5e-3
        np.testing.assert_allclose(weights(resumed), weights(whole), atol=tolerance)
        found = parts["randomness"].state_dict()
        assert torch.equal(found.pop("torch"), expected["randomness"].pop("torch"))
        assert found == expected["randomness"]
        np.testing.assert_allclose(host(game.pool), expected["game"]["pool"], atol=tolerance)

    def test_from_the_midst_of_episodes_that_the_host_played(self, device):
        model, game = adversarial("cpu")
        model.rollouts = "host"
        model.learn(1, game)
        model.learn(1, game, reset_num_timesteps=False)
        state, kept = model.state_dict(), game.state_dict()
        assert (state["env"]["envs"]["episodes"]["step"] > 0).any()
        other, game = adversarial(device)
        other.load_state_dict(state)
        game.load_state_dict(kept)
        noted = Noted()
        other.learn(1, CallbackList([game, noted]), reset_num_timesteps=False)
        first = noted.ended[0].state
        done = state["env"]["envs"]["episodes"]["step"]
        before = np.arange(4) < done[:, None]
        np.testing.assert_array_equal(host(first.evs)[before], state["env"]["envs"]["episodes"]["evs"][before])
        assert noted.steps[-1] - state["num_timesteps"] == int(first.num_segments.sum()) - done.sum()
        assert other.num_updates == model.num_updates + 1 and isinstance(game.pool, torch.Tensor)

        back = other.state_dict()  # and the other way round
        model.load_state_dict(back)
        model.learn(1, game, reset_num_timesteps=False)
        assert isinstance(game.pool, np.ndarray) and model.num_updates == other.num_updates + 1

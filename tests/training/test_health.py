"""When a training is given up, and what is kept of it."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agents.cli import main
from agents.errors import Diverged
from agents.saved_agent import FILE_NAME, load_agent
from agents.training.checkpoints import CHECKPOINT, read_checkpoint
from tests.training.small import PHOTOS, TINY, log_of, run

PAIRED = replace(TINY, value="critic", reward="psnr", max_slope=10.0)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("changes, reason, largest", [
    ({"discriminator_learning_rate": 1e30}, "discriminator's loss is|not finite|score", 1),
    ({"discriminator_learning_rate": 3.0, "total_timesteps": 2000}, "discriminator/real is .*beyond|loss is", 30),
    ({"learning_rate": 30.0, "total_timesteps": 4000}, "more than 50% of the actions", 40),
    ({"value": "critic", "critic_learning_rate": 30.0, "total_timesteps": 2000}, "critic|actor's loss", 30),
], ids=["infinite", "scores", "saturated", "critic"])
def test_a_training_beyond_repair_is_ended_and_what_was_good_is_kept(tmp_path, changes, reason, largest):
    config = replace(TINY, checkpoint_every=1, **changes)
    with pytest.raises(Diverged, match=reason) as caught:
        run(tmp_path / "run", config)
    kept = read_checkpoint(tmp_path / "run" / CHECKPOINT)
    message, updates = str(caught.value), kept["model"]["n_updates"]
    assert f"are those of update {updates}" in message and "lower" in message and str(tmp_path / "run") in message
    assert "after update" in message and updates <= largest
    agent = load_agent(tmp_path / "run")
    for name, tensor in agent.policy.actor.state_dict().items():
        assert torch.isfinite(tensor).all() and torch.equal(tensor, kept["model"]["policy"][f"actor.{name}"])
    assert np.isfinite(agent.plan(PHOTOS[0].image).evs).all() and kept["health"]["streak"] == 0
    assert isinstance(caught.value, RuntimeError) and not isinstance(caught.value, ValueError)


def test_saturated_actions_must_last(tmp_path):
    class Saturated(BaseCallback):
        """Drives every action to its limit for some updates."""

        def __init__(self, last):
            super().__init__()
            self.last = last

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            self.model.policy.actor.stack.head.bias.data.fill_(20.0 if self.model.num_updates < self.last else 0.0)

    config, kept = replace(TINY, total_timesteps=200, checkpoint_every=1), tmp_path / "short" / CHECKPOINT
    run(tmp_path / "short", config, [Saturated(9)])
    log = log_of(tmp_path / "short")
    assert (log["train/saturated"][:9] == 1).all() and (log["train/saturated"][9:] == 0).all()
    assert read_checkpoint(kept)["model"]["n_updates"] == len(log["train/saturated"]) > 11
    with pytest.raises(Diverged, match="after update 10: more than 50%.*those of update 0"):
        run(tmp_path / "long", config, [Saturated(99)])


def test_weights_that_are_not_finite_end_it_at_once(tmp_path):
    class Breaks(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            if self.n_calls > 6:
                self.model.policy.critic.stack.head.bias.data.fill_(float("inf"))

    with pytest.raises(Diverged, match="critic's loss is|weights of the agent|actor's loss"):
        run(tmp_path / "run", replace(PAIRED, checkpoint_every=1), [Breaks()])
    assert torch.isfinite(read_checkpoint(tmp_path / "run" / CHECKPOINT)["model"]["policy"]["critic.stack.head.bias"])


def test_the_command_says_why_and_returns_3(tmp_path, capsys):
    arguments = ["train", "--out", str(tmp_path / "run"), "quick", "--warm-start", "2"]
    for name in ("total_timesteps", "num_envs", "n_batches", "batch_size", "width", "warm_up", "n_critic", "device"):
        arguments += [f"--{name.replace('_', '-')}", str(getattr(TINY, name))]
    assert main([*arguments, "--discriminator-learning-rate", "1e30"]) == 3
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("exposure: the training has gone astray after update") and "lower" in error
    assert (tmp_path / "run" / FILE_NAME).exists()
    rows = csv.DictReader((tmp_path / "run" / "progress.csv").read_text().splitlines())
    assert len(list(rows)) <= 1

"""Warm starts that methods share: a game may begin from what the cell "warm start" has made, and comes out the same."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from agents.training.configuration import TrainConfig

# All that matters only in the game. What isn't named here must be alike.
GAME = frozenset({
    "total_timesteps", "checkpoint_every", "num_envs", "value", "advantage", "value_image", "gamma", "critic_steps",
    "td_lambda", "shaping", "reset_noise", "max_slope", "ev_penalty", "penalised", "ev_prior", "reference_penalty",
    "overshoot_penalty", "learning_rate", "learning_rate_decay", "critic_learning_rate", "critic_learning_rate_decay",
    "noise", "exploration", "fresh_ev", "fresh_local", "discriminator_learning_rate",
    "discriminator_learning_rate_decay", "discriminator_loss", "spectral_norm", "discriminator_batch_size", "n_critic",
    "warm_up", "gradient_penalty", "one_sided", "drift", "contrast", "pooled", "pool_size", "unfinished", "misexposed",
    "misexposed_range", "misexposed_local", "snapshots",
})  # fmt: skip


class WarmStart(NamedTuple):
    """A warm-started agent, and what it cost."""

    agent: Path
    results: dict[str, Any]  # of its cell: "cpu_seconds", "wall_seconds" and "peak_mb"


def share(game: TrainConfig, start: TrainConfig) -> bool:
    """Whether a game would make the warm start that `start` makes.

    With demonstrations in the game itself it can't begin from another's: which come next depends on those before.
    """
    own, its = asdict(game), asdict(start)
    alike = all(own[name] == its[name] for name in own.keys() - GAME)
    return bool(game.warm_start) and not game.demonstration_weight and alike

"""The adversarial game: while an agent trains, a discriminator learns to tell its results from experts' photos.

`AdversarialCallback` is an SB3 callback for any agent: all it needs are the images that the agent's episodes produce.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from array_api_compat import array_namespace
from stable_baselines3.common.callbacks import BaseCallback

from agents.arrays import alike, on_host, rng_state
from agents.rewards.experts import ExpertPhotos, mirrored
from agents.rewards.trainer import DiscriminatorTrainer
from exposure_env import episode
from exposure_env.image import Array
from exposure_env.parsing import parse_json
from exposure_env.task import ExposureTask

STATE = ("pool", "fresh", "unfinished", "rollouts", "rng", "trainer", "experts")  # the keys of a game's state


class AdversarialCallback(BaseCallback):
    """A callback that trains the discriminator after every rollout, before the agent is updated against it.

    There are four kinds of fakes: images that the agent has just made, images it made earlier, images of unfinished
    episodes, and experts' photos that are deliberately misexposed. The last kind needs no pairs, and it alone shows the
    discriminator the right exposure of each photo. Without it the discriminator learns only how brightness is
    distributed over the data set.

    Args:
        trainer: Trainer of the discriminator that serves as the environment's reward.
        experts: Source of the real images.
        n_critic: Discriminator steps per rollout.
        batch_size: Real images, and as many fakes, in a step.
        warm_up: Discriminator steps after the first rollout, before the agent's first update.
        pooled: Fraction of fakes taken from a pool of earlier ones.
        misexposed: Fraction of fakes that are misexposed experts' photos.
        unfinished: Fraction of fakes that show states of the last rollout between the first and the last exposure of
            an episode, for agents that value a step by the score of the image after it.
        pool_size: Number of images in the pool.
        seed: Seed of the choice of images.

    Raises:
        ValueError: If fractions are negative or add up to more than 1, or a count is below 1.
    """

    def __init__(self, trainer: DiscriminatorTrainer, experts: ExpertPhotos, *, n_critic: int = 5, batch_size: int = 8,
                 warm_up: int = 30, pooled: float = 0.5, misexposed: float = 0.0,
                 unfinished: float = 0.0, pool_size: int = 2048, seed: int = 0):
        super().__init__()
        if min(pooled, misexposed, unfinished) < 0 or pooled + misexposed + unfinished > 1:
            raise ValueError(f"pooled, misexposed and unfinished are fractions of one batch, not {pooled}, "
                             f"{misexposed} and {unfinished}")
        if min(n_critic, batch_size, pool_size) < 1:
            raise ValueError(f"n_critic, batch_size and pool_size must be at least 1, not {n_critic}, {batch_size} and "
                             f"{pool_size}")
        self.trainer, self.experts = trainer, experts
        self.n_critic, self.batch_size, self.warm_up = n_critic, batch_size, warm_up
        self.num_misexposed = round(misexposed * batch_size)
        self.num_pooled = min(round(pooled * batch_size), batch_size - self.num_misexposed)  # both may round up
        self.num_unfinished = min(round(unfinished * batch_size), batch_size - self.num_misexposed - self.num_pooled)
        self.pool_size, self.rng = pool_size, np.random.default_rng(seed)
        self.fresh: list[Array] = []  # these three hold tensors if episodes are played on a device
        self.unfinished: list[Array] = []
        self.pool: Array | None = None
        self.rollouts = 0

    def _on_training_start(self) -> None:
        replay = getattr(self.model, "replay_buffer", None)
        if replay is not None and not getattr(replay, "relabels", False):
            warnings.warn("the discriminator learns, but the replay buffer keeps rewards as they were when they were "
                          "played: they grow stale. Use agents.training.train_against, or RelabelReplayBuffer",
                          stacklevel=2)

    def _on_step(self) -> bool:
        env = self.training_env.unwrapped
        if env.finished is not None:
            self.fresh += env.task.shown(env.finished.state, env.finished.image)
        if self.num_unfinished:
            self.unfinished += self._shown_unfinished(env.task, env.state)
        return True

    def _shown_unfinished(self, task: ExposureTask, state: episode.EpisodeState) -> list[Array]:
        begun = np.flatnonzero(on_host((state.step > 0) & ~episode.is_done(state)))
        if len(begun) == 0:
            return []
        some = self.rng.permutation(begun)[: self.num_unfinished]  # blends cost time: no more than one batch takes
        return task.shown(episode.select(state, some))

    def _on_rollout_end(self) -> None:
        if not self.fresh:  # a short rollout in which no episode ended
            return
        xp = array_namespace(self.fresh[0])
        fresh, unfinished = xp.concat(self.fresh), xp.concat([self.fresh[0][:0], *self.unfinished])
        self.fresh.clear()
        self.unfinished.clear()
        earlier = fresh[:0] if self.pool is None else alike(self.pool, fresh)
        self.pool = xp.concat([earlier, fresh])[-self.pool_size :]
        self.trainer.progress(max(self.model._current_progress_remaining, 0.0))  # SB3's last rollout may overshoot
        for _ in range(self.n_critic if self.rollouts else max(self.warm_up, self.n_critic)):
            metrics = self.trainer.update(self.experts.batch(self.batch_size), self._fakes(fresh, unfinished))
        self.rollouts += 1
        for name, value in metrics.items():
            self.logger.record(f"discriminator/{name}", value)

    def _fakes(self, fresh: Array, unfinished: Sequence[Array] | Array = ()) -> Array:
        num_unfinished = self.num_unfinished if len(unfinished) else 0  # none if every photo has one segment
        num_fresh = self.batch_size - self.num_pooled - self.num_misexposed - num_unfinished
        sources = [(fresh, num_fresh), (self.pool, self.num_pooled)]
        sources += [(unfinished, num_unfinished)] if num_unfinished else []
        xp = array_namespace(fresh)
        own = xp.concat([source[self.rng.integers(len(source), size=num)] for source, num in sources])
        return xp.concat([mirrored(own, self.rng), alike(self.experts.misexposed(self.num_misexposed), own)])

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that the rest of the game depends on, except the settings, the photos and the agent.

        It holds tensors, numbers and strings, so `torch.load` can read it from a file with `weights_only=True`.
        """
        return {
            "pool": None if self.pool is None else torch.tensor(on_host(self.pool)),
            "fresh": [torch.tensor(on_host(images)) for images in self.fresh],
            "unfinished": [torch.tensor(on_host(images)) for images in self.unfinished],
            "rollouts": self.rollouts,
            "rng": rng_state(self.rng),
            "trainer": self.trainer.state_dict(),
            "experts": self.experts.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where another game with the same settings left off.

        Args:
            state: The result of its `state_dict`.

        Raises:
            ValueError: If it is the state of something else, or its images have another size.
        """
        if missing := set(STATE) - state.keys():
            raise ValueError(f"this is not the state of an AdversarialCallback: it lacks {sorted(missing)}")
        size = self.experts.size
        images = [*state["fresh"], *state["unfinished"], *([] if state["pool"] is None else [state["pool"]])]
        if wrong := {tuple(batch.shape[1:]) for batch in images} - {(size, size, 3)}:
            raise ValueError(f"the state holds images of {sorted(wrong)}, not {(size, size, 3)} as the experts'")
        self.trainer.load_state_dict(state["trainer"])
        self.experts.load_state_dict(state["experts"])
        self.pool = None if state["pool"] is None else state["pool"].cpu().numpy().copy()
        self.fresh = [batch.cpu().numpy().copy() for batch in state["fresh"]]
        self.unfinished = [batch.cpu().numpy().copy() for batch in state["unfinished"]]
        self.rollouts = state["rollouts"]
        self.rng.bit_generator.state = parse_json(state["rng"])

"""DeepExposure (Yu et al., NeurIPS 2018) as a Stable-Baselines3 algorithm.

A deterministic policy gradient without replay: whole episodes are collected, and the actor takes one step along the
gradient accumulated over `n_batches` mini-batches of `batch_size` episodes. DeepExposure I learns a value network; in
DeepExposure II the reward model itself is the value function (section 2.5). `gradients` has both, and two more for
comparison. The gradient reaches the action through the known transition, from the episode's own state.
"""

import copy
import time
import warnings
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule

from agents.deep_exposure.collecting import Collecting
from agents.deep_exposure.collecting_on_device import ROLLOUTS
from agents.deep_exposure.demonstrations import Demonstrations, learn_from
from agents.deep_exposure.gradients import GRADIENTS
from agents.deep_exposure.resumable import Resumable
from agents.deep_exposure.targets import critic_targets, critic_values
from agents.exploration import exploration
from agents.method import Method
from agents.policy import ExposurePolicy
from agents.rewards.checking import require_gradient
from agents.vec_env import ExposureVecEnv, adapted
from exposure_env import episode
from exposure_env.errors import NotFinite
from exposure_env.observations import ObsType
from exposure_env.task import ExposureTask
from exposure_env.vector import ExposureVectorEnv

TOGETHER = 32  # episodes whose gradient is computed at once, mini-batches of fewer together: their sum is the same


class DeepExposure(Resumable, Collecting, BaseAlgorithm):
    """The algorithms DeepExposure I and II.

    Args:
        policy: "CnnPolicy", "MultiInputPolicy" (for dict observations; both name the same policy) or a class.
        env: An `ExposureVecEnv`, or an `ExposureVectorEnv` or an id to make one from.
        learning_rate: The actor's, a number or a schedule of the remaining progress.
        critic_learning_rate: The critic's, likewise. It should learn faster than the actor.
        action_noise: Noise added to the actions while collecting: "ou", Ornstein-Uhlenbeck with theta 0.015 and sigma
            0.03 (section 5.1) at dt 1; "gaussian"; an `ActionNoise` of SB3; or None.
        demonstrations: What the actor learns from before the game and beside it, if `warm_start` or
            `demonstration_weight` is above 0.
        rollouts: Where episodes are played: "host", in NumPy; "device", as tensors on `device`, in whole batches (see
            `DeviceVecEnv`); "auto", on the device unless it is the CPU or the reward model doesn't take tensors.
        policy_kwargs: Arguments of `ExposurePolicy`.
        tensorboard_log: Folder for TensorBoard.
        stats_window_size: Episodes over which SB3 averages returns and lengths.
        verbose: 0 for silence, 1 for messages.
        seed: Seed of networks, noise and environment.
        device: "auto", "cpu", "cuda".
        _init_setup_model: Whether to build the networks at once.
        **settings: Fields of `Method`.

    Raises:
        ValueError: If the environment is of another kind, or an option is invalid.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "CnnPolicy": ExposurePolicy,
        "MultiInputPolicy": ExposurePolicy,
    }
    policy: ExposurePolicy

    def __init__(
        self,
        policy: str | type[ExposurePolicy],
        env: GymEnv | ExposureVectorEnv | str | None,
        learning_rate: float | Schedule = 1.5e-5,
        *,
        critic_learning_rate: float | Schedule = 5e-5,
        action_noise: ActionNoise | str | None = "ou",
        demonstrations: Demonstrations | None = None,
        rollouts: str = "auto",
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        stats_window_size: int = 100,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        **settings: Any,
    ):
        names = [field.name for field in fields(Method)]
        if unknown := sorted(settings.keys() - set(names)):
            raise ValueError(f"unknown settings {unknown}: there are {names}")
        self.method = Method(**settings)
        self.method.check()
        if self.method.advantage == "paper_literal":
            warnings.warn('advantage="paper_literal" follows eq. (15) as printed, and lowers the score', stacklevel=2)
        if demonstrations is None and (self.method.warm_start or self.method.demonstration_weight):
            raise ValueError("warm_start and demonstration_weight need demonstrations: give them, or set both to 0")
        if self.method.reference_penalty and not self.method.warm_start:
            raise ValueError("reference_penalty keeps the policy near the warm-started one: set warm_start, too")
        if rollouts not in ROLLOUTS:
            raise ValueError(f"rollouts must be one of {ROLLOUTS}, not {rollouts!r}")
        super().__init__(policy, adapted(env), learning_rate, policy_kwargs, stats_window_size, tensorboard_log,
                         verbose, device, support_multi_env=True, seed=seed)
        self.critic_schedule, self.rollouts = FloatSchedule(critic_learning_rate), rollouts
        self.action_noise, self.ev_centre = exploration(action_noise), 0.0
        self.demonstrations, self.reference, self.warm = demonstrations, None, False
        if _init_setup_model:
            self._setup_model()

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> Any:  # set_env() and load() call it too
        return BaseAlgorithm._wrap_env(adapted(env), verbose, monitor_wrapper)

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        kind = {"critic": "V", "q": "Q"}.get(self.method.value)
        self.policy = self.policy_class(self.observation_space, self.action_space, self.lr_schedule, critic=kind,
                                        critic_lr_schedule=self.critic_schedule, **self.policy_kwargs).to(self.device)
        _ = self.policy.optimizer  # created now, because it refuses an invalid learning rate

    @property
    def exposure_env(self) -> ExposureVecEnv:
        """The environment itself, without SB3's wrappers."""
        return self.env.unwrapped

    @property
    def task(self) -> ExposureTask:
        """The environment's task: photos, rendering and reward."""
        return self.exposure_env.task

    @property
    def obs_type(self) -> ObsType:
        """The type of the environment's observations."""
        return self.exposure_env.envs.obs_type

    def learn(self, total_timesteps: int, callback: MaybeCallback = None, log_interval: int = 1,
              tb_log_name: str = "DeepExposure", reset_num_timesteps: bool = True,
              progress_bar: bool = False) -> "DeepExposure":
        """Trains for at least `total_timesteps` exposures, in whole updates; arguments as in SB3.

        Raises:
            ValueError: If there is no environment, or no gradient flows from its reward model to the images.
        """
        if self.env is None:
            raise ValueError("this model has no environment: give one to load() or set_env()")
        if self.method.value != "q":
            require_gradient(self.task.reward_model, self.task.config.size, self.device)
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        if reset_num_timesteps and self.method.reset_noise:  # the episodes start afresh, too
            self._noise = None
        if self.method.warm_start and not self.warm:
            self.warm_start()
        callback.on_training_start(locals(), globals())
        iteration = 0 if reset_num_timesteps else self._n_updates
        while self.num_timesteps < total_timesteps:
            finished = self.collect_episodes(callback)
            if finished is None:  # a callback asked to stop
                break
            played = min(self.num_timesteps, total_timesteps)  # beyond the total, a linear schedule would be negative
            self._update_current_progress_remaining(played, total_timesteps)
            self.train(finished)
            iteration += 1
            if log_interval and iteration % log_interval == 0:
                self.dump_logs(iteration)
        callback.on_training_end()
        return self

    def warm_start(self) -> None:
        """Lets the actor learn from demonstrations alone, and keeps what it then is as the reference."""
        method = self.method
        self.warm_start_psnr = learn_from(self.demonstrations, self, method.warm_start, method.warm_start_learning_rate)
        self.keep_reference()

    def keep_reference(self) -> None:
        """Keeps the present actor as the reference, if there is a penalty on the distance to it."""
        self.warm = True
        if self.method.reference_penalty:
            self.reference = copy.deepcopy(self.policy.actor).requires_grad_(False).eval()

    def train(self, finished: episode.EpisodeState) -> None:
        """Takes the critic's steps, if there is one (eq. 9 and 11), then one step of the actor (eq. 8 and 10).

        Args:
            finished: Finished episodes, arrays or tensors.

        Raises:
            ValueError: If a loss is not finite.
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        state = finished.map(lambda array: torch.as_tensor(array, device=self.device))
        if self.policy.critic is not None:
            self.train_critic(state)
        transitions = int(state.num_segments.sum())
        self.policy.optimizer.zero_grad()
        weights, total, actions = list(self.policy.actor.parameters()), 0.0, []
        for episodes in torch.randperm(len(state.step)).split(max(self.method.batch_size, TOGETHER)):
            loss, taken = GRADIENTS[self.method.value](self, episode.select(state, episodes.to(self.device)))
            loss.backward(inputs=weights)  # averaged below, so that max_slope limits the slope of each single step
            total += loss.item() / transitions
            actions.append(taken)
        if not np.isfinite(total):
            raise NotFinite(f"the actor's loss is {total}: the reward model has gone astray")
        for parameter in weights:
            parameter.grad /= transitions
        if self.method.demonstration_weight:
            loss, count = self.demonstrations.loss(self)
            (self.method.demonstration_weight * loss / count).backward(inputs=weights)
            self.logger.record("train/demonstrations", -loss.item() / self.demonstrations.batch_size)
        self.policy.optimizer.step()
        self._n_updates += 1
        actions = torch.cat(actions)
        evs = actions * self.task.config.max_ev
        if self.method.ev_prior == "mean":
            self.ev_centre = evs.mean().item()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/actor_loss", total)
        self.logger.record("train/ev_mean", evs.mean().item())
        self.logger.record("train/ev_std", evs.std().item())
        self.logger.record("train/saturated", (actions.abs() > 0.99).float().mean().item())

    def train_critic(self, finished: episode.EpisodeState) -> None:
        """Takes `critic_steps` steps of the critic to its TD(lambda) targets, each on its share of the episodes."""
        for group in self.policy.critic_optimizer.param_groups:
            group["lr"] = self.critic_schedule(self._current_progress_remaining)
        shares = torch.randperm(len(finished.step)).tensor_split(min(self.method.critic_steps, len(finished.step)))
        squared, variance, num = 0.0, 0.0, int(finished.num_segments.sum())
        for share in shares:
            self.policy.critic_optimizer.zero_grad()
            transitions = int(finished.num_segments[share].sum())
            for episodes in share.split(max(self.method.batch_size, TOGETHER)):
                batch = episode.select(finished, episodes.to(self.device))
                values = critic_values(self, batch)
                targets = critic_targets(self, batch, values)
                loss = (targets - values).square().sum()
                (loss / transitions).backward()
                squared += loss.item() / num
                variance += targets.square().sum().item() / num
            self.policy.critic_optimizer.step()
        if not np.isfinite(squared):
            raise NotFinite(f"the critic's loss is {squared}: lower its learning rate")
        self.logger.record("train/critic_loss", squared)
        self.logger.record("train/critic_unexplained", squared / max(variance, 1e-12))

    def dump_logs(self, iteration: int) -> None:
        """Writes the logged values under SB3's usual names."""
        elapsed = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        self.logger.record("time/iterations", iteration, exclude="tensorboard")
        if self.ep_info_buffer:
            self.logger.record("rollout/ep_rew_mean", float(np.mean([info["r"] for info in self.ep_info_buffer])))
            self.logger.record("rollout/ep_len_mean", float(np.mean([info["l"] for info in self.ep_info_buffer])))
        self.logger.record("time/fps", int((self.num_timesteps - self._num_timesteps_at_start) / elapsed))
        self.logger.record("time/time_elapsed", int(elapsed), exclude="tensorboard")
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_noise", "_device_env", "demonstrations"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        critic = [] if self.policy.critic is None else ["policy.critic_optimizer"]
        return ["policy", "policy.optimizer", *critic], []

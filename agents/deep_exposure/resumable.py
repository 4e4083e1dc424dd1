"""The state of an algorithm between two updates, to be saved and restored."""

import copy
from collections import deque
from typing import Any

from stable_baselines3.common.noise import VectorizedActionNoise

from agents.arrays import arrays


class Resumable:
    """A mixin that saves and restores the state of a Stable-Baselines3 algorithm on an `ExposureVecEnv`."""

    @property
    def num_updates(self) -> int:
        """The number of updates so far."""
        return self._n_updates

    def state_dict(self) -> dict[str, Any]:
        """A copy of what later updates depend on, except settings, photos, reward model and random numbers.

        It must be taken between two updates. With it, `learn(reset_num_timesteps=False)` resumes in mid-episode.
        """
        noise = getattr(self, "_noise", None)
        critic = self.policy.critic_optimizer
        return copy.deepcopy({
            "policy": self.policy.state_dict(),
            "optimizer": self.policy.optimizer.state_dict(),
            "critic_optimizer": None if critic is None else critic.state_dict(),
            "num_timesteps": self.num_timesteps,
            "n_updates": self._n_updates,
            "progress_remaining": self._current_progress_remaining,
            "ev_centre": self.ev_centre,
            "warm": self.warm,
            "reference": None if self.reference is None else self.reference.state_dict(),
            "demonstrations": None if self.demonstrations is None else self.demonstrations.state_dict(),
            "observations": self._last_obs,
            "episode_starts": self._last_episode_starts,
            "episodes": list(self.ep_info_buffer or []),
            "noise": None if noise is None else [getattr(each, "noise_prev", None) for each in noise.noises],
            "env": self.env.unwrapped.state_dict(),
        })

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where another algorithm with the same settings left off.

        Args:
            state: The result of its `state_dict`; arrays may have become tensors.

        Raises:
            ValueError: If it is the state of something else.
        """
        try:
            self.policy.load_state_dict(state["policy"])
            self.policy.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # Adam would share the tensors
            if self.policy.critic_optimizer is not None:
                self.policy.critic_optimizer.load_state_dict(copy.deepcopy(state["critic_optimizer"]))
            self.env.unwrapped.load_state_dict(arrays(state["env"]))
            self.num_timesteps, self._n_updates = state["num_timesteps"], state["n_updates"]
            self._current_progress_remaining, self.ev_centre = state["progress_remaining"], state["ev_centre"]
            if state["warm"]:
                self.keep_reference()
            if self.reference is not None:
                self.reference.load_state_dict(state["reference"])
            if self.demonstrations is not None:
                self.demonstrations.load_state_dict(state["demonstrations"])
            self._last_obs, self._last_episode_starts = arrays(state["observations"]), arrays(state["episode_starts"])
            self.ep_info_buffer = deque(state["episodes"], maxlen=self._stats_window_size)
            self.ep_success_buffer = deque(maxlen=self._stats_window_size)
            if state["noise"] is not None:
                self._noise = VectorizedActionNoise(self.action_noise, self.n_envs)
                for each, before in zip(self._noise.noises, arrays(state["noise"]), strict=True):
                    if before is not None:
                        each.noise_prev = before
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"this is not the state of such an algorithm: {error!r}") from error

"""The rollouts of DeepExposure: episodes played on the host, in NumPy, or else by `collecting_on_device`."""

from typing import Any

import numpy as np
from stable_baselines3.common.noise import VectorizedActionNoise

from agents.deep_exposure.collecting_on_device import CollectingOnDevice
from agents.rewards.parts import log_parts
from exposure_env import episode
from exposure_env.task import Outcome


class Collecting(CollectingOnDevice):
    """A mixin that collects rollouts, for a Stable-Baselines3 algorithm on an `ExposureVecEnv`."""

    def collect_episodes(self, callback: Any) -> episode.EpisodeState | None:
        """The final states of `n_batches * batch_size` or more newly played episodes; None if a callback asks to stop.

        Args:
            callback: SB3's callback, notified of the start, every step and the end.
        """
        noise = None if self.action_noise is None else VectorizedActionNoise(self.action_noise, self.n_envs)
        self._noise = getattr(self, "_noise", None) or noise
        self.policy.set_training_mode(False)
        env = self.device_env
        if env is None:
            return self._collect_on_host(callback)
        try:
            return self._collect_on_device(env, callback)
        finally:
            env.leave()

    def _collect_on_host(self, callback: Any) -> episode.EpisodeState | None:
        outcomes: list[Outcome] = []
        callback.on_rollout_start()
        while sum(len(outcome.score) for outcome in outcomes) < self.method.n_batches * self.method.batch_size:
            actions, _ = self.policy.predict(self._last_obs, deterministic=True)
            if self._noise is not None:
                actions = np.clip(actions + self._noise(), -1, 1).astype(np.float32)
            observations, rewards, dones, infos = self.env.step(actions)
            self.num_timesteps += self.n_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return None
            self._update_info_buffer(infos, dones)
            if dones.any():
                outcomes.append(self.exposure_env.finished)
                if self._noise is not None and self.method.reset_noise:
                    self._noise.reset(np.flatnonzero(dones))
            self._last_obs, self._last_episode_starts = observations, dones
        callback.on_rollout_end()
        log_parts(self.logger, [outcome.parts for outcome in outcomes])
        return episode.concatenate([outcome.state for outcome in outcomes])

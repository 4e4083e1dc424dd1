"""The rollouts of DeepExposure when episodes are played as tensors on the model's device."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.deep_exposure.device_env import DeviceVecEnv, playable
from agents.rewards.parts import log_parts
from exposure_env import episode
from exposure_env.task import Outcome

ROLLOUTS = ("auto", "host", "device")


class CollectingOnDevice:
    """A mixin that collects rollouts in whole batches on a device, for a Stable-Baselines3 algorithm."""

    @property
    def device_env(self) -> DeviceVecEnv | None:
        """The environment that plays episodes on the device; None if they are played on the host.

        Raises:
            ValueError: If `rollouts="device"`, but this environment can't be played on a device.
        """
        env, automatic = self.exposure_env, self.rollouts == "auto"
        if self.rollouts == "host" or automatic and (self.device.type == "cpu" or not playable(env.task)):
            return None
        made = getattr(self, "_device_env", None)
        if made is None or made.exposure_env is not env or made.device != self.device:
            self._device_env = DeviceVecEnv(env, self.device)
        return self._device_env

    def _collect_on_device(self, env: DeviceVecEnv, callback: Any) -> episode.EpisodeState | None:
        """The states of exactly `n_batches * batch_size` episodes, played in whole batches of up to `num_envs`.

        Callbacks are notified of every step; all episodes of a batch are reported as ended in its last step. Only real
        exposures count as timesteps, not the steps in which short episodes wait for longer ones. Noise that continues
        from episode to episode also continues while they wait.
        """
        outcomes: list[Outcome] = []
        callback.on_rollout_start()
        episodes = self.method.n_batches * self.method.batch_size
        while (wanted := episodes - sum(len(outcome.score) for outcome in outcomes)) > 0:
            lengths = env.begin(min(wanted, self.n_envs))
            noise, steps = self._noise_ahead(lengths), int(lengths.max())
            dones, infos = np.zeros(len(lengths), bool), [{} for _ in lengths]
            for t in range(steps):
                actions = self._play(env, None if noise is None else noise[t])
                self.num_timesteps += int((lengths > t).sum())
                if t == steps - 1:
                    outcomes.append(env.finish())
                    rewards = env.returns(outcomes[-1]).tolist()
                    dones, infos = ~dones, [{"episode": {"r": reward, "l": int(length)}} for reward, length in
                                            zip(rewards, self.exposure_env.envs.state.num_segments, strict=False)]
                callback.update_locals(locals())
                if not callback.on_step():
                    return None
            self._update_info_buffer(infos, dones)
            env.leave()
            self._last_obs, self._last_episode_starts = self.env.reset(), np.ones(self.n_envs, bool)
        callback.on_rollout_end()
        log_parts(self.logger, [outcome.parts for outcome in outcomes])
        return episode.concatenate([outcome.state for outcome in outcomes])

    def _play(self, env: DeviceVecEnv, noise: Tensor | None) -> Tensor:
        """Plays one step of all episodes, without waiting for the device, and returns the actions (N, 1)."""
        with torch.no_grad():
            actions = env.act(self.policy.actor)[:, None]
            if noise is not None:
                actions = (actions + noise).clamp(-1, 1)
            env.step(actions)
        return actions

    def _noise_ahead(self, lengths: np.ndarray) -> Tensor | None:
        """(steps, N, 1) noise on the device for all steps of a batch, drawn by SB3 on the host; None without noise."""
        if self._noise is None:
            return None
        if self.method.reset_noise:
            self._noise.reset(np.flatnonzero(self.exposure_env.envs.state.step == 0))
        ahead = np.stack([self._noise()[: len(lengths)] for _ in range(lengths.max())])
        return torch.tensor(ahead, dtype=torch.float32, device=self.device)

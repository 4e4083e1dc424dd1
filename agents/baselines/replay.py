"""A replay buffer that keeps up with a reward model that learns, for Stable-Baselines3's off-policy algorithms."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from exposure_env.decoding import decode, plane_shape
from exposure_env.episode import LAYOUT, shaping
from exposure_env.rewards import RewardModel, is_differentiable, score


class RelabelReplayBuffer(ReplayBuffer):
    """A replay buffer whose rewards come from the current reward model, not from the one at the time of play.

    It needs only the observations, as the last one of an episode holds the photo and the finished image. All other
    rewards are 0 and stay 0. With uint8 observations, images are scored at their precision of 1/255.

    Args:
        buffer_size: Transitions kept, of all environments together.
        observation_space: Box of 9 or 12 planes, uint8 or float32, channels first or last.
        action_space: Box(-1, 1, (1,)).
        device: Device of the samples, and of the reward model if it takes Torch images.
        n_envs: Number of environments.
        optimize_memory_usage: Must be False: otherwise SB3 overwrites the last observations.
        handle_timeout_termination: See SB3; episodes of this project are never truncated.
        relative: Whether the reward is the gain over the untouched photo (see `TaskConfig`) or the score itself.
        action_penalty: Weight of the squared action, which is subtracted from every reward.
        shaping: Whether the score of the local image so far is a shaping potential, as in DeepExposure's form I; the
            best policies stay the same (Ng, Harada, Russell 1999).
        gamma: Discount factor of the shaping.
        reward_model: Model that scores finished images; must be set before the first sample. It is not pickled.

    Raises:
        ValueError: If the observations are of another kind, or `optimize_memory_usage` is set.
    """

    relabels = True  # for whoever warns of stale rewards

    def __init__(self, buffer_size: int, observation_space: spaces.Space, action_space: spaces.Space,
                 device: torch.device | str = "auto", n_envs: int = 1, optimize_memory_usage: bool = False,
                 handle_timeout_termination: bool = True, *, relative: bool = True, action_penalty: float = 0.0,
                 shaping: bool = False, gamma: float = 0.99, reward_model: RewardModel | None = None):
        if not isinstance(observation_space, spaces.Box):
            raise ValueError('rewards are scored anew from planes: use obs_type="uint8" or "float32", not "dict"')
        if optimize_memory_usage:
            raise ValueError("optimize_memory_usage=True loses the finished images, which are scored anew: leave it")
        plane_shape(observation_space)
        super().__init__(buffer_size, observation_space, action_space, device, n_envs,
                         handle_timeout_termination=handle_timeout_termination)
        self.relative, self.action_penalty, self.reward_model = relative, action_penalty, reward_model
        self.shaping, self.gamma = shaping, gamma

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "reward_model": None}

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> ReplayBufferSamples:
        if env is not None:
            raise ValueError("rewards that are scored anew can't be normalised: take VecNormalize off the environment")
        samples = super()._get_samples(batch_inds)
        rewards, ended = samples.rewards.clone(), samples.dones[:, 0] > 0
        if self.shaping:
            seen = torch.cat([samples.observations, samples.next_observations])
            before, after = self.gains(seen).to(rewards).chunk(2)
            rewards[:, 0] = shaping(before, after, ended, self.gamma) + torch.where(ended, after, 0.0)
        elif ended.any():
            rewards[ended, 0] = self.gains(samples.next_observations[ended]).to(rewards)
        return samples._replace(rewards=rewards - self.action_penalty * samples.actions.square())

    def gains(self, observations: Tensor) -> Tensor:
        """The current reward model's scores of the images so far, as gains if `relative`; without gradients.

        For the last observation of an episode, that is the reward of the step that led there.

        Args:
            observations: (N, ...) as stored.

        Returns:
            (N,) floats.

        Raises:
            ValueError: If there is no reward model, or it returned a wrong shape or a value that is not finite.
        """
        if self.reward_model is None:
            raise ValueError("this replay buffer has no reward model: set its reward_model, for instance after load()")
        planes = decode(observations)
        photos, images = planes[..., LAYOUT["photo"]], planes[..., LAYOUT["local"]]
        if self.relative:  # the photos themselves are scored in the same call
            photos, images = torch.cat([photos, photos]), torch.cat([images, photos])
        if not is_differentiable(self.reward_model):  # it may know NumPy only
            photos, images = photos.cpu().numpy(), images.cpu().numpy()
        with torch.no_grad():
            scores = torch.as_tensor(score(self.reward_model, images, photos, None))
        num = len(observations)
        return scores[:num] - scores[num:] if self.relative else scores

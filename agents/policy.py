"""The deterministic policy: observations of any type in, one exposure out. SB3's `BasePolicy` around the actor."""

from functools import cached_property
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from agents.networks import Actor, Critic

PARTS = ("photo", "segment", "local", "mask", "done")


class ExposurePolicy(BasePolicy):
    """Actor, perhaps a critic, and their optimizers.

    Args:
        observation_space: uint8 or float32 Box of 9 or 12 planes, channels first or last, or the Dict of parts.
        action_space: Box(-1, 1, (1,)).
        lr_schedule: Learning rate as a function of the progress remaining.
        width: See `networks.Stack`.
        halvings: See `networks.Stack`.
        betas: Adam's.
        critic: "V" for a value network V(s) besides the actor, "Q" for Q(s, a), None for none.
        critic_lr_schedule: The critic's learning rate as a function of the progress remaining.

    Raises:
        ValueError: If the observations are not those of this project's environments.
    """

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Box, lr_schedule: Any = lambda _: 1e-4,
                 width: int = 32, halvings: int = 0, betas: tuple[float, float] = (0.5, 0.9),
                 critic: str | None = None, critic_lr_schedule: Any = lambda _: 1e-3, **kwargs: Any):
        super().__init__(observation_space, action_space, squash_output=True, **kwargs)
        channels, size = plane_shape(observation_space)
        self.width, self.halvings = width, halvings
        self.actor = Actor(channels, size, width, halvings)
        self.learning = {"lr": lr_schedule(1), "betas": betas}
        self.critic, self.critic_optimizer = None, None
        if critic is not None:
            self.critic = Critic(channels, size, width, halvings, action=critic == "Q")
            self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), critic_lr_schedule(1), betas=betas)

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """The actor's; made when it is first needed, as who only predicts would pay 70 MB for importing it."""
        return torch.optim.Adam(self.actor.parameters(), **self.learning)

    def forward(self, observation: Tensor | dict[str, Tensor], deterministic: bool = True) -> Tensor:
        """Observations -> actions (N, 1); the policy has no randomness of its own."""
        return self.actor(self.planes(observation))

    _predict = forward

    def planes(self, observation: Tensor | dict[str, Tensor]) -> Tensor:
        """Observations of any type as (N, C, H, W) floats in [0, 1]."""
        if isinstance(observation, dict):
            images = [observation[name] for name in PARTS if name in observation]
            parts = torch.cat([_channels_first(image, (1, 3)) for image in images], dim=1).float() / 255
            if "progress" not in observation:
                return parts
            progress = observation["progress"].float().reshape(-1, 1, 1, 1).expand(-1, 1, *parts.shape[2:])
            return torch.cat([parts, progress], dim=1)
        planes = _channels_first(observation, (9, 12))
        return planes.float() / 255 if planes.dtype == torch.uint8 else planes


def plane_shape(space: spaces.Space) -> tuple[int, int]:
    """Number of planes and their side [px] of an observation space.

    Raises:
        ValueError: If it isn't the observation space of one of this project's environments.
    """
    if isinstance(space, spaces.Dict) and {"photo", "segment", "local"} <= set(space.keys()):
        height, width = sorted(space["photo"].shape)[1:]
        channels = 12 if "progress" in space.keys() else 9
    elif isinstance(space, spaces.Box) and len(space.shape) == 3 and {space.shape[0], space.shape[-1]} & {9, 12}:
        last = space.shape[-1] in (9, 12)
        channels, height, width = (space.shape[-1], *space.shape[:2]) if last else space.shape
    else:
        raise ValueError(f"these are not the observations of an exposure environment: {space}")
    if height != width:
        raise ValueError(f"planes must be square, not {height}x{width}")
    return channels, height


def _channels_first(planes: Tensor, channels: tuple[int, ...]) -> Tensor:
    return planes.permute(0, 3, 1, 2) if planes.shape[-1] in channels else planes

"""The deterministic policy: observations of any type in, one exposure out. SB3's `BasePolicy` around the actor."""

from functools import cached_property
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from agents.networks import Actor, Critic
from agents.planes import observed_planes
from agents.segment_actor import SegmentActor
from exposure_env.decoding import plane_shape

ACTORS = {"planes": Actor, "segments": SegmentActor}


class ExposurePolicy(BasePolicy):
    """The actor, perhaps a critic, and their optimizers.

    Args:
        observation_space: Box of 9 or 12 planes, uint8 or float32, channels first or last; or the Dict of parts.
        action_space: Box(-1, 1, (1,)).
        lr_schedule: The actor's learning rate as a function of the remaining progress.
        width: See `networks.Stack`.
        halvings: See `networks.Stack`.
        betas: Betas of Adam.
        critic: "V" adds a value network V(s), "Q" a network Q(s, a), None neither.
        critic_lr_schedule: The critic's learning rate as a function of the remaining progress.
        actor: Key of `ACTORS`: "planes", the paper's network on all planes together, or "segments", see `SegmentActor`.

    Raises:
        ValueError: If the observations are not those of this project's environments, or don't suit the actor.
    """

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Box, lr_schedule: Any = lambda _: 1e-4,
                 width: int = 32, halvings: int = 0, betas: tuple[float, float] = (0.5, 0.9),
                 critic: str | None = None, critic_lr_schedule: Any = lambda _: 1e-3, actor: str = "planes",
                 **kwargs: Any):
        super().__init__(observation_space, action_space, squash_output=True, **kwargs)
        channels, size = plane_shape(observation_space)
        if actor not in ACTORS:
            raise ValueError(f"actor must be one of {list(ACTORS)}, not {actor!r}")
        self.width, self.halvings = width, halvings
        self.settings = {"width": width, "halvings": halvings, "actor": actor}
        self.actor = ACTORS[actor](channels, size, width, halvings)
        self.learning = {"lr": lr_schedule(1), "betas": betas}
        self.critic, self.critic_optimizer = None, None
        if critic is not None:
            self.critic = Critic(channels, size, width, halvings, action=critic == "Q")
            self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), critic_lr_schedule(1), betas=betas)

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """The actor's optimizer, created on first use: importing it takes 70 MB, which prediction can do without."""
        return torch.optim.Adam(self.actor.parameters(), **self.learning)

    def forward(self, observation: Tensor | dict[str, Tensor], deterministic: bool = True) -> Tensor:
        """Observations -> actions (N, 1); the policy itself is never random."""
        return self.actor(observed_planes(observation))

    _predict = forward

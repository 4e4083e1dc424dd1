"""The reward that learns: a discriminator told expert from agent photos apart, trained as a WGAN-GP (section 2.3)."""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule
from torch import Tensor

from agents.networks import Discriminator


class DiscriminatorReward:
    """The discriminator's score as a reward model; differentiable for Torch images.

    Args:
        network: The discriminator; by default a fresh one for `size` px, of the given width and halvings.
        size: Side of the images [px].
        width: See `networks.Stack`.
        halvings: See `networks.Stack`.
        contrast: See `networks.statistics`.
        device: Where the network lives.
    """

    differentiable = True

    def __init__(self, network: Discriminator | None = None, *, size: int = 64, width: int = 32, halvings: int = 0,
                 contrast: str = "variance", device: str | torch.device = "cpu"):
        self.network = (network or Discriminator(size, width, halvings, contrast)).to(device)

    def __call__(self, images: Any, **context: Any) -> Any:
        """(N, H, W, 3) in [0, 1] -> (N,) scores, unbounded; only their differences mean something."""
        if isinstance(images, Tensor):
            return self.network(images)
        device = next(self.network.parameters()).device
        with torch.no_grad():
            chunks = [self.network(chunk.to(device)) for chunk in torch.as_tensor(images).split(256)]
        return torch.cat(chunks).cpu().numpy()


class DiscriminatorTrainer:
    """Teaches a discriminator to score experts' photos above the agent's (eq. 12).

    Args:
        reward: The reward model whose network is trained.
        learning_rate: Adam's, with betas 0.5 and 0.9 (Exposure's); a number or a schedule of the progress remaining.
        gradient_penalty: Weight lambda of the penalty.
        one_sided: Penalise only slopes above 1 (Exposure) instead of any other than 1 (the paper).
        drift: Weight of the mean squared score of real photos; keeps the scores' arbitrary offset near 0.
        seed: Seed of the interpolation between real and fake.

    Raises:
        ValueError: If a weight is negative.
    """

    def __init__(self, reward: DiscriminatorReward, *, learning_rate: float | Schedule = 5e-5,
                 gradient_penalty: float = 10.0, one_sided: bool = False, drift: float = 1e-3, seed: int = 0):
        if gradient_penalty < 0 or drift < 0:
            raise ValueError(f"gradient_penalty and drift must not be negative: {gradient_penalty}, {drift}")
        self.network = reward.network
        self.weight, self.one_sided, self.drift = gradient_penalty, one_sided, drift
        self.schedule = FloatSchedule(learning_rate)
        self.optimizer = torch.optim.Adam(self.network.parameters(), self.schedule(1.0), betas=(0.5, 0.9))
        self.generator = torch.Generator().manual_seed(seed)

    def progress(self, remaining: float) -> None:
        """Sets the learning rate for what remains of the training, from 1 to 0."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule(remaining)

    def update(self, real: np.ndarray | Tensor, fake: np.ndarray | Tensor) -> dict[str, float]:
        """One step of the optimizer.

        Args:
            real: (N, H, W, 3) experts' photos in [0, 1].
            fake: (N, H, W, 3) other photos in [0, 1].

        Returns:
            "loss" (eq. 12 without the penalties), "real" and "fake" mean scores, "slope" mean gradient norm,
            "penalty" the weighted gradient penalty.

        Raises:
            ValueError: If the two differ in shape or the loss is not finite.
        """
        if tuple(real.shape) != tuple(fake.shape):
            raise ValueError(f"as many real as fake images of one size, please: {real.shape}, {fake.shape}")
        device = next(self.network.parameters()).device
        real, fake = (torch.as_tensor(images, device=device).detach() for images in (real, fake))
        scores = self.network(torch.cat([real, fake]))
        score_real, score_fake = scores[: len(real)], scores[len(real) :]
        penalty, slope = self.penalty(real, fake)
        loss = score_fake.mean() - score_real.mean()
        total = loss + self.weight * penalty + self.drift * score_real.square().mean()
        if not torch.isfinite(total):
            raise ValueError(f"the discriminator's loss is {total.item()}: lower its learning rate")
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        return {"loss": loss.item(), "real": score_real.mean().item(), "fake": score_fake.mean().item(),
                "slope": slope.item(), "penalty": self.weight * penalty.item()}

    def penalty(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of (|gradient| - 1)^2 on random points between real and fake images, and the mean |gradient|."""
        mix = torch.rand((len(real), 1, 1, 1), generator=self.generator).to(real.device)
        between = (mix * real + (1 - mix) * fake).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.network(between).sum(), between, create_graph=True)
        slope = (gradient.square().sum((1, 2, 3)) + 1e-12).sqrt()
        excess = slope - 1
        return (excess.clamp(min=0) if self.one_sided else excess).square().mean(), slope.mean()

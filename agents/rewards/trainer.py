"""The training of a discriminator, with the loss of WGAN-GP (section 2.3) or R3GAN."""

import copy
from typing import Any, Literal

import numpy as np
import torch
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule
from torch import Tensor
from torch.nn import functional

from agents.rewards.discriminator import DiscriminatorReward
from exposure_env.errors import NotFinite


class DiscriminatorTrainer:
    """A trainer that teaches a discriminator to score experts' photos above the agent's (eq. 12).

    Args:
        reward: The reward model whose network is trained.
        learning_rate: Adam's, with Exposure's betas 0.5 and 0.9; a number or a schedule of the remaining progress.
        loss: "wgan-gp", the paper's: the difference of mean scores, and a penalty on slopes other than 1 between real
            and fake images. "relativistic", R3GAN's (Huang et al. 2024, arXiv 2501.05441): softplus(fake - real) of
            random pairs, and half the squared slope at real (R1) and at fake images (R2); slopes vanish where the two
            are alike.
        gradient_penalty: Weight of the penalty: lambda, or R3GAN's gamma.
        one_sided: For "wgan-gp": whether to penalise only slopes above 1 (Exposure), not all but 1 (the paper).
        drift: Weight of the mean squared score of real photos, which keeps the arbitrary offset of scores near 0.
        seed: Seed of the interpolation between real and fake.

    Raises:
        ValueError: If the loss is unknown or a weight is negative.
    """

    def __init__(self, reward: DiscriminatorReward, *, learning_rate: float | Schedule = 5e-5,
                 loss: Literal["wgan-gp", "relativistic"] = "wgan-gp", gradient_penalty: float = 10.0,
                 one_sided: bool = False, drift: float = 1e-3, seed: int = 0):
        if loss not in ("wgan-gp", "relativistic"):
            raise ValueError(f'loss must be "wgan-gp" or "relativistic", not {loss!r}')
        if gradient_penalty < 0 or drift < 0:
            raise ValueError(f"gradient_penalty and drift must not be negative: {gradient_penalty}, {drift}")
        self.network, self.loss = reward.network, loss
        self.weight, self.one_sided, self.drift = gradient_penalty, one_sided, drift
        self.schedule = FloatSchedule(learning_rate)
        self.optimizer = torch.optim.Adam(self.network.parameters(), self.schedule(1.0), betas=(0.5, 0.9))
        self.generator = torch.Generator().manual_seed(seed)

    def progress(self, remaining: float) -> None:
        """Sets the learning rate for the remaining fraction of the training, which falls from 1 to 0."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule(remaining)

    def update(self, real: np.ndarray | Tensor, fake: np.ndarray | Tensor) -> dict[str, float]:
        """Takes one step of the optimizer.

        Args:
            real: (N, H, W, 3) experts' photos in [0, 1].
            fake: (N, H, W, 3) other photos in [0, 1].

        Returns:
            "loss" (eq. 12, or R3GAN's, without the penalties), the mean scores "real" and "fake", the mean gradient
            norm "slope", and the weighted gradient penalty "penalty".

        Raises:
            ValueError: If the two differ in shape or the loss is not finite.
        """
        if tuple(real.shape) != tuple(fake.shape):
            raise ValueError(f"as many real as fake images of one size, please: {real.shape}, {fake.shape}")
        device = next(self.network.parameters()).device
        real, fake = (torch.as_tensor(images, device=device).detach() for images in (real, fake))
        self.network.train()
        try:
            scores = self.network(torch.cat([real, fake]))
            score_real, score_fake = scores[: len(real)], scores[len(real) :]
            penalty, slope = self.penalty(real, fake)
        finally:
            self.network.eval()
        if self.loss == "wgan-gp":
            loss = score_fake.mean() - score_real.mean()
        else:
            loss = functional.softplus(score_fake - score_real).mean()
        total = loss + self.weight * penalty + self.drift * score_real.square().mean()
        if not torch.isfinite(total):
            raise NotFinite(f"the discriminator's loss is {total.item()}: lower its learning rate")
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        return {"loss": loss.item(), "real": score_real.mean().item(), "fake": score_fake.mean().item(),
                "slope": slope.item(), "penalty": self.weight * penalty.item()}

    def penalty(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The unweighted penalty, and the mean |gradient|.

        "wgan-gp": the mean of (|gradient| - 1)^2 at random points between real and fake images. "relativistic":
        (R1 + R2) / 2, half the mean |gradient|^2 at real images and half that at fake ones.

        Args:
            real: (N, H, W, 3) experts' photos in [0, 1].
            fake: (N, H, W, 3) other photos in [0, 1].
        """
        if self.loss == "wgan-gp":
            mix = torch.rand((len(real), 1, 1, 1), generator=self.generator).to(real.device)
            images = (mix * real + (1 - mix) * fake).requires_grad_(True)
        else:
            images = torch.cat([real, fake]).requires_grad_(True)  # equally many of both, so the mean is (R1 + R2) / 2
        (gradient,) = torch.autograd.grad(self.network(images).sum(), images, create_graph=True)
        square = gradient.square().sum((1, 2, 3))
        slope = (square + 1e-12).sqrt()
        if self.loss == "relativistic":
            return square.mean(), slope.mean()
        excess = slope - 1
        return (excess.clamp(min=0) if self.one_sided else excess).square().mean(), slope.mean()

    def state_dict(self) -> dict[str, Any]:
        """A copy of what later updates depend on besides the settings: weights, Adam's moments, generator."""
        return copy.deepcopy({"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                              "generator": self.generator.get_state()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where another trainer with the same settings left off.

        Args:
            state: The result of its `state_dict`.

        Raises:
            ValueError: If it is the state of something else.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # Adam would share the given tensors
            self.generator.set_state(state["generator"].cpu())
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(f"this is not the state of a trainer with such a network: {error}") from error

"""The Deep Photo Enhancer (Chen, Wang, Kao and Chuang, CVPR 2018) as a rival, in its unpaired form, on a small scale.

Two U-Nets with global features, one to retouch and one to undo it, against two critics of whole images: WGAN with a
penalty whose weight adapts itself (the paper's A-WGAN), a cycle loss, and an identity loss that keeps each result near
its photo. Sized for 64 px and one processor: three halvings rather than five, narrow layers, batches of eight. Left
out is batch normalisation, of which the paper's generators keep separate statistics for photos and for results: SELU,
which the paper has too, does without, and a single photo's brightness stays what it is. Discriminators are
`networks.Stack`.
"""

from collections import deque

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.networks import Stack
from agents.rivals.crops import Crops, Look, Retouch, batches_of_both, check_amount
from agents.rivals.games import adam, check_rates, check_weights, play, step
from agents.rivals.translation import Translation


class GlobalUNet(nn.Module):
    """Images in, images out: the image itself and a correction, which is 0 before any training.

    At the lowest resolution the mean over all pixels, through two layers, joins the features of every pixel, so that
    a correction in one place knows of the whole photo.

    Args:
        width: Channels at full resolution; each halving doubles them.
        halvings: Of the resolution.

    Raises:
        ValueError: If a number is below 1.
    """

    def __init__(self, width: int = 8, halvings: int = 3):
        super().__init__()
        if min(width, halvings) < 1:
            raise ValueError(f"width and halvings must be at least 1, not {width} and {halvings}")
        self.multiple = 2**halvings
        channels = [width * 2**i for i in range(halvings + 1)]
        self.first = _convolution(3, width, 3)
        self.down = nn.ModuleList(_convolution(low, high, 4, 2) for low, high in zip(channels, channels[1:],
                                                                                     strict=False))
        deep = channels[-1]
        self.whole = nn.Sequential(nn.Linear(deep, deep), nn.SELU(), nn.Linear(deep, deep), nn.SELU())
        self.joined = _convolution(2 * deep, deep, 1)
        self.up = nn.ModuleList(_convolution(low + high, low, 3) for low, high in zip(channels, channels[1:],
                                                                                     strict=False))
        self.last = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> the same shape; not clipped, so that gradients flow everywhere."""
        height, width = images.shape[2:]
        bottom, right = (-side % self.multiple for side in (height, width))
        # reflection wants more pixels than it adds
        mode = "reflect" if bottom < height and right < width else "replicate"
        planes = functional.pad(images - 0.5, (0, right, 0, bottom), mode=mode)
        kept = [functional.selu(self.first(planes.contiguous(memory_format=torch.channels_last)))]
        for layer in self.down:
            kept.append(functional.selu(layer(kept[-1])))
        deep = kept.pop()
        whole = self.whole(deep.mean((2, 3)))[..., None, None].expand_as(deep)
        planes = functional.selu(self.joined(torch.cat([deep, whole], dim=1)))
        for layer, same_size in zip(reversed(self.up), reversed(kept), strict=True):
            larger = functional.interpolate(planes, scale_factor=2.0)
            planes = functional.selu(layer(torch.cat([same_size, larger], dim=1)))
        return images + self.last(planes)[..., :height, :width]


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")  # as SELU wants it (Klambauer et al., 2017)
    nn.init.zeros_(layer.bias)
    return layer


class AdaptiveWeight:
    """The weight of a critic's penalty: doubled while slopes are too steep, halved while they need no holding back.

    Args:
        weight: The first weight.
        window: Number of the latest penalties whose mean decides; counted anew after each change.
        low: Mean penalty below which the weight is halved.
        high: Mean penalty above which it is doubled.
    """

    def __init__(self, weight: float = 10.0, window: int = 50, low: float = 0.001, high: float = 0.05):
        self.weight, self.low, self.high = weight, low, high
        self.latest: deque[float] = deque(maxlen=window)

    def see(self, penalty: float) -> None:
        """Takes note of an unweighted penalty."""
        self.latest.append(penalty)
        if len(self.latest) == self.latest.maxlen and not self.low <= np.mean(self.latest) <= self.high:
            self.weight *= 2.0 if np.mean(self.latest) > self.high else 0.5
            self.latest.clear()


class Critic:
    """A critic of whole images, and how it learns.

    Args:
        size: Side of the images [px].
        width: See `networks.Stack`.
        learning_rate: Adam's.
        device: Device of the network.
        window: See `AdaptiveWeight`.
    """

    def __init__(self, size: int, width: int, learning_rate: float, device: str = "cpu", window: int = 50):
        self.net = Stack(3, size, 1, width).to(device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), learning_rate, (0.5, 0.9))
        self.adaptive = AdaptiveWeight(window=window)

    def score(self, images: Tensor) -> Tensor:
        """The mean score of images (N, 3, size, size)."""
        return self.net(images).mean()

    def update(self, real: Tensor, fake: Tensor) -> float:
        """Takes one step; how much higher the mean score of real images was than that of the fake ones."""
        real, fake = real.detach(), fake.detach()
        difference = self.score(real) - self.score(fake)
        penalty = self.penalty(real, fake)
        step(self.optimizer, self.adaptive.weight * penalty - difference)
        self.adaptive.see(penalty.item())
        return difference.item()

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """The mean of what slopes between real and fake images exceed 1 by; unlike in WGAN-GP it isn't squared."""
        mix = torch.rand(len(real), 1, 1, 1, device=real.device)
        images = (mix * real + (1 - mix) * fake).requires_grad_(True)
        (slopes,) = torch.autograd.grad(self.net(images).sum(), images, create_graph=True)
        return functional.relu((slopes.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).mean()


class Enhancer:
    """The four networks and their training.

    Args:
        size: Side of the images [px].
        width: See `fit_deep_photo_enhancer`, here and below.
        halvings: See there.
        critic_width: See there.
        n_critic: See there.
        learning_rate: See there.
        critic_learning_rate: See there.
        identity_weight: See there.
        cycle_weight: See there.
        device: Device of the networks.
    """

    def __init__(self, size: int, *, width: int, halvings: int, critic_width: int, n_critic: int, learning_rate: float,
                 critic_learning_rate: float, identity_weight: float, cycle_weight: float, device: str = "cpu"):
        self.n_critic, self.identity_weight, self.cycle_weight = n_critic, identity_weight, cycle_weight
        self.forth, self.back = (GlobalUNet(width, halvings).to(device) for _ in range(2))
        self.of_experts, self.of_inputs = (Critic(size, critic_width, critic_learning_rate, device) for _ in range(2))
        self.optimizers = [adam((self.forth, self.back), learning_rate, (0.5, 0.9)), self.of_experts.optimizer,
                           self.of_inputs.optimizer]

    def update(self, inputs: Tensor, experts: Tensor) -> dict[str, float]:
        """Takes one step of the generators, then `n_critic` of the critics on what the generators made.

        Args:
            inputs: (N, 3, size, size) photos to retouch, in [0, 1].
            experts: (M, 3, size, size) experts' photos, in [0, 1].

        Returns:
            The losses "adversary", "identity" and "cycle" of the generators, unweighted, and by how much the critics
            told experts' photos ("experts") and inputs ("inputs") from fake ones.
        """
        retouched, raw = self.forth(inputs), self.back(experts)
        distance = functional.mse_loss
        parts = {
            "adversary": -self.of_experts.score(retouched) - self.of_inputs.score(raw),
            "identity": distance(retouched, inputs) + distance(raw, experts),
            "cycle": distance(self.back(retouched), inputs) + distance(self.forth(raw), experts),
        }
        step(self.optimizers[0], parts["adversary"] + self.identity_weight * parts["identity"]
             + self.cycle_weight * parts["cycle"])
        told = {name: part.item() for name, part in parts.items()}
        for _ in range(self.n_critic):
            told |= {"experts": self.of_experts.update(experts, retouched),
                     "inputs": self.of_inputs.update(inputs, raw)}
        return told


def fit_deep_photo_enhancer(inputs: Crops, experts: Crops, *, num_photos: int, seed: int = 0, device: str = "cpu",
                            look: Look | None = None, batch_size: int = 8, learning_rate: float = 1e-3,
                            critic_learning_rate: float = 1e-3, n_critic: int = 1, identity_weight: float = 300.0,
                            cycle_weight: float = 3000.0, width: int = 8, halvings: int = 3,
                            critic_width: int = 16) -> Retouch:
    """The enhancer that has learned from photos to retouch and experts' photos, unpaired.

    Args:
        inputs: Source of photos to retouch.
        experts: Source of good photos of the same size, as many in each step.
        num_photos: Photos to retouch to learn from, rounded up to whole batches.
        seed: Seed of weights and of the critics' penalty; photos are the sources'.
        device: Device of the training.
        look: See `crops.Look`.
        batch_size: Photos of each source in a step.
        learning_rate: Adam's, of the generators; like the critics', it falls linearly to 0 in the second half.
        critic_learning_rate: Adam's, of the critics.
        n_critic: Steps of the critics for each of the generators.
        identity_weight: Weight of the mean squared change; the paper's is 1000, and its images have 64 times as many
            pixels, which add up in the scores of a critic.
        cycle_weight: Weight of the mean squared difference of what went there and back; the paper's is 10000.
        width: See `GlobalUNet`.
        halvings: Likewise.
        critic_width: Channels of the critics' first convolution.

    Raises:
        ValueError: If a number is too small, or a weight negative.
    """
    check_amount(num_photos, batch_size)
    check_rates(learning_rate=learning_rate)
    check_weights(identity_weight=identity_weight, cycle_weight=cycle_weight)
    torch.manual_seed(seed)
    game = Enhancer(inputs.size, width=width, halvings=halvings, critic_width=critic_width, n_critic=n_critic,
                    learning_rate=learning_rate, critic_learning_rate=critic_learning_rate,
                    identity_weight=identity_weight, cycle_weight=cycle_weight, device=device)
    return play(game, batches_of_both(inputs, experts, device), Translation(game.forth, inputs.size),
                num_photos=num_photos, batch_size=batch_size, look=look)

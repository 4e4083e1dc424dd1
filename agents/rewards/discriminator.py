"""The reward that learns: the discriminator of a WGAN-GP, which tells experts' photos from the agent's (section 2.3).

R3GAN's loss and spectral normalisation are options.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.networks import Discriminator
from exposure_env.threads import num_threads, spread

LEAST, MOST = 8, 32  # the fewest images worth a thread, and the most that fit a processor's cache


class DiscriminatorReward:
    """The discriminator's score as a reward model; differentiable for Torch images.

    Args:
        network: The discriminator; by default a new one made with the following arguments.
        size: Side of the images [px].
        width: See `networks.Stack`.
        halvings: See `networks.Stack`.
        contrast: See `networks.statistics`.
        spectral_norm: See `networks.Discriminator`.
        device: Device of the network.
    """

    differentiable, keeps_images = True, True

    def __init__(self, network: Discriminator | None = None, *, size: int = 64, width: int = 32, halvings: int = 0,
                 contrast: str = "variance", spectral_norm: bool = False, device: str | torch.device = "cpu"):
        self.network = (network or Discriminator(size, width, halvings, contrast, spectral_norm)).to(device)
        self.network.eval()  # in training mode, with spectral_norm, each call would change later scores
        self._version, self._weights = 0, ()

    @property
    def version(self) -> int:
        """A number that is new whenever the weights have changed since it was last read, whatever changed them."""
        weights = [*self.network.parameters(), *self.network.buffers()]
        if len(weights) != len(self._weights) or not all(map(_equal, weights, self._weights)):
            self._version, self._weights = self._version + 1, [tensor.detach().clone() for tensor in weights]
        return self._version

    def __call__(self, images: Any, **context: Any) -> Any:
        """(N, H, W, 3) images in [0, 1] -> (N,) unbounded scores, of which only the differences mean something."""
        if isinstance(images, Tensor):
            return self.network(images)
        images, device = torch.as_tensor(images), next(self.network.parameters()).device
        before = torch.get_num_threads()
        threads = min(before, num_threads(), len(images) // LEAST) if device.type == "cpu" else 1
        if threads <= 1:
            scores = [self._score(chunk) for chunk in images.split(MOST if device.type == "cpu" else 256)]
        else:  # each thread takes a share of the images: on a busy machine far faster than a share of each layer
            shares = images.tensor_split(threads * math.ceil(len(images) / (threads * MOST)))
            try:
                scores = spread(self._score_alone, shares)
            finally:
                torch.set_num_threads(before)
        return torch.cat(scores).cpu().numpy()

    def _score(self, images: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.network(images.to(next(self.network.parameters()).device))

    def _score_alone(self, images: Tensor) -> Tensor:
        torch.set_num_threads(1)  # affects the calling thread only
        return self._score(images)


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, on the CPU by NumPy: Torch's threads would keep spinning and slow the scoring."""
    if one.device.type != "cpu":
        return torch.equal(one, other)
    return np.array_equal(one.detach().numpy(), other.numpy())

"""LPIPS, where its network's weights are on this machine already: 233 MB, which nothing here downloads.

Zhang et al. (2018), "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", version 0.1 with AlexNet.
The network is torchvision's, told here in twelve layers, so that torchvision need not be there in the build that fits
Torch's; the weights of its channels are in torchmetrics.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from agents.evaluation.metrics import unit

WEIGHTS = "alexnet-owt-7be5be79.pth"  # torchvision's AlexNet, by the name under which Torch keeps it
DIGEST = "7be5be79"  # how the SHA-256 of that file begins
CHANNELS = "functional/image/lpips_models/alex.pth"  # in torchmetrics
LAYERS = (1, 4, 7, 9, 11)  # after whose ReLU the features are compared
SMALLEST = 31  # [px], the shorter side: of less, the second pooling leaves nothing
EPSILON = 1e-8  # below this, features have no direction

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def weights_file() -> Path:
    """Where Torch keeps the weights: below TORCH_HOME if that is set."""
    return Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS


@cache
def lpips(digest: str = DIGEST) -> Distance | None:
    """The distance of two batches of images, or None where it can't be measured: without the weights or torchmetrics.

    Args:
        digest: How the SHA-256 of the weights has to begin. With others a number is not LPIPS.

    Returns:
        A function of two arrays (N, H, W, 3), as `metrics.unit` takes them, that gives (N,) float64 from 0, at which
        they are the same. NaN for photos smaller than `SMALLEST`.

    Warns:
        UserWarning: If there is a file of that name, but it is another, or torchmetrics is missing.
    """
    file = weights_file()
    if not file.is_file():
        return None
    if (package := find_spec("torchmetrics")) is None:
        warnings.warn(f"LPIPS is left out: its weights are in {os.fspath(file)!r}, but torchmetrics is missing; "
                      'python -m pip install "deepexposure-gym[lpips]"', stacklevel=2)  # fmt: skip
        return None
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if not found.startswith(digest):
        warnings.warn(f"LPIPS is left out: the SHA-256 of {os.fspath(file)!r} has to begin with {digest}, not "
                      f"{found[: len(digest)]}", stacklevel=2)  # fmt: skip
        return None
    channels = Path(package.submodule_search_locations[0], CHANNELS)
    network = _Lpips(*(torch.load(each, map_location="cpu", weights_only=True) for each in (file, channels)))

    def distance(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        if min(np.shape(images)[1:3]) < SMALLEST:
            return np.full(len(images), np.nan)
        with torch.no_grad():
            return network(_planes(images), _planes(targets)).double().numpy()

    return distance


class _Lpips(nn.Module):
    """Equation 1 of the paper.

    Args:
        weights: Those of torchvision's AlexNet.
        channels: A weight for each channel of the features of each of `LAYERS`.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: dict[str, Tensor], channels: dict[str, Tensor]) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.load_state_dict({name: value for name, value in weights.items() if name.startswith("features.")})
        self.channels = [channels[f"lin{place}.model.1.weight"] for place in range(len(LAYERS))]
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """The distances, (N,), of two batches (N, 3, H, W) in [0, 1]."""
        pairs = zip(self.directions(images), self.directions(targets), self.channels, strict=True)
        return sum((weights * (ours - theirs) ** 2).sum(1).mean((1, 2)) for ours, theirs, weights in pairs)

    def directions(self, images: Tensor) -> list[Tensor]:
        """The features at each of `LAYERS`, (N, C, H, W), of length 1 over the channels."""
        planes, found = (2 * images - 1 - self.shift) / self.scale, []
        for place, layer in enumerate(self.features):
            planes = layer(planes)
            if place in LAYERS:
                found.append(planes / torch.sqrt((planes**2).sum(1, keepdim=True) + EPSILON))
        return found


def _planes(images: np.ndarray) -> Tensor:
    """The images as (N, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(unit(images)).float().permute(0, 3, 1, 2)

"""Networks from image to image: residual generators, patch discriminators, photos of any size through a generator."""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.rivals.guided_filter import corrected, linear_models
from exposure_env.photos import check_photo, thumbnail

Norm = Literal["none", "instance"]
LEAST = 16  # smallest side that goes through the layers [px]
SHOWN = 1.25  # a photo's shorter side over that of a crop: the benchmark's crops show 60 to 100 % of it
RADIUS = 2  # of the guided filter's windows [px of the reduced photo]
SMOOTH = 1e-3  # variance of a window from which a correction follows its detail


class Generator(nn.Module):
    """Images in, images out: the image itself and a correction, which is 0 before any training.

    The layers are those of CycleGAN's ResNet: a wide convolution, halvings, residual blocks, doublings, and a wide
    convolution to three channels under a tanh. Doublings repeat pixels before a convolution, as transposed convolutions
    leave a checkerboard. What lies beyond the edge is a reflection: with zeros, generators learn to frame photos in
    colours that discriminators, which also see the zeros, take for real.

    Args:
        width: Channels at full resolution; each halving doubles them.
        num_blocks: Residual blocks.
        halvings: Of the resolution, before the blocks.
        kernel: Side of the first and the last kernel, odd [px].
        norm: What follows each convolution inside: "none", or "instance", which removes each channel's mean and spread
            and with them how bright the photo is.

    Raises:
        ValueError: If a number is too small, the kernel even or the norm unknown.
    """

    def __init__(self, width: int = 8, num_blocks: int = 3, halvings: int = 2, kernel: int = 3, norm: Norm = "none"):
        super().__init__()
        if min(width, num_blocks, halvings + 1) < 1 or kernel % 2 != 1:
            raise ValueError("width and num_blocks must be at least 1, halvings at least 0 and kernel odd, not "
                             f"{width}, {num_blocks}, {halvings} and {kernel}")
        self.multiple, channels = 2**halvings, width
        layers = [*_convolved(3, width, kernel, norm=norm), nn.ReLU()]
        for _ in range(halvings):
            layers += [*_convolved(channels, 2 * channels, 3, 2, norm), nn.ReLU()]
            channels *= 2
        layers += [Block(channels, norm) for _ in range(num_blocks)]
        for _ in range(halvings):
            layers += [nn.Upsample(scale_factor=2), *_convolved(channels, channels // 2, 3, norm=norm), nn.ReLU()]
            channels //= 2
        last = nn.Conv2d(channels, 3, kernel, padding=kernel // 2, padding_mode="reflect")
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last, nn.Tanh())
        self.to(memory_format=torch.channels_last)  # on CPUs a third faster with so few channels

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> the same shape; not clipped, so that gradients flow everywhere."""
        height, width = images.shape[2:]
        bottom, right = (max(LEAST, -(-side // self.multiple) * self.multiple) - side for side in (height, width))
        whole = functional.pad(images, (0, right, 0, bottom), mode="replicate") if bottom or right else images
        return images + self.layers(whole.contiguous(memory_format=torch.channels_last) - 0.5)[..., :height, :width]


class Block(nn.Module):
    """Two convolutions, whose result is added to what came in.

    Args:
        channels: Number of channels.
        norm: See `Generator`.
    """

    def __init__(self, channels: int, norm: Norm):
        super().__init__()
        self.layers = nn.Sequential(*_convolved(channels, channels, 3, norm=norm), nn.ReLU(),
                                    *_convolved(channels, channels, 3, norm=norm))

    def forward(self, planes: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return planes + self.layers(planes)


class PatchDiscriminator(nn.Module):
    """Images in, a score for each of many overlapping patches out; the higher, the more like the real ones.

    Args:
        width: Channels of the first convolution; each further one doubles them.
        halvings: Convolutions of stride 2: a patch is 16 px wide after one, 34 px after two, 70 px, the paper's, after
            three.
        norm: See `Generator`; the first convolution has none.

    Raises:
        ValueError: If a number is below 1, or the norm unknown.
    """

    def __init__(self, width: int = 16, halvings: int = 2, norm: Norm = "none"):
        super().__init__()
        if min(width, halvings) < 1:
            raise ValueError(f"width and halvings must be at least 1, not {width} and {halvings}")
        channels = [3, *(width * 2**i for i in range(halvings + 1))]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(zip(channels, channels[1:], strict=False)):
            stride = 2 if i < halvings else 1
            layers += [nn.Conv2d(before, after, 4, stride, 1, padding_mode="reflect"),
                       *_normalised(after, norm if i else "none"), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, 1, 1, padding_mode="reflect"))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 1, h, w)."""
        return self.layers(2 * images - 1)


def _convolved(before: int, after: int, kernel: int, stride: int = 1, norm: Norm = "none") -> list[nn.Module]:
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, padding_mode="reflect")
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return [layer, *_normalised(after, norm)]


def _normalised(channels: int, norm: Norm) -> list[nn.Module]:
    if norm not in ("none", "instance"):
        raise ValueError(f'norm must be "none" or "instance", not {norm!r}')
    return [nn.InstanceNorm2d(channels)] if norm == "instance" else []


class Translation:
    """A generator as a function from photo to photo, of any size.

    A photo whose shorter side is at most 1.25 times that of the crops learned from goes through the network as it is. A
    larger one would show the network its texture at a scale that it never learned from. It is reduced to that size, and
    what the network adds to it is enlarged by `guided`.

    Args:
        generator: The network.
        size: Side of the crops that it has learned from [px].
    """

    def __init__(self, generator: nn.Module, size: int = 64):
        self.generator, self.shorter = generator, round(SHOWN * size)

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """The photo retouched; see `photos.check_photo`, also for the errors. (H, W, 3) float32 in [0, 1]."""
        photo = check_photo(photo)
        height, width = photo.shape[:2]
        scale = self.shorter / min(height, width)
        if scale >= 1:
            return self._translated(photo)
        small = thumbnail(photo, (math.ceil(height * scale), math.ceil(width * scale)))
        return guided(photo, small, self._translated(small))

    def _translated(self, photo: np.ndarray) -> np.ndarray:
        device = next(self.generator.parameters()).device
        with torch.inference_mode():
            batch = torch.as_tensor(photo.transpose(2, 0, 1)[None].copy(), device=device)
            result = self.generator(batch)[0].clamp(0, 1).cpu().numpy()
        return np.ascontiguousarray(result.transpose(1, 2, 0))


def guided(photo: np.ndarray, small: np.ndarray, result: np.ndarray) -> np.ndarray:
    """What was done to a reduced photo, done to the photo itself.

    What is added to a channel is fitted to that channel of the reduced photo, see `guided_filter`.
    Where a window is flat the slope is 0, so that fine detail stays as it is.

    Args:
        photo: (H, W, 3) float32 in [0, 1].
        small: (h, w, 3) float32, the photo reduced.
        result: (h, w, 3) float32, what has become of it.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    guide, added = (torch.as_tensor(planes.transpose(2, 0, 1)[None]) for planes in (small, result - small))
    return corrected(photo, *linear_models(guide, added, RADIUS, SMOOTH), lambda planes: planes)

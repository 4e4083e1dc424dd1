"""The three networks: actor, critic and discriminator.

All share one stack, that of Exposure (Hu et al. 2018): 4x4 convolutions of stride 2, each doubling the width, down to 4
pixels; leaky ReLUs; one hidden layer of 128 units; no normalisation. Statistics of the images are further inputs
(section 4): mean luminance, contrast and saturation, one constant plane each. They are computed inside the networks, so
that gradients and the gradient penalty flow through them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from agents.planes import Visited, halved, planes
from exposure_env.episode import LAYOUT, EpisodeState
from exposure_env.observations import ObsType
from exposure_env.task import ExposureTask

IMAGES = tuple(LAYOUT[name].start for name in ("photo", "segment", "local"))  # the first plane of each


def statistics(images: Tensor, contrast: str = "variance") -> Tensor:
    """Luminance, contrast and saturation of images, which are clipped to [0, 1] first.

    Without clipping the saturation has singularities, and a policy finds them at once.

    Args:
        images: (N, 3, H, W) floats.
        contrast: "variance" of the luminance, as in Exposure's code, or "std", its standard deviation.

    Returns:
        (N, 3) floats.

    Raises:
        ValueError: If `contrast` is neither.
    """
    if contrast not in ("variance", "std"):
        raise ValueError(f'contrast must be "variance" or "std", not {contrast!r}')
    images = images.clamp(0, 1)
    luminance = 0.27 * images[:, 0] + 0.67 * images[:, 1] + 0.06 * images[:, 2]
    high, low = images.amax(1), images.amin(1)
    saturation = (high - low) / (torch.minimum(high + low, 2 - high - low) + 0.01)
    spread = luminance.var((1, 2), correction=0) if luminance.requires_grad else _variance(luminance)
    spread = spread if contrast == "variance" else (spread + 1e-8).sqrt()
    return torch.stack([luminance.mean((1, 2)), spread, saturation.mean((1, 2))], dim=1)


def _variance(luminance: Tensor) -> Tensor:
    """The same as Torch's `var`, but five times as fast: `var` goes through the pixels one by one."""
    dtype, luminance = luminance.dtype, luminance.double()  # 64 bits, as Torch does internally
    return (luminance - luminance.mean((1, 2), keepdim=True)).square().mean((1, 2)).to(dtype)


def with_statistics(planes: Tensor, first_channels: tuple[int, ...] = (0,), contrast: str = "variance") -> Tensor:
    """(N, C + 3 n, H, W): the planes, then those of the statistics of n images, given by their first channels."""
    planes = planes.contiguous()  # channel by channel in memory, the order in which they are read next
    numbers = torch.cat([statistics(planes[:, c : c + 3], contrast) for c in first_channels], dim=1)
    return torch.cat([planes, numbers[:, :, None, None].expand(-1, -1, *planes.shape[2:])], dim=1)


class Stack(nn.Module):
    """The layers that all networks share: planes in, numbers out.

    Args:
        channels: Number of input planes.
        size: Side of the input [px].
        outputs: Numbers per image.
        width: Channels of the first convolution; each further one doubles them.
        halvings: How many times the caller has already halved the planes with `halved`.
        hidden: Units of the hidden layer.

    Raises:
        ValueError: If the planes have a side of less than 8 px after the halvings.
    """

    def __init__(self, channels: int, size: int, outputs: int, width: int, halvings: int = 0, hidden: int = 128):
        super().__init__()
        side = size // 2**halvings
        if side < 8:
            raise ValueError(f"networks need 8 px or more after {halvings} halvings, not {side}: give a larger size")
        layers: list[nn.Module] = []
        while side > 4:
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            channels, width, side = width, 2 * width, side // 2
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(channels * side * side, hidden)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, planes: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, outputs)."""
        features = self.convolutions(planes - 0.5).flatten(1)
        return self.head(functional.leaky_relu(self.hidden(features), 0.2))


class Actor(nn.Module):
    """State planes -> action in (-1, 1); before any training 0, which leaves the photo untouched."""

    def __init__(self, channels: int, size: int, width: int = 32, halvings: int = 0):
        super().__init__()
        self.halvings = halvings
        self.stack = Stack(channels + 9, size, 1, width, halvings)
        nn.init.zeros_(self.stack.head.weight)
        nn.init.zeros_(self.stack.head.bias)

    def forward(self, planes: Tensor) -> Tensor:
        """(N, C, H, W) planes of `episode.observe` in [0, 1] -> (N, 1)."""
        return self.decide(halved(planes, self.halvings))

    def decide(self, planes: Tensor) -> Tensor:
        """The same for planes already halved: (N, C, h, w) -> (N, 1)."""
        return torch.tanh(self.stack(with_statistics(planes, IMAGES, "std")))

    def remember(self, task: ExposureTask, states: EpisodeState) -> None:
        """Nothing: this network looks at all planes together, anew in each step; see `SegmentActor.remember`."""

    def act(self, task: ExposureTask, obs_type: ObsType, states: EpisodeState, memory: None = None) -> Tensor:
        """The (N,) actions in N states; gradients flow back to the exposures so far."""
        return self(planes(task, obs_type, states))[:, 0]

    def acts(self, seen: Visited) -> Tensor:
        """The (M,) actions in all states that finished episodes went through."""
        return self.decide(seen.planes)[:, 0]


class Critic(nn.Module):
    """State planes -> V(s) (eq. 5), or with `action` Q(s, a); sees the statistics of photo and local image."""

    def __init__(self, channels: int, size: int, width: int = 32, halvings: int = 0, action: bool = False):
        super().__init__()
        self.halvings, self.action = halvings, action
        self.stack = Stack(channels + 6 + action, size, 1, width, halvings)

    def forward(self, planes: Tensor, actions: Tensor | None = None) -> Tensor:
        """(N, C, H, W) planes of `episode.observe` in [0, 1], and (N,) actions in [-1, 1] for Q(s, a) -> (N,)."""
        return self.value(halved(planes, self.halvings), actions)

    def value(self, planes: Tensor, actions: Tensor | None = None) -> Tensor:
        """The same for planes already halved: (N, C, h, w) -> (N,)."""
        seen = with_statistics(planes, (IMAGES[0], IMAGES[2]), "std")
        if self.action:
            plane = (actions / 2 + 0.5)[:, None, None, None].expand(-1, 1, *seen.shape[2:])
            seen = torch.cat([seen, plane], dim=1)
        return self.stack(seen)[:, 0]


class Discriminator(nn.Module):
    """Images -> scores, high if they look like an expert's (section 2.3): the aesthetic evaluation function.

    Args:
        size: Side of the images [px].
        width: See `Stack`.
        halvings: See `Stack`.
        contrast: See `statistics`.
        spectral_norm: Whether the weights of every layer, as a matrix, are divided by their largest singular value. It
            is estimated by one power iteration per forward pass in training mode.
    """

    def __init__(self, size: int, width: int = 32, halvings: int = 0, contrast: str = "variance",
                 spectral_norm: bool = False):
        super().__init__()
        self.settings = {"size": size, "width": width, "halvings": halvings, "contrast": contrast,
                         "spectral_norm": spectral_norm}
        self.halvings, self.contrast = halvings, contrast
        self.stack = Stack(3 + 3, size, 1, width, halvings)
        if spectral_norm:
            for layer in [layer for layer in self.stack.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]:
                parametrizations.spectral_norm(layer)

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) in [0, 1], channels last as everywhere else -> (N,)."""
        return self.stack(with_statistics(halved(images.permute(0, 3, 1, 2), self.halvings), (0,), self.contrast))[:, 0]

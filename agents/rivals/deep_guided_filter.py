"""The Deep Guided Filter (Wu, Zheng, Zhang and Huang, CVPR 2018) as a rival; it learns from pairs, as in its paper.

A small network corrects a thumbnail, and a guided filter (He, Sun and Tang 2010) carries the correction to the photo:
within each small window it is taken to be slope * guide + offset, in each channel for itself, with a guide that learns,
too. Slopes and offsets are fitted on the thumbnail, enlarged, and applied to the photo's own guide.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.rivals.crops import Look, Pairs, Retouch, check_amount
from agents.rivals.games import step
from agents.rivals.guided_filter import corrected, linear_models
from exposure_env.photos import check_photo, thumbnail

DILATIONS = (1, 2, 4, 8, 1)  # of the convolutions: the last pixel sees 33 px


class AdaptiveNorm(nn.Module):
    """A mix of what comes in and of what batch normalisation makes of it, in learned parts; at first all comes in."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.parts = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, planes: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        return self.parts[0] * planes + self.parts[1] * self.norm(planes)


class GuidedNet(nn.Module):
    """A network that works out a correction on a thumbnail, and carries it to the photo by a guide that it learns.

    The correction comes from dilated convolutions (the paper's context aggregation network), the guide from two
    convolutions of 1 px. Before any training the correction is 0 and the guide the photo.

    Args:
        side: Side of the thumbnail [px], whatever the photo's size and shape.
        width: Channels of the convolutions.
        radius: See `linear_models`.
        epsilon: Likewise.
    """

    def __init__(self, side: int = 32, width: int = 24, radius: int = 1, epsilon: float = 1e-4):
        super().__init__()
        self.side, self.radius, self.epsilon = side, radius, epsilon
        layers: list[nn.Module] = []
        for number, dilation in enumerate(DILATIONS):
            layers += [nn.Conv2d(width if number else 3, width, 3, padding=dilation, dilation=dilation),
                       AdaptiveNorm(width), nn.LeakyReLU(0.2)]
        self.correction = nn.Sequential(*layers, nn.Conv2d(width, 3, 1))
        self.change = nn.Sequential(nn.Conv2d(3, 16, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 3, 1))
        for last in (self.correction[-1], self.change[-1]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def guide(self, photos: Tensor) -> Tensor:
        """(N, 3, H, W) -> the same, pixel by pixel."""
        return photos + self.change(photos)

    def models(self, small: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes and offsets, (N, 3, side, side) each, for thumbnails (N, 3, side, side) in [0, 1]."""
        return linear_models(self.guide(small), self.correction(small - 0.5), self.radius, self.epsilon)

    def forward(self, photos: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> their results, not clipped."""
        models = self.models(functional.interpolate(photos, (self.side, self.side), mode="area"))
        slopes, offsets = (functional.interpolate(each, photos.shape[2:], mode="bilinear") for each in models)
        return photos + slopes * self.guide(photos) + offsets


def retouched(net: GuidedNet, photo: np.ndarray) -> np.ndarray:
    """The photo at its own size, (H, W, 3) float32 in [0, 1].

    Args:
        net: The network.
        photo: See `photos.check_photo`, also for the errors.
    """
    photo, device = check_photo(photo), next(net.parameters()).device
    small = torch.as_tensor(thumbnail(photo, net.side)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        models = net.eval().models(small.to(device))
    return corrected(photo, *models, lambda planes: net.guide(planes.to(device)))


def fit_deep_guided_filter(pairs: Pairs, *, num_photos: int, seed: int = 0, device: str = "cpu",
                           look: Look | None = None, batch_size: int = 32, learning_rate: float = 3e-3, side: int = 32,
                           width: int = 24, radius: int = 1, epsilon: float = 1e-4) -> Retouch:
    """The filter that has learned to restore good photos, by the mean squared error.

    As in the paper, the network works on thumbnails and the loss is that of the photos. Unlike there, what is filtered
    is the correction rather than the result, so that an untrained network changes nothing; slopes are the guided
    filter's own rather than learned convolutions; thumbnails have 32 px and not 64, as photos have 64 px here.

    Args:
        pairs: Source of wrong photos and their good versions.
        num_photos: Photos to learn from, rounded up to whole batches.
        seed: Seed of the weights.
        device: Device of the training.
        look: See `crops.Look`.
        batch_size: Photos in an update.
        learning_rate: Largest learning rate of Adam, which rises to it and falls again (one cycle; Smith 2018).
        side: See `GuidedNet`, as for the following ones.
        width: Likewise.
        radius: Likewise.
        epsilon: Likewise.

    Raises:
        ValueError: If a number is below 1.
    """
    check_amount(num_photos, batch_size)
    torch.manual_seed(seed)
    net = GuidedNet(side, width, radius, epsilon).to(device)
    steps = -(-num_photos // batch_size)
    optimizer = torch.optim.Adam(net.parameters())
    # of one step or two, PyTorch's own schedule can't be
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=max(steps, 10))
    for number in range(1, steps + 1):
        wrong, good = (each.permute(0, 3, 1, 2).to(device) for each in pairs.batch(batch_size))
        step(optimizer, functional.mse_loss(net.train()(wrong), good))
        schedule.step()
        if look is not None:
            look(number * batch_size, partial(retouched, net))
    return partial(retouched, net.eval())

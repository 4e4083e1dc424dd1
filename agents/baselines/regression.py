"""Supervised yardsticks: a plain network that learns the EV map from photos whose good version is known.

No agent, no discriminator, no segments in its training: what it reaches shows how much of a task can be learned at all
from so many photos.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.baselines.ev_maps import MapPolicy
from exposure_env.episode import EpisodeState
from exposure_env.image import Space, clip, expose, linear_to_srgb, srgb_to_linear
from exposure_env.photos import Degradation, Photo, check_photo
from exposure_env.rewards import psnr

COARSE = 3  # side of the EV map before it is enlarged
CHANNELS = (32, 64, 128, 128)


class FieldNet(nn.Module):
    """Photos in, coarse EV maps out; before any training 0, which leaves the photo untouched.

    Args:
        size: Side of the photos [px].
        dropout: Fraction of the hidden layer's inputs left out in training.

    Raises:
        ValueError: If the photos are smaller than 16 px.
    """

    def __init__(self, size: int = 64, dropout: float = 0.3):
        super().__init__()
        if size < 16:
            raise ValueError(f"size must be at least 16 px, not {size}")
        layers: list[nn.Module] = []
        for before, after in zip((3, *CHANNELS), CHANNELS, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
            size = (size + 1) // 2
        hidden = nn.Linear(CHANNELS[-1] * size**2, 128)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout), hidden, nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Linear(128, COARSE**2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, photos: Tensor) -> Tensor:
        """(N, H, W, 3) in [0, 1] -> (N, 3, 3) [stops]."""
        return self.head(self.layers(photos.permute(0, 3, 1, 2) - 0.5)).unflatten(1, (COARSE, COARSE))


def enlarged(coarse: Tensor, height: int, width: int) -> Tensor:
    """Coarse EV maps (N, 3, 3), enlarged bicubically to (N, height, width), as OpenCV and `Misexpose` do it."""
    return functional.interpolate(coarse[:, None], (height, width), mode="bicubic", align_corners=False)[:, 0]


class FreshPairs:
    """A source of batches of wrong and good photos.

    A photo with a target but without an EV map is a real pair, which stays as it is. Of any other, the target, or the
    image if it has none, is good, and is exposed wrongly afresh in each batch.

    Args:
        photos: Photos of one size, at least as large as the images in a batch.
        degradation: How good photos are exposed wrongly.
        size: Side of the images in a batch; larger photos are cropped at random [px].
        seed: Seed of the choice, the crops, the flips and the exposures.

    Raises:
        ValueError: If there are no photos, or one isn't a photo, or they are of several sizes, or too small.
    """

    def __init__(self, photos: Sequence[Photo], degradation: Degradation, size: int = 64, seed: int = 0):
        self.degradation, self.size, self.rng = degradation, size, np.random.default_rng(seed)
        self.good = [check_photo(photo.image if photo.target is None else photo.target, photo.name) for photo in photos]
        sizes = {image.shape[:2] for image in self.good}
        if len(sizes) != 1 or min(min(sizes)) < size:
            raise ValueError(f"photos must be of one size, at least {size} px, not {sorted(sizes)[:5]}")
        real = [photo.target is not None and photo.ev_map is None for photo in photos]
        self.guides = [None if its else degradation.guide(image) for image, its in zip(self.good, real, strict=True)]
        self.light = [srgb_to_linear(check_photo(photo.image, photo.name) if its else image)
                      for photo, image, its in zip(photos, self.good, real, strict=True)]

    def batch(self, num: int) -> tuple[Tensor, Tensor]:
        """Wrong photos and their good versions, (num, size, size, 3) float32 each, about half of them mirrored."""
        pairs = [self._pair(index) for index in self.rng.integers(len(self.good), size=num)]
        light, maps, targets = (torch.as_tensor(np.stack(column)) for column in zip(*pairs, strict=True))
        levels = 2**self.degradation.bits - 1
        return torch.round(clip(linear_to_srgb(light * 2 ** maps[..., None])) * levels) / levels, targets

    def _pair(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The linear light of an image, the EV map that makes it the wrong photo, and the good one."""
        guide, (height, width) = self.guides[index], self.good[index].shape[:2]
        top, left = (int(self.rng.integers(side - self.size + 1)) for side in (height, width))
        box = slice(top, top + self.size), slice(left, left + self.size)
        turned = slice(None, None, -1 if self.rng.random() < 0.5 else 1)
        light, good = (images[index][box][:, turned] for images in (self.light, self.good))
        if guide is None:
            return light, np.zeros(good.shape[:2], np.float32), good
        return light, self.degradation.ev_map(guide[box][:, turned], self.rng), good


def fit_field(pairs: FreshPairs, *, num_photos: int = 60_000, batch_size: int = 64, learning_rate: float = 2e-3,
              weight_decay: float = 1e-4, dropout: float = 0.3, space: Space = "linear", seed: int = 0,
              device: str = "cpu", look: Callable[[int, FieldNet], Any] | None = None) -> FieldNet:
    """A network that has learned to restore the good photos, by the PSNR of the exposed and clipped photo.

    Args:
        pairs: Source of the photos.
        num_photos: Photos to learn from, rounded up to whole batches.
        batch_size: Photos in a step.
        learning_rate: Largest learning rate of Adam, which rises to it and falls again (one cycle; Smith 2018).
        weight_decay: Weight decay of Adam.
        dropout: See `FieldNet`.
        space: See `image.expose`.
        seed: Seed of the weights and of the dropout.
        device: Device of the training.
        look: Function called after each step with the photos seen so far and the network; it may use but not change it.

    Raises:
        ValueError: If a number is below 1.
    """
    if min(num_photos, batch_size) < 1:
        raise ValueError(f"num_photos and batch_size must be at least 1, not {num_photos} and {batch_size}")
    torch.manual_seed(seed)
    net = FieldNet(pairs.size, dropout).to(device)
    steps = -(-num_photos // batch_size)
    optimizer = torch.optim.Adam(net.parameters(), weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=max(steps, 2))
    for step in range(steps):
        wrong, good = (images.to(device) for images in pairs.batch(batch_size))
        fields = enlarged(net.train()(wrong), pairs.size, pairs.size)
        loss = -psnr(_exposed(wrong, fields, space), targets=good).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if look is not None:
            look((step + 1) * batch_size, net.eval())
    return net.eval()


def _exposed(photos: Tensor, fields: Tensor, space: Space) -> Tensor:
    """The photos under EV maps, clipped: `expose` up to rounding, with one encoding in place of two."""
    if space == "encoded":
        return clip(expose(photos, fields, space))
    return clip(linear_to_srgb(srgb_to_linear(photos) * 2 ** fields[..., None]))


class Regression(MapPolicy):
    """The network's EV maps, averaged over each segment.

    Args:
        net: The trained network.
        max_ev: Exposure of action 1 [stops], the task's.
    """

    def __init__(self, net: FieldNet, max_ev: float = 3.0):
        self.net, self.max_ev = net, max_ev

    def coarse(self, photos: np.ndarray) -> Tensor:
        """EV maps (N, 3, 3) [stops] within ±max_ev, for photos (N, H, W, 3), float32 in [0, 1]."""
        device = next(self.net.parameters()).device
        with torch.no_grad():
            coarse = self.net.eval()(torch.as_tensor(np.ascontiguousarray(photos), device=device)).cpu()
        return coarse.clamp(-self.max_ev, self.max_ev)

    def ev_maps(self, photos: np.ndarray) -> np.ndarray:
        """EVs (N, H, W) [stops]."""
        return enlarged(self.coarse(photos), *photos.shape[1:3]).numpy()


class FreeRegression(Regression):
    """The network's EV maps themselves, whatever the segments: `evaluation.evaluate` renders them by `fusion`."""

    def plan(self, state: EpisodeState) -> EpisodeState:
        """The N episodes, finished, with the 3x3 values as exposures of nine tiles."""
        num, height, width = state.labels.shape
        rows, columns = (np.arange(side) * COARSE // side for side in (height, width))
        tiles = np.broadcast_to(rows[:, None] * COARSE + columns, (num, height, width)).astype(np.int32)
        count = np.full_like(state.num_segments, COARSE**2)
        evs = self.coarse(state.photos).flatten(1).numpy()
        return state._replace(labels=tiles, evs=evs, step=count, num_segments=count)

    @staticmethod
    def fusion(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, count: np.ndarray | None = None, *,
               space: Space = "linear") -> np.ndarray:
        """The photos (N, H, W, 3) under the EV maps whose coarse values are `evs`, (N, 9) [stops]."""
        coarse = torch.as_tensor(evs).unflatten(1, (COARSE, COARSE))
        return clip(expose(photos, enlarged(coarse, *photos.shape[1:3]).numpy(), space))

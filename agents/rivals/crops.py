"""What all rivals learn from, and what they become."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from exposure_env.photos import check_photo

Retouch = Callable[[np.ndarray], np.ndarray]  # a photo (H, W, 3) float32 in [0, 1] -> its retouched version, alike
Look = Callable[[int, Retouch], object]  # called with the photos learned from so far, and what has come of it


class Pairs(Protocol):
    """A source of wrong photos and their good versions, such as `baselines.regression.FreshPairs`."""

    size: int  # side of the photos [px]

    def batch(self, num: int) -> tuple[Tensor, Tensor]:
        """Wrong photos and their good versions, (num, size, size, 3) float32 each, in [0, 1]."""
        ...


class Crops:
    """A source of batches of square crops of images, about half of them mirrored.

    Args:
        images: (H, W, 3) float32 images in [0, 1] of any sizes.
        size: Side of the crops [px].
        seed: Seed of the choice, the crops and the flips.

    Raises:
        ValueError: If there are no images, or one isn't an image, or is smaller than the crops.
    """

    def __init__(self, images: Sequence[np.ndarray], size: int = 64, seed: int = 0):
        if not len(images):
            raise ValueError("give at least one image to learn from")
        self.images, self.size = [check_photo(image) for image in images], size
        self.rng = np.random.default_rng(seed)
        if (least := min(min(image.shape[:2]) for image in self.images)) < size:
            raise ValueError(f"images must be at least {size} px high and wide, not {least} px")

    def batch(self, num: int) -> Tensor:
        """(num, 3, size, size) float32 in [0, 1]."""
        return torch.as_tensor(np.stack([self._crop(index) for index in self.rng.integers(len(self.images), size=num)]))

    def _crop(self, index: int) -> np.ndarray:
        image = self.images[index]
        top, left = (int(self.rng.integers(side - self.size + 1)) for side in image.shape[:2])
        crop = image[top : top + self.size, left : left + self.size]
        return (crop[:, ::-1] if self.rng.random() < 0.5 else crop).transpose(2, 0, 1)


def batches_of_both(inputs: Crops, experts: Crops, device: str) -> Callable[[int], list[Tensor]]:
    """A function from a number to as many photos to retouch, and as many experts' photos, on the device."""
    return lambda num: [source.batch(num).to(device) for source in (inputs, experts)]


def check_amount(num_photos: int, batch_size: int) -> None:
    """Checks how much a rival is to learn from.

    Raises:
        ValueError: If a number is below 1.
    """
    if min(num_photos, batch_size) < 1:
        raise ValueError(f"num_photos and batch_size must be at least 1, not {num_photos} and {batch_size}")

"""Sources of photos a stop too dark, from which a rival can learn in seconds."""

import numpy as np
import torch
from torch import Tensor

from agents.rivals.crops import Crops
from exposure_env.image import clip, expose


def sides(photos: list[np.ndarray], size: int = 32) -> tuple[Crops, Crops]:
    """The photos a stop too dark, and as they are, in crops that don't go together."""
    return Crops([clip(expose(photo, -1.0)) for photo in photos], size, 0), Crops(photos, size, 1)


class DarkPairs:
    """Photos a stop too dark with the good ones, as `dped.Pairs`."""

    def __init__(self, photos: list[np.ndarray], size: int = 32, seed: int = 0):
        self.crops, self.size = Crops(photos, size, seed), size

    def batch(self, num: int) -> tuple[Tensor, Tensor]:
        good = self.crops.batch(num).permute(0, 2, 3, 1)
        return torch.as_tensor(clip(expose(good.numpy(), -1.0))), good

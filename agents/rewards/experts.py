"""Batches of experts' photos, real and misexposed."""

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace, device

from agents.arrays import RandomSource
from exposure_env.image import Array
from exposure_env.photos import Crop, Misexpose, Photo, Transform, check_photo, thumbnail

MARGIN = 9 / 8  # photos are kept this much larger than the crops in a batch
SCALED = 2  # and this much where crops are of several scales


class ExpertPhotos(RandomSource):
    """A source of batches of experts' photos, and of the same photos misexposed.

    Args:
        photos: Experts' photos; their targets play no part.
        size: Side of the images in a batch [px].
        misexposure: How photos are misexposed; by default by up to 2.5 stops, the same all over a photo.
        seed: Seed of the choice, the crops, the flips and the misexposure.
        scales: Smallest and largest side of the crops, as a fraction of the photo's; by default all crops are nearly as
            large as the photo.

    Raises:
        ValueError: If there are no photos, or one isn't a photo (see `photos.check_photo`).
    """

    def __init__(self, photos: Sequence[Photo], size: int = 64, misexposure: Transform | None = None, seed: int = 0,
                 scales: tuple[float, float] | None = None):
        if len(photos) == 0:
            raise ValueError("experts is empty: a discriminator needs photos to learn from")
        self.crop, margin = (None, MARGIN) if scales is None else (Crop(scales, size=size), SCALED)
        self.size, self.misexposure = size, misexposure or Misexpose((-2.5, 2.5), local=0.0)
        images = (check_photo(photo.image, photo.name) for photo in photos)
        images = list(images)
        side = min(round(size * margin), max(size, min(max(image.shape[:2]) for image in images)))  # don't enlarge
        self.images = np.stack([thumbnail(image, side) for image in images])
        self.rng = np.random.default_rng(seed)

    def batch(self, num: int) -> np.ndarray:
        """(num, size, size, 3) float32: random photos, slightly cropped, about half of them mirrored."""
        chosen = self.images[self.rng.integers(len(self.images), size=num)]
        if self.crop is not None and num:
            return np.stack([self.crop(Photo("expert", image), self.rng).image for image in chosen])
        corners = self.rng.integers(0, self.images.shape[1] - self.size + 1, (num, 2))
        crops = [image[y : y + self.size, x : x + self.size] for image, (y, x) in zip(chosen, corners, strict=True)]
        return mirrored(np.stack(crops), self.rng) if num else self.images[:0, : self.size, : self.size]

    def misexposed(self, num: int) -> np.ndarray:
        """(num, size, size, 3) float32: such a batch with every photo misexposed."""
        spoilt = [self.misexposure(Photo("expert", image), self.rng).image for image in self.batch(num)]
        return np.stack(spoilt) if num else self.batch(0)


def mirrored(images: Array, rng: np.random.Generator) -> Array:
    """The images, each flipped left to right with a probability of one half."""
    xp = array_namespace(images)
    chosen = xp.asarray(rng.random(len(images)) < 0.5, device=device(images))
    return xp.where(chosen[:, None, None, None], xp.flip(images, axis=2), images)

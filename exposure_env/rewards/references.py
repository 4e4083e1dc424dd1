"""A reward that compares with a set of good photos, none of which need show the same scene."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from exposure_env.image import Array
from exposure_env.photos import Photo, photo_thumbnail, resolve_photos, sample_photos

QUANTILES = 64  # of each projection that are compared


class SlicedWasserstein:
    """Minus the sliced Wasserstein distance of an image's colours to those of a set of reference photos.

    Colours are projected onto directions in RGB; the quantiles of each projection are compared with those of the
    references, all of whose pixels together are one distribution (Rabin et al. 2012). It wants every image to have the
    colours of the set as a whole, and so it is easily fooled; it needs neither pairs nor training.

    Args:
        references: Any `Sequence[Photo]`, a folder's path, or None for the sample photos' experts.
        directions: Number of random directions, besides the three channels and grey.
        size: Side that references are shrunk to [px].
        seed: Seed of the directions.

    Raises:
        ValueError: If there are no references, or `directions` is negative.
    """

    differentiable, version, keeps_images = True, 0, True

    def __init__(self, references: Sequence[Photo] | str | os.PathLike | None = None, directions: int = 12,
                 size: int = 64, seed: int = 0):
        if directions < 0:
            raise ValueError(f"directions must be 0 or more, not {directions}")
        photos = sample_photos("experts", 64) if references is None else resolve_photos(references)
        random = np.random.default_rng(seed).normal(size=(directions, 3))
        axes = np.concatenate([np.eye(3), np.ones((1, 3)), random])
        self.axes = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).astype(np.float32)  # (D, 3)
        images = np.stack([photo_thumbnail(photo.image, size, name=photo.name) for photo in photos])
        self.quantiles = _quantiles(images.reshape(1, -1, 3) @ self.axes.T)[0]  # (QUANTILES, D)

    def __call__(self, images: Array, **context: Any) -> Array:
        """(N,) minus the mean distance of quantiles, from 0 down."""
        xp = array_namespace(images)
        axes, wanted = (xp.asarray(each, dtype=images.dtype, device=device(images))
                        for each in (self.axes, self.quantiles))
        projected = xp.reshape(images, (images.shape[0], -1, 3)) @ axes.T
        return -xp.mean(xp.abs(_quantiles(projected) - wanted), axis=(1, 2))


def _quantiles(projected: Array) -> Array:
    """(N, QUANTILES, D) of (N, P, D): the values in the middle of QUANTILES equal parts."""
    xp, num = array_namespace(projected), projected.shape[1]
    places = ((np.arange(QUANTILES) + 0.5) / QUANTILES * num).astype(np.int64)
    return xp.sort(projected, axis=1)[:, xp.asarray(places, device=device(projected))]

"""Experiments with a known answer: which photos an agent learns from, and which it is tested on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from exposure_env.photos import Misexpose, Photo, thumbnail
from exposure_env.samples import sample_photos
from exposure_env.task import TaskConfig

MISEXPOSED = Misexpose()  # EV uniform in -2.2..+0.6 for the whole photo, smooth local map, 8 bits
SHARES = {"inputs": 0.4, "experts": 0.4, "test": 0.2}  # of the photographs
CROPS = {"inputs": 8, "experts": 8, "test": 4}  # of one photograph
SIZE = TaskConfig().size


class Protocol(NamedTuple):
    """Photos of one experiment; no photograph is in two of the three."""

    inputs: list[Photo]  # what the agent learns to retouch; targets are for measuring, and for the paired reward
    experts: list[Photo]  # good photos, unpaired
    test: list[Photo]  # with targets


def misexposed_protocol(photos: Sequence[Photo] | None = None, seed: int = 0) -> Protocol:
    """Photographs given a known wrong exposure: inputs, experts and test photos come from different photographs.

    Every photograph gives several random square crops. Inputs and test crops are misexposed by an EV uniform in
    -2.2..+0.6 stops and a smooth local map, and rounded to 8 bits; the good crop is their target.

    Args:
        photos: Well exposed photographs, at least five; None for the sample photos, whose crops are disjoint but cut
            from the same four scenes.
        seed: Of the split, the crops and the misexposure.

    Raises:
        ValueError: If there are fewer than five photographs.
    """
    if photos is None:
        return Protocol(*(sample_photos(split, count, seed) for split, count in
                          {"inputs": 512, "experts": 512, "test": None}.items()))
    if len(photos) < 5:
        raise ValueError(f"{len(photos)} photos are too few to be split: give at least five")
    rng = np.random.default_rng(seed)
    shuffled, split, first = rng.permutation(len(photos)), {}, 0
    for name, share in SHARES.items():
        last = len(photos) if name == "test" else first + round(share * len(photos))
        side = SIZE * 9 // 8 if name == "experts" else SIZE  # experts are cropped once more, afresh in each batch
        split[name] = [crop for i in shuffled[first:last] for crop in crops(photos[i], CROPS[name], side, rng)]
        first = last
    return Protocol(misexpose_all(split["inputs"], rng), split["experts"], misexpose_all(split["test"], rng))


def crops(photo: Photo, num: int, side: int, rng: np.random.Generator) -> list[Photo]:
    """Random square crops of a photo and of its target, 60 to 100 % of the shorter side, half of them mirrored.

    Args:
        photo: The photo.
        num: How many.
        side: Side of the crops once shrunk [px].
        rng: Source of places and sizes.
    """
    height, width = photo.image.shape[:2]
    cut = []
    for i in range(num):
        extent = max(1, round(rng.uniform(0.6, 1.0) * min(height, width)))
        top, left = rng.integers(height - extent + 1), rng.integers(width - extent + 1)
        mirrored = slice(None, None, -1 if rng.random() < 0.5 else 1)
        images = (None if image is None else thumbnail(image[top : top + extent, left : left + extent], side)[:, mirrored]
                  for image in (photo.image, photo.target))
        cut.append(Photo(f"{photo.name}_{i}", *images))
    return cut


def misexpose_all(photos: Sequence[Photo], rng: np.random.Generator) -> list[Photo]:
    """The photos misexposed, each with its good image as the target and the EV map that restores it."""
    return [MISEXPOSED(photo, rng) for photo in photos]

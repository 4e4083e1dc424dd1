"""The photos of a page: scikit-image's scenes exposed wrongly by a known amount, or a teacher's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from exposure_env.files import load_image
from exposure_env.photos import Misexpose, sample_scenes
from exposure_env.resizing import as_floats, shrink

FULL_SIDE = 1600  # longer side of a photo on the page, at most [px]
ROUND = 10  # photos of a score sheet


class Shown(NamedTuple):
    """A photo on the page."""

    name: str
    pixels: np.ndarray  # (H, W, 3) uint8, the longer side at most `FULL_SIDE`
    target: np.ndarray | None = None  # the same of its good version


class Item(NamedTuple):
    """A photo as the page lists it."""

    id: str
    name: str
    seeded: bool  # whether it is another one under another seed


class Gallery(Protocol):
    """Photos by their ids."""

    def items(self) -> list[Item]:
        """What there is, in order."""
        ...

    def photo(self, id: str, seed: int) -> Shown:
        """A photo.

        Raises:
            KeyError: If there is none of that id.
            ValueError, OSError: If it can't be read.
        """
        ...


class SampleGallery:
    """The five sample scenes, each exposed wrongly, from place to place as in uneven light, by another EV map per seed.

    The good scene is the target.
    """

    def __init__(self) -> None:
        self._scenes = {photo.name: photo for photo in sample_scenes()}

    def items(self) -> list[Item]:
        """The scenes."""
        return [Item(name, name.capitalize(), True) for name in self._scenes]

    def photo(self, id: str, seed: int) -> Shown:
        """A scene, exposed wrongly as the seed says."""
        wrong = Misexpose()(self._scenes[id], np.random.default_rng([seed, list(self._scenes).index(id)]))
        return Shown(id.capitalize(), _bytes(wrong.image), _bytes(wrong.target))


class FolderGallery:
    """Photos of one's own, read when they are played.

    Args:
        paths: The files, one or more.
        targets: Files of their good versions, under the same names but for the suffix; a photo without one has no
            target.

    Raises:
        ValueError: If a target belongs to no photo, or two photos have one file name.
    """

    def __init__(self, paths: Sequence[Path], targets: Sequence[Path] = ()):
        self._paths = {path.name: path for path in paths}
        if len(self._paths) < len(paths):
            raise ValueError("two of the photos have one file name")
        self._targets = {path.stem: path for path in targets}
        if alone := sorted(set(self._targets) - {path.stem for path in paths}):
            raise ValueError(f"there is no photo for the target {alone[0]!r}")

    def items(self) -> list[Item]:
        """The photos, by their file names."""
        return [Item(name, name, False) for name in self._paths]

    def photo(self, id: str, seed: int) -> Shown:
        """A photo as it is."""
        path = self._paths[id]
        pixels, target = _read(path), None
        if path.stem in self._targets:
            target = _read(self._targets[path.stem])
            if target.shape != pixels.shape:
                raise ValueError(f"{id}: the target is {target.shape[1]}x{target.shape[0]} px, the photo "
                                 f"{pixels.shape[1]}x{pixels.shape[0]}")
        return Shown(id, pixels, target)


def sheet(items: Sequence[Item], seed: int) -> list[tuple[str, int]]:
    """The id and seed of each photo of a score sheet, at most `ROUND`: the same for the same seed, none twice."""
    rng, chosen = np.random.default_rng(seed), []
    for turn in range(ROUND if any(item.seeded for item in items) else 1):
        chosen += [(items[i].id, seed + turn) for i in rng.permutation(len(items)) if items[i].seeded or not turn]
    return chosen[:ROUND]


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Pixels of 8 or 16 bits, (H, W, 3), as uint8 and no larger than the page wants them."""
    pixels = shrink(pixels, FULL_SIDE)
    return pixels if pixels.dtype == np.uint8 else _bytes(as_floats(pixels))


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.rint(image * 255).astype(np.uint8)


def _read(path: Path) -> np.ndarray:
    try:
        return to_bytes(load_image(path).pixels)
    except (ValueError, OSError) as error:  # without the folder, which is nobody's business
        raise ValueError(str(error).replace(str(path), path.name)) from error

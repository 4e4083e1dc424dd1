"""Photographs from folders: one of photos, or two whose files make pairs."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from exposure_env.files import SUFFIXES, load_image
from exposure_env.photos.photo import Photo, check_photo
from exposure_env.resizing import shrink


class _KeptPhotos(Sequence[Photo]):
    # Kept as integers (0.5 MB for 500x333 pixels of 8 bits); every access converts a photo to float32.
    _kept: list[tuple]  # name, image and perhaps target

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int | slice) -> Photo | list[Photo]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        name, *images = self._kept[index]
        return Photo(name, *(check_photo(image, name) for image in images))


class FolderPhotos(_KeptPhotos):
    """All photos of one folder, sorted by file name, without targets.

    The files are read right away and shrunk. A file that cannot be read is left out with a warning.

    Args:
        folder: Folder with JPEG, PNG or TIFF files. Other files, hidden files and subfolders are ignored.
        max_side: Longer side [pixels] that larger photos are shrunk to; None keeps the full size.

    Raises:
        ValueError: If the folder does not exist or has no readable photo in it.
    """

    def __init__(self, folder: str | os.PathLike, max_side: int | None = 500) -> None:
        """Reads the photos."""
        self.folder = Path(folder)
        loaded = _read_all(_photo_files(self.folder), max_side)
        if not loaded:
            raise ValueError(f"no photo could be read in {self.folder}; it needs {', '.join(SUFFIXES)} files")
        self._kept = [(path.stem, pixels) for path, pixels in loaded.items()]


class PairedPhotos(_KeptPhotos):
    """Photos with an expert's version of each: two folders whose files match by name, whatever the suffix.

    They are read like `FolderPhotos`. Left out with a warning: files without a partner, files that cannot be read, and
    pairs whose two photos have different sizes (an expert's crop cannot be compared pixel by pixel).

    Args:
        inputs: Folder of the untouched photos.
        targets: Folder of the retouched ones.
        max_side: Longer side [pixels] that larger photos are shrunk to; None keeps the full size.

    Raises:
        ValueError: If a folder does not exist or holds two files of one name (a.jpg, a.png), or no pair is left.
    """

    def __init__(self, inputs: str | os.PathLike, targets: str | os.PathLike, max_side: int | None = 500) -> None:
        """Reads the pairs."""
        self.inputs, self.targets = Path(inputs), Path(targets)
        sides = [_by_stem(_photo_files(folder)) for folder in (self.inputs, self.targets)]
        for here, there, folder in ((*sides, self.targets), (*sides[::-1], self.inputs)):
            if alone := [path.name for stem, path in here.items() if stem not in there]:
                warnings.warn(f"left out, no photo of the same name in {folder}: {_shorten(alone)}", stacklevel=2)
        stems = [stem for stem in sides[0] if stem in sides[1]]
        loaded = _read_all([side[stem] for stem in stems for side in sides], max_side)
        self._kept = []
        for stem in stems:
            image, target = (loaded.get(side[stem]) for side in sides)
            if image is None or target is None:
                continue
            if image.shape != target.shape:
                sizes = " and ".join(f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (image, target))
                warnings.warn(f"left out, the pair {stem!r} has two sizes: {sizes}", stacklevel=2)
                continue
            self._kept.append((stem, image, target))
        if not self._kept:
            raise ValueError(f"no pair of photos of one name and size in {self.inputs} and {self.targets}")


def _photo_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and p.name[0] != ".")


def _by_stem(paths: list[Path]) -> dict[str, Path]:
    files = {path.stem: path for path in reversed(paths)}
    for path in paths:
        if files[path.stem] != path:
            raise ValueError(f"{files[path.stem]} and {path.name} have one name: which of them is the pair's?")
    return dict(sorted(files.items()))


def _read_all(paths: list[Path], max_side: int | None) -> dict[Path, np.ndarray]:
    def read(path: Path) -> np.ndarray | Exception:
        try:
            return shrink(load_image(path).pixels, max_side)
        except (ValueError, OSError) as error:
            return error

    if max_side is not None and max_side < 1:
        raise ValueError(f"max_side is {max_side}, but must be 1 or more, or None")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = dict(zip(paths, pool.map(read, paths), strict=True))
    for error in (result for result in results.values() if isinstance(result, Exception)):
        warnings.warn(f"left out: {error}", stacklevel=3)
    return {path: result for path, result in results.items() if not isinstance(result, Exception)}


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

"""Photographs for training and evaluation: data sets, synthetic misexposure and thumbnails.

A data set is any ``Sequence[Photo]``: a list, :class:`FolderPhotos`, :class:`PairedPhotos` or a class of your own.
"""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from exposure_env.files import SUFFIXES, load_image, shrink
from exposure_env.full_size import resized
from exposure_env.image import expose


class Photo(NamedTuple):
    """One photograph, with an expert's version of it where there is one.

    Attributes:
        name: Name for logs and file names, without a suffix.
        image: (H, W, 3) float32, sRGB-encoded in [0, 1].
        target: (H, W, 3) float32 in [0, 1], the retouched version of the same photo; None where unknown.
        ev_map: (H, W) float32 in stops, the exposure that turns ``image`` into ``target``; None where unknown.
    """

    name: str
    image: np.ndarray
    target: np.ndarray | None = None
    ev_map: np.ndarray | None = None


def check_photo(image: np.ndarray, name: str = "photo") -> np.ndarray:
    """Return the pixels as an (H, W, 3) float32 image in [0, 1], or say what is wrong with them.

    Args:
        image: (H, W, 3) colour or (H, W) grey, sRGB-encoded: uint8, uint16, or floats in [0, 1]. Any height and
            width from 1 pixel; constant images are fine.
        name: What to call the photo in the error message.

    Returns:
        (H, W, 3) float32 in [0, 1]. The given array itself where it already is of that kind.

    Raises:
        ValueError: Another shape or dtype, no pixels, NaN, or floats outside [0, 1].
    """
    image = np.asarray(image)
    shape = f"{name}: the shape is {image.shape}"
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[-1] == 3):
        raise ValueError(f"{shape}, but a photo is (height, width, 3), channels last, or (height, width)")
    if image.size == 0:
        raise ValueError(f"{shape}, but a photo needs at least one pixel")
    if image.dtype.kind == "u" and image.dtype.itemsize <= 2:
        image = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    elif image.dtype.kind == "f":
        image = image.astype(np.float32, copy=False)
        low, high = float(image.min()), float(image.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN fails both
            raise ValueError(f"{name}: float pixels range from {low:g} to {high:g}, but must lie in [0, 1] without NaN")
    else:
        raise ValueError(f"{name}: the dtype is {image.dtype}, but must be uint8, uint16 or floats in [0, 1]")
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    return np.ascontiguousarray(image)


class _KeptPhotos(Sequence[Photo]):
    # Kept as integers (0.5 MB for 500x333 pixels of 8 bits); each access converts one photo to float32.
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

    The files are read at once and shrunk. A file that cannot be read is left out with a warning.

    Args:
        folder: Folder with JPEG, PNG or TIFF files. Other files, hidden files and subfolders are ignored.
        max_side: Longer side in pixels that larger photos are shrunk to; None keeps the full size.

    Raises:
        ValueError: The folder does not exist or has no readable photo in it.
    """

    def __init__(self, folder: str | os.PathLike, max_side: int | None = 500) -> None:
        """Read the photos."""
        self.folder = Path(folder)
        loaded = _read_all(_photo_files(self.folder), max_side)
        if not loaded:
            raise ValueError(f"no photo could be read in {self.folder}; it needs {', '.join(SUFFIXES)} files")
        self._kept = [(path.stem, pixels) for path, pixels in loaded.items()]


class PairedPhotos(_KeptPhotos):
    """Photos with an expert's version of each: two folders whose files match by name, whatever the suffix.

    Read as :class:`FolderPhotos` are. Left out with a warning: files without a partner, files that cannot be read, and
    pairs whose two photos have different sizes (an expert's crop cannot be compared pixel by pixel).

    Args:
        inputs: Folder of the untouched photos.
        targets: Folder of the retouched ones.
        max_side: Longer side in pixels that larger photos are shrunk to; None keeps the full size.

    Raises:
        ValueError: A folder does not exist or holds two files of one name (``a.jpg``, ``a.png``), or no pair is left.
    """

    def __init__(self, inputs: str | os.PathLike, targets: str | os.PathLike, max_side: int | None = 500) -> None:
        """Read the pairs."""
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


def misexpose(
    image: np.ndarray,
    rng: np.random.Generator,
    *,
    ev_range: tuple[float, float] = (-2.2, 0.6),
    local: float = 1.0,
    bits: int = 8,
) -> tuple[np.ndarray, np.ndarray]:
    """Expose a good photo wrongly, differently from place to place, as uneven light would.

    The exposure applied is one EV for the whole photo, uniform in ``ev_range``, plus a smooth random EV map: 3x3 normal
    values enlarged bicubically, hence the same map at any resolution. It acts on linear light; the result is clipped
    and rounded, so that deep shadows and burnt highlights lose detail for good.

    Args:
        image: (H, W, 3) sRGB-encoded, in [0, 1].
        rng: Source of the exposures.
        ev_range: Lowest and highest EV of the whole photo [stops].
        local: Standard deviation of the local EV map's values [stops]; 0 for the same exposure everywhere.
        bits: Bits per value that the result is rounded to, 1 to 16.

    Returns:
        The misexposed image, (H, W, 3) float32 in [0, 1], and the correction, (H, W) float32 [stops]: the EV map that
        takes it back to ``image``, up to what was clipped and rounded away.

    Raises:
        ValueError: ``ev_range`` not ascending, ``local`` negative or ``bits`` out of range; see also `check_photo`.
    """
    image = check_photo(image, "image to misexpose")
    Misexpose(ev_range, local, bits)  # checks the settings
    height, width = image.shape[:2]
    ev = rng.uniform(*ev_range)
    low_resolution = rng.normal(ev, local, (3, 3)).astype(np.float32)
    ev_map = cv2.resize(low_resolution, (width, height), interpolation=cv2.INTER_CUBIC)
    levels = np.float32(2**bits - 1)
    wrong = np.clip(np.asarray(expose(image, ev_map)), 0.0, 1.0)
    return (np.round(wrong * levels) / levels).astype(np.float32), -ev_map


@dataclass(frozen=True)
class Misexpose:
    """A degradation to apply afresh in each episode: ``Misexpose()(photo, rng)``; see `misexpose` for the settings."""

    ev_range: tuple[float, float] = (-2.2, 0.6)
    local: float = 1.0
    bits: int = 8

    def __post_init__(self) -> None:
        """Check the settings."""
        low, high = self.ev_range
        if not (np.isfinite([low, high]).all() and low <= high):
            raise ValueError(f"ev_range is {self.ev_range}, but must be two ascending finite numbers of stops")
        if not (np.isfinite(self.local) and self.local >= 0):
            raise ValueError(f"local is {self.local}, but must be a number of stops, 0 or more")
        if self.bits not in range(1, 17):
            raise ValueError(f"bits is {self.bits}, but must be an integer from 1 to 16")

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """Return the photo misexposed, with the good image as its target and the EV map that restores it.

        The good image is the photo's target where it has one, else its image.
        """
        good = check_photo(photo.image if photo.target is None else photo.target, photo.name)
        wrong, ev_map = misexpose(good, rng, ev_range=self.ev_range, local=self.local, bits=self.bits)
        return Photo(photo.name, wrong, good, ev_map)


def misexposed(
    photos: Sequence[Photo],
    seed: int | Sequence[int],
    *,
    ev_range: tuple[float, float] = (-2.2, 0.6),
    local: float = 1.0,
    bits: int = 8,
) -> list[Photo]:
    """Return each photo misexposed once, with target and EV map; the same for the same seed. See `Misexpose`."""
    degrade, rng = Misexpose(ev_range, local, bits), np.random.default_rng(seed)
    return [degrade(photo, rng) for photo in photos]


def thumbnail(image: np.ndarray, size: int = 64, mode: str = "squeeze") -> np.ndarray:
    """Return the image at size x size pixels, as the agent sees it.

    Args:
        image: (H, W, 3) or (H, W), float32 or uint8.
        size: Side of the result in pixels.
        mode: ``"squeeze"`` ignores the aspect ratio, as the paper does; ``"letterbox"`` keeps it and repeats the
            outermost pixels on the two sides that stay free (`content_box` tells where the photo lies).

    Returns:
        (size, size, 3) or (size, size), same dtype. Shrunk by averaging areas, enlarged linearly.

    Raises:
        ValueError: Unknown mode or a size below 1.
    """
    top, left, height, width = content_box(*image.shape[:2], size, mode)
    content = resized(image, height, width)
    bottom, right = size - top - height, size - left - width
    if content.ndim == 3 and content.dtype.kind == "f":
        content = np.clip(content, 0.0, 1.0)  # averaging overshoots by a rounding error; maps of EVs may be anything
    return cv2.copyMakeBorder(content, top, bottom, left, right, cv2.BORDER_REPLICATE)


def content_box(height: int, width: int, size: int, mode: str = "squeeze") -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of the photo inside its thumbnail [pixels]; see `thumbnail`."""
    if size < 1:
        raise ValueError(f"the thumbnail's size is {size}, but must be 1 or more")
    if mode == "squeeze":
        return 0, 0, size, size
    if mode == "letterbox":
        scale = size / max(height, width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        return (size - inner[0]) // 2, (size - inner[1]) // 2, *inner
    raise ValueError(f"the thumbnail's mode is {mode!r}, but must be 'squeeze' or 'letterbox'")


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

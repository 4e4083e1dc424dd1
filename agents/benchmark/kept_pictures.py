"""The pictures of a cell's results: one file beside the cell's own, for reports that are made later."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.encoding import webp
from agents.evaluation.whole_photos import as_levels
from exposure_env.files import written_whole
from exposure_env.resizing import shrink

SUFFIX = ".pictures"  # of the file, in place of the cell's .json
LOSSLESS = 128  # up to this longer side, results are kept without loss [px]
LONGEST = 500  # longer side of other results, as they are kept [px]
QUALITY = 90  # of these
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the files' date, always the same: the same pictures make the same bytes


def keep_pictures(path: Path, images: Sequence[np.ndarray]) -> None:
    """Writes the results of a cell as a zip of WebP files, whole or not at all.

    Args:
        path: File to write.
        images: One for each tested photo, in their order: (H, W, 3), floats in [0, 1] or uint8.
    """
    with written_whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as kept:
        for place, image in enumerate(images):
            kept.writestr(zipfile.ZipInfo(f"{place}.webp", LONG_AGO), kept_picture(image))


def kept_picture(image: np.ndarray) -> bytes:
    """An image as it is kept, a WebP file: without loss if it is small, else at 500 px and good quality."""
    pixels = np.ascontiguousarray(shrink(image if image.dtype == np.uint8 else as_levels(image), LONGEST))
    return webp(pixels, None if max(pixels.shape) <= LOSSLESS else QUALITY)


def read_pictures(path: Path, count: int) -> list[bytes] | None:
    """The pictures of a cell as WebP files; None if there are none, as beside cells of earlier versions.

    Args:
        path: The file of the pictures.
        count: How many there have to be: one for each tested photo.

    Raises:
        ValueError: If the file is damaged, or holds another number of pictures.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as kept:
            if sorted(kept.namelist()) != sorted(f"{place}.webp" for place in range(count)):
                raise ValueError(f"{path} must hold the pictures of {count} photos, not {len(kept.namelist())} files")
            return [kept.read(f"{place}.webp") for place in range(count)]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} holds no pictures that can be read: {error}. Delete it, and the report will do "
                         "without") from error

"""Data sets that papers name: BSDS500, Kodak's 24 photographs, MIT-Adobe FiveK, and the bundled samples.

Each is a `Sequence[Photo]`. They are kept in the folder that the environment variable EXPOSURE_DATA names, else in the
user's cache, and checked whenever they are opened; see `downloads`.
"""

import os
from typing import Literal

from exposure_env.photos.downloads import Source, data_root, photos_of, read_registry
from exposure_env.photos.fivek_photos import FiveKPhotos
from exposure_env.photos.folders import FolderPhotos
from exposure_env.photos.samples import sample_photos

__all__ = ["BSDS500_URL", "KODAK_URL", "bsds500", "fivek", "kodak", "sample_photos"]

BSDS500_URL = "https://github.com/BIDS/BSDS500/archive/a04b7c6c3a9f0ace74bf205c72a43d32e1c72722.zip"
KODAK_URL = ("https://github.com/MohamedBakrAli/Kodak-Lossless-True-Color-Image-Suite/archive/"
             "dd2e1105fe8d9afe1120cd7e4c0e5e41f509a81b.zip")


def bsds500(split: Literal["train", "val", "test"], root: str | os.PathLike | None = None, *, url: str = BSDS500_URL,
            max_side: int | None = 500, progress: bool = True) -> FolderPhotos:
    """The Berkeley Segmentation Data Set's photographs: 200 for training, 100 for validation, 200 for testing.

    They have 481 x 321 pixels, some upright. Berkeley allows research and teaching, not commerce, and asks for a
    citation (Arbelaez et al., PAMI 2011). Of the archive only the photographs, 37 MB, are kept.

    Args:
        split: One of the official three.
        root: Folder of all data sets; None for the variable EXPOSURE_DATA or the user's cache.
        url: Zip archive to take them from if they aren't there yet.
        max_side: Longer side [pixels] that larger photos are shrunk to; None keeps the full size.
        progress: Whether a bar shows the download.

    Raises:
        ValueError: If the split is another one, a photo isn't as published, or other photos lie among them.
        ConnectionError: If they have to be downloaded and can't be; it says which file to put where.
    """
    if split not in ("train", "val", "test"):
        raise ValueError(f'split must be "train", "val" or "test", not {split!r}')
    layouts = ("BSDS500/data/images", "BSDS500/BSDS500/data/images", "bsds500/BSDS500/data/images", "images", ".")
    source = Source("bsds500", url, read_registry("bsds500"), layouts)
    return photos_of(source, root, split, max_side, progress)


def kodak(root: str | os.PathLike | None = None, *, url: str = KODAK_URL, max_side: int | None = 500,
          progress: bool = True) -> FolderPhotos:
    """Kodak's 24 lossless photographs, kodim01 to kodim24, 768 x 512 pixels or upright.

    Said to be released by Kodak for unrestricted use. The archive is a repository that took them from r0k.us, the
    page most people know. Mirrors that compressed them anew are refused, even if the pixels are the same.

    Args:
        root: Folder of all data sets; None for the variable EXPOSURE_DATA or the user's cache.
        url: Zip archive to take them from if they aren't there yet.
        max_side: Longer side [pixels] that larger photos are shrunk to; None keeps the full size.
        progress: Whether a bar shows the download.

    Raises:
        ValueError: If a photo isn't as published, or other photos lie among them.
        ConnectionError: If they have to be downloaded and can't be; it says which file to put where.
    """
    source = Source("kodak", url, read_registry("kodak"), ("Kodak", "kodak24"))
    return photos_of(source, root, "", max_side, progress)


def fivek(root: str | os.PathLike | None = None, split: Literal["inputs", "experts", "test"] = "test", *,
          complete: bool = True) -> FiveKPhotos:
    """MIT-Adobe FiveK with expert C's retouches, in the split of 2,000, 2,000 and 1,000 photographs.

    It can't be downloaded from here. Get it from its own page (data.csail.mit.edu/graphics/fivek) or a mirror, and run
    `exposure data fivek ROOT` on the folder once.

    Args:
        root: That folder, or the one of finished photos that the command made; None for "fivek" in the data folder.
        split: "inputs", photos to learn to retouch, whose targets are for measuring; "experts", expert C's photos,
            without targets; "test", photos with targets.
        complete: Whether a photo that the index lacks is an error; else those that are there are taken.

    Raises:
        ValueError: If the split is another one, there is no index, or photos are missing; they are named.
    """
    return FiveKPhotos(data_root() / "fivek" if root is None else root, split, complete)

"""The folders that each protocol takes, and the photos in them."""

from functools import lru_cache
from pathlib import Path

from agents.benchmark.methods import FULL_SIZE
from agents.benchmark.protocols import DEGRADATIONS, Split, brackets_protocol, fivek_protocol, misexposed_protocol
from exposure_env.photos import FolderPhotos, PairedPhotos, Photo

FIVEK = {"inputs": "fivek_pairs/input", "targets": "fivek_pairs/expert_c",
         "raw": "fivek_unpaired/raw", "experts": "fivek_unpaired/expert_c", "others": "photos"}
OPTIONAL = ("raw", "experts", "others")


@lru_cache(1)
def misexposed_split(photos: str | None, version: str) -> Split:
    """The photos of the protocol uneven-v1, read once.

    Args:
        photos: A folder of good photographs; None for the sample photos.
        version: What tells this version of the folder from others; see `cells.fingerprint`.
    """
    return misexposed_protocol(None if photos is None else FolderPhotos(photos))


def find_folders(protocol: str, photos: Path | None, inputs: Path | None, targets: Path | None) -> dict[str, Path]:
    """The folders of a protocol's photos by their use, from what a user gives; none for the sample photos.

    Args:
        protocol: Key of `methods.PROTOCOLS`.
        photos: A folder of good photographs, by default the sample photos; for brackets-v1, further experts' photos, by
            default none; for fivek, a folder with the folders of `FIVEK`, of which only the pairs are required.
        inputs: For fivek, instead of `photos`, the folder of the pairs' untouched photos; for brackets-v1, that of the
            dark frames.
        targets: The folder of their good versions.

    Raises:
        ValueError: If the folders don't suit the protocol, or one is missing.
    """
    if (inputs is None) != (targets is None) or (protocol not in FULL_SIZE and inputs is not None):
        raise ValueError(f"give both --inputs and --targets, for the protocols {' and '.join(FULL_SIZE)}, or neither")
    if protocol == "fivek" and (photos is None) == (inputs is None):
        raise ValueError(f"the protocol fivek needs --photos, a folder with {FIVEK['inputs']} and {FIVEK['targets']}, "
                         "or --inputs and --targets instead")
    if protocol == "brackets-v1" and inputs is None:
        raise ValueError("the protocol brackets-v1 needs --inputs, a folder of dark frames, and --targets, a folder of "
                         "normal frames of the same names")
    if protocol == "fivek" and photos is not None:
        folders = {name: photos / place for name, place in FIVEK.items()}
        folders = {name: place for name, place in folders.items() if name not in OPTIONAL or place.is_dir()}
    else:
        given = {"photos": photos, "inputs": inputs, "targets": targets}
        folders = {name: place for name, place in given.items() if place is not None}
    if missing := [str(place) for place in folders.values() if not place.is_dir()]:
        raise ValueError(f"there is no folder {missing[0]}")
    return folders


def read_photos(protocol: str, folders: dict[str, str], fold: int | None) -> tuple[Split, list[Photo]]:
    """The photos of a protocol, or of one fold of it, and the training pairs on which constants are fitted.

    Args:
        protocol: Key of `methods.PROTOCOLS`.
        folders: See `find_folders`.
        fold: Number of the fold that is the test, for protocols in `FULL_SIZE`.

    Raises:
        ValueError: If photos can't be read, or don't suit the protocol.
    """
    if protocol not in FULL_SIZE:
        photos = FolderPhotos(folders["photos"]) if folders else None
        split = misexposed_protocol(photos, degradation=DEGRADATIONS[protocol])
        return split, split.inputs
    pairs = PairedPhotos(folders["inputs"], folders["targets"], max_side=None)
    if protocol == "fivek":
        unpaired = (FolderPhotos(folders[name], max_side=None) if name in folders else () for name in OPTIONAL)
        split = fivek_protocol(pairs, fold, *unpaired)
    else:
        split = brackets_protocol(pairs, fold, FolderPhotos(folders["photos"]) if "photos" in folders else ())
    tested = {photo.name for photo in split.test}
    return split, [photo for photo in pairs if photo.name not in tested]

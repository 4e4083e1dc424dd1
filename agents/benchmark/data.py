"""The photos of each protocol: the folders that it takes, and what is dealt of them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from agents.benchmark.fingerprints import photo_names, sample_checksums
from agents.benchmark.protocols import PROTOCOLS, Protocol
from agents.benchmark.splits import (
    Split,
    brackets_protocol,
    fivek_protocol,
    misexposed_protocol,
    official_protocol,
    parts_protocol,
)
from exposure_env.photos import FiveKPhotos, FolderPhotos, PairedPhotos, Photo, bsds500, fivek

FIVEK = {"inputs": "fivek_pairs/input", "targets": "fivek_pairs/expert_c",
         "raw": "fivek_unpaired/raw", "experts": "fivek_unpaired/expert_c", "others": "photos"}
OPTIONAL = ("raw", "experts", "others")
FEWEST = 5  # photographs that a protocol of good ones can be dealt of
Folders = dict[str, Path]
Read = tuple[Split, Sequence[Photo]]


@lru_cache(1)
def misexposed_split(photos: str | None, version: str) -> Split:
    """The photos of the protocol uneven-v1, read once.

    Args:
        photos: A folder of good photographs; None for the sample photos.
        version: What tells this version of the folder from others; see `cells.fingerprint`.
    """
    return misexposed_protocol(None if photos is None else FolderPhotos(photos))


class Given(NamedTuple):
    """The folders that a user gives."""

    photos: Path | None = None
    inputs: Path | None = None
    targets: Path | None = None
    subset: bool = False  # whether a data set may be incomplete


def find_folders(protocol: str, photos: Path | None = None, inputs: Path | None = None, targets: Path | None = None,
                 subset: bool = False) -> Folders:
    """The folders of a protocol's photos by their use, from what a user gives; none for the sample photos.

    Args:
        protocol: Key of `protocols.PROTOCOLS`.
        photos: For uneven-v1 and backlit-v1 a folder of good photographs, by default the sample photos; for fivek one
            with the folders of `FIVEK`, of which only the pairs are required; for brackets-v1 further experts' photos,
            by default none; for protocols of data sets where these are, see `exposure_env.photos.datasets`.
        inputs: For protocols of pairs, the folder of the untouched photos or dark frames.
        targets: The folder of their good versions.
        subset: Whether photos may be missing in fivek-2k2k1k-v1.

    Raises:
        ValueError: If the folders don't suit the protocol, one is missing or has too few photos, or photos are not
            those that the protocol needs.
        ConnectionError: If a data set has to be downloaded and can't be.
    """
    known, given = PROTOCOLS[protocol], Given(photos, inputs, targets, subset)
    paired = [name for name, each in PROTOCOLS.items() if KINDS[each.kind].paired]
    if (inputs is None) != (targets is None) or (protocol not in paired and inputs is not None):
        raise ValueError(f"give both --inputs and --targets, for the protocols {', '.join(paired[:-1])} and "
                         f"{paired[-1]}, or neither")
    if subset and known.kind != "fivek":
        raise ValueError(f"--subset is for a part of FiveK, and the protocol {protocol} takes what there is")
    folders = KINDS[known.kind].find(known, given)
    if missing := [str(place) for place in folders.values() if not place.is_dir()]:
        raise ValueError(f"there is no folder {missing[0]}")
    _check_number(known, folders)
    return folders


def _check_number(known: Protocol, folders: Folders) -> None:
    if known.folds and {"inputs", "targets"} <= folders.keys():
        names = photo_names(folders["inputs"]) & photo_names(folders["targets"])
        if len(names) <= known.folds:
            raise ValueError(f"{known.name} needs more than {known.folds} pairs, but {folders['inputs']} and "
                             f"{folders['targets']} have {len(names)} photos of the same names")
    elif known.kind == "good" and folders and (number := len(photo_names(folders["photos"]))) < FEWEST:
        raise ValueError(f"{known.name} needs at least {FEWEST} photos, but {folders['photos']} has {number}")


def read_photos(protocol: str, folders: dict[str, str], fold: int | None) -> Read:
    """The photos of a protocol, or of one fold of it, and the training pairs on which constants are fitted.

    Args:
        protocol: Key of `protocols.PROTOCOLS`.
        folders: See `find_folders`.
        fold: Number of the fold that is the test, for protocols that have folds.

    Raises:
        ValueError: If photos can't be read, or don't suit the protocol.
    """
    known = PROTOCOLS[protocol]
    return KINDS[known.kind].read(known, {name: Path(folder) for name, folder in folders.items()}, fold)


def _given(known: Protocol, given: Given) -> Folders:
    """The folders that were given, whatever they are."""
    return {name: place for name, place in given._asdict().items() if isinstance(place, Path)}


def _find_samples(known: Protocol, given: Given) -> Folders:
    if given.photos is not None:
        raise ValueError(f"the protocol {known.name} has photos of its own: leave out --photos {given.photos}, or take "
                         "uneven-v1")
    own = sample_checksums(known.photos)
    if other := [f"{name} {own[name]}, not {digits}" for name, digits in known.photos.items() if own[name] != digits]:
        raise ValueError(f"the photographs that come with scikit-image are not those of {known.name}, by their "
                         f"checksums: {'; '.join(other)}. Numbers would not be comparable: use the release of "
                         "scikit-image in constraints.txt")
    return {}


def _find_bsds500(known: Protocol, given: Given) -> Folders:
    return {split: bsds500(split, given.photos).folder for split in ("train", "test")}


def _find_fivek_folders(known: Protocol, given: Given) -> Folders:
    if (given.photos is None) == (given.inputs is None):
        raise ValueError(f"the protocol {known.name} needs --photos, a folder with {FIVEK['inputs']} and "
                         f"{FIVEK['targets']}, or --inputs and --targets instead")
    if given.photos is None:
        return _given(known, given)
    folders = {name: given.photos / place for name, place in FIVEK.items()}
    return {name: place for name, place in folders.items() if name not in OPTIONAL or place.is_dir()}


def _find_pairs(known: Protocol, given: Given) -> Folders:
    if given.inputs is None or given.photos is not None:
        raise ValueError(f"the protocol {known.name} needs --inputs, a folder of untouched photos, and --targets, a "
                         "folder of their good versions under the same names, and no --photos")
    return _given(known, given)


def _find_brackets(known: Protocol, given: Given) -> Folders:
    if given.inputs is None:
        raise ValueError(f"the protocol {known.name} needs --inputs, a folder of dark frames, and --targets, a folder "
                         "of normal frames of the same names")
    return _given(known, given)


def _find_fivek(known: Protocol, given: Given) -> Folders:
    parts = [fivek(given.photos, part, complete=not given.subset) for part in Split._fields]
    return {"inputs": parts[0].folder / "input", "targets": parts[0].folder / "expert_c"}


def _read_samples(known: Protocol, folders: Folders, fold: int | None) -> Read:
    split = misexposed_protocol(None, known.seed, known.degradation, known.crops)
    return split, split.inputs


def _read_good(known: Protocol, folders: Folders, fold: int | None) -> Read:
    photos = FolderPhotos(folders["photos"], known.max_side) if folders else None
    split = misexposed_protocol(photos, known.seed, known.degradation, known.crops if folders else None)
    return split, split.inputs


def _read_bsds500(known: Protocol, folders: Folders, fold: int | None) -> Read:
    parts = (FolderPhotos(folders[part], known.max_side) for part in ("train", "test"))
    split = official_protocol(*parts, known.seed, known.degradation, known.crops)
    return split, split.inputs


def _read_pairs(known: Protocol, folders: Folders, fold: int | None) -> Read:
    pairs = PairedPhotos(folders["inputs"], folders["targets"], known.max_side)
    unpaired = (FolderPhotos(folders[name], known.max_side) if name in folders else () for name in OPTIONAL)
    return _with_training(fivek_protocol(pairs, fold, *unpaired, known.folds, known.seed, known.crops), pairs)


def _read_brackets(known: Protocol, folders: Folders, fold: int | None) -> Read:
    pairs = PairedPhotos(folders["inputs"], folders["targets"], known.max_side)
    photos = FolderPhotos(folders["photos"]) if "photos" in folders else ()
    return _with_training(brackets_protocol(pairs, fold, photos, known.folds, known.seed, known.crops), pairs)


def _with_training(split: Split, pairs: Sequence[Photo]) -> Read:
    tested = {photo.name for photo in split.test}
    return split, [photo for photo in pairs if photo.name not in tested]


def _read_fivek(known: Protocol, folders: Folders, fold: int | None) -> Read:
    # What must be there was looked at by `find_folders`; whole photos are read one by one, as there are thousands
    parts = [FiveKPhotos(folders["inputs"].parent, part, complete=False) for part in Split._fields]
    return parts_protocol(*parts, known.seed, known.crops), parts[0]


class _Kind(NamedTuple):
    find: Callable[[Protocol, Given], Folders]
    read: Callable[[Protocol, Folders, int | None], Read]
    paired: bool = False  # whether it takes two folders


KINDS = {
    "samples": _Kind(_find_samples, _read_samples),  # the sample photos: disjoint crops of four scenes
    "good": _Kind(_given, _read_good),  # a folder of good photographs, dealt at random; or the sample photos
    "bsds500": _Kind(_find_bsds500, _read_bsds500),  # the official parts for training and testing
    # pairs, perhaps unpaired photos of both sides, perhaps other good photographs: folds of the pairs
    "fivek_folders": _Kind(_find_fivek_folders, _read_pairs, True),
    "pairs": _Kind(_find_pairs, _read_pairs, True),  # nothing but pairs, likewise
    "brackets": _Kind(_find_brackets, _read_brackets, True),  # dark and normal frames: folds of the scenes
    "fivek": _Kind(_find_fivek, _read_fivek),  # MIT-Adobe FiveK in the split of 2,000, 2,000 and 1,000 photos
}

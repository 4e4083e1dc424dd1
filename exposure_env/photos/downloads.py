"""Data sets of known photographs: found in a folder, or unpacked from an archive, every file checked by its SHA-256.

It doesn't matter which mirror the photographs came from, nor how it names them: the hashes are those of the files.
"""

import hashlib
import importlib
import os
import shutil
import zipfile
import zlib
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from filelock import FileLock

from exposure_env.files import SUFFIXES, write_whole
from exposure_env.photos.folders import FolderPhotos

REGISTRIES = Path(__file__).parent / "registries"
VARIABLE = "EXPOSURE_DATA"


class Source(NamedTuple):
    """What is known of a data set.

    Attributes:
        name: Folder below the data folder in which it is kept; with ".zip", its archive beside it.
        url: Zip archive that holds the photographs, in any layout.
        registry: SHA-256 of each photograph, by its path in the folder.
        layouts: Other folders, relative to the data folder, in which people keep it.
    """

    name: str
    url: str
    registry: dict[str, str]
    layouts: tuple[str, ...] = ()


def read_registry(name: str) -> dict[str, str]:
    """The SHA-256 of each photograph of a data set, by its path, as shipped in `registries`."""
    return dict(line.split() for line in (REGISTRIES / f"{name}.txt").read_text("ascii").splitlines())


def data_root(root: str | os.PathLike | None = None) -> Path:
    """The folder of all data sets: the one given, or that of the variable EXPOSURE_DATA, or the user's cache.

    Raises:
        ValueError: If neither is given and pooch, which knows the cache, isn't installed.
    """
    if chosen := root or os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    return Path(_pooch(f"set {VARIABLE} to the folder of your data sets").os_cache("deepexposure-gym"))


def fetched(source: Source, root: str | os.PathLike | None = None, part: str = "", progress: bool = True) -> Path:
    """The folder of a data set, its photographs complete and as they should be; what is missing is downloaded.

    A folder that is there is used, and nothing in it is overwritten. Otherwise the archive is taken from the data
    folder, or downloaded into it. A download that was interrupted starts again and leaves nothing behind.

    Args:
        source: The data set.
        root: Folder of all data sets; see `data_root`.
        part: Only photographs whose path begins so are needed, such as "train/".
        progress: Whether a bar on the standard error shows the download.

    Raises:
        ValueError: If photographs differ from those that were published, or the archive lacks some; they are named.
            If something is to be downloaded, and pooch isn't installed.
        ConnectionError: If the download fails; it says which file to put where instead.
    """
    root = data_root(root)
    wanted = {name: digest for name, digest in source.registry.items() if name.startswith(part)}
    places = [root / place for place in (source.name, *source.layouts)]
    folder = next((place for place in places if any((place / name).is_file() for name in wanted)), places[0])
    if missing_files(folder, wanted):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{source.name}.lock"):
            if missing := missing_files(folder, wanted):  # another process may have been faster
                _complete(source, root, folder, missing, progress)
    return folder


def photos_of(source: Source, root: str | os.PathLike | None = None, split: str = "", max_side: int | None = 500,
              progress: bool = True) -> FolderPhotos:
    """The photographs of a data set, or of one of the folders in it; see `fetched`, also for the errors.

    Raises:
        ValueError: If photos that the data set doesn't have lie among them.
    """
    part = f"{split}/" if split else ""
    folder = fetched(source, root, part, progress) / split
    strange = [path.name for path in sorted(folder.iterdir())
               if path.suffix.lower() in SUFFIXES and path.name[0] != "." and part + path.name not in source.registry]
    if strange:
        raise ValueError(f"{folder} holds photos that aren't of {source.name}: {_shortened(strange)}; move them away")
    return FolderPhotos(folder, max_side)


def missing_files(folder: Path, registry: dict[str, str]) -> list[str]:
    """The names of those files that aren't in the folder.

    Raises:
        ValueError: If files are there, but with another content; they are named.
    """
    missing, altered = [], []
    for name, digest in registry.items():
        try:
            with open(folder / name, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    altered.append(name)
        except FileNotFoundError:
            missing.append(name)
    if altered:
        raise ValueError(f"in {folder}, not as published (their SHA-256 is another): {_shortened(altered)}; "
                         "remove them, and they are fetched again")
    return missing


def _unpack(archive: Path, registry: dict[str, str], folder: Path) -> None:
    # Only files that the registry knows and the folder lacks, whatever their names in the archive.
    lacking: dict[str, list[str]] = {}
    for name in missing_files(folder, registry):
        lacking.setdefault(registry[name], []).append(name)
    suffixes = tuple({Path(name).suffix for name in registry})
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            if entry.filename.lower().endswith(suffixes) and lacking:
                content = packed.read(entry)
                for name in lacking.pop(hashlib.sha256(content).hexdigest(), ()):
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    write_whole(folder / name, content)


def _complete(source: Source, root: Path, folder: Path, missing: list[str], progress: bool) -> None:
    given, aside = root / f"{source.name}.zip", root / f".{source.name}.download"
    by_hand = f"put the archive {source.url} at {given}, or the photos at {folder}, as {missing[0]} and so on"
    try:
        archive = given if given.is_file() else _download(source, aside, by_hand, progress)
        origin = given if archive == given else source.url
        try:
            _unpack(archive, source.registry, folder)
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{origin} is not a whole zip archive ({error}); take another copy: {by_hand}") from error
        if lost := missing_files(folder, {name: source.registry[name] for name in missing}):
            raise ValueError(f"{origin} lacks, or has changed, {_shortened(lost)}; take another copy: {by_hand}")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _download(source: Source, aside: Path, by_hand: str, progress: bool) -> Path:
    pooch, name = _pooch(by_hand), f"{source.name}.zip"
    requests = importlib.import_module("requests")  # what pooch downloads with
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
    store = pooch.create(aside, base_url="", registry={name: None}, urls={name: source.url}, retry_if_failed=1)
    try:
        return Path(store.fetch(name, downloader=pooch.HTTPDownloader(progressbar=progress, timeout=60)))
    except requests.RequestException as error:
        raise ConnectionError(f"cannot download {source.url} ({error}); without it, {by_hand}") from error


def _pooch(instead: str) -> ModuleType:
    try:
        return importlib.import_module("pooch")
    except ImportError as error:
        raise ValueError(f'downloading needs pooch: pip install "deepexposure-gym[data]"; or {instead}') from error


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

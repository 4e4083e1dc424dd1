"""What a run's folder holds from the beginning: its configuration, and which photos it learns from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from agents.json_files import check_same, read_json, write_json
from agents.saved_agent import FILE_NAME
from agents.training.checkpoints import CHECKPOINT
from agents.training.configuration import TrainConfig, config_of
from agents.training.run_log import PROGRESS
from exposure_env.files import read_small
from exposure_env.photos import Photo, photo_thumbnail
from exposure_env.settings import TaskConfig

CONFIG, PHOTOS = "config.json", "photos.json"
SETS = ("photos", "experts", "held_out")  # the data sets of a run


def begin(folder: Path, config: TrainConfig, photos: Mapping[str, Sequence[Photo] | None],
          folders: Mapping[str, str]) -> None:
    """Writes down what a new run begins with.

    Args:
        folder: Run folder.
        config: The configuration.
        photos: The data sets by their names in `SETS`; None if there is none.
        folders: The folders that they came from, as far as known.

    Raises:
        ValueError: If the folder holds another run that has learned something, or another agent.
    """
    killed = (folder / CONFIG).exists() and not _has_learned(folder)  # before its first checkpoint: nothing to lose
    for name in (FILE_NAME, CHECKPOINT):
        if (folder / name).exists() and not (killed and name == FILE_NAME):
            raise ValueError(f"{folder} holds another run's {name}: choose another folder, or resume that run")
    write_json(folder / PHOTOS, {**_described(photos), "folders": dict(folders)})
    write_json(folder / CONFIG, asdict(config))  # the last, so that a folder with a configuration holds a run


def resume(folder: Path, config: TrainConfig, photos: Mapping[str, Sequence[Photo] | None]) -> bool:
    """Checks that a run goes on as it began; arguments as for `begin`.

    Returns:
        Whether it has a checkpoint. If not, it was stopped before the first, and begins anew.

    Raises:
        ValueError: If the folder holds no run, one of another configuration or of other photos, or one whose checkpoint
            was lost.
    """
    check_same(asdict(config), read_config_as_written(folder), folder / CONFIG)
    kept, now = read_json(folder / PHOTOS), _described(photos)
    check_same(now["numbers"], _dict_in(kept, "numbers", folder), folder / PHOTOS)
    before = _dict_in(kept, "digests", folder)
    if changed := [name for name in SETS if before.get(name) != now["digests"][name]]:
        raise ValueError(f"the run goes on with the photos it began with, but these have changed since: {changed}. "
                         "Put them back, or start a new run in another folder")
    if (folder / CHECKPOINT).exists():
        return True
    if _has_learned(folder):
        raise ValueError(f"there is no {folder / CHECKPOINT}, so there is nothing to go on with: start a new run")
    return False


def read_config(folder: Path) -> TrainConfig:
    """The configuration of the run in a folder.

    Raises:
        ValueError: If there is none, another version wrote it, or a setting makes no sense.
    """
    kept, names = read_config_as_written(folder), {field.name for field in fields(TrainConfig)}
    if different := sorted(kept.keys() ^ names):
        raise ValueError(f"{folder / CONFIG} was written by another version: it differs in {different}")
    try:
        return config_of(kept)
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error


def read_config_as_written(folder: Path) -> dict[str, Any]:
    """The fields of a run's configuration, unchecked.

    Raises:
        ValueError: If there is none.
    """
    if not (folder / CONFIG).exists():
        raise ValueError(f"{folder} holds no run to go on with: there is no {CONFIG}. Start one, without --resume")
    return read_json(folder / CONFIG)


def read_folders(folder: Path) -> dict[str, str]:
    """The folders that a run's photos came from, where noted, by the names in `SETS`.

    Raises:
        ValueError: If the folder holds no run, or what it says of them is malformed.
    """
    folders = _dict_in(read_json(folder / PHOTOS), "folders", folder)
    if unknown := {name: place for name, place in folders.items() if name not in SETS or not isinstance(place, str)}:
        raise ValueError(f"folders in {folder / PHOTOS} must be paths of {list(SETS)}, not {unknown!r:.200}")
    return folders


def _described(photos: Mapping[str, Sequence[Photo] | None]) -> dict[str, dict[str, Any]]:
    return {"numbers": {name: None if photos[name] is None else len(photos[name]) for name in SETS},
            "digests": {name: None if photos[name] is None else _digest(photos[name]) for name in SETS}}


def _digest(photos: Sequence[Photo]) -> str:
    """A digest of what an agent sees of the photos, and of their targets, in their order."""
    digest, size = hashlib.sha256(), TaskConfig().size
    for photo in photos:
        for image, name in ((photo.image, photo.name), (photo.target, f"target of {photo.name}")):
            seen = np.empty(0) if image is None else photo_thumbnail(image, size, name=name)
            digest.update(np.ascontiguousarray(seen).tobytes())
    return digest.hexdigest()


def _dict_in(content: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    if not isinstance(found := content.get(name, {}), dict):
        raise ValueError(f"{name} in {folder / PHOTOS} must be a JSON object, not {found!r:.200}")
    return found


def _has_learned(folder: Path) -> bool:
    """Whether the log has a line for an update, below its header."""
    path = folder / PROGRESS
    return path.exists() and len(read_small(path).splitlines()) > 1

"""Files of results that take long to make: each is made once, by one process, of photos that stay as they are."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.benchmark.protocols import OLD_NAMES
from agents.json_files import check_same, read_json, write_json
from agents.locks import locked
from exposure_env.files import remove_leftovers


def is_finished(path: Path, settings: dict[str, Any]) -> bool:
    """Whether a result is there.

    Raises:
        ValueError: If it was made with other settings.
    """
    if not path.exists():
        return False
    try:
        check_same(settings, read_json(path).get("settings", {}), path)
    except ValueError as error:
        raise ValueError(f"{error}. Choose another folder with --out, or delete the file") from error
    return True


def make_once(path: Path, finished: Callable[[], bool], settings: Callable[[], dict[str, Any]],
              work: Callable[[], dict[str, Any]], photos: Any, beside: Sequence[Path] = ()) -> None:
    """Makes a result and writes it, with the settings that it depends on, unless it is there already.

    Args:
        path: File of the result.
        finished: Whether it is there already; may raise a ValueError if it was made with other settings.
        settings: The settings, among them an identifier of the photos.
        work: What makes the result.
        photos: Where the photos come from, for the error message.
        beside: Files that `work` writes.

    Raises:
        ValueError: If another process is at work on it, or the settings changed meanwhile, as the photos did.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path, f"another process is at work on {path}"):
        remove_leftovers([path, *beside], stale=0.0)  # nobody else writes these
        if finished():
            return
        before, made = settings(), work()
        if settings() != before:
            raise ValueError(f"the photos in {photos} were changed while {path.stem} ran: its results belong to "
                             "neither version, so they were not written")
        write_json(path, {"settings": before, **made})


def differences(old: dict[str, Any], new: dict[str, Any], defaults: dict[str, Any]) -> list[str]:
    """What a result's settings were and what they are now, "name was 1, now 2", where they differ.

    Args:
        old: Settings, among them groups of settings as dicts.
        new: Likewise.
        defaults: What options were that `old` doesn't know, since they were added later.
    """
    old, new = _flat(old), _flat(new)
    old = {name: defaults[name] for name in new if name in defaults} | old
    return [f"{name} was {old.get(name)!r}, now {new.get(name)!r}" for name in {**old, **new}
            if old.get(name) != new.get(name)]


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    nested = [settings, *(value for value in settings.values() if isinstance(value, dict))]
    return {name: value for part in nested for name, value in part.items() if not isinstance(value, dict)}


def read_cell(path: str | os.PathLike) -> dict[str, Any]:
    """The content of a finished cell.

    Raises:
        ValueError: If the file is not a cell.
    """
    try:
        content = read_json(Path(path))
    except ValueError as error:
        raise ValueError(f"{path} is not a cell of the benchmark: {error}") from error
    if not isinstance(content.get("settings"), dict):
        raise ValueError(f"{path} is not a cell of the benchmark: it has no settings")
    protocol = content["settings"].get("protocol")
    content["settings"]["protocol"] = OLD_NAMES.get(protocol, protocol)
    return content


def read_cells(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """All finished cells in a folder.

    Raises:
        ValueError: If one of its JSON files is not a cell.
    """
    return [read_cell(path) for path in sorted(Path(folder).glob("*.json"))]

"""Small JSON files that describe runs."""

import json
from pathlib import Path
from typing import Any

from exposure_env.files import read_small, write_whole
from exposure_env.parsing import parse_json


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a dict as JSON, whole or not at all."""
    write_whole(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The dict in a JSON file.

    Raises:
        ValueError: If the file is missing or holds anything but a JSON object.
    """
    try:
        content = parse_json(read_small(path))
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, not {content!r:.200}")
    return content


def check_same(given: dict[str, Any], kept: dict[str, Any], path: Path) -> None:
    """Checks that a run continues with the settings it began with.

    Args:
        given: The settings now.
        kept: The settings it began with.
        path: The file that holds `kept`, for the error message.

    Raises:
        ValueError: If they differ; the message names the settings.
    """
    given = json.loads(json.dumps(given))  # tuples become lists
    if names := sorted(name for name in given.keys() | kept.keys() if given.get(name) != kept.get(name)):
        told = ", ".join(f"{name} is {given.get(name)!r}, not {kept.get(name)!r}" for name in names)
        raise ValueError(f"the run goes on as it began, but {told} as in {path}")

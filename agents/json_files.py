"""Small JSON files that a run keeps."""

import json
from pathlib import Path
from typing import Any

from exposure_env.files import written_whole


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a dict as JSON, atomically."""
    with written_whole(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The dict in a JSON file.

    Raises:
        ValueError: If there is no such file, or it is something else.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.parent} holds no run to go on with: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, not {content!r}")
    return content


def check_same(given: dict[str, Any], kept: dict[str, Any], path: Path) -> None:
    """Makes sure that a run goes on as it began.

    Args:
        given: Settings now.
        kept: Settings then.
        path: Where those are kept.

    Raises:
        ValueError: If they differ, naming where.
    """
    given = json.loads(json.dumps(given))  # tuples become lists
    if names := sorted(name for name in given.keys() | kept.keys() if given.get(name) != kept.get(name)):
        told = ", ".join(f"{name} is {given.get(name)!r}, not {kept.get(name)!r}" for name in names)
        raise ValueError(f"the run goes on as it began, but {told} as in {path}")

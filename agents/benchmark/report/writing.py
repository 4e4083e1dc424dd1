"""A folder that is swapped in whole: a report that can't be finished leaves the one before as it was."""

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from agents.json_files import read_json
from agents.locks import locked

MARK = "report.json"  # the file that tells a report from any other folder
WHAT = "report of exposure benchmark"


def check_place(out: Path) -> None:
    """Checks that a report may be written there.

    Raises:
        ValueError: If it is a file, or a folder that holds anything but a report.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"a report is a folder, but {out} is a file")
    if out.is_dir() and any(out.iterdir()) and not _is_report(out):
        raise ValueError(f"{out} is not empty and holds no report, so nothing is replaced in it: give a new folder")


def _is_report(out: Path) -> bool:
    path = out / MARK
    return path.is_file() and read_json(path).get("what") == WHAT


def write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Writes a report in place of what was there, once all of it is on disk.

    Args:
        out: The folder; an earlier report in it is removed with all that was put beside its pages.
        files: The content of each file by its path in the folder; one of them is `MARK`.

    Raises:
        ValueError: See `check_place`; or if another process is writing it.
        OSError: If it can't be written; an earlier report is then still there.
    """
    out = out.resolve()
    check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out, f"another process is writing {out}"):
        _tidy(out)
        fresh, old = (out.with_name(f".{out.name}.{uuid.uuid4().hex}.{end}") for end in ("new", "old"))
        try:
            for name, content in files.items():
                place = fresh / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            _swap(out, fresh, old)
        finally:
            for folder in (fresh, old):
                shutil.rmtree(folder, ignore_errors=True)


def _tidy(out: Path) -> None:
    """Removes what killed processes left, and brings back a report that one of them had just moved away."""
    for end in ("old", "new"):
        for leftover in out.parent.glob(f".{_escaped(out.name)}.*.{end}"):
            if end == "old" and not out.exists():
                leftover.rename(out)
            else:
                shutil.rmtree(leftover)


def _swap(out: Path, fresh: Path, old: Path) -> None:
    if out.exists():
        out.rename(old)
    try:
        fresh.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise


def _escaped(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)

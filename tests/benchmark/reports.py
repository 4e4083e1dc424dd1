"""Reports for the tests, and what is on their pages; a module that imports this is skipped without Jinja2."""

import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agents.benchmark.cells import Benchmark

pytest.importorskip("jinja2", reason='a report needs Jinja2: pip install -e ".[report]"')


def copied(benchmark: Benchmark, folder: Path) -> Benchmark:
    """The same benchmark with its cells in another folder, where they may be changed."""
    shutil.copytree(benchmark.out, folder, ignore=shutil.ignore_patterns(".*"))
    return replace(benchmark, out=str(folder))


def changed(path: Path, to: Path | None = None, **settings) -> dict:
    """The cell of a file, written with other settings, perhaps to another file with its pictures."""
    cell = json.loads(path.read_text())
    cell["settings"] |= settings
    if to is not None:
        shutil.copy(path.with_suffix(".pictures"), to.with_suffix(".pictures"))
    (to or path).write_text(json.dumps(cell))
    return cell


def text_of(page: Path) -> str:
    """What a page says, without its markup, in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.read_text())).split())


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a report by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

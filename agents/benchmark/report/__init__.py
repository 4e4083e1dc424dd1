"""The report of a benchmark: a static folder of pages, from the ranking down to each photograph.

Only `pages` imports Jinja2, which is an extra.
"""

import json
from importlib.util import find_spec
from pathlib import Path

from agents.benchmark.cells import Benchmark
from agents.benchmark.report.content import read_content
from agents.benchmark.report.pictures import BUDGET, QUALITIES, Pictures, shown_photos
from agents.benchmark.report.writing import MARK, WHAT, check_place, write_folder

__all__ = ["check_report", "write_report"]


def check_report(out: Path) -> None:
    """Checks that a report can be made, before what it is to tell of takes its time.

    Raises:
        ValueError: If Jinja2 is missing, or the folder holds something else.
    """
    if find_spec("jinja2") is None:
        raise ValueError('a report needs Jinja2: pip install "deepexposure-gym[report]"')
    check_place(Path(out))


def write_report(benchmark: Benchmark, out: Path, reference: str | None = None) -> Path:
    """Writes the report of all finished cells of a benchmark; the same cells give the same bytes.

    Args:
        benchmark: The benchmark, see `making.make_benchmark`; its photos are read once more.
        out: Folder to write, whole or not at all, in place of an earlier report.
        reference: The method that the others are compared with, see `tables.table`.

    Returns:
        The path of the first page.

    Raises:
        ValueError: See `check_report`, `content.read_content` and `writing.write_folder`.
    """
    out = Path(out)
    check_report(out)
    from agents.benchmark.report.pages import View, pages

    content = read_content(benchmark, reference)
    shown = shown_photos(benchmark, content)
    for quality in QUALITIES:
        view = View(benchmark, content, shown, pictures := Pictures(quality))
        if pictures.size <= BUDGET:
            break
    mark = {"what": WHAT, "protocol": content.protocol, "photos": content.version, "command": content.command}
    files = pages(view) | pictures.files | {MARK: (json.dumps(mark, indent=2) + "\n").encode()}
    write_folder(out, files)
    return out / "index.html"

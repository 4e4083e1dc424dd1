"""The Markdown pages of the project, and their code."""

import contextlib
import io
import re
from typing import NamedTuple

from tests.repository import ROOT

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
    if "docs/lessons" not in path.as_posix()}  # fmt: skip
SHORTER = {"n_steps=32": "n_steps=4, batch_size=4", "20_000": "8", "learn(1024)": "learn(64)",
           ", 512)": ", 16)"}  # budgets, and nothing else
CHEAP = {"PPO(\"CnnPolicy\", ": "PPO(\"CnnPolicy\", n_steps=64, batch_size=32, n_epochs=1, env="}


class Block(NamedTuple):
    """A fenced block of a page."""

    kind: str  # "python", "python raises", "python notest", "text", "" ...
    text: str
    follows: bool  # whether nothing but an empty line is between it and the block before


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found, last = [], -1
    for match in re.finditer(r"^```([^\n`]*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        found.append(Block(match[1].strip(), match[2], page[last : match.start()].strip() == "" and last >= 0))
        last = match.end()
    return found


def executed(snippet: str, names: dict) -> str:
    """What a snippet prints; its names are added to the others."""
    for long, short in {**SHORTER, **CHEAP}.items():
        snippet = snippet.replace(long, short)
    with contextlib.redirect_stdout(io.StringIO()) as told:
        exec(compile(snippet, "snippet", "exec"), names)
    return told.getvalue()


def run_page(page: str, **shorter: str) -> dict:
    """The names that a page's Python blocks define, run one after the other; what they print must be what is shown.

    Args:
        page: Its path in the repository.
        **shorter: Further budgets to shorten, as in `SHORTER`.
    """
    names, before, told = {}, "", ""
    for block in blocks(PAGES[page]):
        if block.kind == "" and block.follows and before == "python":
            assert told == block.text, page
        if block.kind == "python":
            text = block.text
            for long, short in shorter.items():
                assert long in text or long in PAGES[page]
                text = text.replace(long, short)
            told = executed(text, names)
        before = block.kind
    return names

"""Names that users gave: as texts, and as names of files."""

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 40  # of what a name gives a file's name


def printable(name: str) -> str:
    """The name with a question mark for each sign that can't be shown."""
    return "".join(sign if sign.isprintable() else "?" for sign in name)


def file_names(names: Iterable[str], kind: str) -> dict[str, str]:
    """For each name the name of a page that any system can hold, no two of them alike.

    Args:
        names: What users call things, whatever signs are in it.
        kind: What they begin with.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        stem = re.sub(r"[^a-z0-9]+", "-", plain)[:LONGEST].strip("-") or "x"
        free, again = stem, 1
        while free in taken:
            again += 1
            free = f"{stem}-{again}"
        taken.add(free)
        found[name] = f"{kind}-{free}.html"
    return found

"""Tables of texts, as aligned plain text and as Markdown, and numbers as texts."""

import math
from collections.abc import Sequence

from agents.evaluation.statistics import Interval

UNKNOWN = "-"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The lines as plain text, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([f"{line[0]:<{widths[0]}}", *map(str.rjust, line[1:], widths[1:])]) for line in lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """The lines as a table in Markdown; the first one is the heading."""
    heading, *rest = lines
    return "".join(f"| {' | '.join(line)} |\n" for line in (heading, ("---", *["---:"] * (len(heading) - 1)), *rest))


def number(value: float, form: str = ".2f") -> str:
    """The number in a format of Python's; "-" for NaN."""
    return UNKNOWN if math.isnan(value) else f"{value:{form}}"


def ends(interval: Interval | None, form: str = "+.2f") -> str:
    """The ends of an interval, as in "+1.20 to +1.80"; "-" where there is none."""
    known = interval is not None and not math.isnan(interval.low)
    return f"{interval.low:{form}} to {interval.high:{form}}" if known else UNKNOWN


def with_ends(interval: Interval | None, form: str = "+.2f") -> str:
    """The mean, and its interval where there is one, as in "-0.10 (-0.30 to +0.10)"; "-" for None."""
    if interval is None:
        return UNKNOWN
    return f"{interval.mean:{form}}" + ("" if math.isnan(interval.low) else f" ({ends(interval, form)})")

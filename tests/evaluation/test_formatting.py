"""Tables of texts."""

import math

from agents.evaluation.formatting import aligned, ends, markdown, number, with_ends
from agents.evaluation.statistics import student

LINES = [["method", "gain"], ["I", "+1.50"], ["constant EV", "-"]]


def test_aligned_by_hand():
    assert aligned(LINES).splitlines() == ["method        gain", "I            +1.50", "constant EV      -"]


def test_markdown_by_hand():
    assert markdown(LINES) == "| method | gain |\n| --- | ---: |\n| I | +1.50 |\n| constant EV | - |\n"


def test_numbers():
    assert (number(1.234), number(0.5, "+.3f"), number(math.nan), number(0.5, ".0%")) == ("1.23", "+0.500", "-", "50%")


def test_intervals():
    assert ends(student([1.0, 3.0, 2.0])) == "-0.48 to +4.48"
    assert with_ends(student([1.0, 3.0, 2.0])) == "+2.00 (-0.48 to +4.48)"
    assert (ends(None), with_ends(None)) == ("-", "-")
    assert (ends(student([0.25])), with_ends(student([0.25]))) == ("-", "+0.25")

"""The drawings of a report: SVG in the colours of the page, light or dark; the same cells give the same bytes."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.benchmark.report.content import System
from agents.benchmark.report.names import printable
from agents.evaluation.scores import Estimate, performance_profile
from agents.retouching.contact_sheet import ev_colors

INK, QUIET, RULE = "#010203", "#040506", "#070809"  # stand for colours of the page's own, see `INKS`
INKS = {INK: "currentColor", QUIET: "var(--quiet)", RULE: "var(--line)"}
HUES = ("#d1603d", "#3b7dd8", "#2e9e6b", "#a05fd0", "#c08a12", "#d2528f", "#1f9aa8", "#9a7343", "#6b7fd7", "#7a9a2e")
DASHES = ("-", (0, (5, 2)), (0, (2, 1.4)))
GREY = "#8b8b8b"
GREY_DASHES = ("-", (0, (6, 2)), (0, (3, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (8, 3)), (0, (3, 1, 1, 1)))
LONGEST = 28  # of a name in a drawing; what is longer is cut off
THRESHOLDS = 81  # of the performance profile
SETTINGS = {
    "svg.fonttype": "none", "svg.hashsalt": "report", "text.parse_math": False, "font.size": 10, "text.color": INK,
    "axes.labelcolor": INK, "axes.edgecolor": QUIET, "xtick.color": QUIET, "ytick.color": QUIET, "grid.color": RULE,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "legend.fontsize": 9, "axes.facecolor": "none", "figure.facecolor": "none",
}  # fmt: skip


class Look(dict[str, tuple[str, Any]]):
    """The colour and the dash of each system's lines, by its name: the same in all drawings."""

    def __init__(self, systems: Sequence[System]):
        super().__init__()
        named = sorted(system.name for system in systems if not system.baseline)
        for place, name in enumerate(named):
            self[name] = HUES[place % len(HUES)], DASHES[place // len(HUES) % len(DASHES)]
        for place, name in enumerate(sorted(system.name for system in systems if system.baseline)):
            self[name] = GREY, GREY_DASHES[place % len(GREY_DASHES)]


def svg(name: str, size: tuple[float, float], paint: Callable[[Axes], None]) -> str:
    """A drawing as an <svg> to stand in a page.

    Args:
        name: What makes its ids differ from those of the page's other drawings.
        size: Width and height [inches].
        paint: What draws on the axes.
    """
    with matplotlib.rc_context(SETTINGS):
        figure, file = Figure(size, layout="constrained"), io.StringIO()
        axes = figure.subplots()
        axes.set_axisbelow(True)
        paint(axes)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r"\s*<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    used = {*re.findall(r'(?:url\(#|href="#)([^)"]+)', text)}
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    for color, own in INKS.items():
        text = text.replace(color, own)
    return text


def short(name: str) -> str:
    """A name that leaves room for the drawing."""
    name = printable(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def forest(systems: Sequence[System], look: Look) -> str:
    """The gains, highest first, each with both intervals: over seeds, and wider over seeds and photographs."""
    def paint(axes: Axes) -> None:
        for place, system in enumerate(systems):
            color, row = look[system.name][0], system.row
            for interval, width, alpha in ((row.crossed, 9, 0.35), (row.gain, 3.2, 1)):
                if interval is not None and not np.isnan(interval.low):
                    axes.plot([interval.low, interval.high], [place, place], color=color, linewidth=width, alpha=alpha,
                              solid_capstyle="butt")
            axes.plot(row.gain.mean, place, "o", color=color, markersize=6.5)
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.set_yticks(range(len(systems)), [short(system.name) for system in systems])
        axes.set_ylim(len(systems) - 0.4, -0.6)
        axes.set_xlabel("gain in PSNR over the untouched photo [dB]")
        axes.tick_params("y", length=0)
        axes.grid(axis="x")

    return svg("forest", (8.4, 0.7 + 0.3 * len(systems)), paint)


def curves(systems: Sequence[System], look: Look) -> str | None:
    """The learning curves, a thin line for each seed and a thick one for their mean; None if nothing was trained."""
    learners = [system for system in systems if system.runs[0].learned]
    if not learners:
        return None

    def paint(axes: Axes) -> None:
        ends = []
        for system in learners:
            color, dash = look[system.name]
            lines = [np.array(run.results["curve"]) for run in system.runs]
            for line in lines if len(lines) > 1 else []:
                axes.plot(*line.T, color=color, linewidth=0.7, alpha=0.5)
            shown = lines if len({line.shape for line in lines}) > 1 else [np.mean(lines, axis=0)]
            for line in shown:
                axes.plot(*line.T, color=color, linestyle=dash, linewidth=2, marker="o" if len(line) < 3 else "")
            ends.append((float(np.mean([line[-1, 1] for line in lines])), short(system.name), color))
        for system in systems:
            if system not in learners:
                color, dash = look[system.name]
                axes.axhline(system.row.psnr, color=color, linestyle=dash, linewidth=0.9)
                ends.append((system.row.psnr, short(system.name), color))
        _label_ends(axes, ends)
        axes.set(xlabel="exposures tried", ylabel="PSNR of the test photos [dB]")
        axes.grid()

    return svg("curves", (8.4, max(4.2, 0.6 + 0.21 * len(systems))), paint)


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names beside the right ends of lines, given as (height, name, colour), moved apart where they are close."""
    low, high = axes.get_ylim()
    wanted = sorted(((value - low) / (high - low), name, color) for value, name, color in ends)
    heights = spread_out([each[0] for each in wanted], min(0.055, 1 / len(wanted)))
    for (true, name, color), height in zip(wanted, heights, strict=True):
        axes.annotate(name, (1, true), (1.045, height), xycoords="axes fraction", textcoords="axes fraction",
                      va="center", fontsize=9, arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.8,
                                                           "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)})


def spread_out(heights: Sequence[float], gap: float) -> list[float]:
    """Rising heights moved apart so that neighbours are at least `gap` from each other, as little as that takes.

    It is least squares: what would come too close is pooled, and each pool keeps its mean.
    """
    pools: list[tuple[float, int]] = []  # of heights less their places: the mean, and how many
    for place, height in enumerate(heights):
        pools.append((height - place * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, few), (other, more) = pools[-2:]
            pools[-2:] = [((one * few + other * more) / (few + more), few + more)]
    return [mean + place * gap for place, mean in enumerate([mean for mean, count in pools for _ in range(count)])]


def profile(systems: Sequence[System], look: Look) -> str:
    """The fraction of runs on photographs that gain more than each threshold; the best system's with its interval."""
    values = np.concatenate([system.scores.values.ravel() for system in systems])
    low, high = np.floor(values.min()), max(np.ceil(values.max()), np.floor(values.min()) + 1)

    def paint(axes: Axes) -> None:
        for place, system in enumerate(systems):
            color, dash = look[system.name]
            found = performance_profile(system.scores, np.linspace(low, high, THRESHOLDS))
            axes.plot(found.thresholds, 100 * found.fractions, color=color, linestyle=dash, label=short(system.name),
                      linewidth=1 if system.baseline else 2)
            if place == 0 and not np.isnan(found.over_both).any():
                axes.fill_between(found.thresholds, *100 * found.over_both.T, color=color, alpha=0.18, linewidth=0)
        axes.set(xlabel="gain in PSNR of more than [dB]", ylabel="photographs [%]", ylim=(-2, 102), xlim=(low, high))
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        axes.grid()

    return svg("profile", (8.4, max(3.8, 0.6 + 0.2 * len(systems))), paint)


def matrix(names: Sequence[str], pairs: dict[tuple[str, str], Estimate]) -> str:
    """The probability that the system of a row does better on a photograph than that of a column, in per cent."""
    def paint(axes: Axes) -> None:
        count = len(names)
        for i, ours in enumerate(names):
            for j, theirs in enumerate(names):
                if i == j:
                    continue
                value = pairs[ours, theirs].value
                color = ev_colors(np.array([2 * value - 1]), 1)[0] / 255
                axes.add_patch(matplotlib.patches.Rectangle((j - 0.47, i - 0.46), 0.94, 0.92, color=color, linewidth=0))
                ink = "#fff" if color @ [0.299, 0.587, 0.114] < 0.52 else "#222"
                axes.text(j, i, f"{100 * value:.0f}", color=ink, ha="center", va="center", fontsize=9)
        axes.set_xticks(range(count), [short(name) for name in names], rotation=40, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(count), [short(name) for name in names])
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
        axes.spines[:].set_visible(False)

    return svg("matrix", (2.2 + 0.5 * len(names), 1.5 + 0.32 * len(names)), paint)


def plane(systems: Sequence[System], look: Look) -> str:
    """The perception-distortion trade-off (Blau and Michaeli 2018): a dot for each run, a ring for a system's mean."""
    def paint(axes: Axes) -> None:
        means = []
        for system in systems:
            color = look[system.name][0]
            points = np.array([(run.results["distance"], run.gain) for run in system.runs])
            if len(points) > 1:
                axes.scatter(*points.T, color=color, s=14, alpha=0.6, linewidths=0)
            means.append((*points.mean(0), short(system.name), color))
            axes.plot(*points.mean(0), "X" if system.baseline else "o", color=color, markersize=8)
        target = systems[0].runs[0].results["target_distance"]
        axes.axvline(target, color=QUIET, linestyle=":", linewidth=1)
        axes.annotate("the targets themselves", (target, 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0),
                      textcoords="offset points", rotation=90, fontsize=9, color=QUIET)
        axes.margins(0.12, 0.1)
        _label_points(axes, means)
        axes.set(xlabel="distance to the experts' photos as a set (left is better)",
                 ylabel="gain in PSNR [dB] (up is better)")
        axes.grid()

    return svg("plane", (8.4, 5.2), paint)


def _label_points(axes: Axes, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Names beside points, given as (x, y, name, colour), each moved up or down until it covers no other name."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    taken: list[tuple[float, float, float]] = []  # height, and where it begins and ends across
    for x, y, name, color in sorted(points, key=lambda point: -point[1]):
        across, height = (x - left) / (right - left), (y - low) / (high - low)
        wide = 0.0125 * len(name)
        begin = across - 0.02 - wide if across + 0.02 + wide > 1 else across + 0.02
        for shift in sorted(np.linspace(-0.5, 0.5, 101), key=abs):
            place = height + shift
            if 0.02 < place < 0.98 and not any(abs(place - other) < 0.045 and begin < last and begin + wide > first
                                               for other, first, last in taken):
                break
        taken.append((place, begin, begin + wide))
        axes.annotate(name, (across, height), (begin, place), xycoords="axes fraction", textcoords="axes fraction",
                      va="center", fontsize=9, arrowprops=None if abs(shift) < 0.02 else
                      {"arrowstyle": "-", "color": color, "linewidth": 0.7, "relpos": (0, 0.5)})

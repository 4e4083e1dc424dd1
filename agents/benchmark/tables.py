"""The results of the benchmark's cells: a table as text, Markdown and CSV, and a figure."""

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from agents.benchmark.measures import summary
from agents.benchmark.methods import BASELINES, METHODS
from agents.benchmark.protocols import NUM_FOLDS
from agents.evaluation.metrics import interval, iqm

HEADINGS = ("method", "PSNR [dB]", "gain [dB]", "95 % interval", "of the ceiling", "SSIM", "EV corr.",
            "mean abs. EV", "distance", "CPU [s]", "peak [MB]", "seeds")
CEILING = "paired"


class MethodRun(NamedTuple):
    """One method with one seed, its folds joined."""

    protocol: str
    method: str
    seed: int
    timesteps: int | None  # exposures to try; None for baselines
    results: dict[str, Any]  # see `measures.summary`; for learners also cpu_seconds, wall_seconds, peak_mb and curve

    @property
    def gain(self) -> float:
        """The gain in PSNR over the untouched photos [dB]."""
        return self.results["psnr"] - self.results["input_psnr"]


def runs(cells: Sequence[dict[str, Any]]) -> list[MethodRun]:
    """The finished runs that the cells make up, in the methods' order; runs that lack a fold are left out.

    Args:
        cells: See `cells.read_cells`.

    Raises:
        ValueError: If the cells are of different protocols.
    """
    if len(protocols := {cell["settings"]["protocol"] for cell in cells}) > 1:
        raise ValueError(f"cells must be of one protocol, not of {sorted(protocols)}")
    grouped: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for cell in cells:
        grouped.setdefault((cell["settings"]["method"], cell["settings"]["seed"]), []).append(cell)
    order = [*METHODS, *BASELINES]
    complete = [parts for _, parts in sorted(grouped.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
                if len(parts) == (1 if parts[0]["settings"]["fold"] is None else NUM_FOLDS)]
    return [_joined(parts) for parts in complete]


def _joined(parts: list[dict[str, Any]]) -> MethodRun:
    settings, results = parts[0]["settings"], [part["results"] for part in parts]
    joined: dict[str, Any] = summary({
        "photos": [photo for part in parts for photo in part["photos"]],
        "experts": [image for part in parts for image in part["experts"]], "max_ev": parts[0]["max_ev"],
    })
    if "curve" in results[0]:
        weights = [len(part["photos"]) for part in parts]
        curves = np.array([result["curve"] for result in results])  # (folds, points, 2)
        joined["curve"] = np.average(curves, axis=0, weights=weights).tolist()
        joined |= {name: sum(result[name] for result in results) for name in ("cpu_seconds", "wall_seconds")}
        peaks = [result["peak_mb"] for result in results if result["peak_mb"] is not None]
        joined["peak_mb"] = max(peaks, default=None)
    timesteps = settings["config"].get("total_timesteps")
    return MethodRun(settings["protocol"], settings["method"], settings["seed"], timesteps, joined)


class MethodRow(NamedTuple):
    """A method's row in the table; means over seeds, NaN where unknown."""

    method: str
    psnr: float  # [dB]
    gain: float  # interquartile mean over seeds [dB]
    interval: tuple[float, float] | None  # of the gain, 95 %; None for a single seed
    share: float  # the gain as a fraction of the ceiling's
    ssim: float
    ev_correlation: float
    mean_abs_ev: float  # [stops]
    distance: float  # to the experts' photos, see `measures.summary`
    cpu_seconds: float
    peak_mb: float
    seeds: int


def rows(finished: Sequence[MethodRun]) -> list[MethodRow]:
    """The table, one row per method."""
    by_method: dict[str, list[MethodRun]] = {}
    for run in finished:
        by_method.setdefault(run.method, []).append(run)
    gains = {method: np.array([run.gain for run in group]) for method, group in by_method.items()}
    ceiling = float(iqm(gains[CEILING])) if CEILING in gains else float("nan")
    return [
        MethodRow(method, _mean(group, "psnr"), gain := float(iqm(gains[method])),
            interval(gains[method], statistic=iqm) if len(group) > 1 else None,
            gain / ceiling if ceiling > 0 else float("nan"), _mean(group, "ssim"), _mean(group, "ev_correlation"),
            _mean(group, "mean_abs_ev"), _mean(group, "distance"), _mean(group, "cpu_seconds"),
            _mean(group, "peak_mb"), len(group))
        for method, group in by_method.items()
    ]


def _mean(group: list[MethodRun], name: str) -> float:
    values = [run.results.get(name) for run in group]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _texts(row: MethodRow) -> list[str]:
    ends = "-" if row.interval is None else f"{row.interval[0]:+.2f} to {row.interval[1]:+.2f}"
    numbers = (f"{row.psnr:.2f}", f"{row.gain:+.2f}", ends, f"{100 * row.share:.0f} %", f"{row.ssim:.3f}",
               f"{row.ev_correlation:.2f}", f"{row.mean_abs_ev:.2f}", f"{row.distance:.4f}", f"{row.cpu_seconds:.0f}",
               f"{row.peak_mb:.0f}", str(row.seeds))
    return [row.method, *("-" if "nan" in number else number for number in numbers)]


def format_text(table: Sequence[MethodRow]) -> str:
    """The table as aligned plain text."""
    lines = [list(HEADINGS), *map(_texts, table)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ([f"{line[0]:<{widths[0]}}", *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "\n".join("  ".join(line) for line in aligned)


def format_markdown(table: Sequence[MethodRow]) -> str:
    """The table in Markdown."""
    lines = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1)), *map(_texts, table)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def format_csv(finished: Sequence[MethodRun]) -> str:
    """All runs as CSV, one per line, without the photos and the curves."""
    names = list(dict.fromkeys(name for run in finished for name in run.results if name != "curve"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["protocol", "method", "seed", "timesteps", "gain", *names])
    for run in finished:
        numbers = [run.results.get(name) for name in names]
        numbers = [round(number, 4) if isinstance(number, float) else number for number in (run.gain, *numbers)]
        writer.writerow([run.protocol, run.method, run.seed, run.timesteps, *numbers])
    return text.getvalue()


def figure(finished: Sequence[MethodRun]) -> Figure:
    """The learning curves, and the perception-distortion trade-off (Blau and Michaeli 2018).

    Left: PSNR against exposures tried, a thin line for each seed, a thick one for their mean, a horizontal one for each
    baseline. Right: nearness to each photo's target against nearness to the experts' photos as a set, a dot for each
    run, a cross for each baseline.
    """
    drawn = Figure(figsize=(12, 5.2), layout="constrained")
    curves, plane = drawn.subplots(1, 2)
    methods = list(dict.fromkeys(run.method for run in finished))
    learners = [method for method in methods if method in METHODS]
    baselines = [method for method in methods if method not in METHODS]
    for method in methods:
        group = [run for run in finished if run.method == method]
        points = [(run.results["distance"], run.gain) for run in group]
        if method in learners:
            bright, place = divmod(list(METHODS).index(method), 10)
            color = colormaps["tab20"].colors[2 * place + bright]  # ten colours, then their light versions
            lines = [np.array(run.results["curve"]) for run in group]
            for line in lines:
                curves.plot(*line.T, color=color, linewidth=0.6, alpha=0.5)
            if len({line.shape for line in lines}) == 1:
                curves.plot(*np.mean(lines, axis=0).T, color=color, linewidth=2.2, label=method)
            plane.scatter(*zip(*points, strict=True), color=color, s=28, label=method)
        else:
            shade = str(0.6 * baselines.index(method) / max(len(baselines) - 1, 1))
            style = ("-", "--", "-.", ":")[baselines.index(method) % 4]
            curves.axhline(group[0].results["psnr"], color=shade, linestyle=style, linewidth=0.9, label=method)
            plane.scatter(*points[0], color=shade, marker="x", s=36)
            plane.annotate(method, points[0], xytext=(5, 4), textcoords="offset points", fontsize="x-small")
    if finished:
        plane.axvline(finished[0].results["target_distance"], color="grey", linestyle=":", linewidth=0.9)
        plane.annotate("the targets themselves", (finished[0].results["target_distance"], 0.02), rotation=90,
                       xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points",
                       fontsize="x-small", color="grey")
    curves.set(xlabel="exposures tried", ylabel="PSNR of the test photos [dB]", title="Learning curves")
    plane.set(xlabel="distance to the experts' photos as a set (left is better)",
              ylabel="gain in PSNR over the untouched photo [dB]", title="Near each target, near the experts' style")
    if methods:
        curves.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    if learners:
        plane.legend(fontsize="x-small")
    plane.margins(0.15)
    for axes in (curves, plane):
        axes.grid(alpha=0.3)
    return drawn

"""The results of the benchmark's cells: a table as text, Markdown and CSV."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.benchmark.measures import photographs, plain, summary, total_cost
from agents.benchmark.methods import BASELINES, GLOBAL_NAME, METHODS
from agents.benchmark.protocols import PROTOCOLS, protocol_name
from agents.benchmark.stamps import stamp
from agents.evaluation.formatting import UNKNOWN, aligned, ends, markdown, number, with_ends
from agents.evaluation.scores import Estimate, Scores, difference, interquartile_mean, mean, probability_of_improvement
from agents.evaluation.statistics import Interval, paired, student

REFERENCE = "paired"  # what the others are compared with, if nothing else is asked for
CEILING = "regression"
INTERVALS = ("gain", "crossed", "to_reference", "to_reference_crossed", "to_global", "nearer", "iqm", "iqm_crossed",
             "improvement", "improvement_crossed")


class MethodRun(NamedTuple):
    """One method with one seed, its folds joined."""

    protocol: str
    method: str
    seed: int
    timesteps: int | None  # exposures to try; None for baselines
    results: dict[str, Any]  # see `measures.summary`; for learners also cpu_seconds, wall_seconds, peak_mb and curve
    photographs: dict[str, float]  # gain of each photograph [dB], see `measures.photographs`
    settings: dict[str, Any]  # of its first cell

    @property
    def gain(self) -> float:
        """The gain in PSNR over the untouched photos [dB]."""
        return self.results["psnr"] - self.results["input_psnr"]

    @property
    def learned(self) -> bool:
        """Whether it was trained, so that another seed would give another result."""
        return "curve" in self.results


def runs(cells: Sequence[dict[str, Any]]) -> list[MethodRun]:
    """The finished runs that the cells make up, in the methods' order; runs that lack a fold are left out.

    Args:
        cells: See `results.read_cells`. Methods that no longer exist come last.

    Raises:
        ValueError: If the cells are of different protocols, or were tested on different photos.
    """
    if len(protocols := {cell["settings"]["protocol"] for cell in cells}) > 1:
        raise ValueError(f"cells must be of one protocol, not of {sorted(protocols)}")
    grouped: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for cell in cells:
        grouped.setdefault((cell["settings"]["method"], cell["settings"]["seed"]), []).append(cell)
    order = {method: place for place, method in enumerate([*METHODS, *BASELINES])}
    complete = [parts for _, parts in sorted(grouped.items(), key=lambda item: (order.get(item[0][0], 999), *item[0]))
                if len(parts) == (PROTOCOLS[protocol_name(parts[0]["settings"]["protocol"])].folds or 1)]
    finished = [_joined(parts) for parts in complete]
    for run in finished:
        if run.photographs.keys() != (first := finished[0]).photographs.keys():
            raise ValueError(f"cells must be tested on the same photos, but those of {run.method}, seed {run.seed}, "
                             f"differ from those of {first.method}, seed {first.seed}")
    return finished


def _joined(parts: list[dict[str, Any]]) -> MethodRun:
    settings, results = parts[0]["settings"], [part["results"] for part in parts]
    photos = [photo for part in parts for photo in part["photos"]]
    joined: dict[str, Any] = summary({
        "photos": photos,
        "experts": [image for part in parts for image in part["experts"]], "max_ev": parts[0]["max_ev"],
    })
    if "curve" in results[0]:
        weights = [len(part["photos"]) for part in parts]
        curves = np.array([result["curve"] for result in results])  # (folds, points, 2)
        joined["curve"] = np.average(curves, axis=0, weights=weights).tolist()
        joined |= total_cost(results)
    timesteps = settings["config"].get("total_timesteps")
    return MethodRun(settings["protocol"], settings["method"], settings["seed"], timesteps, joined,
                     photographs(photos, settings), settings)


class MethodRow(NamedTuple):
    """A method's row in the table; means over seeds, NaN where unknown."""

    method: str
    psnr: float  # [dB]
    gain: Interval  # over the untouched photos, over seeds; without ends for a single one [dB]
    crossed: Interval | None  # the same, over seeds and photographs; of a baseline, over photographs
    to_reference: Interval | None  # gain minus that of the table's reference, paired by seed [dB]
    to_reference_crossed: Interval | None  # the same, paired by seed and photograph, over both [dB]
    to_global: Interval | None  # gain minus that of the same method with one EV for the whole photo, likewise [dB]
    nearer: Interval | None  # distance minus that of the table's reference, paired by seed: below 0 is nearer
    share: float  # the mean gain as a fraction of the regression's
    ssim: float
    ev_correlation: float
    within_photo_ev_correlation: float
    ev_step_correlation: float
    mean_abs_ev: float  # [stops]
    distance: float  # to the experts' photos, see `measures.summary`
    cpu_seconds: float
    peak_mb: float
    iqm: Interval  # of the gains, see `scores.interquartile_mean`, over seeds; without ends for a single one [dB]
    iqm_crossed: Interval | None  # the same, over seeds and photographs [dB]
    improvement: Interval | None  # see `scores.probability_of_improvement` on the table's reference, over seeds; 0 to 1
    improvement_crossed: Interval | None  # the same, over seeds and photographs
    delta_e: float  # CIEDE2000
    lpips: float  # where its weights were there, see `perceptual.lpips`
    intersection: float  # with the experts' photos' histograms, see `measures.intersections`


class Table(NamedTuple):
    """A benchmark's results, one row per method. All intervals are of 95 %, by Student's t: see `statistics`."""

    rows: list[MethodRow]
    reference: str | None  # the method that the others are compared with
    stamp: str = ""  # protocol, version and fingerprint, see `stamps.stamp`

    def lines(self) -> list[list[str]]:
        """The headings, and the cells of each row; columns in which nothing is known are left out."""
        columns = {
            "method": [row.method for row in self.rows],
            "PSNR [dB]": [number(row.psnr) for row in self.rows],
            "gain [dB]": [number(row.gain.mean, "+.2f") for row in self.rows],
            "95 % over seeds": [ends(row.gain) for row in self.rows],
            "over seeds and photos": [ends(row.crossed) for row in self.rows],
            f"minus {self.reference}": [with_ends(row.to_reference) for row in self.rows],
            f"minus {self.reference}, over photos too": [ends(row.to_reference_crossed) for row in self.rows],
            "local minus global": [with_ends(row.to_global) for row in self.rows],
            f"of the gain of {CEILING}": [number(row.share, ".0%").replace("%", " %") for row in self.rows],
            "SSIM": [number(row.ssim, ".3f") for row in self.rows],
            "EV corr.": [number(row.ev_correlation) for row in self.rows],
            "within photos": [number(row.within_photo_ev_correlation) for row in self.rows],
            "with step": [number(row.ev_step_correlation) for row in self.rows],
            "mean abs. EV": [number(row.mean_abs_ev) for row in self.rows],
            "ΔE": [number(row.delta_e) for row in self.rows],
            "LPIPS": [number(row.lpips, ".3f") for row in self.rows],
            "distance": [number(row.distance, ".4f") for row in self.rows],
            f"distance minus {self.reference}'s": [with_ends(row.nearer, "+.4f") for row in self.rows],
            "CPU [s]": [number(row.cpu_seconds, ".0f") for row in self.rows],
            "peak [MB]": [number(row.peak_mb, ".0f") for row in self.rows],
            "seeds": [str(row.gain.n) for row in self.rows],
        }
        optional = (f"minus {self.reference}", f"minus {self.reference}, over photos too", "local minus global",
                    f"distance minus {self.reference}'s", f"of the gain of {CEILING}", "ΔE", "LPIPS")
        shown = {name: cells for name, cells in columns.items() if name not in optional or {*cells} - {UNKNOWN}}
        return [list(shown), *map(list, zip(*shown.values(), strict=True))]

    def text(self) -> str:
        """The table as aligned plain text, and the protocol below it."""
        return aligned(self.lines()) + (f"\n\n{self.stamp}" if self.stamp else "")

    def markdown(self) -> str:
        """The table in Markdown, and the protocol below it."""
        return markdown(self.lines()) + (f"\n{self.stamp}\n" if self.stamp else "")

    def csv(self) -> str:
        """The table as CSV, with a column for each end of an interval, and the number of seeds behind it.

        It has more than the text: the interquartile mean, and the probability of improvement on the reference.
        """
        lines = []
        for row in self.rows:
            line: dict[str, Any] = {"reference": self.reference}
            for name, value in row._asdict().items():
                if name in INTERVALS:
                    parts = value or [math.nan] * 4
                    line |= {f"{name}_{part}": each for part, each in zip(Interval._fields, parts, strict=True)}
                else:
                    line[name] = value
            lines.append(line)
        return _csv(lines)


def table(finished: Sequence[MethodRun], reference: str | None = None) -> Table:
    """The table, one row per method.

    Args:
        finished: See `runs`.
        reference: The method that the others are compared with, by default "paired" or else the first learner. If it
            has no finished run, nothing is compared.
    """
    groups: dict[str, list[MethodRun]] = {}
    for run in finished:
        groups.setdefault(run.method, []).append(run)
    if reference is None:
        learners = [method for method, group in groups.items() if group[0].learned]
        reference = REFERENCE if REFERENCE in groups else next(iter(learners), None)
    ceiling = float(np.mean([run.gain for run in groups[CEILING]])) if CEILING in groups else math.nan
    rows = []
    for method, group in groups.items():
        theirs = [] if method == reference else groups.get(reference, [])
        to_reference = _difference(group, theirs)
        compared = {"to_reference": to_reference, "nearer": _difference(group, theirs, "distance"),
                    "to_global": _difference(group, groups.get(method + GLOBAL_NAME, []))}
        compared |= dict.fromkeys(("to_reference_crossed", "improvement", "improvement_crossed"))
        if to_reference is not None:
            ours, other = scores(group), scores(theirs)
            better = probability_of_improvement(ours, other)
            compared |= {"to_reference_crossed": _over_both(difference(ours, other)), "improvement": better.over_seeds,
                         "improvement_crossed": _over_both(better)}
        rows.append(_row(group, ceiling, compared))
    return Table(rows, reference, stamp([run.settings for run in finished]))


def scores(group: Sequence[MethodRun]) -> Scores:
    """The gains of a method's runs, by seed and photograph [dB].

    Raises:
        ValueError: If there are no runs.
    """
    return Scores.of({run.seed: run.photographs for run in group}, bool(seeds_of(group)))


def _row(group: list[MethodRun], ceiling: float, compared: dict[str, Interval | None]) -> MethodRow:
    gain, gains = student([run.gain for run in group]), scores(group)
    means = {name: _mean(group, name) for name in MethodRow._fields if name in group[0].results}
    middle = interquartile_mean(gains)
    known = {"method": group[0].method, "gain": gain, "crossed": _over_both(mean(gains)), "iqm": middle.over_seeds,
             "iqm_crossed": _over_both(middle), "share": gain.mean / ceiling if ceiling > 0 else math.nan}
    return MethodRow(**dict.fromkeys(MethodRow._fields, math.nan) | means | known | compared)


def _over_both(estimate: Estimate) -> Interval | None:
    """The interval over seeds and photographs; for a baseline, which has no seeds, over photographs."""
    return None if math.isnan(estimate.over_both.low) else estimate.over_both


def _difference(ours: list[MethodRun], theirs: list[MethodRun], what: str = "gain") -> Interval | None:
    """The difference in gain or in a result, paired by seed; a baseline is the same for all seeds."""
    seeds = [seeds_of(group) for group in (ours, theirs)]
    either = seeds[0] | seeds[1] or {0}
    values = []
    for group, own in zip((ours, theirs), seeds, strict=True):
        found = {run.seed: run.gain if what == "gain" else run.results[what] for run in group}
        values.append(found if own or not group else dict.fromkeys(either, found[group[0].seed]))
    return paired(*values) if values[0].keys() & values[1].keys() else None


def seeds_of(group: Sequence[MethodRun]) -> set[int]:
    """The seeds of a method's runs; none for a method that was not trained here and has a single run."""
    return {run.seed for run in group if run.learned or len(group) > 1}


def _mean(group: list[MethodRun], name: str) -> float:
    values = [run.results.get(name) for run in group]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def runs_csv(finished: Sequence[MethodRun]) -> str:
    """All runs as CSV, one per line, without the photos and the curves."""
    return _csv([{"protocol": run.protocol, "method": run.method, "seed": run.seed, "timesteps": run.timesteps,
                  "gain": run.gain, **{name: value for name, value in run.results.items() if name != "curve"}}
                 for run in finished])


def _csv(lines: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: plain(value) for name, value in line.items()} for line in lines)
    return text.getvalue()

"""The measurements of the claims: one table per claim, as text, Markdown and CSV, and one figure for all."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.benchmark.claims.trainings import CLAIMS, RENDERINGS
from agents.evaluation.formatting import UNKNOWN, aligned, ends, markdown
from agents.evaluation.statistics import student
from agents.pictures import write_figure
from exposure_env.files import write_whole

REFERENCE = "I"  # the form whose gradient the others are compared with


class Measured(NamedTuple):
    """A training that has been measured."""

    variant: str
    seed: int
    results: dict[str, Any]  # see `trainings.measure`

    def gain(self, fusion: str | None = None) -> float:
        """The gain in PSNR over the untouched photo [dB], rendered as delivered or with another fusion."""
        return self.results["psnr"][fusion or self.results["fusion"]] - self.results["input_psnr"]

    @property
    def cpu_per_1000(self) -> float:
        """The processor time per 1000 transitions [s]."""
        return 1000 * self.results["cpu_seconds"] / self.results["timesteps"]


class Table(NamedTuple):
    """The table of a claim. Its intervals are over trainings, one per seed, of 95 % by Student's t."""

    claim: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def text(self) -> str:
        """The table as aligned plain text, under what the paper says."""
        says = f"Section {CLAIMS[self.claim].section}: {CLAIMS[self.claim].says}"
        return f"{says}\n{aligned([self.headings, *self.rows])}"

    def markdown(self) -> str:
        """The table in Markdown, under a heading."""
        says = f"Section {CLAIMS[self.claim].section}: {CLAIMS[self.claim].says}."
        return f"## {self.claim}\n\n{says}\n\n{markdown([self.headings, *self.rows])}"


def tables(cells: Sequence[Measured], claims: Sequence[str] = ()) -> list[Table]:
    """One table for each claim of which anything has been measured.

    Args:
        cells: Measured trainings.
        claims: Keys of `trainings.CLAIMS`; by default all.
    """
    made = []
    for claim in claims or CLAIMS:
        groups = _groups(cells, claim)
        if groups:
            made.append(Table(claim, *TABLES[claim](groups)))
    return made


def write_tables(cells: Sequence[Measured], folder: Path, claims: Sequence[str] = ()) -> str:
    """Writes `claims.md`, a `claims_<claim>.csv` for each claim, and `claims.png`; returns the tables as text.

    Args:
        cells: Measured trainings.
        folder: Folder to write to; created if missing.
        claims: Keys of `trainings.CLAIMS`; by default all.
    """
    made = tables(cells, claims)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "claims.md", "\n".join(each.markdown() for each in made))
    for each in made:
        write_whole(folder / f"claims_{each.claim}.csv", format_csv(cells, each.claim))
    write_figure(folder / "claims.png", figure(cells), dpi=100)
    return "\n\n".join(each.text() for each in made)


def _groups(cells: Sequence[Measured], claim: str) -> dict[str, list[Measured]]:
    """The cells of a claim by variant, in the claim's order."""
    by_variant = {variant: [cell for cell in cells if cell.variant == variant] for variant in CLAIMS[claim].variants}
    return {variant: group for variant, group in by_variant.items() if group}


def _gradients(groups: dict[str, list[Measured]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    by_seed = [cell.results["gradients"] for cell in groups["gradients"]]
    moments = [moment for each in by_seed for moment in each]
    rows = []
    for name in moments[0]["norms"] if moments else ():
        others = (REFERENCE, "I, shaped", "pathwise")
        cosines = {other: [m["cosines"][other][name] for m in moments] for other in others}
        ratios = [m["norms"][name] / m["norms"][REFERENCE] for m in moments if m["norms"][REFERENCE] > 0]
        # Moments of one training are alike, so the interval is over the trainings' means.
        means = [_mean([m["cosines"][REFERENCE][name] for m in each]) for each in by_seed]
        rows.append((name, _number(cosines[REFERENCE]), _ends([None if np.isnan(mean) else mean for mean in means]),
                     _number(cosines["I, shaped"]), _number(cosines["pathwise"]),
                     _number([m["halves"][name] for m in moments]), _number(ratios), str(len(moments)),
                     str(len(by_seed))))
    return ("gradient of", "cosine with I", "95 % interval", "with I, shaped", "with pathwise", "between halves",
            "norm, of I's", "moments", "seeds"), rows


def _intermediate(groups: dict[str, list[Measured]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = []
    for variant, group in groups.items():
        found = [cell.results["intermediate"] for cell in group]
        for t in range(len(found[0]["score"])):
            gains = [each["gain"][t - 1] for each in found] if t else []
            rows.append((variant, str(t), _number([each["score"][t] for each in found]), _number(gains), _ends(gains),
                         f"{_mean([cell.gain() for cell in group]):+.2f}", str(found[0]["photos"]), str(len(group))))
    return ("trained as", "t", "score at t and end", "gain at t and end", "95 % interval", "gain in PSNR [dB]",
            "photos", "seeds"), rows


def _quality(groups: dict[str, list[Measured]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = []
    for variant, group in groups.items():
        gains = [cell.gain() for cell in group]
        spread = f"{np.std(gains, ddof=1):.2f}" if len(gains) > 1 else UNKNOWN
        psnr = _mean([cell.results["input_psnr"] for cell in group]) + _mean(gains)
        rows.append((variant, f"{psnr:.2f}", f"{_mean(gains):+.2f}", _ends(gains), spread,
                     f"{_mean([cell.results['mean_abs_ev'] for cell in group]):.2f}",
                     f"{_mean([cell.results['updates'] for cell in group]):.0f}",
                     f"{_mean([cell.results['timesteps'] for cell in group]):.0f}",
                     f"{_mean([cell.cpu_per_1000 for cell in group]):.2f}", str(len(group))))
    return ("trained as", "PSNR [dB]", "gain [dB]", "95 % interval", "spread", "mean abs. EV", "updates", "transitions",
            "CPU [s per 1000]", "seeds"), rows


def _cost(groups: dict[str, list[Measured]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = []
    for variant, group in groups.items():
        costs = [cell.cpu_per_1000 for cell in group]
        rows.append((variant, _number(costs), f"{min(costs):.2f} to {max(costs):.2f}",
                     _number([cell.results["peak_mb"] for cell in group], 0),
                     _number([cell.results["learning_mb"] for cell in group], 0),
                     f"{group[0].results['parameters']:,}", f"{_mean([cell.gain() for cell in group]):+.2f}",
                     str(len(group))))
    return ("trained as", "CPU [s per 1000]", "range", "peak [MB]", "of it while learning [MB]",
            "parameters of the agent", "gain [dB]", "seeds"), rows


def _reward_image(groups: dict[str, list[Measured]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = []
    for variant, group in groups.items():
        gains = [cell.gain() for cell in group]
        rendered = (f"{_mean([cell.gain(fusion) for cell in group]):+.2f}" for fusion in RENDERINGS)
        rows.append((variant, group[0].results["fusion"], f"{_mean(gains):+.2f}", _ends(gains), *rendered,
                     str(len(group))))
    return ("trained as", "delivered", "gain [dB]", "95 % interval", *(f"as {name}" for name in RENDERINGS),
            "seeds"), rows


TABLES: dict[str, Callable[..., Any]] = {
    "gradients": _gradients, "intermediate": _intermediate, "accumulation": _quality, "cost": _cost,
    "reward_image": _reward_image, "presets": _quality,
}  # fmt: skip


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean(_known(values))) if _known(values) else float("nan")


def _number(values: Sequence[float | None], digits: int = 2) -> str:
    return f"{_mean(values):.{digits}f}" if _known(values) else UNKNOWN


def _ends(values: Sequence[float | None]) -> str:
    return ends(student(_known(values))) if _known(values) else UNKNOWN


def format_csv(cells: Sequence[Measured], claim: str) -> str:
    """All numbers behind a claim's table as CSV, one per line: variant, seed, name, value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("variant", "seed", "name", "value"))
    for variant, group in _groups(cells, claim).items():
        for cell in group:
            results = {name: value for name, value in cell.results.items()
                       if name not in CLAIMS or name == claim}
            writer.writerows((variant, cell.seed, *line) for line in _flat(results))
    return text.getvalue()


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """The (name, value) pairs of all leaves of nested dicts and lists."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, each in items for leaf in _flat(each, f"{name}/{key}" if name else str(key))]
    return [(name, "" if value is None else round(value, 5) if isinstance(value, float) else value)]


def figure(cells: Sequence[Measured]) -> Figure:
    """A figure with one panel per claim, empty where nothing has been measured."""
    drawn = Figure(figsize=(15, 8.5), layout="constrained")
    for axes, claim in zip(drawn.subplots(2, 3).flat, CLAIMS, strict=True):
        groups = _groups(cells, claim)
        axes.set_title(f"{CLAIMS[claim].section}: {claim.replace('_', ' ')}")
        if groups and claim == "gradients":
            _draw_gradients(axes, groups["gradients"])
        elif groups and claim == "intermediate":
            _draw_intermediate(axes, groups)
        elif groups:
            what = "CPU [s per 1000 transitions]" if claim == "cost" else "gain in PSNR over the untouched photo [dB]"
            for place, (_variant, group) in enumerate(groups.items()):
                values = [cell.cpu_per_1000 if claim == "cost" else cell.gain() for cell in group]
                axes.plot(values, [place] * len(values), "o", color=f"C{place}", alpha=0.6)
                axes.plot(np.mean(values), place, "|", color=f"C{place}", markersize=22)
            axes.set(xlabel=what, yticks=range(len(groups)), yticklabels=list(groups), ylim=(len(groups) - 0.5, -0.5))
        axes.grid(alpha=0.3)
    return drawn


def _draw_gradients(axes: Axes, group: list[Measured]) -> None:
    names = [name for cell in group for moment in cell.results["gradients"] for name in moment["norms"]]
    for color, name in enumerate(name for name in dict.fromkeys(names) if name != REFERENCE):
        for i, cell in enumerate(group):
            moments = cell.results["gradients"]
            cosines = [np.nan if (value := m["cosines"][REFERENCE][name]) is None else value for m in moments]
            axes.plot([m["timesteps"] for m in moments], cosines, ".-", color=f"C{color}", alpha=0.7,
                      label=None if i else name)
    axes.set(xlabel="exposures tried", ylabel=f"cosine with the gradient of {REFERENCE}", ylim=(-1.05, 1.05))
    if names:
        axes.legend(fontsize="small")


def _draw_intermediate(axes: Axes, groups: dict[str, list[Measured]]) -> None:
    for color, (variant, group) in enumerate(groups.items()):
        for i, cell in enumerate(group):
            for kind, style in {"score": ":", "gain": "-"}.items():
                found = [np.nan if value is None else value for value in cell.results["intermediate"][kind]]
                start = 0 if kind == "score" else 1
                axes.plot(range(start, start + len(found)), found, style, marker=".", color=f"C{color}", alpha=0.7,
                          label=None if i else f"{variant}, {kind}")
    axes.set(xlabel="t", ylabel="rank correlation with the finished image", ylim=(-1.05, 1.05))
    axes.legend(fontsize="small")

"""The pages of a report: what is on each, filled into its template."""

import math
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agents.benchmark.cells import Benchmark
from agents.benchmark.report import drawings
from agents.benchmark.report.content import Content, Outcome, System, own_settings
from agents.benchmark.report.names import file_names, printable
from agents.benchmark.report.pictures import (
    Pictures,
    Segments,
    Shown,
    are_of_segments,
    ev_map,
    key_of,
    largest_ev,
    task_settings_of,
)
from agents.evaluation.formatting import UNKNOWN, ends, number, with_ends
from agents.evaluation.scores import Estimate, probability_of_improvement
from agents.evaluation.statistics import Interval
from agents.retouching.contact_sheet import BRIGHTER, DARKER, SAME
from exposure_env.drawing import signed

HERE = Path(__file__).parent


class Panel(NamedTuple):
    """A system's outcome on a tested photo, as pages show it."""

    gain: float  # mean over seeds [dB]
    seeds: str  # the gain of each seed, where there are several
    to_reference: float | None  # the gain minus the reference's [dB]
    psnr: float  # of the result that is shown [dB]
    result: str | None  # file
    evs: str | None  # file of the EV map
    marks: list[tuple[float, float, str]]  # from the left and the top [%], and the EV to write there
    told: str  # the exposures in words


class View:
    """A report's content with its pictures: what templates ask for.

    Args:
        benchmark: The benchmark.
        content: See `content.read_content`.
        shown: See `pictures.shown_photos`.
        pictures: Where the pictures go.
    """

    def __init__(self, benchmark: Benchmark, content: Content, shown: Sequence[Shown], pictures: Pictures):
        self.content, self.shown, self.most = content, shown, largest_ev(content)
        self.systems = file_names((system.name for system in content.systems), "system")
        self.photographs = file_names(content.photographs, "photograph")
        self.look = drawings.Look(content.systems)
        self.inputs = [pictures.add(each.photo) for each in shown]
        self.targets = [pictures.add(each.target) for each in shown]
        self.outlines = [pictures.add(each.outlines) for each in shown]
        self.reference = next((each for each in content.systems if each.name == content.table.reference), None)
        self.panels = {system.name: self._panels(system, pictures) for system in content.systems}
        self.settings = {system.name: own_settings(system, benchmark) for system in content.systems}
        self.config = {system.name: system.cells[0]["settings"]["config"] | self.settings[system.name]
                       for system in content.systems}

    def _panels(self, system: System, pictures: Pictures) -> list[Panel]:
        key, panels = key_of(task_settings_of(system.cells[0])), []
        others = [None] * len(system.outcomes) if self.reference in (None, system) else self.reference.outcomes
        for outcome, other, shown in zip(system.outcomes, others, self.shown, strict=True):
            result = None if outcome.picture is None else pictures.add(outcome.picture)
            evs, marks = [math.nan if ev is None else ev for ev in outcome.entry["evs"]], []
            name = None
            if are_of_segments(outcome.entry, segments := shown.segments[key]):
                name = pictures.add(ev_map(segments, [0.0 if math.isnan(ev) else ev for ev in evs], self.most), ".png")
                marks = _marks(segments, evs)
            panels.append(Panel(outcome.gain, _by_seed(outcome), None if other is None else outcome.gain - other.gain,
                                outcome.entry["psnr"], result, name, marks,
                                ", ".join(number(ev, "+.2f") for ev in evs)))
        return panels

    def title(self, place: int) -> str:
        """The name of a tested photo; of one of several crops of a photograph, with the crop's number."""
        photo = self.content.photos[place]
        group = self.content.photographs[photo.photograph]
        return printable(photo.photograph if len(group) == 1
                         else f"{photo.photograph}, crop {group.index(place) + 1} of {len(group)}")

    def ranked(self, photograph: str) -> list[tuple[System, Any]]:
        """The systems with their gains on a photograph by seed, highest mean first."""
        found = [(system, system.scores.values[:, system.scores.photos.index(photograph)])
                 for system in self.content.systems]
        return sorted(found, key=lambda each: -each[1].mean())


def pages(view: View) -> dict[str, bytes]:
    """The files of a report but its pictures, by name."""
    environment = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "ends": ends, "with_ends": with_ends, "printable": printable,
                            "percent": percent, "seconds": seconds}
    environment.globals |= {"view": view, "content": view.content, "UNKNOWN": UNKNOWN,
                            "colors": {name: f"rgb{color}" for name, color in
                                       {"darker": DARKER, "same": SAME, "brighter": BRIGHTER}.items()}}

    def page(template: str, **given: Any) -> bytes:
        return environment.get_template(template).render(given).encode("utf-8", "replace")

    found = {"index.html": page("index.html.jinja", **index(view))}
    for system in view.content.systems:
        found[view.systems[system.name]] = page("system.html.jinja", system=system, order=worst_first(view, system))
    for name, places in view.content.photographs.items():
        found[view.photographs[name]] = page("photograph.html.jinja", name=name, places=places)
    for path in sorted((HERE / "static").iterdir()):
        found[path.name] = path.read_bytes()
    return found


def index(view: View) -> dict[str, Any]:
    """What the first page shows beyond the content itself."""
    content, systems = view.content, view.content.systems
    pairs = {(ours.name, theirs.name): probability_of_improvement(ours.scores, theirs.scores)
             for ours, theirs in permutations(systems, 2)}
    heading, *lines = content.table.lines()
    return {
        "forest": Markup(drawings.forest(systems, view.look)), "curves": _markup(drawings.curves(systems, view.look)),
        "profile": Markup(drawings.profile(systems, view.look)),
        "matrix": Markup(drawings.matrix([system.name for system in systems], pairs)) if pairs else None,
        "plane": Markup(drawings.plane(systems, view.look)), "pairs": pairs, "heading": heading, "lines": lines,
        "fitted": [system for system in systems if not system.baseline],
    }


def _markup(drawing: str | None) -> Markup | None:
    return None if drawing is None else Markup(drawing)


def worst_first(view: View, system: System) -> list[int]:
    """The places of the tested photos, those first on which a system gains least."""
    return sorted(range(len(view.shown)), key=lambda place: (system.outcomes[place].gain, place))


def percent(interval: Interval | Estimate | None) -> str:
    """A probability in per cent, with its interval where there is one."""
    if interval is None:
        return UNKNOWN
    return f"{100 * interval.mean:.0f}" + ("" if math.isnan(interval.low) else
                                           f" ({100 * interval.low:.0f} to {100 * interval.high:.0f})")


def seconds(value: float) -> str:
    """A time in words; "-" for NaN."""
    if math.isnan(value):
        return UNKNOWN
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s" if value < 600 else f"{value / 60:.0f} min"


def _marks(segments: Segments, evs: Sequence[float]) -> list[tuple[float, float, str]]:
    """The exposures and where they are written; if they are all the same, one stands for all, on the largest."""
    told = ["" if math.isnan(ev) else signed(ev) for ev in evs]
    order = sorted(range(len(evs)), key=lambda segment: -segments.areas[segment])
    chosen = order[:1] if len({*told}) == 1 else order
    return [(*place, told[segment]) for segment in chosen if (place := segments.places[segment]) and told[segment]]


def _by_seed(outcome: Outcome) -> str:
    return ", ".join(f"{gain:+.2f}" for _, gain in sorted(outcome.gains.items())) if len(outcome.gains) > 1 else ""

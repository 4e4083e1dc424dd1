"""What a report says of a benchmark's finished cells: the systems, the tested photos, and what became of these."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from agents.benchmark.cells import QUICK, Benchmark
from agents.benchmark.fingerprints import fingerprint
from agents.benchmark.kept_pictures import SUFFIX, read_pictures
from agents.benchmark.making import shortened
from agents.benchmark.measures import photograph
from agents.benchmark.methods import BASELINES
from agents.benchmark.own_rewards import PREFIX
from agents.benchmark.protocols import PROTOCOLS
from agents.benchmark.results import read_cell
from agents.benchmark.tables import MethodRow, MethodRun, Table, runs, scores, table
from agents.evaluation.scores import Scores
from agents.training.configuration import PRESETS

OPTIONS = {"total_timesteps": "--timesteps", "segmenter": "--segmenter", "max_segments": "--max-segments",
           "fusion": "--fusion"}  # settings of the configuration that the command line has


class Tested(NamedTuple):
    """A tested photo."""

    name: str
    photograph: str  # the photograph that it is, or is a crop of
    fold: int | None
    place: int  # among the photos of its fold


class Outcome(NamedTuple):
    """What a system made of a tested photo."""

    gains: dict[int, float]  # in PSNR over the untouched photo, by seed [dB]
    entry: dict[str, Any]  # the photo's entry in the cell of the lowest seed
    picture: bytes | None  # WebP file of the result of the lowest seed; None if none was kept

    @property
    def gain(self) -> float:
        """The mean gain over the seeds [dB]."""
        return sum(self.gains.values()) / len(self.gains)


class System(NamedTuple):
    """A system that was tested with at least one seed on all photos."""

    name: str
    row: MethodRow
    runs: list[MethodRun]
    scores: Scores  # gains by seed and photograph [dB]
    cells: list[dict[str, Any]]  # those of the lowest seed, one for each fold, each with its "path"
    outcomes: list[Outcome]  # one for each tested photo, in their order

    @property
    def baseline(self) -> bool:
        """Whether it is a baseline of the benchmark's own, of which nobody asks how it was trained."""
        return self.name in BASELINES


class Content(NamedTuple):
    """All that a report says."""

    protocol: str
    version: str  # fingerprint of the photos
    table: Table  # highest gain first
    systems: list[System]  # in the same order
    photos: list[Tested]
    finished: list[MethodRun]
    unfinished: list[str]  # a line for each run that lacks folds
    software: list[str]
    machines: list[str]
    command: str

    @property
    def photographs(self) -> dict[str, list[int]]:
        """The places of the tested photos of each photograph, by its name, in the names' order."""
        found: dict[str, list[int]] = {}
        for place, photo in sorted(enumerate(self.photos), key=lambda item: item[1].photograph):
            found.setdefault(photo.photograph, []).append(place)
        return found


def read_content(benchmark: Benchmark, reference: str | None = None) -> Content:
    """What there is to say of all finished cells in a benchmark's folder.

    Args:
        benchmark: The benchmark. Its own methods and agents don't matter, its photos do.
        reference: See `tables.table`.

    Raises:
        ValueError: If no run is finished, a cell was made of other photos, or kept pictures are damaged.
    """
    paths, version = sorted(Path(benchmark.out).glob("*.json")), fingerprint(benchmark.folders)
    cells = [read_cell(path) | {"path": path} for path in paths]
    for cell in cells:
        if (found := cell["settings"].get("photos")) != version:
            raise ValueError(f"{cell['path']} was made of other photos ({found}) than those given ({version}): "
                             "a report shows one set of photos")
    if not (finished := runs(cells)):
        raise ValueError(f"no run in {benchmark.out} is finished: there is nothing to report")
    made = table(finished, reference)
    made = made._replace(rows=sorted(made.rows, key=lambda row: (-row.gain.mean, row.method)))
    grouped: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for cell in sorted(cells, key=lambda cell: cell["settings"]["fold"] or 0):
        grouped.setdefault((cell["settings"]["method"], cell["settings"]["seed"]), []).append(cell)
    complete = {(run.method, run.seed) for run in finished}
    unfinished = [f"{method}, seed {seed}: {len(grouped[method, seed])} of the folds"
                  for method, seed in sorted(grouped.keys() - complete)]
    first = grouped[finished[0].method, finished[0].seed]
    photos = [Tested(entry["name"], photograph(entry["name"], cell["settings"]), cell["settings"]["fold"], place)
              for cell in first for place, entry in enumerate(cell["photos"])]
    systems = [_system(row, [run for run in finished if run.method == row.method], grouped) for row in made.rows]
    software = sorted({", ".join(f"{name} {value}" for name, value in cell.get("versions", {}).items())
                       for cell in cells})
    machines = sorted({cell.get("machine", "unknown") for cell in cells})
    return Content(benchmark.protocol, version, made, systems, photos, finished, unfinished, software, machines,
                   command_of(benchmark, systems, reference))


def _system(row: MethodRow, group: list[MethodRun], grouped: dict[tuple[str, int], list[dict[str, Any]]]) -> System:
    cells = {run.seed: grouped[row.method, run.seed] for run in group}
    lowest = cells[min(cells)]
    entries = {seed: [entry for part in parts for entry in part["photos"]] for seed, parts in cells.items()}
    pictures: list[bytes | None] = []
    for part in lowest:
        count = len(part["photos"])
        pictures += read_pictures(part["path"].with_suffix(SUFFIX), count) or [None] * count
    gains = [{seed: each[place]["psnr"] - each[place]["input_psnr"] for seed, each in entries.items()}
             for place in range(len(pictures))]
    outcomes = [Outcome(*each) for each in zip(gains, entries[min(cells)], pictures, strict=True)]
    return System(row.method, row, group, scores(group), lowest, outcomes)


def own_settings(system: System, benchmark: Benchmark) -> dict[str, Any]:
    """The settings that a system changes in the benchmark's shared configuration, by name; of an agent, which it is."""
    settings, shared = system.cells[0]["settings"], asdict(replace(benchmark.config, seed=0))
    own = {name: value for name, value in settings["config"].items()
           if name not in ("seed", "total_timesteps") and name in shared and _plain(shared[name]) != value}
    own |= (settings.get("off_policy") or {}) | settings.get("rival", {})
    return own | {name: settings[name] for name in ("learns", "free", "agent", "reward_model") if name in settings}


def _plain(value: Any) -> Any:
    return [*value] if isinstance(value, tuple) else value  # as JSON has it


def command_of(benchmark: Benchmark, systems: Sequence[System], reference: str | None = None) -> str:
    """The command that makes these cells and this report; folders and files are named by what they are, not where."""
    agents = {system.name: [run.seed for run in system.runs] for system in systems
              if "agent" in system.cells[0]["settings"]}
    words = ["exposure", "benchmark", benchmark.protocol]
    parts = benchmark.folders.keys()
    whole = parts and parts <= {"photos"} or parts & {"raw", "experts", "others"}
    words += ["--photos", "PHOTOS"] if whole or "photos" in parts else []
    words += ["--inputs", "INPUTS", "--targets", "TARGETS"] if "inputs" in parts and not whole else []
    rewards = [system.name for system in systems if "reward_model" in system.cells[0]["settings"]]
    if own := sorted(system.name for system in systems if system.name not in {*agents, *rewards}):
        words += ["--methods", *own]
    words += [word for name, seeds in agents.items() for _ in seeds for word in ("--agent", f"{name}=AGENT")]
    words += [word for name in rewards for word in ("--reward", f"{name.removeprefix(PREFIX)}=REWARD")]
    if seeds := sorted({run.seed for system in systems for run in system.runs if run.learned}):
        words += ["--seeds", *map(str, seeds)]
    settings = PROTOCOLS[benchmark.protocol].settings | (QUICK if benchmark.quick else {})
    usual = shortened(replace(PRESETS["recommended"], **settings), benchmark.share)
    words += ["--budget", f"{benchmark.share}"] if benchmark.share != 1 else []
    for name, option in OPTIONS.items():
        if (value := getattr(benchmark.config, name)) != getattr(usual, name):
            words += [option, str(value)]
    words += ["--reference", reference] if reference is not None else []
    words += ["--quick"] if benchmark.quick else []
    return shlex.join([*words, "--report", "REPORT"])

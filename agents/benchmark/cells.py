"""The cells of the learning benchmark, methods by seeds: each is one JSON file, written once it is finished.

A cell is one method with one seed and, in the protocols of pairs, one fold. A training runs in a process of its own, so
that its memory and processor time can be measured. Finished cells are skipped, so an interrupted benchmark can resume.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from agents.benchmark.data import read_photos
from agents.benchmark.entrants import check_name, find_source, run_entrant
from agents.benchmark.fingerprints import fingerprint
from agents.benchmark.kept_pictures import SUFFIX
from agents.benchmark.methods import (
    BASELINES,
    GLOBAL_NAME,
    GROUPS,
    METHODS,
    OFF_POLICY,
    WARM_START,
    YARDSTICKS,
    changes,
    known_methods,
    length,
    named,
)
from agents.benchmark.own_rewards import CHANGES, load_reward_model, reward_fingerprint, value_for
from agents.benchmark.protocols import PROTOCOLS, protocol_name
from agents.benchmark.results import differences, make_once, read_cell
from agents.benchmark.rivals import RIVALS, run_rival
from agents.benchmark.sb3_settings import SB3
from agents.benchmark.splits import Split
from agents.benchmark.trials import Trial, run_baseline, run_learner
from agents.benchmark.warm_starts import WarmStart, share
from agents.benchmark.workers import run_batches
from agents.benchmark.yardsticks import run_yardstick
from agents.training.configuration import TrainConfig, config_of
from exposure_env.photos import Photo

QUICK = dict(total_timesteps=120, num_envs=4, n_batches=1, batch_size=4, width=4, warm_up=2, n_critic=1,
             discriminator_batch_size=4, max_segments=3, warm_start=2, fresh=1)  # proves only that it runs
SIZES = ("num_envs", "batch_size", "discriminator_batch_size", "warm_up")  # of QUICK, for methods with their own
NO_MATTER = {"checkpoint_every"}  # settings that don't affect results
TASK = ("task_preset", "segmenter", "max_segments", "max_ev", "fusion", "space")  # all that baselines depend on


class Cell(NamedTuple):
    """One training or one baseline."""

    method: str
    seed: int
    fold: int | None = None

    @property
    def name(self) -> str:
        """The name of its files, without the suffix."""
        fold = "" if self.fold is None else f"-fold{self.fold}"
        return f"{self.method.replace(',', '').replace(' ', '_')}-seed{self.seed}{fold}"


@dataclass(frozen=True)
class Benchmark:
    """The settings that all cells of a benchmark share."""

    protocol: str  # key of `protocols.PROTOCOLS`, or an old name
    folders: dict[str, str]  # see `data.find_folders`
    config: TrainConfig
    out: str  # folder of the cells
    quick: bool = False  # whether nothing is to be learned, only to be tried
    agents: dict[str, list[str]] = field(default_factory=dict)  # agents of one's own, see `entrants`: sources by name
    rewards: dict[str, str] = field(default_factory=dict)  # see `own_rewards`: sources by the methods' names
    share: float = 1.0  # fraction of the protocol's trainings that `config` has

    def __post_init__(self) -> None:
        """Gives the protocol its present name, and checks those of the agents."""
        object.__setattr__(self, "protocol", protocol_name(self.protocol))
        for name in self.agents:
            check_name(name, (*METHODS, *BASELINES, *GROUPS))

    def cells(self, methods: Sequence[str] = (), seeds: Sequence[int] = (0,)) -> list[Cell]:
        """The cells of the methods or groups of them, by default those of the protocol.

        A baseline has only one seed, and an agent of one's own one for each source.

        Raises:
            ValueError: If a method is unknown; see also `methods.named`.
        """
        known = [*known_methods(self.protocol), *self.agents, *self.rewards]
        methods = named(methods or PROTOCOLS[self.protocol].methods, known)
        pairs = [(name, 0) for name in methods if name in BASELINES]  # first, as they take only seconds
        pairs += [(name, seed) for name in methods for seed in range(len(self.agents.get(name, ())))]
        methods = sorted(methods, key=lambda name: not name.startswith(WARM_START))  # others may begin from it
        pairs += [(name, seed) for seed, name in product(seeds, methods) if self.trains(name)]
        chosen = range(folds) if (folds := PROTOCOLS[self.protocol].folds) else (None,)
        return [Cell(name, seed, fold) for name, seed in dict.fromkeys(pairs) for fold in chosen]

    def trains(self, method: str) -> bool:
        """Whether a method is trained here."""
        return method in METHODS or method in self.rewards

    def path(self, cell: Cell) -> Path:
        """The file of a cell."""
        return Path(self.out) / f"{cell.name}.json"

    def cell_config(self, cell: Cell) -> TrainConfig:
        """The configuration of a cell."""
        own = dict(CHANGES if cell.method in self.rewards else changes(cell.method))
        timesteps = max(1, length(cell.method, self.config.total_timesteps, self.share))
        if self.quick:  # a method's own sizes would be large
            own |= {name: QUICK[name] for name in own if name in SIZES}
        return replace(self.config, seed=cell.seed, **{"total_timesteps": timesteps} | own)

    def settings(self, cell: Cell) -> dict[str, Any]:
        """Everything that a cell's results depend on, except the versions of software."""
        config = asdict(self.cell_config(cell))
        names = set(config) - NO_MATTER if self.trains(cell.method) else TASK
        names = (*TASK, "total_timesteps", "seed") if cell.method in RIVALS else names
        config = {name: value for name, value in config.items() if name in names}
        settings = {"protocol": self.protocol, **cell._asdict(), "photos": fingerprint(self.folders),
                    "config": config, "off_policy": OFF_POLICY.get(cell.method), **YARDSTICKS.get(cell.method, {})}
        if cell.method in RIVALS:
            settings["rival"] = RIVALS[cell.method].settings
        if cell.method in SB3:
            settings["sb3"] = json.dumps(SB3[cell.method], sort_keys=True)  # flat, to be compared as one
        if cell.method in self.agents:
            settings["agent"] = find_source(self.agents[cell.method][cell.seed]).fingerprint
        if cell.method in self.rewards:
            settings["reward_model"] = reward_fingerprint(self.rewards[cell.method])
        return json.loads(json.dumps(settings))

    def finished(self, cell: Cell) -> bool:
        """Whether the cell's file exists.

        Raises:
            ValueError: If it was made with other settings.
        """
        path = self.path(cell)
        if not path.exists():
            return False
        defaults = json.loads(json.dumps(asdict(TrainConfig())))
        if found := differences(read_cell(path)["settings"], self.settings(cell), defaults):
            raise ValueError(f"{path} was made with other settings: {'; '.join(found[:4])}. Choose another "
                             "folder with --out, or delete the file")
        return True

    def data(self, fold: int | None) -> tuple[Split, Sequence[Photo]]:
        """The photos of a cell, and the training pairs on which constants are fitted."""
        return _data(self.protocol, tuple(self.folders.items()), fold, fingerprint(self.folders))

    def trial(self, cell: Cell) -> Trial:
        """A cell's photos and settings, ready to run."""
        known, config, reward = PROTOCOLS[self.protocol], self.cell_config(cell), None
        if cell.method in self.rewards:
            reward = load_reward_model(self.rewards[cell.method])
            config = replace(config, value=value_for(reward))
        return Trial(cell.method, config, *self.data(cell.fold), known.full_size, known.degradation, reward=reward)

    def warm_start(self, cell: Cell) -> WarmStart | None:
        """The warm start that a cell's game may begin from, if there is such a cell and it is finished."""
        start = cell._replace(method=WARM_START + GLOBAL_NAME * cell.method.endswith(GLOBAL_NAME))
        path = self.path(start)
        agent = path.with_suffix(".safetensors")
        if cell == start or not share(self.cell_config(cell), self.cell_config(start)) or not agent.exists():
            return None
        kept = read_cell(path) if path.exists() else {}
        return WarmStart(agent, kept["results"]) if kept.get("settings") == self.settings(start) else None

    def run_cell(self, cell: Cell) -> None:
        """Runs a cell in this process, unless it is finished, and writes its file and, next to it, agent and pictures.

        Raises:
            ValueError: If another process is at work on it, it was finished with other settings, or the photos were
                changed meanwhile.
        """
        path = self.path(cell)

        def work() -> dict[str, Any]:
            trial = self.trial(cell)._replace(pictures=path.with_suffix(SUFFIX))
            if cell.method in YARDSTICKS:
                return run_yardstick(trial)
            if cell.method in RIVALS:
                return run_rival(trial)
            if cell.method in self.agents:
                return run_entrant(trial, find_source(self.agents[cell.method][cell.seed]))
            if self.trains(cell.method):
                return run_learner(trial, path.with_suffix(""), self.warm_start(cell))
            return run_baseline(trial)

        make_once(path, lambda: self.finished(cell), lambda: self.settings(cell), work, list(self.folders.values()),
                  [path.with_suffix(suffix) for suffix in (".safetensors", ".zip", SUFFIX)])

    def run(self, cells: Sequence[Cell], jobs: int | Executor = 1) -> Iterator[tuple[Cell, str | None]]:
        """Runs the unfinished cells; yields each when it is over, with an error message or None.

        Args:
            cells: The cells; finished ones are skipped.
            jobs: Number of processes at once, each with one thread; or an executor whose workers start them. Its
                workers must see the same folders.

        Raises:
            ValueError: If a finished cell was made with other settings, or `jobs` is below 1. What is wrong with an
                agent or a reward of one's own is told as its cells' error.
        """
        left, wrong = self.unfinished(cells)
        yield from wrong.items()
        batches = in_batches(left)
        orders = [[{**asdict(self), "out": str(Path(self.out).resolve()), "cell": cell} for cell in batch]
                  for batch in batches]
        for number, errors in run_batches("cell", orders, jobs):
            for cell, error in zip(batches[number], errors, strict=True):
                path = self.path(cell)
                yield cell, None if path.exists() else error or f"it came to an end, but there is no {path.resolve()}"

    def unfinished(self, cells: Sequence[Cell]) -> tuple[list[Cell], dict[Cell, str]]:
        """The cells still to run, and those of agents or rewards of one's own with which something is wrong.

        Raises:
            ValueError: If a finished cell of another method was made with other settings.
        """
        left, wrong = [], {}
        for cell in cells:
            try:
                left += [] if self.finished(cell) else [cell]
                self.settings(cell)
            except (ValueError, OSError) as error:
                if cell.method not in {**self.agents, **self.rewards}:
                    raise
                wrong[cell] = f"{type(error).__name__}: {error}"
        return [cell for cell in left if cell not in wrong], wrong


def in_batches(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells in batches, each of which runs in one process, in the order in which they begin."""
    batches = [[cell] for cell in cells if cell.method not in BASELINES]
    if baselines := [cell for cell in cells if cell.method in BASELINES]:
        # They take seconds each: one process runs them all, and reads the photos of a fold once.
        batches.insert(0, sorted(baselines, key=lambda cell: cell.fold or 0))
    return batches


def run_order(order: dict[str, Any]) -> None:
    """Runs one cell in this process; see `workers`.

    Args:
        order: The fields of `Benchmark`, and "cell", as read from JSON.
    """
    cell = Cell(*order["cell"])
    fields = {name: value for name, value in order.items() if name != "cell"}
    Benchmark(**fields | {"config": config_of(order["config"])}).run_cell(cell)


@lru_cache(maxsize=1)
def _data(protocol: str, folders: tuple[tuple[str, str], ...], fold: int | None, version: str
          ) -> tuple[Split, Sequence[Photo]]:
    return read_photos(protocol, dict(folders), fold)

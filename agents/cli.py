"""The command `exposure`: train, evaluate and benchmark; the other commands are in `commands`.

Each command imports what it needs when it runs: help appears at once, and retouching doesn't wait for TensorBoard.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from agents.commands import AuditReward, CheckReward, Data, LearnPreferences, Play, Prefer, Retouch, Show, load
from agents.errors import Diverged
from agents.startup import collect_less
from agents.stopping import Terminated, stoppable
from agents.training.configuration import PRESETS, TrainConfig

Preset = (
    Annotated[TrainConfig, tyro.conf.subcommand("quick", default=PRESETS["quick"], description="minutes on a laptop")]
    | Annotated[TrainConfig, tyro.conf.subcommand("recommended", default=PRESETS["recommended"],
                                                   description="for your own folders of photos")]
    | Annotated[TrainConfig, tyro.conf.subcommand("planes", default=PRESETS["planes"],
                                                   description="the paper's network, no warm start")]
    | Annotated[TrainConfig, tyro.conf.subcommand("paper", default=PRESETS["paper"], description="literal, for a GPU")]
)
Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
Model = Annotated[Path | None, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Train:
    """Train DeepExposure I or II on unpaired photos, against a discriminator that learns with it.

    Folders go before the name of the preset, settings after it:
    exposure train --photos DIR --experts DIR quick --seed 1

    An interrupted run resumes from its last checkpoint, with the settings and photos it began with:
    exposure train --resume RUN
    """

    config: Preset = field(default_factory=lambda: PRESETS["quick"])
    photos: Folder = None  # folder of photos to learn to retouch; the sample photos by default
    experts: Folder = None  # folder of good photos, unpaired; the sample experts by default
    held_out: Folder = None  # folder of good photos kept from the discriminator, to log how it scores unseen ones
    out: Folder = None  # run folder; runs/<time> by default
    resume: Model = None  # run folder of an interrupted run to resume

    def run(self) -> int:
        """Trains, and prints where the results are."""
        from agents.training.run import train
        from agents.training.run_folder import read_config, read_folders
        from exposure_env.photos import FolderPhotos, sample_photos

        config, folder, folders = self.config, self.out or Path("runs") / time.strftime("%Y%m%d-%H%M%S"), {}
        if self.resume is not None:
            if self.out is not None:
                raise ValueError("--resume goes on in the run's own folder: leave out --out")
            folder, folders = self.resume, read_folders(self.resume)
            config = read_config(folder) if config == PRESETS["quick"] else config  # settings given again must match
        folders |= {name: str(path.resolve()) for name in ("photos", "experts", "held_out")
                    if (path := getattr(self, name)) is not None}
        if ("photos" in folders) != ("experts" in folders):
            raise ValueError("give both --photos and --experts, or neither for the sample photos")
        photos, experts = (FolderPhotos(folders[name]) if name in folders else sample_photos(split, 512)
                           for name, split in {"photos": "inputs", "experts": "experts"}.items())
        held_out = FolderPhotos(folders["held_out"]) if "held_out" in folders else None
        print(f"{len(photos)} photos, {len(experts)} experts' photos; writing to {folder}")
        run = train(config, photos, experts, folder, held_out=held_out, resume=self.resume is not None, folders=folders)
        if run.untouched:
            print(f"This run is finished: it tried {run.model.num_timesteps} exposures. Nothing was changed.")
        if run.interrupted:
            print(f"Interrupted: the agent is kept as it was. Go on: exposure train --resume {folder}")
        print(f"Agent, curves.png and progress.csv: {folder}\nTry it: exposure retouch PHOTO -o DIR --model {folder}")
        return 130 if run.interrupted else 0


@dataclass(frozen=True)
class Evaluate:
    """Compare an agent with the baselines on photos that come with an expert's version."""

    model: Model = None  # run folder or agent file; the shipped agent by default
    photos: Folder = None  # folder of photos; the sample test photos by default
    targets: Folder = None  # folder of their retouched versions, under the same file names

    def run(self) -> int:
        """Prints the table of the comparison."""
        from agents.evaluation import compare, contestants, format_table
        from exposure_env.photos import PairedPhotos, Photo, sample_photos

        if (self.photos is None) != (self.targets is None):
            raise ValueError("give both --photos and --targets, or neither for the sample test photos")
        agent = load(self.model)
        if self.photos is None:
            photos, training = sample_photos("test"), sample_photos("inputs", 512)
            experts = sample_photos("experts", 512)
        else:  # constant EV and auto-exposure are fitted on the test photos, to their advantage
            photos = training = PairedPhotos(self.photos, self.targets)
            experts = [Photo(photo.name, photo.target) for photo in photos]
        print(f"Comparing six policies on {len(photos)} photos; the oracle takes the longest.", file=sys.stderr)
        policies = contestants(agent.policy, agent.task(training), experts)
        print(format_table(compare(policies, agent.task(photos))))
        return 0


@dataclass(frozen=True)
class Benchmark:
    """Train and test every method with every seed, and print the table; run it again to resume.

    An agent of your own is tested as it is, and gets a row beside the others; nothing finished is run again:
    exposure benchmark uneven-v1 --agent mine=model.zip

    Two methods of a finished benchmark are compared by:
    exposure benchmark compare DIR A B

    The protocols: sample-v1 takes the sample photos, and with --budget small minutes. uneven-v1 (once called
    misexposed) and backlit-v1 take good photos and expose them wrongly, with bsds500 in the name those of that data
    set. pairs-v1 takes your own pairs, fivek an expert's retouches, fivek-2k2k1k-v1 all of MIT-Adobe FiveK, and
    brackets-v1 dark and normal frames of the same scenes.
    """

    protocol: tyro.conf.Positional[Literal[
        "sample-v1", "uneven-v1", "backlit-v1", "uneven-bsds500-v1", "backlit-bsds500-v1", "fivek", "pairs-v1",
        "fivek-2k2k1k-v1", "brackets-v1", "misexposed",
    ]]  # fmt: skip
    photos: Folder = None  # good photos, by default the samples; or the folder of a data set, see the docs
    inputs: Folder = None  # for pairs-v1, brackets-v1, or fivek instead of --photos: folder of the untouched photos
    targets: Folder = None  # folder of their retouched versions, under the same file names
    subset: bool = False  # whether fivek-2k2k1k-v1 may lack photos; the numbers are then those of another protocol
    out: Folder = None  # folder of the results, one file per training or baseline; runs/benchmark-<protocol> by default
    table: Folder = None  # folder for <protocol>.csv (runs), _long.csv (photos), _table.csv, .md, .png; none by default
    report: Folder = None  # folder for pages that go from the ranking down to each photo, see docs; none by default
    reference: str | None = None  # method that the others are compared with; "paired" or the first learner by default
    # learners and baselines, see agents/benchmark/methods.py, or groups of them: main, rivals, sb3, baselines, all
    methods: tuple[str, ...] = ()  # by default main and baselines, for sample-v1 all
    # agent of your own: NAME=model.zip (or run folder), NAME=module:attribute or NAME=file.py:attribute, something with
    # predict, or a function from photo to photo; may be given several times, with the same NAME for further seeds
    agent: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=AGENT")] = ()
    # reward model of your own, which trains a DeepExposure: a name, run, file, module:attribute or file.py:attribute
    reward: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=REWARD")] = ()
    seeds: tuple[int, ...] = ()  # seeds of the learners, by default 0 1 2, and 0 if the budget is small; baselines: one
    budget: str = "full"  # length of all trainings: full, small (a quarter), or a fraction of the protocol's
    timesteps: int | None = None  # exposures to try in each training, instead of --budget
    segmenter: str | None = None  # what cuts photos into segments, for all methods; by default the protocol's
    max_segments: int | None = None  # largest number of segments, likewise
    fusion: str | None = None  # how finished plans are rendered, likewise
    jobs: int = 1  # trainings at once, each in a process with one thread
    # where cells run: processes; ray or dask: its workers on this machine; ray:auto, ray:ADDRESS or dask:ADDRESS: those
    # of a cluster, which must see the same folders
    engine: str = "processes"
    shard: str = "1/1"  # "i/n", i from 1 to n: run only every n-th cell, for n commands at once that share --out
    quick: bool = False  # use a budget too small to learn anything, just to see it run

    def run(self) -> int:
        """Runs the missing cells, and prints the table of all finished ones."""
        from agents.benchmark import tables
        from agents.benchmark.engines import engine
        from agents.benchmark.entrants import parse_agents
        from agents.benchmark.figures import figure
        from agents.benchmark.forecast import Forecast
        from agents.benchmark.long_form import long_form
        from agents.benchmark.making import make_benchmark
        from agents.benchmark.own_rewards import parse_rewards
        from agents.benchmark.report import check_report, write_report
        from agents.benchmark.results import read_cells
        from agents.benchmark.workers import part
        from agents.pictures import write_figure
        from exposure_env.files import write_whole

        benchmark = make_benchmark(self.protocol, self.photos, self.inputs, self.targets, self.timesteps, self.out,
                                   self.quick, self.segmenter, self.max_segments, self.fusion,
                                   parse_agents(self.agent), self.budget, self.subset, parse_rewards(self.reward))
        if self.report is not None:
            check_report(self.report)
        seeds = self.seeds or ((0,) if self.budget == "small" else (0, 1, 2))
        cells, failures = benchmark.cells([*self.methods, *benchmark.agents, *benchmark.rewards], seeds), []
        known = {cell.method for cell in cells} | {cell["settings"]["method"] for cell in read_cells(benchmark.out)}
        if self.reference not in {None, *known}:
            raise ValueError(f"the reference must be one of {sorted(known)}, not {self.reference!r}")
        cells = part(cells, self.shard)
        unfinished, wrong = benchmark.unfinished(cells)
        left = len(unfinished) + len(wrong)
        print(f"{len(cells)} cells in {benchmark.out}, {left} of them still to run", file=sys.stderr)
        with engine(self.engine if unfinished else "processes", self.jobs) as place:
            forecast = Forecast(benchmark, unfinished, place.slots)
            for done, (cell, error) in enumerate(benchmark.run(cells, place.jobs), 1):
                forecast.over(cell, error is None)
                said = [f"{done}/{left}", cell.name, "" if error is None else "failed", forecast.text()]
                print("  ".join(filter(None, said)), file=sys.stderr)
                failures += [] if error is None else [f"{cell.name}: {error}"]
        finished = tables.runs(found := read_cells(benchmark.out))
        print((table := tables.table(finished, self.reference)).text())
        if self.table is not None:
            self.table.mkdir(parents=True, exist_ok=True)
            write_whole(self.table / f"{self.protocol}.csv", tables.runs_csv(finished))
            write_whole(self.table / f"{self.protocol}_long.csv", long_form(found))
            write_whole(self.table / f"{self.protocol}_table.csv", table.csv())
            write_whole(self.table / f"{self.protocol}.md", table.markdown())
            write_figure(self.table / f"{self.protocol}.png", figure(finished))
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        if self.report is not None:  # last, as it may find nothing to tell of
            print(f"Report: {write_report(benchmark, self.report, self.reference)}", file=sys.stderr)
        return 1 if failures else 0


@dataclass(frozen=True)
class Compare:
    """Compare two methods of a finished benchmark: the difference in PSNR, paired by seed and photograph.

    The exit status is 1 if A is worse than B: if the interval of A minus B lies wholly below 0. It is 0 otherwise.
    """

    out: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]  # folder of the benchmark's results
    a: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="A")]]  # name of a method, as in the table
    b: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="B")]]  # name of the method that it is compared with

    def run(self) -> int:
        """Prints the difference and its interval."""
        from agents.benchmark.comparing import compared
        from agents.benchmark.results import read_cells
        from agents.benchmark.tables import runs

        if not self.out.is_dir():
            raise ValueError(f"there is no folder {self.out}")
        comparison = compared(runs(read_cells(self.out)), self.a, self.b)
        print(comparison.text())
        return 1 if comparison.regression else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of the command `exposure`, run with the given arguments or those of the process."""
    commands = (
        Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Benchmark, tyro.conf.subcommand("benchmark")]
        | Annotated[Data, tyro.conf.subcommand("data")]
        | Annotated[Compare, tyro.conf.subcommand("benchmark-compare")]
        | Annotated[Retouch, tyro.conf.subcommand("retouch")]
        | Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[Play, tyro.conf.subcommand("play")]
        | Annotated[AuditReward, tyro.conf.subcommand("audit")]
        | Annotated[CheckReward, tyro.conf.subcommand("check-reward")]
        | Annotated[Prefer, tyro.conf.subcommand("prefer")]
        | Annotated[LearnPreferences, tyro.conf.subcommand("learn-preferences")]
    )
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff)
    about = "Retouch photographs with an agent that exposes them segment by segment; train one, and judge it."
    if as_program := arguments is None:
        collect_less()
    arguments = [*(sys.argv[1:] if as_program else arguments)]
    if arguments[:2] == ["benchmark", "compare"]:  # no protocol is called so
        arguments[:2] = ["benchmark-compare"]
    command = tyro.cli(commands, prog="exposure", description=about, config=config, args=arguments)
    try:
        with stoppable(last=as_program) if isinstance(command, Benchmark) else nullcontext():
            return command.run()
    except KeyboardInterrupt as error:
        if isinstance(command, Benchmark):
            print("exposure: stopped. What is finished is kept, and the same command goes on.", file=sys.stderr)
        return 143 if isinstance(error, Terminated) else 130
    except Diverged as error:
        print(f"exposure: {error}", file=sys.stderr)
        return 3
    except (ValueError, OSError, MemoryError) as error:
        print(f"exposure: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

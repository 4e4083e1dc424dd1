"""The command `exposure`: train, evaluate, benchmark, retouch, show."""

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from agents.pictures import episode_picture, write_picture
from agents.retouching.batch import find_photos, make_jobs, retouch
from agents.retouching.compiling import compile_ahead
from agents.retouching.journal import Journal
from agents.saved_agent import Agent, load_agent
from agents.training.configuration import PRESETS, TrainConfig
from agents.training.health import Diverged
from exposure_env.files import load_image, remove_leftovers
from exposure_env.photos import FolderPhotos, PairedPhotos, Photo, sample_photos

Preset = (
    Annotated[TrainConfig, tyro.conf.subcommand("quick", default=PRESETS["quick"], description="minutes on a laptop")]
    | Annotated[TrainConfig, tyro.conf.subcommand("recommended", default=PRESETS["recommended"],
                                                   description="for your own folders of photos")]
    | Annotated[TrainConfig, tyro.conf.subcommand("paper", default=PRESETS["paper"], description="literal, for a GPU")]
)
Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
Model = Annotated[Path | None, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Train:
    """Train DeepExposure, I or II, against a learning discriminator, on unpaired photos.

    Folders come before the name of the preset, settings after it:
    exposure train --photos DIR --experts DIR quick --seed 1

    An interrupted run goes on where its last checkpoint was, with the settings and photos that it began with:
    exposure train --resume RUN
    """

    config: Preset = field(default_factory=lambda: PRESETS["quick"])
    photos: Folder = None  # folder of photos to learn to retouch; the sample photos by default
    experts: Folder = None  # folder of good photos, unpaired; the sample experts by default
    held_out: Folder = None  # folder of further good photos, to see what the discriminator makes of unknown ones
    out: Folder = None  # run folder; runs/<time> by default
    resume: Model = None  # run folder of an interrupted run to go on with

    def run(self) -> int:
        """Trains and says where everything lies."""
        from agents.training.run import read_config, read_folders, train

        config, folder, folders = self.config, self.out or Path("runs") / time.strftime("%Y%m%d-%H%M%S"), {}
        if self.resume is not None:
            if self.out is not None:
                raise ValueError("--resume goes on in the run's own folder: leave out --out")
            folder, folders = self.resume, read_folders(self.resume)
            config = read_config(folder) if config == PRESETS["quick"] else config  # given again, it must be the same
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
    """Compare an agent with the baselines on photos whose experts' versions are known."""

    model: Model = None  # run folder or agent file; the shipped agent by default
    photos: Folder = None  # folder of photos; the sample test photos by default
    targets: Folder = None  # folder of their retouched versions, same file names

    def run(self) -> int:
        """Prints the table."""
        from agents.evaluation import (  # here: retouching needs no one to compare with
            compare,
            contestants,
            format_table,
        )

        if (self.photos is None) != (self.targets is None):
            raise ValueError("give both --photos and --targets, or neither for the sample test photos")
        agent = _load(self.model)
        if self.photos is None:
            photos, training = sample_photos("test"), sample_photos("inputs", 512)
            experts = sample_photos("experts", 512)
        else:  # constant EV and auto-exposure are fitted on these very photos: generous to both
            photos = training = PairedPhotos(self.photos, self.targets)
            experts = [Photo(photo.name, photo.target) for photo in photos]
        print(f"Comparing six policies on {len(photos)} photos; the oracle takes the longest.", file=sys.stderr)
        policies = contestants(agent.policy, agent.task(training), experts)
        print(format_table(compare(policies, agent.task(photos))))
        return 0


@dataclass(frozen=True)
class Benchmark:
    """Train every method with every seed, test it, and draw up the table; goes on where it was interrupted."""

    protocol: tyro.conf.Positional[Literal["misexposed", "fivek"]]  # photos misexposed by us, or an expert's retouches
    photos: Folder = None  # good photos; of fivek: folder with fivek_pairs/{input,expert_c} and more
    inputs: Folder = None  # of fivek, instead of --photos: the pairs' untouched photos
    targets: Folder = None  # and their retouched versions
    out: Folder = None  # folder of the results, one file a cell; runs/benchmark-<protocol> by default
    table: Folder = None  # folder for <protocol>.csv, .md and .png
    methods: tuple[str, ...] = ()  # learners and baselines, see agents.trials; the main ones by default
    seeds: tuple[int, ...] = (0, 1, 2)  # of the learners
    timesteps: int | None = None  # exposures to try in each training; by default the preset's
    jobs: int = 1  # trainings at once, each with one thread
    quick: bool = False  # a budget so small that nothing is learned

    def run(self) -> int:
        """Runs what is missing, and prints the table of all that is there."""
        from agents.benchmark import tables as tables
        from agents.benchmark.cells import make_benchmark, read_cells

        benchmark = make_benchmark(self.protocol, self.photos, self.inputs, self.targets, self.timesteps, self.out,
                                   self.quick)
        cells, failures = benchmark.cells(self.methods, self.seeds), []
        left = sum(not benchmark.finished(cell) for cell in cells)
        print(f"{len(cells)} cells in {benchmark.out}, {left} of them still to run", file=sys.stderr)
        for done, (cell, error) in enumerate(benchmark.run(cells, self.jobs), 1):
            print(f"{done}/{left}  {cell.name}{'' if error is None else '  failed'}", file=sys.stderr)
            failures += [] if error is None else [f"{cell.name}: {error}"]
        finished = tables.runs(read_cells(benchmark.out))
        print(tables.format_text(rows := tables.rows(finished)))
        if self.table is not None:
            self.table.mkdir(parents=True, exist_ok=True)
            (self.table / f"{self.protocol}.csv").write_text(tables.format_csv(finished), "utf-8")
            (self.table / f"{self.protocol}.md").write_text(tables.format_markdown(rows), "utf-8")
            tables.figure(finished).savefig(self.table / f"{self.protocol}.png", dpi=110)
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        return 1 if failures else 0


@dataclass(frozen=True)
class Retouch:
    """Retouch photos, or folders of photos, at full size; bit depth, EXIF and colour profile are kept.

    Raw files (with the extra "raw" installed) are developed as shot and written as 16-bit TIFF. Of a folder, all photos
    in it are taken, its sub-folders left out.

    An interrupted run goes on when the command is given again: a photo is skipped if its result is there, unchanged,
    and the agent, this package's version and the photo (its place, size and time of change) are those that it was made
    of; else it is done anew. The folder of the results keeps a journal of that, .exposure-retouch.jsonl. Files that
    this command did not write, or that were changed since, are never replaced without --overwrite. No file is ever
    half-written: hidden ".part" files, which only a killed run leaves, are removed by a later one after a minute.
    """

    photos: tyro.conf.Positional[tuple[Path, ...]]  # JPEG, PNG, TIFF or raw files, or folders of them
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # folder for the results, under the same names
    model: Model = None  # run folder or agent file; the shipped agent by default
    plans: bool = False  # also write every photo's plan, as JSON
    overwrite: bool = False  # make all results anew, and replace whatever is in their place

    def run(self) -> int:
        """Retouches what is not done yet; what fails is named at the end and doesn't stop the others."""
        if not self.photos:
            raise ValueError("name at least one photo")
        jobs = make_jobs(find_photos(self.photos), self.out, self.plans)
        agent = _load(self.model)
        self.out.mkdir(parents=True, exist_ok=True)
        journal, failures = Journal(self.out, agent), []
        standings = ["to do" if self.overwrite else journal.standing(job) for job in jobs]
        if done := standings.count("done"):
            print(f"Skipped: {done} of {len(jobs)} results are there already, made by this agent of these photos "
                  f"(--overwrite makes them anew).")
        failures += [f"{job.target} is there already and not as this command wrote it: --overwrite replaces it"
                     for job, standing in zip(jobs, standings, strict=True) if standing == "foreign"]
        left = [job for job, standing in zip(jobs, standings, strict=True) if standing == "to do"]
        files = [path for job in jobs for path in (job.target, job.plan) if path is not None]
        remove_leftovers(files)
        compile_ahead([job.photo for job in left], self.model)
        bar = tqdm(total=len(left), unit="photo", disable=None if len(jobs) > 1 else True)
        try:
            with bar, closing(retouch(agent, left, journal)) as results:
                for result in results:
                    bar.update()
                    if result.plan is None:
                        failures.append(result.error)
                    else:
                        tqdm.write(f"{result.job.target}  {', '.join(f'{ev:+.2f}' for ev in result.plan.evs)} EV")
        except KeyboardInterrupt:
            print(f"Interrupted: what is finished is in {self.out}; the same command goes on with the rest.")
            return 130
        remove_leftovers(files)
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        return 1 if failures else 0


@dataclass(frozen=True)
class Show:
    """Draw a photo's episode, step by step, as one PNG."""

    photo: tyro.conf.Positional[Path]  # JPEG, PNG, TIFF or raw file
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("storyboard.png")  # PNG to write
    model: Model = None  # run folder or agent file; the shipped agent by default

    def run(self) -> int:
        """Writes the storyboard."""
        agent = _load(self.model)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        write_picture(self.out, episode_picture(agent, Photo(self.photo.stem, load_image(self.photo).pixels)))
        print(self.out)
        return 0


def _load(model: Path | None) -> Agent:
    if model is None:
        print("No --model given: using the small agent shipped with the package, trained on the sample photos.")
    return load_agent(model)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command `exposure`; returns its exit status."""
    commands = (
        Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Benchmark, tyro.conf.subcommand("benchmark")]
        | Annotated[Retouch, tyro.conf.subcommand("retouch")]
        | Annotated[Show, tyro.conf.subcommand("show")]
    )
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff)
    about = "Retouch photographs with an agent that exposes them segment by segment; train one, and judge it."
    command = tyro.cli(commands, prog="exposure", description=about, config=config, args=arguments)
    try:
        return command.run()
    except KeyboardInterrupt:
        return 130
    except Diverged as error:
        print(f"exposure: {error}", file=sys.stderr)
        return 3
    except (ValueError, OSError, MemoryError) as error:
        print(f"exposure: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

"""The command `exposure`: train, evaluate, retouch, show."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from agents.checkpoint import Agent, load_agent
from agents.evaluation import compare, contestants, format_table
from agents.pictures import episode_picture, write_picture
from agents.training import PRESETS, TrainConfig, train
from exposure_env.files import load_image, save_image
from exposure_env.photos import FolderPhotos, PairedPhotos, Photo
from exposure_env.retouch import apply_plan
from exposure_env.samples import sample_photos

Preset = (
    Annotated[TrainConfig, tyro.conf.subcommand("quick", default=PRESETS["quick"], description="minutes on a laptop")]
    | Annotated[TrainConfig, tyro.conf.subcommand("paper", default=PRESETS["paper"], description="literal, for a GPU")]
)
Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
Model = Annotated[Path | None, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Train:
    """Train DeepExposure II against a learning discriminator, on unpaired photos.

    Folders come before the name of the preset, settings after it:
    exposure train --photos DIR --experts DIR quick --seed 1
    """

    config: Preset = field(default_factory=lambda: PRESETS["quick"])
    photos: Folder = None  # folder of photos to learn to retouch; the sample photos by default
    experts: Folder = None  # folder of good photos, unpaired; the sample experts by default
    out: Folder = None  # run folder; runs/<time> by default

    def run(self) -> int:
        """Trains and says where everything lies."""
        if (self.photos is None) != (self.experts is None):
            raise ValueError("give both --photos and --experts, or neither for the sample photos")
        photos = sample_photos("inputs", 512) if self.photos is None else FolderPhotos(self.photos)
        experts = sample_photos("experts", 512) if self.experts is None else FolderPhotos(self.experts)
        folder = self.out or Path("runs") / time.strftime("%Y%m%d-%H%M%S")
        print(f"{len(photos)} photos, {len(experts)} experts' photos; writing to {folder}")
        run = train(self.config, photos, experts, folder)
        if run.interrupted:
            print("Interrupted: the agent is kept as it was.")
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
class Retouch:
    """Retouch photos at full size; bit depth, EXIF and colour profile are kept."""

    photos: tyro.conf.Positional[tuple[Path, ...]]  # JPEG, PNG or TIFF files
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # folder for the results, under the same names
    model: Model = None  # run folder or agent file; the shipped agent by default
    plans: bool = False  # also write every photo's plan, as JSON

    def run(self) -> int:
        """Retouches one after the other; what fails is named at the end and doesn't stop the others."""
        if not self.photos:
            raise ValueError("name at least one photo")
        targets = [self.out / photo.name for photo in self.photos]
        for photo, target in zip(self.photos, targets, strict=True):
            if target.resolve() == photo.resolve():
                raise ValueError(f"{photo} would be overwritten: choose another folder with -o")
        names = [target.with_suffix("") if self.plans else target for target in targets]  # a plan has its photo's stem
        if len(set(names)) < len(names):
            raise ValueError("two of the photos have one file name: retouch them into different folders")
        agent, failures = _load(self.model), []
        self.out.mkdir(parents=True, exist_ok=True)
        bar = tqdm(self.photos, unit="photo", disable=None if len(self.photos) > 1 else True)
        for photo, target in zip(bar, targets, strict=True):
            try:
                plan = self._retouch(agent, photo, target)
                tqdm.write(f"{target}  {', '.join(f'{ev:+.2f}' for ev in plan.evs)} EV")
            except (ValueError, OSError, MemoryError) as error:
                failures.append(str(error) if str(photo) in str(error) else f"{photo}: {error}")
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        return 1 if failures else 0

    def _retouch(self, agent: Agent, photo: Path, target: Path):
        file = load_image(photo)
        plan = agent.plan(file.pixels)
        save_image(target, file._replace(pixels=apply_plan(plan, file.pixels)))
        if self.plans:
            plan.save(target.with_suffix(".json"))
        return plan


@dataclass(frozen=True)
class Show:
    """Draw a photo's episode, step by step, as one PNG."""

    photo: tyro.conf.Positional[Path]  # JPEG, PNG or TIFF file
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
    except (ValueError, OSError, MemoryError) as error:
        print(f"exposure: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

"""The commands `exposure retouch` and `exposure show`: what an agent does to photos."""

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tqdm import tqdm

if TYPE_CHECKING:
    from agents.animation import Frame
    from agents.saved_agent import Agent
    from exposure_env.photos import Photo

Model = Annotated[Path | None, tyro.conf.arg(metavar="RUN")]
OneFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True)
class Retouch:
    """Retouch photos, or folders of photos, at full size; bit depth, EXIF and colour profile are kept.

    Raw files (with the extra "raw" installed) are developed as shot and written as 16-bit TIFF. A folder stands for all
    photos in it, without those in its sub-folders.

    To resume an interrupted run, give the same command again. A photo is skipped if its result exists, is unchanged,
    and was made by the same agent, strength and version of this package from the same photo (path, size and
    modification time); otherwise it is retouched again. The results folder keeps a journal of this,
    .exposure-retouch.jsonl. Files that this command did not write, or that have changed since, are replaced only with
    --overwrite. No file is ever half-written: a killed run may leave hidden ".part" files, which later runs remove once
    they are a minute old.

    A warning names each photo of which more than a tenth is exposed as strongly as the agent can. The contact sheet is
    written after all photos, with a row for each of the first 40, also for those skipped.
    """

    photos: tyro.conf.Positional[tuple[Path, ...]]  # JPEG, PNG, TIFF or raw files, or folders of them
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # folder for the results, under the same names
    model: Model = None  # run folder or agent file; the shipped agent by default
    strength: float = 1.0  # scale of the exposures: 0 leaves photos as they are, 0.5 does half, at most 2
    plans: bool = False  # also write each photo's plan, as JSON
    contact_sheet: OneFile = None  # PNG or JPEG with the first 40 photos before, after and by EV; none by default
    overwrite: bool = False  # retouch all photos again, and replace whatever files are in the way

    def run(self) -> int:
        """Retouches the photos not done yet; failures don't stop the others and are listed at the end."""
        from agents.retouching import Journal, find_photos, make_jobs, retouch, warning
        from agents.retouching.compiling import compile_ahead
        from agents.retouching.contact_sheet import MOST, check_place, finish_sheet
        from exposure_env.files import remove_leftovers

        if not self.photos:
            raise ValueError("name at least one photo")
        jobs = make_jobs(find_photos(self.photos), self.out, self.plans, self.strength)
        if self.contact_sheet is not None:
            check_place(self.contact_sheet, jobs, [path for path in self.photos if path.is_dir()])
        agent = load(self.model)
        for folder in (self.out, *([self.contact_sheet.parent] if self.contact_sheet is not None else [])):
            folder.mkdir(parents=True, exist_ok=True)
        journal, failures = Journal(self.out, agent), []
        standings = {job: "to do" if self.overwrite else journal.standing(job) for job in jobs}
        left, done, foreign = ([job for job in jobs if standings[job] == standing]
                               for standing in ("to do", "done", "foreign"))
        if done:
            print(f"Skipped: {len(done)} of {len(jobs)} results are there already, made by this agent of these photos "
                  f"(--overwrite makes them anew).")
        failures += [f"{job.target} is there already and not as this command wrote it: --overwrite replaces it"
                     for job in foreign]
        shown = [job for job in jobs if standings[job] != "foreign"][:MOST] if self.contact_sheet is not None else []
        rows = {}
        files = [path for job in jobs for path in (job.target, job.plan, self.contact_sheet) if path is not None]
        remove_leftovers(files)
        compile_ahead([job.photo for job in left], self.model)
        bar = tqdm(total=len(left), unit="photo", disable=None if len(jobs) > 1 else True)
        try:
            with bar, closing(retouch(agent, left, journal, {*shown})) as results:
                for result in results:
                    bar.update()
                    if result.plan is None:
                        failures.append(result.error)
                        continue
                    tqdm.write(f"{result.job.target}  {', '.join(f'{ev:+.2f}' for ev in result.plan.evs)} EV")
                    if (told := warning(agent, result)) is not None:
                        tqdm.write(f"warning: {told}", file=sys.stderr)
                    if result.row is not None:
                        rows[result.job] = result.row
            retouched = [job for job in shown if job in rows or standings[job] == "done"]
            failures += finish_sheet(self.contact_sheet, agent, retouched, rows)
        except KeyboardInterrupt:
            print(f"Interrupted: what is finished is in {self.out}; the same command goes on with the rest.")
            return 130
        remove_leftovers(files)
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        return 1 if failures else 0


@dataclass(frozen=True)
class Show:
    """Draw a photo's episode, step by step, as a storyboard in one PNG, or as an animation.

    With --animate, the segments and their exposures follow each other, then the photo before and after, in a GIF (or an
    MP4, with the extra "video"). With --training as well, the photo as several agents retouch it: those that a run has
    kept over its training (exposure train quick --snapshots 12), or the agents of several runs.
    """

    photo: tyro.conf.Positional[Path]  # JPEG, PNG, TIFF or raw file
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="PATH")] = None  # by default storyboard.png, .gif
    model: Model = None  # run folder or agent file; the shipped agent by default
    target: OneFile = None  # a good version of the photo, to compare with
    animate: bool = False  # write a .gif or .mp4 instead of a PNG
    training: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN ...")] = ()  # runs, or agents' files, to animate

    def run(self) -> int:
        """Writes the picture or the animation."""
        from agents.pictures import check_moving, episode_picture, write_animation, write_picture
        from exposure_env.files import load_image
        from exposure_env.photos import Photo

        out = self.out or Path("storyboard.gif" if self.animate else "storyboard.png")
        if self.animate:
            check_moving(out)
        if self.training and not self.animate:
            raise ValueError("--training shows a training in an animation: add --animate")
        if self.training and self.model is not None:
            raise ValueError("give the agents either by --model or by --training, not by both")
        target = None if self.target is None else load_image(self.target).pixels
        photo = Photo(self.photo.stem, load_image(self.photo).pixels, target)
        if self.training:
            frames = self._training_frames(photo)
        elif self.animate:
            from agents.animation import episode_frames

            frames = episode_frames(load(self.model), photo)
        else:
            picture = episode_picture(load(self.model), photo)
        out.parent.mkdir(parents=True, exist_ok=True)
        if self.animate:
            write_animation(out, frames)
        else:
            write_picture(out, picture)
        print(out)
        return 0

    def _training_frames(self, photo: "Photo") -> "list[Frame]":
        from agents.animation import training_frames
        from agents.saved_agent import load_agent
        from agents.training.snapshots import snapshots_of

        agents = []
        for run in self.training:
            several = f"{run.stem}: " if len(self.training) > 1 else ""
            agents += [(several + snapshot.name, load_agent(snapshot.path)) for snapshot in snapshots_of(run)]
        if len(agents) == 1:
            raise ValueError(f"{self.training[0]} is just one agent: train with --snapshots N to keep more of them, or "
                             "name several runs")
        return training_frames(agents, photo)


def load(model: Path | None) -> "Agent":
    """The agent in a run or a file; without either the shipped one, and a line that says so."""
    from agents.saved_agent import load_agent

    if model is None:
        print("No --model given: using the small agent shipped with the package, trained on the sample photos.")
    return load_agent(model)

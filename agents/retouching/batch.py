"""Many photos retouched one after the other, with a journal from which an interrupted run resumes.

While one photo is retouched, the next is decoded and the previous one is encoded, if all three fit into memory.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from agents.retouching.contact_sheet import Row, small
from agents.retouching.journal import Job, Journal
from agents.saved_agent import Agent
from exposure_env import files
from exposure_env.retouch import RetouchPlan, apply_plan
from exposure_env.settings import TaskConfig

PIXELS_AT_ONCE = 150_000_000  # bytes of decoded photos in memory at once, 50 megapixels of 8 bits; or one larger photo
STRONGEST = 2.0  # beyond, exposures would lie far outside of what an agent has tried
NEAR_LIMIT, MUCH = 0.99, 0.1  # of the largest exposure, of the photo: when exposures are worth a warning


class Done(NamedTuple):
    """The outcome of a job: its plan, or the reason why there is none."""

    job: Job
    plan: RetouchPlan | None
    error: str | None = None
    row: Row | None = None  # for a contact sheet


def find_photos(paths: Sequence[Path]) -> list[Path]:
    """The given photos; a folder stands for the photos in it, sorted, without hidden files and sub-folders.

    Raises:
        ValueError: If a folder holds no photo.
    """
    photos = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in files.SUFFIXES + files.RAW_SUFFIXES
                            and p.is_file() and not p.name.startswith("."))
            if not inside:
                raise ValueError(f"no photo in {path}: it needs {', '.join(files.SUFFIXES + files.RAW_SUFFIXES)} files")
        photos += inside
    return photos


def make_jobs(photos: Sequence[Path], out: Path, plans: bool = False, strength: float = 1.0) -> list[Job]:
    """A job for each photo: the result keeps its name (raw files become .tif), and the plan its stem.

    Args:
        photos: The photos' files.
        out: Folder for the results.
        plans: Whether the plans are written, too.
        strength: What the plans' exposures are multiplied by, 0 to `STRONGEST`.

    Raises:
        ValueError: If a photo would be overwritten, two results would have the same name, or the strength is out of
            range.
    """
    if not 0 <= strength <= STRONGEST:
        raise ValueError(f"strength must lie between 0 and {STRONGEST:g}, not {strength!r}")
    targets = [out / (p.stem + ".tif" if p.suffix.lower() in files.RAW_SUFFIXES else p.name) for p in photos]
    jobs = [Job(p, t, t.with_suffix(".json") if plans else None, strength)
            for p, t in zip(photos, targets, strict=True)]
    sources = {photo.resolve() for photo in photos}
    for job in jobs:
        if job.target.resolve() in sources:
            raise ValueError(f"{job.target} would be overwritten: choose another folder with -o")
    names = [str(job.plan or job.target).casefold() for job in jobs]  # some file systems don't tell a.jpg from A.JPG
    if len(set(names)) < len(names):
        twice = next(job.photo.name for job, name in zip(jobs, names, strict=True) if names.count(name) > 1)
        raise ValueError(f"two of the photos have one file name, {twice}: retouch them into different folders")
    return jobs


def warning(agent: Agent, done: Done) -> str | None:
    """What to tell about a photo of which more than a tenth got the largest exposure that the agent has; else None."""
    max_ev = TaskConfig(**agent.settings).max_ev
    share = done.plan.share_beyond(NEAR_LIMIT * max_ev)
    if share <= MUCH:
        return None
    return (f"{done.job.photo}: {100 * share:.0f} % of it is at the limit of this agent, {max_ev:g} EV, or beyond, as "
            f"happens with photos unlike those it learned from. Look at {done.job.target}: if it is overdone, try a "
            "lower --strength or another --model")


def retouch(agent: Agent, jobs: Sequence[Job], journal: Journal, pictured: Collection[Job] = ()) -> Iterator[Done]:
    """Retouches photos in their order, and yields the outcomes; the results are the same as one by one.

    Failures don't stop the others. Of three threads, one reads one photo ahead and one writes one photo behind, but
    only while all photos in memory together take at most `PIXELS_AT_ONCE`; a larger photo has the memory to itself.

    Args:
        agent: The agent.
        jobs: The photos.
        journal: The journal of the results' folder.
        pictured: The jobs whose outcomes come with a row for a contact sheet.
    """
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        reading: Future | None = None
        writing: tuple[int, Future] | None = None
        for i, job in enumerate(jobs):
            if reading is None and writing is not None and not _fits(writing[0], decoded_bytes(job.photo)):
                yield writing[1].result()
                writing = None
            size, reading = decoded_bytes(job.photo), reading or reader.submit(_read, job, journal)
            read, reading, following = reading.result(), None, jobs[i + 1 : i + 2]

            def read_ahead(*sizes: int, following: Sequence[Job] = following) -> Future | None:
                fits = following and _fits(*sizes, decoded_bytes(following[0].photo))
                return reader.submit(_read, following[0], journal) if fits else None

            reading = read_ahead(size, writing[0] if writing else 0)
            try:
                save = _retouched(agent, job, journal, job in pictured, *read)
            except Exception as error:  # whatever is wrong with one photo, the others are retouched
                save = _failure(job, error)
            del read  # frees the untouched pixels
            if writing is not None:
                yield writing[1].result()
            writing = size, writer.submit(save)
            del save
            reading = reading or read_ahead(size)
        if writing is not None:
            yield writing[1].result()


def decoded_bytes(photo: Path) -> int:
    """The size of a photo's pixels in memory [bytes]; 0 if it can't be read, as reading it will say why."""
    try:
        return files.pixel_bytes(photo)
    except Exception:  # as below
        return 0


def _fits(*sizes: int) -> bool:
    return sum(sizes) <= PIXELS_AT_ONCE


def _read(job: Job, journal: Journal) -> tuple[str, files.ImageFile | None, Exception | None]:
    try:
        key = journal.key(job)  # before reading: if the photo changes meanwhile, it will be done again
        return key, files.load_image(job.photo), None
    except Exception as error:
        return "", None, error


def _failure(job: Job, error: Exception) -> Callable[[], Done]:
    known = isinstance(error, ValueError | OSError)  # whose messages speak for themselves
    text = str(error) if known else f"{type(error).__name__}: {error}"
    text = text if str(job.photo) in text else f"{job.photo}: {text}"
    return lambda: Done(job, None, text)


def _retouched(agent: Agent, job: Job, journal: Journal, pictured: bool, key: str, file: files.ImageFile | None,
               error: Exception | None) -> Callable[[], Done]:
    """Retouches a photo, and returns a function that writes the result."""
    if file is None:
        return _failure(job, error)
    plan = agent.plan(file.pixels).scaled(job.strength)
    before = small(file.pixels) if pictured else None  # now, as the pixels are used again
    result = file._replace(pixels=apply_plan(plan, file.pixels, reuse=True))
    row = Row(job.photo.name, before, small(result.pixels), plan) if pictured else None
    text = None if job.plan is None else plan.to_json() + "\n"

    def ready(complete: Path) -> None:
        journal.note(job, key, text, complete)
        if text is not None:
            files.write_whole(job.plan, text)

    def save() -> Done:
        try:
            files.save_image(job.target, result, ready=ready)
            return Done(job, plan, row=row)
        except Exception as error:
            return _failure(job, error)()

    return save

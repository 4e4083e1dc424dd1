"""Many photos retouched one after the other, and a journal by which an interrupted run goes on where it stopped.

While one photo is retouched, the next is decoded and the last is encoded, as far as all three are small.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.checkpoint import Agent
from exposure_env import __version__
from exposure_env.files import RAW_SUFFIXES, SUFFIXES, ImageFile, load_image, pixel_bytes, save_image, written_whole
from exposure_env.photos import thumbnail
from exposure_env.retouch import RetouchPlan, apply_plan
from exposure_env.settings import TaskConfig

JOURNAL = ".exposure-retouch.jsonl"
PIXELS_AT_ONCE = 150_000_000  # bytes of decoded photos in memory at once: 50 megapixels of 8 bits; or a single photo
SAME_TIME = 2_000_000_000  # nanoseconds by which some file systems round the time of a change
FAILURES = (ValueError, OSError, MemoryError)


class Job(NamedTuple):
    """A photo to retouch."""

    photo: Path
    target: Path
    plan: Path | None = None  # where its plan is to be written


class Done(NamedTuple):
    """What became of a job: its plan, or why there is none."""

    job: Job
    plan: RetouchPlan | None
    error: str | None = None


def find_photos(paths: Sequence[Path]) -> list[Path]:
    """The photos named; of folders those in them, by suffix, sorted. Hidden files and sub-folders are left out.

    Raises:
        ValueError: If a folder has none.
    """
    photos = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES + RAW_SUFFIXES
                            and p.is_file() and not p.name.startswith("."))
            if not inside:
                raise ValueError(f"no photo in {path}: it needs {', '.join(SUFFIXES + RAW_SUFFIXES)} files")
        photos += inside
    return photos


def make_jobs(photos: Sequence[Path], out: Path, plans: bool = False) -> list[Job]:
    """A job for each photo: results of the same name, of raw files a TIFF; plans of the same stem.

    Raises:
        ValueError: If a photo would be overwritten, or two results would have one name.
    """
    targets = [out / (p.stem + ".tif" if p.suffix.lower() in RAW_SUFFIXES else p.name) for p in photos]
    jobs = [Job(p, t, t.with_suffix(".json") if plans else None) for p, t in zip(photos, targets, strict=True)]
    sources = {photo.resolve() for photo in photos}
    for job in jobs:
        if job.target.resolve() in sources:
            raise ValueError(f"{job.target} would be overwritten: choose another folder with -o")
    names = [str(job.plan or job.target).casefold() for job in jobs]  # some file systems don't tell a.jpg from A.JPG
    if len(set(names)) < len(names):
        twice = next(job.photo.name for job, name in zip(jobs, names, strict=True) if names.count(name) > 1)
        raise ValueError(f"two of the photos have one file name, {twice}: retouch them into different folders")
    return jobs


class Journal:
    """What a folder's results were made of, so that none is made twice and none is taken for what it isn't.

    One line of JSON for each result, appended *before* the complete result takes its place: so there is no moment at
    which a kill leaves a result that the journal doesn't know. A result counts as this command's as long as it has the
    size and time of change noted; as up to date as long as the key noted is the present one (`key`).

    Args:
        folder: Folder of the results.
        agent: Who retouches.
    """

    def __init__(self, folder: Path, agent: Agent):
        self.path, self.agent = folder / JOURNAL, digest(agent)
        self.notes: dict[str, list[dict[str, Any]]] = {}
        lines = self.path.read_text("utf-8", errors="replace").splitlines() if self.path.exists() else []
        for line in lines:
            try:
                note = json.loads(line)
                self.notes.setdefault(note["result"], []).append(note)
            except (ValueError, KeyError, TypeError):  # a line that a loss of power cut short
                continue

    def key(self, photo: Path) -> str:
        """Digest of all that a result depends on: agent, version of this package; photo's place, size, time of change.

        Raises:
            OSError: If there is no such photo.
        """
        stat = photo.stat()
        content = [self.agent, __version__, str(photo.resolve()), stat.st_size, stat.st_mtime_ns]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def standing(self, job: Job) -> str:
        """Where a job stands: "to do", "done", or "foreign": a file is in its place that this command didn't write.

        A result, or a plan, that was changed since is foreign, too.
        """
        notes = self.notes.get(job.target.name, [])
        if job.plan is not None and job.plan.exists():
            written = hashlib.sha256(job.plan.read_bytes()).hexdigest()
            if written not in [note.get("plan") for note in notes]:
                return "foreign"
        if not job.target.exists():
            return "to do"
        stat = job.target.stat()
        matching = [note for note in notes if note.get("size") == stat.st_size
                    and abs(note.get("time", 0) - stat.st_mtime_ns) <= SAME_TIME]
        if not matching:
            return "foreign"
        note = matching[-1]
        with_plan = job.plan is None or (job.plan.exists() and note.get("plan") == written)
        return "done" if job.photo.exists() and note.get("key") == self.key(job.photo) and with_plan else "to do"

    def note(self, job: Job, key: str, plan: str | None, complete: Path) -> None:
        """Notes a result before it takes its place.

        Args:
            job: The job.
            key: See `key`, of the photo as it was before it was read.
            plan: Text of the plan's file, if one is written.
            complete: The result's file, about to be moved to its place.
        """
        stat = complete.stat()
        note = {"result": job.target.name, "size": stat.st_size, "time": stat.st_mtime_ns, "key": key,
                "plan": None if plan is None else hashlib.sha256(plan.encode()).hexdigest()}
        with open(self.path, "ab") as file:
            file.write(f"\n{json.dumps(note)}".encode())  # at once; a line cut short before it stays a line of its own
            file.flush()
            os.fsync(file.fileno())
        self.notes.setdefault(job.target.name, []).append(note)


def digest(agent: Agent) -> str:
    """A digest of all that the agent's decisions depend on."""
    result = hashlib.sha256(json.dumps([agent.segmenter, agent.settings], sort_keys=True).encode())
    for name, tensor in sorted(agent.policy.actor.state_dict().items()):
        result.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        result.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return result.hexdigest()


def plan_photo(agent: Agent, pixels: np.ndarray) -> RetouchPlan:
    """`Agent.plan`, the same bit for bit, but only a third of the photo is in memory as floats at any time.

    Args:
        agent: Who plans.
        pixels: (H, W, 3) uint8 or uint16.
    """
    config, highest = TaskConfig(**agent.settings), np.float32(np.iinfo(pixels.dtype).max)
    planes = [thumbnail(pixels[..., c] / highest, config.size, config.thumbnail) for c in range(3)]
    return agent.plan(np.clip(np.stack(planes, axis=-1), 0, 1))


def retouch(agent: Agent, jobs: Sequence[Job], journal: Journal) -> Iterator[Done]:
    """Retouches photos, in their order; the results are the same as one by one.

    What fails doesn't stop the others. Three threads: one reads one photo ahead, one writes one behind. Both only as
    long as all photos in memory take no more than `PIXELS_AT_ONCE` together; a larger photo has the memory for itself.
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
                save = _retouched(agent, job, journal, *read)
            except FAILURES as error:
                save = _failure(job, error)
            del read  # the untouched pixels
            if writing is not None:
                yield writing[1].result()
            writing = size, writer.submit(save)
            del save
            reading = reading or read_ahead(size)
        if writing is not None:
            yield writing[1].result()


def decoded_bytes(photo: Path) -> int:
    """Bytes of a photo's pixels in memory; 0 if it can't be read, as reading it will say why."""
    try:
        return pixel_bytes(photo)
    except FAILURES:
        return 0


def _fits(*sizes: int) -> bool:
    return sum(sizes) <= PIXELS_AT_ONCE


def _read(job: Job, journal: Journal) -> tuple[str, ImageFile | None, Exception | None]:
    try:
        key = journal.key(job.photo)  # before reading: should the photo change meanwhile, it will be done anew
        return key, load_image(job.photo), None
    except FAILURES as error:
        return "", None, error


def _failure(job: Job, error: Exception) -> Callable[[], Done]:
    text = str(error) if str(job.photo) in str(error) else f"{job.photo}: {error}"
    return lambda: Done(job, None, text)


def _retouched(agent: Agent, job: Job, journal: Journal, key: str, file: ImageFile | None,
               error: Exception | None) -> Callable[[], Done]:
    """Retouches a photo; what is returned writes it."""
    if file is None:
        return _failure(job, error)
    plan = plan_photo(agent, file.pixels)
    result = file._replace(pixels=apply_plan(plan, file.pixels, reuse=True))
    text = None if job.plan is None else plan.to_json() + "\n"

    def ready(complete: Path) -> None:
        journal.note(job, key, text, complete)
        if text is not None:
            with written_whole(job.plan) as plan_file:
                plan_file.write(text.encode())

    def save() -> Done:
        try:
            save_image(job.target, result, ready=ready)
            return Done(job, plan)
        except FAILURES as error:
            return _failure(job, error)()

    return save

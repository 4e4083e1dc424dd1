"""The journal of a folder of results, from which an interrupted run resumes."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.saved_agent import Agent
from exposure_env import __version__
from exposure_env.files import read_small
from exposure_env.parsing import parse_json

JOURNAL = ".exposure-retouch.jsonl"
SAME_TIME = 2_000_000_000  # nanoseconds to which some file systems round modification times


class Job(NamedTuple):
    """A photo to retouch, and the files to write."""

    photo: Path
    target: Path
    plan: Path | None = None  # file for its plan
    strength: float = 1.0  # what the plan's exposures are multiplied by


class Journal:
    """A record of what a folder's results were made from, so that none is made twice or mistaken for another file.

    Each result has a line of JSON, appended *before* the complete result takes its place: a killed run never leaves a
    result that the journal doesn't know. A result counts as written by this command while its size and modification
    time are those noted, and as up to date while its noted key equals the current one (see `key`).

    Args:
        folder: Folder of the results.
        agent: The agent that retouches.
    """

    def __init__(self, folder: Path, agent: Agent):
        self.path, self.agent = folder / JOURNAL, digest(agent)
        self.notes: dict[str, list[dict[str, Any]]] = {}
        for line in read_small(self.path).splitlines() if self.path.exists() else []:
            if (note := _noted(line)) is not None:
                self.notes.setdefault(note["result"], []).append(note)

    def key(self, job: Job) -> str:
        """A digest of all that a result depends on.

        That is agent, strength and package version, and the photo's path, size and modification time.

        Raises:
            OSError: If the photo doesn't exist.
        """
        stat = job.photo.stat()
        content = [self.agent, float(job.strength), __version__, str(job.photo.resolve()), stat.st_size,
                   stat.st_mtime_ns]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def standing(self, job: Job) -> str:
        """The state of a job: "to do", "done", or "foreign" if a file that this command didn't write is in its place.

        A result or plan that has been changed since is foreign, too.
        """
        notes = self.notes.get(job.target.name, [])
        if job.plan is not None and job.plan.exists():
            written = hashlib.sha256(read_small(job.plan)).hexdigest() if job.plan.is_file() else None
            if written is None or written not in [note["plan"] for note in notes]:
                return "foreign"
        if not job.target.exists():
            return "to do"
        stat = job.target.stat()
        matching = [note for note in notes if note["size"] == stat.st_size
                    and abs(note["time"] - stat.st_mtime_ns) <= SAME_TIME]
        if not matching:
            return "foreign"
        note = matching[-1]
        with_plan = job.plan is None or (job.plan.exists() and note["plan"] == written)
        return "done" if job.photo.exists() and note["key"] == self.key(job) and with_plan else "to do"

    def note(self, job: Job, key: str, plan: str | None, complete: Path) -> None:
        """Records a result before it takes its place.

        Args:
            job: The job.
            key: Result of `key`, from before the photo was read.
            plan: Text of the plan's file, if one is written.
            complete: The result's file, about to be moved to its place.
        """
        stat = complete.stat()
        note = {"result": job.target.name, "size": stat.st_size, "time": stat.st_mtime_ns, "key": key,
                "plan": None if plan is None else hashlib.sha256(plan.encode()).hexdigest()}
        with open(self.path, "ab") as file:
            file.write(f"\n{json.dumps(note)}".encode())  # newline first: a line cut short earlier stays apart
            file.flush()
            os.fsync(file.fileno())
        self.notes.setdefault(job.target.name, []).append(note)


def _noted(line: bytes) -> dict[str, Any] | None:
    """The note in a line; None if it was cut short by a power failure, or is of another origin."""
    try:
        note = parse_json(line)
    except ValueError:
        return None
    kinds = {"result": str, "size": int, "time": int, "key": str, "plan": str | None}
    whole = isinstance(note, dict) and kinds.keys() <= note.keys()
    return note if whole and all(isinstance(note[name], kind) for name, kind in kinds.items()) else None


def digest(agent: Agent) -> str:
    """A digest of everything that the agent's decisions depend on."""
    result = hashlib.sha256(json.dumps([agent.segmenter, agent.settings], sort_keys=True).encode())
    for name, tensor in sorted(agent.policy.actor.state_dict().items()):
        result.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        result.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return result.hexdigest()

"""The journal of a folder of results, by which an interrupted run goes on where it stopped."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.saved_agent import Agent
from exposure_env import __version__

JOURNAL = ".exposure-retouch.jsonl"
SAME_TIME = 2_000_000_000  # nanoseconds by which some file systems round the time of a change


class Job(NamedTuple):
    """A photo to retouch."""

    photo: Path
    target: Path
    plan: Path | None = None  # where its plan is to be written


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

"""The three long commands, killed at random moments and resumed: nothing is half-written, lost, or left running.

By hand: python -m tests.kills train|retouch|benchmark --kills 30 --seed 1
A trial is a folder in which a command is killed one to three times, each time after it was resumed, and then runs to
its end. The folder must then hold what an uninterrupted run leaves, but for times. In benchmarks, workers die too.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.json_files import read_json
from agents.retouching import Journal, find_photos, make_jobs
from agents.saved_agent import load_agent
from agents.training.checkpoints import read_checkpoint
from exposure_env.files import ImageFile, load_image, save_image
from exposure_env.photos import sample_photos
from tests.repository import ROOT
from tests.retouching.small import age, photo
from tests.training.small import EXPERTS, HELD_OUT, PHOTOS, assert_same_runs
from tests.training.test_resuming_by_command import SETTINGS

LIMIT = 300.0  # seconds after which a command hangs
LINGER = 10.0  # seconds for which workers may outlive their command
COST = dict.fromkeys(("cpu_seconds", "wall_seconds", "peak_mb"))  # of a cell
STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}  # of a benchmark that is stopped
TIMED = ("progress.csv", "checkpoint.pt", "events.out.tfevents*", ".exposure-retouch.jsonl")  # files with times in them


class Moment(NamedTuple):
    """Seconds after the start, or after the n-th worker's, or after the n-th change of files of some name."""

    after: str  # "start", "worker", or a pattern of names in the folder
    wait: float = 0.0
    nth: int = 1
    worker: bool = False  # whether to kill a worker, once there is one, rather than the command
    how: signal.Signals = signal.SIGKILL


class Outcome(NamedTuple):
    killed: str | None  # "command" or "worker"
    status: int | None  # None if it hung
    left: int  # processes that outlived it for too long
    errors: str
    printed: str
    how: signal.Signals | None = None  # the signal that killed it


def names(folder: Path) -> dict[str, Path]:
    """All files of a folder, by their paths in it without what is random."""
    return {re.sub(r"(?<=tfevents).*|[0-9a-f]{32}", "*", str(path.relative_to(folder))): path
            for path in sorted(folder.rglob("*")) if path.is_file()}


def results(folder: Path) -> dict[str, Any]:
    """The contents of all files but half-written ones and locks, without times."""
    found = {name: path.read_bytes() for name, path in names(folder).items() if not name.endswith((".part", ".lock"))}
    for name, content in found.items():
        with suppress(ValueError):
            if name in TIMED:
                found[name] = None
            elif name.endswith(".json") and "results" in (cell := json.loads(content)):
                found[name] = cell | {"results": cell["results"] | COST}
    return found


def untimed(table: str) -> list[list[str]]:
    """The rows of a benchmark's printed table, without the columns of times and of memory, and without its stamp."""
    lines, _, _ = table.partition("\n\n")
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines.splitlines()]
    kept = [number for number, name in enumerate(rows[0] if rows else []) if not name.endswith(("[s]", "[MB]"))]
    return [[row[number] for number in kept] for row in rows]


def problems(name: str, check: Callable, *arguments: Any) -> list[str]:
    try:
        check(*arguments)
        return []
    except Exception:
        return [f"{name}: {' '.join(traceback.format_exc(limit=-1, chain=False).split()[5:])}"]


def stamps(folder: Path, pattern: str) -> Iterator[tuple]:
    """A new one comes whenever such a file appears or changes; half-written ones only appear."""
    for path in folder.glob(pattern):
        with suppress(OSError):
            yield path, None if path.suffix == ".part" else path.stat().st_mtime_ns


def below(process: subprocess.Popen) -> list[int]:
    """The living processes of a command's session, but for its own."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, _, _, session = file.read_text(errors="replace").rpartition(")")[2].split()[:4]
            found += [int(file.parent.name)] if int(session) == process.pid and state not in "ZX" else []
    return sorted({*found} - {process.pid})


def marked(mark: str) -> list[int]:
    """The living processes in whose environment a text "NAME=VALUE" was when they started; without this one."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            alive = (file.parent / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
            found += [int(file.parent.name)] if alive and mark.encode() in file.read_bytes().split(b"\0") else []
    return sorted({*found} - {os.getpid()})


def parent(pid: int) -> int:
    """The process that started another."""
    return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])


def victim(process: subprocess.Popen, moment: Moment, folder: Path) -> int | None:
    """The process to kill, once the moment has come; None if the command ends before."""
    came, old, new, deadline = None, {*stamps(folder, moment.after)}, set(), time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        workers = below(process) if moment.after == "worker" or moment.worker and came is not None else []
        new |= {*workers} if moment.after == "worker" else {*stamps(folder, moment.after)} - old
        if came is None and (moment.after == "start" or len(new) >= moment.nth):
            came = time.monotonic()
        if came is not None and time.monotonic() >= came + moment.wait and (workers or not moment.worker):
            return workers[(moment.nth - 1) % len(workers)] if moment.worker else process.pid
        time.sleep(0.02 if moment.after == "worker" else 0.001)  # looking for workers takes long
    return None


class Command:
    """A command on photos in a place of its own, and what an uninterrupted run leaves."""

    files: dict[str, int]  # patterns of what it writes, and how often that appears or changes; also "worker"
    photos: Callable[[], dict[str, np.ndarray]]
    arguments: Callable[[Path], list[Any]]

    def __init__(self, place: Path):
        self.place, self.whole = place, place / "whole"
        for name, pixels in self.photos().items():
            (place / name).parent.mkdir(exist_ok=True)
            save_image(place / name, ImageFile(pixels))
        start = time.monotonic()
        self.uninterrupted()
        self.usual = time.monotonic() - start  # [s]

    def uninterrupted(self) -> None:
        outcome = self.attempt(self.whole)
        assert (outcome.status, outcome.left) == (0, 0), outcome

    def halves(self, folder: Path) -> list[str]:
        """What is wrong after a kill: results have to be what they will be in the end."""
        whole = results(self.whole)
        return [f"{name} is not whole" for name, ours in results(folder).items() if whole.get(name, "none") != ours]

    def differences(self, folder: Path) -> list[str]:
        """What is wrong in the end."""
        ours, whole = results(folder), results(self.whole)
        found = [f"{name} is {'left' if name in ours else 'missing'} in the end" for name in ours.keys() ^ whole.keys()]
        found += [f"{name} is different in the end" for name in ours.keys() & whole.keys() if ours[name] != whole[name]]
        return sorted(found) + [f"{name} is never removed" for name in names(folder) if name.endswith(".part")]

    def moment(self, rng: random.Random) -> Moment:
        """A moment of a run: half of them are right after something was written."""
        after = rng.choice(["start", rng.choice(list(self.files))])
        longest = {"start": self.usual, "worker": self.usual / 3}.get(after, 0.02)
        worker = "worker" in self.files and rng.random() < 0.5
        return Moment(after, round(rng.uniform(0, longest), 3), rng.randint(1, self.files.get(after, 2)), worker)

    def attempt(self, folder: Path, moment: Moment | None = None, *more: Any) -> Outcome:
        words = [sys.executable, "-m", "agents.cli", *map(str, self.arguments(folder)), *map(str, more)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        killed = None
        with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as printed:
            process = subprocess.Popen(words, cwd=self.place, env=environment, stdin=subprocess.DEVNULL,
                                       stdout=printed, stderr=errors, start_new_session=True)
            try:
                if moment is not None and (pid := victim(process, moment, folder)) is not None:
                    with suppress(ProcessLookupError):
                        os.kill(pid, moment.how)
                        killed = "command" if pid == process.pid else "worker"
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LIMIT)
                deadline = time.monotonic() + LINGER
                while (left := below(process)) and time.monotonic() < deadline:
                    time.sleep(0.02)
                errors.seek(0)
                printed.seek(0)
                return Outcome(killed, process.returncode, len(left), errors.read(), printed.read(),
                               moment.how if killed else None)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def faults(self, folder: Path, outcome: Outcome) -> list[str]:
        found = [f"processes are left {LINGER:.0f} s after its end"] if outcome.left else []
        if outcome.status is None or outcome.killed is None and outcome.status != 0:
            found += [f"it ends with status {outcome.status}: {(outcome.errors.splitlines() or [''])[-1]}"]
        return found + (self.halves(folder) if outcome.killed else [])

    def trial(self, folder: Path, moments: Sequence[Moment]) -> tuple[int, list[str]]:
        """Kills the command at the moments and lets it end; gives the number of kills, and what is wrong."""
        kills, found = 0, []
        for moment in (*moments, None):
            age(*folder.rglob(".*.part"))  # so that the next run has to remove them
            outcome = self.attempt(folder, moment)
            found += self.faults(folder, outcome)
            if outcome.killed is None:
                break
            kills += 1
            print(f"{moment}: {', '.join(names(folder)) or 'nothing yet'}", flush=True)
        found += self.differences(folder) if outcome.status == 0 else []
        return kills, [problem.replace(str(folder), "OUT") for problem in found]


class Training(Command):
    files = {"config.json": 1, "photos.json": 1, ".*.json.*.part": 2, "agent.safetensors": 4, ".agent*.part": 4,
             "checkpoint.pt": 4, ".check*.part": 4, "progress.csv": 6, "*tfevents*": 3, "storyboards/*": 6,
             "*curves*": 2}

    def photos(self) -> dict[str, np.ndarray]:
        kinds = {"photos": PHOTOS, "experts": EXPERTS, "held-out": HELD_OUT}
        return {f"{kind}/{i}.png": np.uint8(photo.image * 255) for kind, photos in kinds.items()
                for i, photo in enumerate(photos)}

    def arguments(self, folder: Path) -> list[Any]:
        given = [word for kind in ("photos", "experts", "held-out") for word in (f"--{kind}", self.place / kind)]
        first = ["train", *given, "--out", folder, "quick", *SETTINGS]
        return ["train", "--resume", folder] if (folder / "config.json").exists() else first

    def halves(self, folder: Path) -> list[str]:
        readers = {".json": read_json, ".safetensors": load_agent, ".pt": read_checkpoint, ".png": load_image,
                   ".csv": lambda path: np.genfromtxt(path.read_text().splitlines() or ["0"], delimiter=",")}
        return [problem for name, path in names(folder).items() if path.suffix in readers
                for problem in problems(f"{name} is not whole", readers[path.suffix], path)]

    def differences(self, folder: Path) -> list[str]:
        return super().differences(folder) + problems("not the same runs", assert_same_runs, self.whole, folder)


class Retouching(Command):
    files = {"*.jpg": 3, "*.png": 5, "*.tif": 4, "*.json": 12, ".*.part": 24, ".exposure-retouch.jsonl": 12}

    def photos(self) -> dict[str, np.ndarray]:
        kinds = [("jpg", np.uint8), ("png", np.uint8), ("png", np.uint16), ("tif", np.uint8), ("tif", np.uint16)]
        each = zip(range(12), cycle(kinds), cycle(["astronaut", "coffee", "rocket"]), strict=False)
        return {f"photos/{i:02}.{suffix}": photo(scene, 700 + i, 500, dtype) for i, (suffix, dtype), scene in each}

    def arguments(self, folder: Path) -> list[Any]:
        return ["retouch", self.place / "photos", "-o", folder, "--plans"]

    def standings(self, folder: Path, *wrong: str) -> list[str]:
        jobs, journal = make_jobs(find_photos([self.place / "photos"]), folder, True), Journal(folder, load_agent())
        return [f"{job.target.name} is {standing} to the journal" for job in jobs
                if (standing := journal.standing(job)) in wrong]

    def halves(self, folder: Path) -> list[str]:
        images = [path for name, path in names(folder).items() if name.endswith((".jpg", ".png", ".tif"))]
        broken = [problem for path in images for problem in problems(f"{path.name} is broken", load_image, path)]
        return broken + self.standings(folder, "foreign") + super().halves(folder)

    def differences(self, folder: Path) -> list[str]:
        return super().differences(folder) + self.standings(folder, "foreign", "to do")


class Benchmarking(Command):
    files = {"worker": 5, "*.json": 5, ".*.json.*.part": 5, "*.safetensors": 4, ".*.safetensors.*.part": 4}
    methods, seeds = ("II", "identity", "pathwise"), (0, 1)

    def photos(self) -> dict[str, np.ndarray]:
        return {f"photos/{i}.png": np.uint8(photo.image * 255) for i, photo in enumerate(sample_photos("experts", 10))}

    def arguments(self, folder: Path) -> list[Any]:
        return ["benchmark", "misexposed", "--quick", "--photos", self.place / "photos", "--out", folder, "--jobs", 2,
                "--methods", *self.methods, "--seeds", *self.seeds]

    def uninterrupted(self) -> None:
        outcome = self.attempt(self.whole)
        assert (outcome.status, outcome.left) == (0, 0), outcome
        self.table = outcome.printed

    def faults(self, folder: Path, outcome: Outcome) -> list[str]:
        missing = {path.stem for path in self.whole.glob("*.json")} - {path.stem for path in folder.glob("*.json")}
        told, found = {*re.findall("^failed: ([^:]+): ", outcome.errors, re.M)}, super().faults(folder, outcome)
        if outcome.killed == "worker" and (told != missing or outcome.status != bool(missing) or len(missing) > 1):
            found += [f"{len(missing)} cells are missing, it tells of {len(told)} and ends with {outcome.status}"]
        if outcome.killed == "command" and (status := STATUS.get(outcome.how)) is not None:
            stopped = outcome.status == status and outcome.errors.endswith("the same command goes on.\n")
            early = outcome.status == -outcome.how and not outcome.errors  # Python or its modules were still loading
            early |= outcome.how == signal.SIGINT and "cells in" not in outcome.errors
            finished = outcome.status == 0 and not missing
            found += [] if stopped or early or finished else [f"{outcome.how.name} ends it with {outcome.status}"]
        if outcome.killed is None and outcome.status == 0 and untimed(outcome.printed) != untimed(self.table):
            found += ["the table is another in the end"]
        return found

    def busy(self, wait: float) -> list[str]:
        """What is wrong after the command was killed while a worker has hours to go."""
        outcome = self.attempt(self.place / "busy", Moment("worker", wait), "--timesteps", 10**7)
        return [f"busy workers are left {LINGER:.0f} s after its end"] if outcome.left else []


def main() -> int:
    commands = {"train": Training, "retouch": Retouching, "benchmark": Benchmarking}
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=commands)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, kills, trials, found = random.Random(given.seed), 0, 0, Counter()
    with tempfile.TemporaryDirectory() as place:
        command = commands[given.command](Path(place))
        print(f"uninterrupted: {command.usual:.1f} s", flush=True)
        while kills < given.kills:
            moments = [command.moment(rng) for _ in range(min(rng.randint(1, 3), given.kills - kills))]
            more, wrong = command.trial(Path(place) / str(trials), moments)
            wrong += command.busy(rng.uniform(0, 6)) if given.command == "benchmark" else []
            kills, trials, found = kills + more, trials + 1, found + Counter(wrong)
            print("".join(f"    wrong: {problem}\n" for problem in wrong), end="", flush=True)
    print(f"{kills} kills in {trials} trials, {len(found)} findings")
    print("".join(f"{number}x {problem}\n" for problem, number in found.most_common()), end="")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

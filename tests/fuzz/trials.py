"""The trial of a broken file: it is read and, if accepted, used; only ValueError and OSError may come of it."""

import faulthandler
import os
import signal
import sys
import traceback
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.retouching.journal import JOURNAL, Job, Journal
from agents.saved_agent import PLACEHOLDER, load_agent
from agents.training.configuration import task_settings
from agents.training.run_folder import read_config, read_folders
from exposure_env.files import load_image, pixel_bytes, save_image
from exposure_env.retouch import RetouchPlan, apply_plan
from exposure_env.task import ExposureTask
from tests.files.small import noise, written
from tests.fuzz.seeds import BETWEEN, KINDS, RESULTS, SUFFIXES, TIME, seeds
from tests.memory import PEAK, kilobytes

ALLOWED = (ValueError, OSError)
MAX_PIXELS = 4_000_000  # no image may take long, or much memory, for its mere size
GROWTH, RESERVE = 300e6, 6e9  # bytes used; bytes reserved, enough for a read of 2^32, as PNG and TIFF may call for
SECONDS, HANGS = 5.0, 60.0  # of the processor; of the clock
LINUX = sys.platform == "linux" and os.access(PEAK, os.W_OK)
if LINUX:
    import resource


class Outcome(NamedTuple):
    """What came of an input."""

    accepted: bool
    finding: str | None = None


class WrongResult(Exception):
    """An input was accepted, but what came of it is wrong."""


class TooSlow(BaseException):
    """The time is up; nobody catches this one by accident."""


def _try_image(kind: str, data: bytes, folder: Path) -> None:
    own = [SUFFIXES[kind]] * 3
    path = written(folder / f"image{[*own, *SUFFIXES.values()][zlib.crc32(data) % 6]}", data)
    with suppress(*ALLOWED):
        pixel_bytes(path)
    image = load_image(path, max_pixels=MAX_PIXELS)
    for suffix in SUFFIXES.values():
        copy = folder / f"copy{suffix}"
        try:
            save_image(copy, image)
        except ALLOWED:
            continue
        try:
            again = load_image(copy)
        except ALLOWED as error:
            raise WrongResult(f"what was saved does not load: {error}") from error
        if suffix != ".jpg" and not np.array_equal(again.pixels, image.pixels):
            raise WrongResult(f"other pixels were saved as {suffix}")


def _try_agent(kind: str, data: bytes, folder: Path) -> None:
    load_agent(written(folder / "agent.safetensors", data)).plan(noise((64, 64, 3)))


def _try_plan(kind: str, data: bytes, folder: Path) -> None:
    plan = RetouchPlan.load(written(folder / "plan.json", data))
    rendered = plan.render(np.float32(noise((*plan.labels.shape, 3)) / 255))
    retouched = apply_plan(plan, noise((90, 120, 3)))
    if not np.isfinite(rendered).all() or retouched.shape != (90, 120, 3):
        raise WrongResult("what the plan renders is not finite")


def _try_run(kind: str, data: bytes, folder: Path) -> None:
    config, _, photos = data.partition(BETWEEN)
    written(folder / "config.json", config)
    written(folder / "photos.json", photos)
    with suppress(*ALLOWED):
        read_folders(folder)
    config = read_config(folder)
    ExposureTask(PLACEHOLDER, preset=config.task_preset, **task_settings(config))


def _try_journal(kind: str, data: bytes, folder: Path) -> None:
    written(folder / JOURNAL, data)
    plan, photo = written(folder / "plan.txt", b"plan"), written(folder / "photo", b"photo")
    journal = Journal(folder, _shipped())
    for name, size in RESULTS.items():
        if size is not None:
            os.utime(written(folder / name, bytes(size)), ns=(TIME, TIME))
        for job in (Job(photo, folder / name), Job(photo, folder / name, plan), Job(folder / "none", folder / name)):
            journal.standing(job)


_shipped = cache(load_agent)
TRIALS = dict.fromkeys(SUFFIXES, _try_image) | {"safetensors": _try_agent, "plan": _try_plan, "config": _try_run,
                                                "journal": _try_journal}


def warm_up(folder: Path) -> None:
    """Tries all valid files, so that no input is blamed for what is imported and compiled once."""
    for kind in KINDS:
        for data in seeds(kind):
            TRIALS[kind](kind, data, folder)


def try_input(kind: str, data: bytes, folder: Path) -> Outcome:
    """What comes of a file of that kind, written to a folder for the time being."""
    before, accepted, told = _memory("VmRSS"), False, "then accepted"
    try:
        with warnings.catch_warnings(), _limits():
            warnings.simplefilter("ignore")
            TRIALS[kind](kind, data, folder)
        accepted = True
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also a panic of Rust, which is no Exception
        told = f"{type(error).__name__} at {_place(error)}: {str(error).replace(str(folder), '')[:200]}"
        if not isinstance(error, ALLOWED):
            return Outcome(False, told)
        if any(isinstance(cause, MemoryError) or "can't allocate" in str(cause) for cause in _causes(error)):
            return Outcome(False, f"memory: asked for over {RESERVE / 1e9:g} GB, {told}")
    growth = _memory("VmHWM") - before
    return Outcome(accepted, f"memory: {growth / 1e6:.0f} MB more, {told}" if growth > GROWTH else None)


def _place(error: BaseException) -> str:
    """File and line where the packages raised it, or called what did."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if {"agents", "exposure_env"} & {*Path(frame.filename).parts}] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _memory(name: str) -> int:
    """Bytes of memory that the system notes under this name."""
    return 1024 * kilobytes(name) if LINUX else 0


@contextmanager
def _limits() -> Iterator[None]:
    """Ends what takes too long, fails what reserves too much memory, and sets the peak of memory back."""
    if not LINUX:
        yield
        return

    def stop(*_: Any) -> None:
        raise TooSlow(f"over {SECONDS:g} s")

    handler, reserved = signal.signal(signal.SIGPROF, stop), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(_memory("VmSize") + RESERVE), reserved[1]))
    PEAK.write_text("5")
    faulthandler.dump_traceback_later(HANGS, exit=True, file=sys.__stderr__)  # for compiled code that never returns
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, reserved)
        signal.signal(signal.SIGPROF, handler)

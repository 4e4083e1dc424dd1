"""Measure how long each system of the benchmark takes for a photo, planning and rendering, and how much memory.

python benchmarks/systems_speed.py (three minutes)

python benchmarks/systems_speed.py --table DIR (write DIR/systems_speed.md) --only DPE "fixed bracket"

python benchmarks/systems_speed.py --quick (half a minute: two systems, a small photo)

Photos are mosaics of the sample scenes, in 8 bits, 500 px wide and of 12 megapixels. DeepExposure is the agent that is
shipped; the rivals have learned from a single batch, since time doesn't depend on weights. What takes floats gets them
within the time, and rounds its result to 8 bits. Systems take turns, round by round; times are medians, and one thread
is used for Torch and for the compiled blends. Memory is the peak beyond photo and system, each in a process of its own;
it is measured on Linux only.
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro

from agents.baselines.classic import Clahe, EntropyBracket, HistogramMatching
from agents.baselines.untrained import FixedBracket
from agents.benchmark.cells import Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.rivals import RIVALS, sources
from agents.evaluation.formatting import markdown, number
from agents.rivals.crops import Retouch
from agents.saved_agent import load_agent
from blends import large_photo
from exposure_env import apply_plan, exposure_fusion
from exposure_env.photos import photo_thumbnail
from timing import STATUS, in_new_process, peak_memory

Work = Callable[[np.ndarray], np.ndarray]  # (H, W, 3) uint8 -> the same
SIZES = {"500 px": 500 * 333 / 1e6, "12 MP": 12.0}  # [megapixels]
QUICK = {"small": 0.02}
OTHERS = ("DeepExposure", "fixed bracket", "FI, entropy", "CLAHE", "histogram matching")


@dataclass(frozen=True)
class SystemsSpeed:
    """What to measure, how often, and where to write."""

    only: tuple[str, ...] = ()  # names of systems; all by default
    rounds: int = 3
    table: Path | None = None  # folder for systems_speed.md
    quick: bool = False


def system(name: str) -> Work:
    """A system, ready to retouch photos."""
    torch.set_num_threads(1)
    os.environ["EXPOSURE_THREADS"] = "1"
    if name in RIVALS:
        trial = make_benchmark("backlit-v1").trial(Cell(name, 0))
        return partial(_rounded, RIVALS[name].fit(*sources(trial), num_photos=1))
    match name:
        case "DeepExposure":
            agent = load_agent()
            return lambda photo: apply_plan(agent.plan(photo), photo)
        case "fixed bracket":
            return lambda photo: exposure_fusion(photo, FixedBracket().bracket)
        case "FI, entropy":
            return lambda photo: exposure_fusion(photo, EntropyBracket().evs(photo_thumbnail(photo)[None]))
        case "CLAHE":
            return partial(_rounded, Clahe())
        case "histogram matching":
            return partial(_rounded, HistogramMatching(np.ones(256)))
    raise SystemExit(f"systems_speed: systems are {[*OTHERS, *RIVALS]}, not {name!r}")


def _rounded(retouch: Retouch, photo: np.ndarray) -> np.ndarray:
    return np.rint(retouch(photo / np.float32(255)) * 255).astype(np.uint8)


def peak(name: str, megapixels: float) -> float:
    """The peak memory of one photo beyond what was there before [MB]; run it in a process of its own."""
    work, photo = system(name), large_photo(megapixels)
    work(np.ascontiguousarray(photo[:64, :64]))  # compiles, and loads what is loaded late
    return 1000 * peak_memory(lambda: work(photo))[0]


def main(options: SystemsSpeed) -> None:
    names = options.only or (("CLAHE", "DPE") if options.quick else (*OTHERS, *RIVALS))
    sizes, rounds = (QUICK, 1) if options.quick else (SIZES, options.rounds)
    if rounds < 1:
        raise SystemExit(f"systems_speed: rounds must be at least 1, not {rounds}")
    systems = {name: system(name) for name in names}
    photos = {size: large_photo(megapixels) for size, megapixels in sizes.items()}
    seconds: dict[tuple[str, str], list[float]] = {(name, size): [] for name in names for size in sizes}
    for work in systems.values():
        work(np.ascontiguousarray(photos[[*sizes][0]][:64, :64]))
    for _ in range(rounds):
        for (name, size), spent in seconds.items():
            start = time.perf_counter()
            systems[name](photos[size])
            spent.append(time.perf_counter() - start)
    lines = [["system", *(f"{size} [s]" for size in sizes), *(f"{size} [MB]" for size in sizes)]]
    for name in names:
        times = [float(np.median(seconds[name, size])) for size in sizes]
        peaks = [in_new_process(peak, name, each) if STATUS.exists() else float("nan") for each in sizes.values()]
        lines.append([name, *(number(each, ".3f" if each < 1 else ".1f") for each in times),
                      *(number(each, ".0f") for each in peaks)])
        print(*lines[-1], sep="  ", flush=True)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, of which one is used; medians of"
    text = f"{markdown(lines)}\n{machine} {rounds} rounds.\n"
    print(text, end="")
    if options.table is not None:
        options.table.mkdir(parents=True, exist_ok=True)
        (options.table / "systems_speed.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main(tyro.cli(SystemsSpeed, description=__doc__))

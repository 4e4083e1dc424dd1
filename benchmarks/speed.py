"""Measure how fast the environments and the blends are, each beside what one would otherwise use.

python benchmarks/speed.py (seven minutes, and 12 GB of memory for OpenCV's blend of 50 megapixels)

python benchmarks/speed.py --table DIR --json FILE (write DIR/speed.md, and the figures to FILE)

python benchmarks/speed.py --only env_cached blend_64 (some of the measurements)

python benchmarks/speed.py --quick (half a minute: small photos, one round)

Ours and its peer take turns, round by round. The figure is the ratio of the medians, with the range of the rounds' own
ratios. Peers are OpenCV's createMergeMertens(1, 1, 1) on ready-made exposures, where ours computes them on the way;
scikit-image's felzenszwalb; and the project's own single environment without compiled functions, alone, in Gymnasium's
SyncVectorEnv and in Stable-Baselines3's SubprocVecEnv. Memory is measured on Linux, in separate processes: the peak
beyond what the input takes.
"""

import json
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import skimage
import tyro

from blends import blend_24mp, blend_50mp, blend_64, blend_error
from environments import env_cached, env_discriminator, env_uncached, segment_64
from exposure_env import kernels, threads
from startup import first_calls
from timing import Line, Measurement

MEASUREMENTS: dict[str, Measurement] = {
    "blend_24mp": blend_24mp, "blend_50mp": blend_50mp, "blend_error": blend_error, "blend_64": blend_64,
    "segment_64": segment_64, "env_cached": env_cached, "env_uncached": env_uncached,
    "env_discriminator": env_discriminator, "first_calls": first_calls,
}  # fmt: skip


@dataclass(frozen=True)
class BenchmarkSpeed:
    """What to measure, how often, and where to write."""

    only: tuple[str, ...] = ()  # names of measurements; all by default
    rounds: int = 5  # of each measurement that takes less than seconds; the large blends take three at most
    json: Path | None = None  # file for the ratios
    table: Path | None = None  # folder for speed.md
    quick: bool = False


def table(lines: list[Line]) -> str:
    """The README's table."""
    rows = [f"| `{line.name}` | {line.figure()} {line.unit} | {line.note} |" for line in lines]
    return "\n".join(["| | | against, and how |", "|---|---|---|", *rows]) + "\n"


def main(options: BenchmarkSpeed) -> None:
    if unknown := [name for name in options.only if name not in MEASUREMENTS]:
        raise SystemExit(f"speed: measurements are {list(MEASUREMENTS)}, not {unknown[0]!r}")
    if options.rounds < 1:
        raise SystemExit(f"speed: rounds must be at least 1, not {options.rounds}")
    if not kernels.available():
        raise SystemExit("speed: there is nothing to compare without numba: pip install numba")
    options = replace(options, rounds=1) if options.quick else options
    machine = (f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {threads.num_threads()} "
               f"threads, OpenCV {cv2.__version__}, scikit-image {skimage.__version__}; medians of {options.rounds} "
               "rounds, of the large blends of two or three, of the small ones of three times as many")
    print(machine, flush=True)
    lines: list[Line] = []
    for name, measure in MEASUREMENTS.items():
        for line in measure(options.rounds, options.quick) if not options.only or name in options.only else ():
            lines.append(line)
            print(f"{line.name:20} {line.figure():>7} {line.unit}  ({line.note})", flush=True)
    if options.table:
        options.table.mkdir(parents=True, exist_ok=True)
        (options.table / "speed.md").write_text(f"{table(lines)}\n{machine}\n", "utf-8")
    if options.json:
        content = {"machine": machine, **{line.name: round(line.value, 4) for line in lines}}
        options.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(tyro.cli(BenchmarkSpeed, description=f"{__doc__}\n\nMeasurements: {', '.join(MEASUREMENTS)}."))

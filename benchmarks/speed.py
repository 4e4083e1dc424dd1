"""How fast are the environments and the blends? Each figure next to what one would otherwise use, in one run.

python examples/benchmark_speed.py (seven minutes, and 12 GB of memory for OpenCV's blend of 50 megapixels)

python examples/benchmark_speed.py --table DIR --json FILE (speed.md in DIR; the ratios in FILE)

python examples/benchmark_speed.py --only env_cached blend_64 (some of them)

python examples/benchmark_speed.py --quick (half a minute: small photos, one round)

Ours and its peer take turns, round by round; the ratio is that of the medians, with the range of the rounds' own
ratios. Peers are OpenCV's createMergeMertens(1, 1, 1) on ready-made exposures, while ours makes them on the way;
scikit-image's felzenszwalb; and the project's own single environment on the definitions, without compiled functions,
alone, in Gymnasium's SyncVectorEnv and in Stable-Baselines3's SubprocVecEnv. Memory is measured in processes of their
own, on Linux: the peak beyond what the input took.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import skimage
import tyro
from gymnasium.vector import SyncVectorEnv

from exposure_env import (
    ExposureEnv,
    ExposureVectorEnv,
    Photo,
    exposure_fusion,
    kernels,
    sample_photos,
    sample_scenes,
    threads,
)
from exposure_env.fusion import FUSIONS
from exposure_env.image import clip, expose
from exposure_env.photos import thumbnail
from exposure_env.retouch.bands import add_bands, collapsed, gaussians
from exposure_env.segmentation import felzenszwalb

EVS = np.linspace(-2, 2, 8)  # no 0 among them
PINNED = dict(segmenter="felzenszwalb", reward_model="psnr", size=64, max_segments=8, order="area", max_ev=3.0,
              space="linear", fusion="mask_pyramid", reward_image="fused", relative=True, planes="full",
              obs_type="uint8")  # the environments' settings, the peers' too  # fmt: skip
NUM_ENVS, NUM_PEERS = 256, 8
NUM_SCORED = 1024  # episodes at once with a discriminator, which is the faster the more images it is given
FIRST_CALLS = """
import exposure_env, numpy as np
envs = exposure_env.ExposureVectorEnv(16)
envs.reset(seed=0)
for _ in range(9):
    envs.step(envs.action_space.sample())
photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
exposure_env.exposure_fusion(photo, [-1, 1])
labels = np.arange(4096).reshape(64, 64) // 2048
for fusion in ("local", "mask_pyramid", "mertens", "mertens_masked"):
    for dtype in (np.uint8, np.uint16):
        exposure_env.apply_plan(exposure_env.RetouchPlan(labels, [-1.0, 1.0], fusion), photo.astype(dtype))
"""


@dataclass(frozen=True)
class BenchmarkSpeed:
    """What to measure, how often, and where to write."""

    only: tuple[str, ...] = ()  # names of measurements; all by default
    rounds: int = 5  # of each measurement that takes less than seconds; the large blends take three at most
    json: Path | None = None  # file for the ratios
    table: Path | None = None  # folder for speed.md
    quick: bool = False


class Result(NamedTuple):
    """One line of the table."""

    name: str
    value: float  # a ratio, but for memory in all and seconds
    unit: str
    told: str  # what was compared


def race(ours: Callable[[], float], peer: Callable[[], float], rounds: int) -> tuple[float, str]:
    """Ratio of the medians of two rates that are measured in turns, and both with the range of the ratios, in words."""
    rates = np.array([(ours(), _plainly(peer)) for _ in range(rounds)])
    mine, other = np.median(rates, axis=0)
    each = rates[:, 0] / rates[:, 1]
    return mine / other, f"{_short(mine)} against {_short(other)} a second, rounds {each.min():.1f} to {each.max():.1f}"


def _plainly(peer: Callable[[], float]) -> float:
    with kernels.disabled():
        return peer()


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def rate(work: Callable[[], Any], amount: float = 1.0) -> float:
    """Amount of work a second."""
    start = time.perf_counter()
    work()
    return amount / (time.perf_counter() - start)


# Blends


def large_photo(megapixels: float) -> np.ndarray:
    """A mosaic of the sample scenes, (H, W, 3) uint8, with a ratio of 3:2."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    tiles = [cv2.resize((scene.image * 255).astype(np.uint8), (768, 512)) for scene in sample_scenes()]
    rows = [np.concatenate([tiles[(row + column) % len(tiles)] for column in range(height * 3 // 2 // 768 + 1)], axis=1)
            for row in range(height // 512 + 1)]
    return np.ascontiguousarray(np.concatenate(rows)[:height, : height * 3 // 2])


def stack(photo: np.ndarray, dtype: type = np.float32) -> list[np.ndarray]:
    """The ready-made exposures that OpenCV blends."""
    exposures = []
    for ev in EVS:
        table = clip(expose(np.arange(256, dtype=np.float32) / 255, float(ev))) * 255
        exposures.append(np.take(np.rint(table).astype(dtype) if dtype == np.uint8 else table.astype(dtype), photo))
    return exposures


def opencv(exposures: list[np.ndarray]) -> np.ndarray:
    return cv2.createMergeMertens(1, 1, 1).process(exposures)


def ours(photo: np.ndarray) -> np.ndarray:
    return exposure_fusion(photo, EVS, include_input=False, epsilon=1e-12)


def memory(job: str, megapixels: float) -> tuple[float, float]:
    """Peak of a process that blends once [GB]: beyond what it held before, and in all."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (job, megapixels))


def _peak(job: str, megapixels: float) -> tuple[float, float]:
    photo = large_photo(megapixels)
    if job == "ours":
        ours(photo[:64, :64])  # imports and compiled functions
        work, given = ours, photo
    else:
        work, given = opencv, stack(photo, np.float32 if job == "float32" else np.uint8)
    before = _memory("VmRSS")
    work(given)
    peak = _memory("VmHWM")
    return peak - before, peak


def _memory(name: str) -> float:
    """Resident memory of this process, or its peak [GB]. `getrusage` would count the parent process in."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[name].split()[0]) * 1024 / 1e9


def large_blend(name: str, size: float, dtype: type, rounds: int) -> Result:
    """Eight exposures of a photo of so many megapixels, against OpenCV on arrays of a type."""
    photo = large_photo(size)
    exposures = stack(photo, dtype)
    ours(photo[:64, :64])
    ratio, told = race(lambda: rate(lambda: ours(photo), size), lambda: rate(lambda: opencv(exposures), size), rounds)
    return Result(name, ratio, "times as fast", f"OpenCV, {dtype.__name__}, 8 exposures; megapixels: {told}")


def blend_24mp(options: BenchmarkSpeed) -> Iterator[Result]:
    """Speed and memory."""
    size = 1.0 if options.quick else 24.0
    yield large_blend("blend_24mp_speed", size, np.float32, min(options.rounds, 3))
    if not Path("/proc/self/status").exists():
        return
    mine, other = memory("ours", size)[0], memory("float32", size)[0]
    yield Result("blend_24mp_memory", other / mine, "times less", f"OpenCV; extra {mine:.2f} against {other:.2f} GB")


def blend_50mp(options: BenchmarkSpeed) -> Iterator[Result]:
    """Speed and memory."""
    size = 1.0 if options.quick else 50.0
    yield large_blend("blend_50mp_speed", size, np.uint8, min(options.rounds, 2))
    if Path("/proc/self/status").exists():
        told = "resident in all, Python and both photos included"
        yield Result("blend_50mp_rss_gb", memory("ours", size)[1], "GB", told)


def blend_error(options: BenchmarkSpeed) -> Iterator[Result]:
    """Rounding errors at 2 megapixels, against the definition in 64 bits."""
    photo = large_photo(0.2 if options.quick else 2.0)
    reference = _levels(_reference(photo))
    theirs = _levels(opencv(stack(photo)))
    for name, levels in {"ours": ours(photo).astype(float), "opencv": theirs}.items():
        difference = np.abs(levels - reference)
        yield Result(f"blend_error_{name}", difference.mean(), "levels of 255",
                     f"in the mean; {(difference > 1).mean():.3%} of values off by more than one")


def _levels(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 1) * 255)


def _reference(photo: np.ndarray) -> np.ndarray:
    """Mertens, Kautz and Van Reeth's blend in float64, by OpenCV's pyramids."""
    images = [np.clip(expose(photo / 255.0, float(ev)), 0, 1) for ev in EVS]
    weights = []
    for image in images:
        laplacian = cv2.filter2D(image, cv2.CV_64F, np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]))
        red, green, blue = np.moveaxis(image, -1, 0)
        saturation = np.sqrt(((red - green) ** 2 + (green - blue) ** 2 + (blue - red) ** 2) / 9)
        contrast = np.abs(laplacian @ np.array([0.299, 0.587, 0.114]))
        weights.append(contrast * saturation * np.exp(-((image - 0.5) ** 2).sum(-1) / 0.08) + 1e-12)
    total, depth = sum(weights), int(np.log2(min(photo.shape[:2])))
    bands: list[list[np.ndarray]] = [[], [], []]
    for image, weight in zip(images, weights, strict=True):
        halved = gaussians(weight / total, depth)
        for c in range(3):
            add_bands(image[..., c].copy(), halved, bands[c])
    return np.stack([collapsed(bands[c]) for c in range(3)], axis=-1)


def thumbnails(count: int) -> list[np.ndarray]:
    """Sample photos as an agent sees them."""
    return [thumbnail(photo.image) for photo in sample_photos("inputs", count)]


def blend_64(options: BenchmarkSpeed) -> Iterator[Result]:
    """Thumbnails: all renderings, of which `mertens` does what OpenCV does."""
    photos = np.stack(thumbnails(64))
    labels = np.broadcast_to(np.arange(64)[:, None] // 8, (64, 64, 64)).astype(np.int32)
    evs = np.broadcast_to(EVS.astype(np.float32), (64, 8)).copy()
    exposures = [stack(np.rint(photo * 255).astype(np.uint8)) for photo in photos]
    times, rounds = (1, 1) if options.quick else (8, 3 * options.rounds)  # short ones: other processes are felt more
    for name in ("mertens", "mask_pyramid", "mertens_masked", "local"):
        fuse = FUSIONS[name]
        extra = {"include_input": False} if name == "mertens" else {}
        fuse(photos, labels, evs, **extra)
        ratio, told = race(
            lambda: rate(lambda: [fuse(photos, labels, evs, **extra) for _ in range(times)], times * 64),  # noqa: B023
            lambda: rate(lambda: [opencv(each) for _ in range(times) for each in exposures], times * 64),
            rounds)
        yield Result("blend_64_speed" if name == "mertens" else f"blend_64_{name}", ratio, "times as fast",
                     f"OpenCV, 8 exposures; {name}, 64 px, 64 at once, images: {told}")


# Segmentation


def segment_64(options: BenchmarkSpeed) -> Iterator[Result]:
    """Felzenszwalb's segmentation of thumbnails."""
    images = thumbnails(32) * (1 if options.quick else 8)
    felzenszwalb(images[0])

    def theirs() -> None:
        for image in images:
            skimage.segmentation.felzenszwalb(image, scale=300.0, sigma=0.5, min_size=50)

    ratio, told = race(lambda: rate(lambda: [felzenszwalb(image) for image in images], len(images)),
                       lambda: rate(theirs, len(images)), options.rounds)
    yield Result("segment_64_speed", ratio, "times as fast", f"scikit-image, one thread; photos: {told}")


# Environments


class Rolled:
    """A transform: the photo pushed round by a random number of pixels, so that it was never segmented before."""

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The photo, pushed."""
        by = tuple(int(push) for push in rng.integers(photo.image.shape[0], size=2))
        images = (None if each is None else np.roll(each, by, (0, 1)) for each in photo[1:])
        return Photo(photo.name, *images)


def single(plain: bool = False, **settings: Any) -> ExposureEnv:
    """The environment, labels cached where no transform forbids it; in a process of its own without kernels."""
    if plain:
        os.environ["EXPOSURE_KERNELS"] = "0"
    env = ExposureEnv(**(PINNED | settings))
    with kernels.disabled() if plain else nullcontext():
        env.task.prepare()
    return env


def steps(env: Any, num: int) -> Callable[[], float]:
    """What plays so many steps of a batch with random exposures, and gives environment steps a second."""
    env.reset(seed=0) if not hasattr(env, "env_method") else env.reset()
    shape = (16, getattr(env, "num_envs", 1), 1)
    actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)

    def play() -> None:
        for i in range(num):
            env.step(actions[i % 16])

    play()
    return lambda: rate(play, num * shape[1])


def alone(env: ExposureEnv, num: int) -> Callable[[], float]:
    """The same of a single environment."""
    actions = np.random.default_rng(0).uniform(-1, 1, (16, 1)).astype(np.float32)

    def play() -> None:
        env.reset(seed=0)
        for i in range(num):
            if env.step(actions[i % 16])[2]:
                env.reset()

    return lambda: rate(play, num)


def batch(num_envs: int = NUM_ENVS, **settings: Any) -> ExposureVectorEnv:
    """The vector environment, ready."""
    envs = ExposureVectorEnv(num_envs, autoreset_mode="SameStep", **(PINNED | settings))
    envs.task.prepare()
    return envs


def env_cached(options: BenchmarkSpeed) -> Iterator[Result]:
    """Labels known, reward without a network."""
    from stable_baselines3.common.vec_env import SubprocVecEnv

    num = 5 if options.quick else 40
    mine = steps(batch(), num)
    peer = SyncVectorEnv([lambda: single(plain=False)] * NUM_PEERS, autoreset_mode="SameStep")
    ratio, told = race(mine, steps(peer, 2 * num), options.rounds)
    yield Result("env_cached_sync", ratio, "times as fast", f"SyncVectorEnv({NUM_PEERS}), labels known; steps: {told}")
    processes = SubprocVecEnv([lambda: single(plain=True)] * NUM_PEERS)
    ratio, told = race(mine, steps(processes, 2 * num), options.rounds)
    processes.close()
    yield Result("env_cached_subproc", ratio, "times as fast",
                 f"SubprocVecEnv({NUM_PEERS}), labels known; steps: {told}")


def env_uncached(options: BenchmarkSpeed) -> Iterator[Result]:
    """Photos never seen before, in every episode."""
    num = 2 if options.quick else 12
    peer = SyncVectorEnv([lambda: single(transform=Rolled())] * NUM_PEERS, autoreset_mode="SameStep")
    ratio, told = race(steps(batch(transform=Rolled()), num), steps(peer, 4 * num), options.rounds)
    yield Result("env_uncached_sync", ratio, "times as fast",
                 f"SyncVectorEnv({NUM_PEERS}), every photo segmented anew; steps: {told}")


def env_discriminator(options: BenchmarkSpeed) -> Iterator[Result]:
    """A learned reward model, as it is while agents are trained."""
    from agents.rewards.discriminator import DiscriminatorReward

    reward = DiscriminatorReward(device="cpu")
    parameters = sum(parameter.numel() for parameter in reward.network.parameters())
    num = 2 if options.quick else 16
    ratio, told = race(steps(batch(NUM_SCORED, reward_model=reward), num),
                       alone(single(reward_model=reward), 60 * num), options.rounds)
    yield Result("env_discriminator", ratio, "times as fast",
                 f"a single environment, discriminator of {parameters / 1e6:.2f} M parameters, {NUM_SCORED} episodes "
                 f"at once; steps: {told}")


# First calls


def first_calls(options: BenchmarkSpeed) -> Iterator[Result]:
    """What the user waits for, once after the installation and at each import."""
    if not options.quick:
        with tempfile.TemporaryDirectory() as folder:
            seconds = [_seconds(FIRST_CALLS, folder) for _ in range(2)]
        yield Result("compile_seconds", seconds[0] - seconds[1], "s", "all compiled functions, once after installation")
    nothing = np.median([_seconds("import numpy, gymnasium, cv2", None) for _ in range(3)])
    imported = np.median([_seconds("import exposure_env", None) for _ in range(3)])
    yield Result("import_seconds", float(imported), "s", f"NumPy, OpenCV and Gymnasium alone: {nothing:.2f} s")


def _seconds(program: str, folder: str | None) -> float:
    environment = os.environ | ({} if folder is None else {"NUMBA_CACHE_DIR": folder})
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


MEASUREMENTS: dict[str, Callable[[BenchmarkSpeed], Iterator[Result]]] = {
    "blend_24mp": blend_24mp, "blend_50mp": blend_50mp, "blend_error": blend_error, "blend_64": blend_64,
    "segment_64": segment_64, "env_cached": env_cached, "env_uncached": env_uncached,
    "env_discriminator": env_discriminator, "first_calls": first_calls,
}  # fmt: skip


def table(results: list[Result]) -> str:
    """The README's table."""
    lines = ["| | | against, and how |", "|---|---|---|"]
    return "\n".join(lines + [f"| `{r.name}` | {_figure(r)} {r.unit} | {r.told} |" for r in results]) + "\n"


def _figure(result: Result) -> str:
    return f"{result.value:.4f}" if "error" in result.name else f"{result.value:.{1 if result.value >= 3 else 2}f}"


def main(options: BenchmarkSpeed) -> None:
    if unknown := [name for name in options.only if name not in MEASUREMENTS]:
        raise SystemExit(f"benchmark_speed: measurements are {list(MEASUREMENTS)}, not {unknown[0]!r}")
    if options.rounds < 1:
        raise SystemExit(f"benchmark_speed: rounds must be at least 1, not {options.rounds}")
    if not kernels.available():
        raise SystemExit("benchmark_speed: there is nothing to compare without numba: pip install numba")
    options = replace(options, rounds=1) if options.quick else options
    told = (f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {threads.num_threads()} threads, "
            f"OpenCV {cv2.__version__}, scikit-image {skimage.__version__}; medians of {options.rounds} rounds, of the "
            "large blends of two or three, of the small ones of three times as many")
    print(told, flush=True)
    results: list[Result] = []
    for name, measure in MEASUREMENTS.items():
        for result in measure(options) if not options.only or name in options.only else ():
            results.append(result)
            print(f"{result.name:20} {_figure(result):>7} {result.unit}  ({result.told})", flush=True)
    if options.table:
        options.table.mkdir(parents=True, exist_ok=True)
        (options.table / "speed.md").write_text(f"{table(results)}\n{told}\n", "utf-8")
    if options.json:
        content = {"machine": told, **{result.name: round(result.value, 4) for result in results}}
        options.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(tyro.cli(BenchmarkSpeed, description=f"{__doc__}\n\nMeasurements: {', '.join(MEASUREMENTS)}."))

"""Search for settings of Stable-Baselines3's algorithms in the benchmark, at random, a fixed budget for every trial.

python benchmarks/tuning.py PPO --trials 10 (on the sample photos)

python benchmarks/tuning.py PPO --trials 10 --protocol backlit-v1 --photos DIR (on a folder of good photographs)

python benchmarks/tuning.py PPO --trials 10 --write (also writes the best settings to agents/benchmark/sb3.yml)

python benchmarks/tuning.py --quick (seconds, two trials that learn nothing)

The first trial has the settings as they are in sb3.yml, the others differ from them in what `SPACES` names, each drawn
independently. A trial trains as the benchmark does, against a discriminator that learns, on four fifths of the
photographs that a protocol gives to learn from, and is judged by the mean gain in PSNR [dB] on crops of the others.
Photographs of the protocol's test are never looked at, and the seeds, from 1000, are not the benchmark's.

One seed a trial and a short budget rank settings that differ much, and those only: it keeps an algorithm from failing
for its settings. Saturated tells of such a failure, the share of exposures within 0.1 stops of the limit.
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
import yaml

from agents.baselines.untrained import Identity
from agents.benchmark.cells import Cell
from agents.benchmark.fingerprints import fingerprint
from agents.benchmark.making import make_benchmark
from agents.benchmark.measures import photograph
from agents.benchmark.sb3 import build_sb3
from agents.benchmark.sb3_settings import PLACE, PREFIX, read_blocks
from agents.benchmark.splits import Split
from agents.benchmark.trials import Trial
from agents.errors import Diverged
from agents.evaluation.formatting import markdown
from exposure_env.files import write_whole

FIRST_SEED = 1000
HELD_OUT = 5  # every fifth photograph is for judging
MOST = 64  # crops to judge by


def log_uniform(low: float, high: float) -> Callable[[np.random.Generator], float]:
    """Draws numbers whose logarithms are uniform, with two digits."""
    return lambda rng: float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.1e}")


def one_of(*values: Any) -> Callable[[np.random.Generator], Any]:
    """Draws one of the values."""
    return lambda rng: values[int(rng.integers(len(values)))]


SCALE = {"reward_scale": log_uniform(0.02, 0.5), "gamma": one_of(0.95, 0.99, 1.0)}
ON_POLICY = SCALE | {"learning_rate": log_uniform(1e-4, 2e-3), "gae_lambda": one_of(0.9, 0.95, 1.0),
                     "ent_coef": one_of(0.0, 1e-3, 1e-2), "log_std_init": one_of(-2.0, -1.5, -1.0, -0.5)}
# Above these rates the actor soon has its exposures at the limit, where the gradient is lost
REPLAY = SCALE | {"learning_rate": log_uniform(1e-5, 5e-4), "tau": one_of(0.005, 0.02, 0.05),
                  "gradient_steps": one_of(4, 8), "batch_size": one_of(64, 128)}
SPACES: dict[str, dict[str, Callable[[np.random.Generator], Any]]] = {
    "A2C": ON_POLICY | {"n_steps": one_of(4, 8, 16)},
    "PPO": ON_POLICY | {"n_steps": one_of(8, 16, 32), "n_epochs": one_of(2, 4, 8), "clip_range": one_of(0.1, 0.2)},
    "SAC": REPLAY | {"ent_coef": one_of("auto_0.1", "auto_0.01", 0.01, 0.001)},
    "TD3": REPLAY | {"noise_std": one_of(0.05, 0.1, 0.2)},
    "TQC": REPLAY | {"ent_coef": one_of("auto_0.1", "auto_0.01", 0.01, 0.001)},
}
IN_POLICY = ("log_std_init",)  # arguments of the policy
JUDGED = ("gain [dB]", "mean abs. EV", "saturated")


@dataclass(frozen=True)
class Tuning:
    """Options."""

    algorithm: tyro.conf.Positional[Literal["A2C", "PPO", "SAC", "TD3", "TQC"]] = "A2C"
    trials: int = 10  # the first with the settings as they are
    timesteps: int = 4_000  # exposures to try in each trial
    protocol: Literal["sample-v1", "uneven-v1", "backlit-v1"] = "sample-v1"
    photos: Path | None = None  # folder of good photographs, for the other two protocols
    write: bool = False  # write the best settings to the file
    place: Path = PLACE  # the file of all settings
    quick: bool = False  # two trials too short to learn anything, just to see it run


def drawn(algorithm: str, block: dict[str, Any], number: int) -> dict[str, Any]:
    """The settings of a trial; of the first, number 0, as they are."""
    if not number:
        return block
    rng = np.random.default_rng([FIRST_SEED, number])
    values = {name: draw(rng) for name, draw in SPACES[algorithm].items()}
    inner = {name: values.pop(name) for name in IN_POLICY if name in values}
    return block | values | {"policy_kwargs": block.get("policy_kwargs", {}) | inner}


def held_out(split: Split, photos: str) -> Split:
    """A split of what may be learned from alone: some of its photographs are the test."""
    shown = [photograph(photo.name, {"photos": photos}) for photo in split.inputs]
    judged = {name for place, name in enumerate(dict.fromkeys(shown)) if place % HELD_OUT == HELD_OUT - 1 or
              name == shown[-1]}
    learned, test = ([photo for photo, name in zip(split.inputs, shown, strict=True) if (name in judged) == which]
                     for which in (False, True))
    some = np.unique(np.linspace(0, len(test) - 1, min(len(test), MOST)).astype(int))
    return Split(learned, split.experts, [test[int(i)] for i in some])


def run_trial(trial: Trial, algorithm: str, block: dict[str, Any]) -> dict[str, float]:
    """Trains and judges: gain [dB], mean absolute EV, share of EVs at the limit, processor time [s]."""
    cpu = time.process_time()
    model, callbacks = build_sb3(algorithm, block, trial.config, trial.split)
    model.learn(trial.config.total_timesteps, callbacks)
    cpu = time.process_time() - cpu
    before, after = (trial.evaluate(policy, trial.task) for policy in (Identity(), model))
    evs = np.abs(np.concatenate([record.evs for record in after.records]))
    gain = float(after.values("psnr").mean() - before.values("psnr").mean())
    measured = gain, float(evs.mean()), float((evs > after.max_ev - 0.1).mean())
    return dict(zip(JUDGED, measured, strict=True)) | {"CPU [s]": cpu}


def searched(options: Tuning, blocks: dict[str, dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, float]]]:
    """The settings and the results of all trials; what goes wrong in one is its result: nothing was gained."""
    timesteps = None if options.quick else options.timesteps
    benchmark = make_benchmark(options.protocol, options.photos, timesteps=timesteps, quick=options.quick)
    method, block = PREFIX + options.algorithm, blocks[options.algorithm]
    whole = benchmark.trial(Cell(method, 0))
    split = held_out(whole.split, fingerprint(benchmark.folders))
    found = []
    for number in range(2 if options.quick else options.trials):
        settings = drawn(options.algorithm, block, number)
        config = replace(whole.config, seed=FIRST_SEED + number, total_timesteps=benchmark.config.total_timesteps,
                         num_envs=whole.config.num_envs if options.quick else settings["n_envs"])
        try:
            results = run_trial(whole._replace(config=config, split=split), options.algorithm, settings)
        except Diverged as error:
            print(f"trial {number}: {error}", file=sys.stderr)
            results = {JUDGED[0]: -math.inf}
        found.append((settings, results))
        print(f"trial {number}: {results[JUDGED[0]]:+.2f} dB", file=sys.stderr)
    return found


def best_of(found: list[tuple[dict[str, Any], dict[str, float]]]) -> int:
    """The number of the trial that gained most."""
    return max(range(len(found)), key=lambda number: found[number][1][JUDGED[0]])


def told(algorithm: str, found: list[tuple[dict[str, Any], dict[str, float]]]) -> str:
    """The trials as a table, and the best settings as YAML."""
    inner = [name for name in IN_POLICY if name in SPACES[algorithm]]
    names, measured = [name for name in SPACES[algorithm] if name not in inner], (*JUDGED, "CPU [s]")
    lines = [["trial", *measured, *names, *inner]]
    for number, (block, results) in enumerate(found):
        chosen = [*(block.get(name, "-") for name in names), *(block["policy_kwargs"].get(name, "-") for name in inner)]
        lines.append([f"{number}{' (best)' * (number == best_of(found))}",
                      *(f"{results.get(name, math.nan):.2f}" for name in measured), *map(str, chosen)])
    return f"{markdown(lines)}\n{yaml.safe_dump({algorithm: found[best_of(found)][0]}, sort_keys=False)}"


def write(place: Path, algorithm: str, block: dict[str, Any]) -> None:
    """Writes an algorithm's settings into the file, whose heading and other blocks stay."""
    heading = "".join(line for line in place.read_text("utf-8").splitlines(True) if line.startswith("#"))
    write_whole(place, heading + yaml.safe_dump(read_blocks(place) | {algorithm: block}, sort_keys=False))


def main(options: Tuning) -> None:
    torch.set_num_threads(1)
    found = searched(options, read_blocks(options.place))
    budget = "too few" if options.quick else options.timesteps
    print(f"{options.algorithm}, {options.protocol}, {budget} exposures a trial, seeds from {FIRST_SEED}\n")
    print(told(options.algorithm, found), end="")
    if options.write:
        write(options.place, options.algorithm, found[best_of(found)][0])


if __name__ == "__main__":
    main(tyro.cli(Tuning, description=__doc__))

"""A benchmark made from what a user gives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agents.benchmark.cells import QUICK, Benchmark
from agents.benchmark.data import find_folders
from agents.benchmark.protocols import PROTOCOLS, protocol_name
from agents.training.configuration import PRESETS, TrainConfig
from exposure_env.fusion import resolve_fusion

LENGTHS = ("total_timesteps", "warm_start")  # of trainings
BUDGETS = {"small": 0.25, "full": 1.0}  # fractions of a protocol's trainings


def fraction(budget: str | float) -> float:
    """The fraction of a protocol's trainings that a budget is: "small", "full" or a number.

    Raises:
        ValueError: If it is something else, or not above 0.
    """
    try:
        share = float(BUDGETS.get(budget, budget))
    except ValueError:
        share = math.nan
    if not 0 < share < math.inf:
        raise ValueError(f"budget must be {', '.join(BUDGETS)} or a number above 0, not {budget!r}")
    return share


def shortened(config: TrainConfig, share: float) -> TrainConfig:
    """The configuration with a fraction of its exposures and of its warm start, rounded up."""
    return replace(config, **{name: math.ceil(share * getattr(config, name)) for name in LENGTHS})


def make_benchmark(protocol: str, photos: Path | None = None, inputs: Path | None = None, targets: Path | None = None,
                   timesteps: int | None = None, out: Path | None = None, quick: bool = False,
                   segmenter: str | None = None, max_segments: int | None = None, fusion: str | None = None,
                   agents: Mapping[str, Sequence[str]] | None = None, budget: str | float = "full",
                   subset: bool = False, rewards: Mapping[str, str] | None = None) -> Benchmark:
    """The benchmark that a user's options describe.

    Args:
        protocol: Key of `protocols.PROTOCOLS`, or an old name.
        photos: See `data.find_folders`.
        inputs: Likewise.
        targets: Likewise.
        timesteps: Exposures to try in each training; by default the protocol's.
        out: Folder of the cells; by default `runs/benchmark-<protocol>`.
        quick: Whether to take a budget too small to learn anything.
        segmenter: What cuts photos into segments, the same for all methods; by default the protocol's.
        max_segments: Largest number of segments, likewise.
        fusion: Rendering of the results, likewise.
        agents: Sources of agents of one's own by name, see `entrants.find_source`; of each one for each seed.
        budget: Fraction of the protocol's trainings, warm starts included; see `fraction`.
        subset: See `data.find_folders`.
        rewards: Sources of reward models of one's own by their methods' names, see `own_rewards.parse_rewards`.

    Raises:
        ValueError: If the protocol is unknown, its folders don't suit it, one is missing, or a setting makes no sense.
    """
    protocol = protocol_name(protocol)
    share = fraction(budget)
    if timesteps is not None and share != 1:
        raise ValueError(f"give the budget as timesteps, {timesteps}, or as a fraction, {budget}, not both")
    folders = find_folders(protocol, photos, inputs, targets, subset)
    given = {"total_timesteps": timesteps, "segmenter": segmenter, "max_segments": max_segments, "fusion": fusion}
    settings = PROTOCOLS[protocol].settings | (QUICK if quick else {})
    settings |= {name: value for name, value in given.items() if value is not None}
    config = replace(PRESETS["recommended"], device="cpu", **settings)
    config = shortened(config, share)
    config.check()
    resolve_fusion(config.fusion)
    return Benchmark(protocol, {name: str(place) for name, place in folders.items()}, config,
                     str(out or Path("runs") / f"benchmark-{protocol}"), quick,
                     {name: [*sources] for name, sources in (agents or {}).items()}, dict(rewards or {}), share)

"""A benchmark made from what a user gives."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agents.benchmark.cells import QUICK, Benchmark
from agents.benchmark.data import find_folders
from agents.benchmark.methods import PROTOCOLS, protocol_name
from agents.training.configuration import PRESETS
from exposure_env.fusion import resolve_fusion


def make_benchmark(protocol: str, photos: Path | None = None, inputs: Path | None = None, targets: Path | None = None,
                   timesteps: int | None = None, out: Path | None = None, quick: bool = False,
                   segmenter: str | None = None, max_segments: int | None = None, fusion: str | None = None,
                   agents: Mapping[str, Sequence[str]] | None = None) -> Benchmark:
    """The benchmark that a user's options describe.

    Args:
        protocol: Key of `methods.PROTOCOLS`, or an old name.
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

    Raises:
        ValueError: If the protocol is unknown, its folders don't suit it, one is missing, or a setting makes no sense.
    """
    protocol = protocol_name(protocol)
    folders = find_folders(protocol, photos, inputs, targets)
    given = {"total_timesteps": timesteps, "segmenter": segmenter, "max_segments": max_segments, "fusion": fusion}
    settings = PROTOCOLS[protocol] | (QUICK if quick else {})
    settings |= {name: value for name, value in given.items() if value is not None}
    config = replace(PRESETS["recommended"], device="cpu", **settings)
    config.check()
    resolve_fusion(config.fusion)
    return Benchmark(protocol, {name: str(place) for name, place in folders.items()}, config,
                     str(out or Path("runs") / f"benchmark-{protocol}"), quick,
                     {name: [*sources] for name, sources in (agents or {}).items()})

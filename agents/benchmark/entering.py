"""Agents of one's own entered in a benchmark from Python, in one call."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from agents.benchmark.making import make_benchmark
from agents.benchmark.results import read_cells
from agents.benchmark.tables import Table, runs, table


def enter_benchmark(protocol: str, agents: Mapping[str, str | Path | Sequence[str | Path]],
                    jobs: int | Executor = 1, **options: Any) -> Table:
    """The table of a benchmark, after the agents were tested in it; what is finished isn't run again.

    Args:
        protocol: Name of the protocol, such as "uneven-v1".
        agents: By name, the zip of a Stable-Baselines3 model or of a DeepExposure, a run folder, "module:attribute" or
            "file.py:attribute": anything with `predict`, or a function from photo to photo. A list is one for each
            seed.
        jobs: See `cells.Benchmark.run`.
        **options: Further arguments of `making.make_benchmark`, such as `photos` and `out`.

    Raises:
        ValueError: If an agent is missing, isn't one, or fails; the others are tested all the same. Or if an option
            doesn't suit the protocol.
    """
    sources = {name: [str(each) for each in ([given] if isinstance(given, str | Path) else given)]
               for name, given in agents.items()}
    benchmark = make_benchmark(protocol, agents=sources, **options)
    cells = benchmark.cells([*sources]) if sources else []  # without a name it would be all of the benchmark's own
    failures = [f"{cell.name}: {error}" for cell, error in benchmark.run(cells, jobs) if error]
    if failures:
        raise ValueError("; ".join(failures))
    return table(runs(read_cells(benchmark.out)))

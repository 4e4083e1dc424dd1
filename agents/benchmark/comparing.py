"""Two methods of a finished benchmark compared: the difference in PSNR, paired by seed and photograph."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agents.benchmark.tables import MethodRun, seeds_of
from agents.evaluation.formatting import with_ends
from agents.evaluation.statistics import Interval, crossed, student


class Comparison(NamedTuple):
    """How much more PSNR one method reaches than another."""

    ours: str
    theirs: str
    difference: Interval  # ours minus theirs, over seeds and photographs [dB]
    seeds: int
    photographs: int
    better: float  # the fraction of the photographs that ours makes better, on the mean over seeds

    @property
    def regression(self) -> bool:
        """Whether ours is worse: the interval lies wholly below 0."""
        return self.difference.high < 0

    def text(self) -> str:
        """The comparison in words."""
        low_high = with_ends(self.difference, "+.3f")
        verdict = "worse" if self.regression else "better" if self.difference.low > 0 else "no clear difference"
        return (f"PSNR of {self.ours} minus {self.theirs}: {low_high} dB, 95 % interval over {self.seeds} "
                f"seed{'s' * (self.seeds > 1)} and {self.photographs} photographs\n"
                f"{self.ours} is better on {self.better:.0%} of the photographs: {verdict}")


def compared(finished: Sequence[MethodRun], ours: str, theirs: str) -> Comparison:
    """The comparison of two methods, on the photographs that both were tested on.

    With several seeds the interval is over seeds and photographs, see `statistics.crossed`. With one seed, and between
    methods that have none, it is over photographs alone. What has no seed is the same for all seeds of the other.

    Args:
        finished: See `tables.runs`.
        ours: A method's name.
        theirs: Another's.

    Raises:
        ValueError: If one has no finished run, they have no seed in common, or there is a single photograph.
    """
    groups = [{run.seed: run for run in finished if run.method == name} for name in (ours, theirs)]
    for name, group in zip((ours, theirs), groups, strict=True):
        if not group:
            raise ValueError(f"{name!r} has no finished run: the methods that have are "
                             f"{sorted({run.method for run in finished})}")
    seeded = [seeds_of([*group.values()]) for group in groups]
    own = [seeds for seeds in seeded if seeds]
    seeds = sorted(set.intersection(*own)) if own else [0]
    if not seeds:
        raise ValueError(f"{ours!r} and {theirs!r} have no seed in common: {sorted(seeded[0])} and {sorted(seeded[1])}")
    names = list(finished[0].photographs)
    if len(names) < 2:
        raise ValueError("a single photograph gives no interval")
    gains = [np.array([[(group[seed] if known else next(iter(group.values()))).photographs[name] for name in names]
                       for seed in seeds])
             for group, known in zip(groups, seeded, strict=True)]  # (S, P) each
    differences = gains[0] - gains[1]
    interval = crossed(differences) if len(seeds) > 1 else student(differences[0])
    return Comparison(ours, theirs, interval, len(seeds), len(names), float((differences.mean(0) > 0).mean()))

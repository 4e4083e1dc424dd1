"""Eight rewards against six agents: every cell trains, and a table says which rewards deserve trust.

python examples/reward_matrix.py (sample photos; an hour or two, but it can be stopped and goes on where it was)

python examples/reward_matrix.py --photos DIR --seeds 0 1 2 --out DIR (your own good photographs)

python examples/reward_matrix.py --quick (a minute, only to see it run)
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import tyro

from agents.auditing.matrix import AGENTS, REWARDS, MatrixCell, audits, run_cells, tables
from exposure_env.files import write_whole


@dataclass(frozen=True)
class RewardMatrix:
    """What to train, and where to write."""

    photos: Path | None = None  # folder of good photographs; the sample photos by default
    rewards: tuple[str, ...] = REWARDS
    agents: tuple[str, ...] = AGENTS
    seeds: tuple[int, ...] = (0,)
    timesteps: int = 8_000  # exposures that each agent tries
    out: Path = Path("runs/matrix")  # folder of the finished cells, and of matrix.md
    jobs: int = 1  # trainings at once, each in a process with one thread
    quick: bool = False  # a cell or two, too short to learn anything


def main(options: RewardMatrix) -> None:
    photos, timesteps = options.photos and str(options.photos), options.timesteps
    chosen = list(product(options.rewards, options.agents, options.seeds))
    if options.quick:
        chosen, timesteps = [("entropy", "II", 0), ("entropy", "A2C", 0)], 128
    cells = [MatrixCell(*choice, timesteps, photos) for choice in chosen]
    print(f"{len(cells)} cells, {sum(cell.finished(options.out) for cell in cells)} of them finished", flush=True)
    failed = []
    for cell, error in run_cells(cells, options.out, options.jobs):
        print(f"{cell.path(options.out).stem}{'' if error is None else '  failed'}", flush=True)
        failed += [] if error is None else [f"{cell.path(options.out).stem}: {error}"]
    text = tables(cells, options.out, {} if options.quick else audits(photos))
    write_whole(options.out / "matrix.md", text + "\n")
    print(f"\n{text}\n\nIn {options.out}: matrix.md, and *.json, one for each cell")
    if failed:
        raise SystemExit("reward_matrix: " + "\n".join(failed))


if __name__ == "__main__":
    try:
        main(tyro.cli(RewardMatrix, description=f"{__doc__}\n\nRewards: {', '.join(REWARDS)}."))
    except (ValueError, OSError) as error:
        raise SystemExit(f"reward_matrix: {error}") from None

"""The paper's own claims, measured on misexposed photos: one training after another, then a table for each claim.

python examples/paper_claims.py (sample photos; hours on a laptop, but it can be stopped and goes on where it was)

python examples/paper_claims.py --only gradients intermediate --seeds 0 (some claims: gradients, intermediate,
accumulation, cost, reward_image, presets)

python examples/paper_claims.py --photos DIR --table DIR (your own good photographs; tables where you want them)

python examples/paper_claims.py --quick (a minute, only to see it run)

Every training is a JSON file in --out once it is finished, and is not repeated. The tables hold what there is.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from agents.benchmark.cells import QUICK
from agents.benchmark.claims.tables import Measured, write_tables
from agents.benchmark.claims.trainings import CLAIMS, Order, run_orders, variants_of
from agents.benchmark.methods import NO_WARM_START, SHAPED
from agents.json_files import read_json
from agents.training.configuration import PRESETS


@dataclass(frozen=True)
class PaperClaims:
    """What to measure, and where to write."""

    photos: Path | None = None  # folder of good photographs; the sample photos by default
    seeds: tuple[int, ...] = (0, 1, 2)
    out: Path = Path("runs/claims")  # folder of the finished trainings
    timesteps: int = 20_000  # transitions in each training
    only: tuple[str, ...] = ()  # claims; all by default
    table: Path | None = None  # folder of tables and figure; by default that of --out
    jobs: int = 1  # trainings at once, each in a process with one thread
    quick: bool = False  # so small a budget that nothing is learned; by default two claims and one seed


def main(options: PaperClaims) -> None:
    base = replace(PRESETS["recommended"], **NO_WARM_START, **SHAPED, learning_rate=5e-4, device="cpu",
                   total_timesteps=options.timesteps)  # the claims are about what the game teaches
    if options.quick:
        base = replace(base, **QUICK)
        options = replace(options, seeds=options.seeds[:1], only=options.only or ("gradients", "cost"))
    photos, table = options.photos and str(options.photos), options.table or options.out
    orders = [Order(variant, seed, base, photos) for seed in options.seeds for variant in variants_of(options.only)]
    done = sum(order.finished(options.out) for order in orders)
    print(f"{len(orders)} trainings, {done} of them finished already", flush=True)
    failed = []
    for order, error in run_orders(orders, options.out, options.jobs, together=options.quick):
        if error is None:
            cost = read_json(order.path(options.out))["results"]["cpu_seconds"]
            print(f"{order.name}: {cost:.0f} s of CPU", flush=True)
        else:  # the others go on
            failed.append(f"{order.name}: {error}")

    there = [order for order in orders if order.finished(options.out)]
    cells = [Measured(order.variant, order.seed, read_json(order.path(options.out))["results"]) for order in there]
    print("\n" + write_tables(cells, table, options.only))
    print(f"\nIn {table}: claims.md, claims_*.csv and claims.png")
    if failed:
        raise SystemExit("paper_claims: " + "\n".join(failed))


if __name__ == "__main__":
    try:
        main(tyro.cli(PaperClaims, description=f"{__doc__}\n\nClaims: {', '.join(CLAIMS)}."))
    except (ValueError, OSError) as error:  # such as a claim that the paper doesn't make
        raise SystemExit(f"paper_claims: {error}") from None

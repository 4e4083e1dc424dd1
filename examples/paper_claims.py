"""The paper's own claims, measured on misexposed photos: one training after another, then a table for each claim.

python examples/paper_claims.py (sample photos; hours on a laptop, but it can be stopped and goes on where it was)

python examples/paper_claims.py --only gradients intermediate --seeds 0 (some claims: gradients, intermediate,
accumulation, cost, reward_image, presets)

python examples/paper_claims.py --photos DIR --table DIR (your own good photographs; tables where you want them)

python examples/paper_claims.py --quick (a minute, only to see it run)

Every training is a JSON file in --out once it is finished, and is not repeated. The tables hold what there is.
"""

from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from agents.benchmark import QUICK, fingerprint
from agents.claims import CLAIMS, Order, measure, processes, variants_of
from agents.claims_tables import Cell, figure, format_csv, tables
from agents.resume import check_same, read_json, write_json
from agents.training import PRESETS
from agents.trials import machine, versions


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
    base = replace(PRESETS["recommended"], device="cpu", total_timesteps=options.timesteps)
    if options.quick:
        base = replace(base, **QUICK)
        options = replace(options, seeds=options.seeds[:1], only=options.only or ("gradients", "cost"))
    photos, table = options.photos and str(options.photos), options.table or options.out
    orders = [Order(variant, seed, base, photos) for seed in options.seeds for variant in variants_of(options.only)]
    left = [order for order in orders if not finished(order, options.out)]
    print(f"{len(orders)} trainings, {len(orders) - len(left)} of them finished already", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    failed = []
    with processes(options.jobs, fresh=not options.quick) as pool:
        futures = {pool.submit(measure, order): order for order in left}
        try:
            for future in as_completed(futures):
                order, error = futures[future], future.exception()
                if error is not None:  # the others go on
                    failed.append(f"{order.name}: {error}")
                    continue
                results = future.result()
                write_json(path(order, options.out), {"settings": settings(order), "versions": versions(),
                                                      "machine": machine(), "results": results})
                print(f"{order.name}: {results['cpu_seconds']:.0f} s of CPU", flush=True)
        finally:  # also when interrupted
            pool.shutdown(cancel_futures=True)

    there = [order for order in orders if finished(order, options.out)]
    cells = [Cell(order.variant, order.seed, read_json(path(order, options.out))["results"]) for order in there]
    made = tables(cells, options.only)
    table.mkdir(parents=True, exist_ok=True)
    (table / "claims.md").write_text("\n".join(each.markdown() for each in made), "utf-8")
    for each in made:
        (table / f"claims_{each.claim}.csv").write_text(format_csv(cells, each.claim), "utf-8")
    figure(cells).savefig(table / "claims.png", dpi=100)
    print("\n" + "\n\n".join(each.text() for each in made))
    print(f"\nIn {table}: claims.md, claims_*.csv and claims.png")
    if failed:
        raise SystemExit("paper_claims: " + "\n".join(failed))


def path(order: Order, out: Path) -> Path:
    return out / f"{order.name}.json"


def finished(order: Order, out: Path) -> bool:
    if not path(order, out).exists():
        return False
    try:
        check_same(settings(order), read_json(path(order, out)).get("settings", {}), path(order, out))
    except ValueError as error:
        raise ValueError(f"{error}. Choose another folder with --out, or delete the file") from error
    return True


def settings(order: Order) -> dict[str, Any]:
    """All that a training's results depend on, but for versions of software."""
    photos = fingerprint({} if order.photos is None else {"photos": order.photos})
    return {"variant": order.variant, "seed": order.seed, "photos": photos, "config": asdict(order.config)}


if __name__ == "__main__":
    try:
        main(tyro.cli(PaperClaims, description=f"{__doc__}\n\nClaims: {', '.join(CLAIMS)}."))
    except (ValueError, OSError) as error:  # such as a claim that the paper doesn't make
        raise SystemExit(f"paper_claims: {error}") from None

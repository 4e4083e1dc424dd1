"""Finished cells of the protocol fivek beside the paper's Table 1, with and without differences that wrap around.

exposure benchmark fivek --photos DIR --methods identity "fixed bracket" Exposure CycleGAN
python benchmarks/table_1.py runs/benchmark-fivek
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.benchmark.results import read_cells
from agents.benchmark.table_1 import table_1


@dataclass(frozen=True)
class Table1:
    """Where the cells are."""

    folder: Annotated[Path, tyro.conf.Positional]  # the benchmark's --out


def main(options: Table1) -> None:
    if not (cells := read_cells(options.folder)):
        raise SystemExit(f"table_1: there are no finished cells in {options.folder}")
    print(table_1(cells), end="")


if __name__ == "__main__":
    main(tyro.cli(Table1, description=__doc__))

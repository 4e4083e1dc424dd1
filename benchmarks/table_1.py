"""Finished cells beside the paper's Table 1, with and without differences that wrap around at 256.

exposure benchmark fivek --photos DIR --methods identity "fixed bracket" Exposure CycleGAN
python benchmarks/table_1.py runs/benchmark-fivek

python benchmarks/table_1.py --quick (six sample photos, a stop too dark, under two methods)
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from agents.benchmark.cells import Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.results import read_cells
from agents.benchmark.table_1 import table_1
from exposure_env.files import ImageFile, save_image
from exposure_env.image import clip, expose
from exposure_env.photos import sample_photos


@dataclass(frozen=True)
class Table1:
    """Where the cells are."""

    folder: Annotated[Path | None, tyro.conf.Positional] = None  # the benchmark's --out
    quick: bool = False


def quick_cells(place: Path) -> Path:
    """The folder of cells of two baselines, on pairs made of sample photos."""
    for number, photo in enumerate(sample_photos("experts", 6)):
        for name, image in (("inputs", clip(expose(photo.image, -1.0))), ("targets", photo.image)):
            (place / name).mkdir(exist_ok=True)
            save_image(place / name / f"{number}.png", ImageFile(np.round(image * 255).astype(np.uint8)))
    benchmark = make_benchmark("fivek", inputs=place / "inputs", targets=place / "targets", out=place / "cells")
    for method in ("identity", "fixed bracket"):
        for fold in range(5):
            benchmark.run_cell(Cell(method, 0, fold))
    return place / "cells"


def main(options: Table1) -> None:
    if (options.folder is None) != options.quick:
        raise SystemExit("table_1: give a folder of finished cells, or --quick")
    with tempfile.TemporaryDirectory() as place:
        folder = quick_cells(Path(place)) if options.quick else options.folder
        if not (cells := read_cells(folder)):
            raise SystemExit(f"table_1: there are no finished cells in {folder}")
        print(table_1(cells), end="")


if __name__ == "__main__":
    main(tyro.cli(Table1, description=__doc__))

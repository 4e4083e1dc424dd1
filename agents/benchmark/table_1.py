"""The paper's Table 1, and the same numbers of finished cells: right, and with differences that wrap around at 256.

The paper's numbers fit neither the photographs nor one another, unless differences of bytes, and their squares, were
taken modulo 256: then any two images come to about 28 dB (see `metrics.mse_uint8_wrapped`). Whether that is how they
came about, only the authors can say. The wrapped numbers tell methods apart badly, and are for the record only.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.evaluation.formatting import markdown, number

PAPER = {  # MSE, and PSNR [dB]; by our names
    "Exposure": (97.99, 28.27),
    "CycleGAN": (101.10, 28.12),
    "DPED": (99.04, 28.20),
    "fixed bracket": (105.2, 27.92),  # its FI
    "I": (95.44, 28.38),
    "II": (96.42, 28.33),
}


class Record(NamedTuple):
    """A method's means over photos, then over seeds; NaN where unknown."""

    method: str
    mse: float
    psnr: float  # [dB]
    mse_wrapped: float
    psnr_wrapped: float  # [dB]


def records(cells: Sequence[dict[str, Any]]) -> list[Record]:
    """The means of finished cells' photos by method, those of the paper first.

    Args:
        cells: See `results.read_cells`; all folds of a seed count as one. Those made before wrapped numbers were kept
            have none.

    Raises:
        ValueError: If there are no cells, or of several protocols.
    """
    protocols = sorted({cell["settings"]["protocol"] for cell in cells})
    if len(protocols) != 1:
        raise ValueError(f"want finished cells of one protocol, not of {protocols}")
    photos: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for cell in cells:
        settings = cell["settings"]
        photos.setdefault(settings["method"], {}).setdefault(settings["seed"], []).extend(cell["photos"])
    order = [*PAPER, *(name for name in photos if name not in PAPER)]
    return [Record(name, *(float(np.mean([_mean(seed, metric) for seed in photos[name].values()]))
                           for metric in Record._fields[1:])) for name in order if name in photos]


def _mean(photos: list[dict[str, Any]], metric: str) -> float:
    values = [photo.get(metric) for photo in photos]
    return math.nan if None in values else float(np.mean(values))


def table_1(cells: Sequence[dict[str, Any]]) -> str:
    """The table in Markdown: each method's numbers beside the paper's, and the paper's methods that aren't finished.

    Args:
        cells: See `records`, also for the errors.
    """
    found = {record.method: record for record in records(cells)}
    lines = [["method", "PSNR [dB]", "MSE", "wrapped MSE", "wrapped PSNR [dB]", "the paper's MSE", "and PSNR [dB]"]]
    for name in [*PAPER, *(name for name in found if name not in PAPER)]:
        ours = found.get(name, Record(name, *[math.nan] * 4))
        theirs = PAPER.get(name, (math.nan, math.nan))
        lines.append([name, number(ours.psnr), *map(number, (ours.mse, ours.mse_wrapped, ours.psnr_wrapped, *theirs))])
    return markdown(lines)

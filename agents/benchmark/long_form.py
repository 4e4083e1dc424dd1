"""Every score of every photo, one a line: the long form that other tools for statistics read."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.benchmark.measures import photograph, plain
from agents.benchmark.methods import BASELINES
from agents.evaluation.scores import Scores

COLUMNS = ("model", "dataset", "metric", "score", "seed", "photo", "photograph")
METRICS = ("gain", "psnr", "mse", "ssim", "delta_e", "lpips")  # gain and PSNR [dB], MSE of 0..255, CIEDE2000 as delta_e


def long_form(cells: Sequence[dict[str, Any]]) -> str:
    """The scores of finished cells as CSV, with `COLUMNS`, each score in a line of its own.

    The data set is the protocol; "photo" is the photo that was tested, "photograph" what it is a crop of: crops of one
    photograph are no independent photos. Baselines have the seed 0. SSIM is left out where a photo is too small for it,
    CIEDE2000 where a cell was made before it was measured, and LPIPS where its weights were not there.

    Args:
        cells: See `results.read_cells`; unfinished folds are no hindrance.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in cells:
        settings = cell["settings"]
        for photo in cell["photos"]:
            scores = photo | {"gain": photo["psnr"] - photo["input_psnr"]}
            writer.writerows((settings["method"], settings["protocol"], metric, plain(scores[metric]), settings["seed"],
                              photo["name"], photograph(photo["name"], settings))
                             for metric in METRICS if scores.get(metric) is not None)
    return text.getvalue()


def read_long_form(text: str, metric: str = "gain") -> dict[str, Scores]:
    """The scores of each model in a CSV of the long form, the mean over the crops of each photograph.

    Args:
        text: The content of the file.
        metric: Which of its metrics; a higher score counts as better in `scores.probability_of_improvement`.

    Raises:
        ValueError: If a column is missing, the file has no such metric, or is of several data sets, a score isn't a
            number, or the photographs of a model differ from seed to seed.
    """
    lines = csv.DictReader(io.StringIO(text))
    if missing := [name for name in COLUMNS if name not in (lines.fieldnames or ())]:
        raise ValueError(f"want the columns {', '.join(COLUMNS)}, but {missing[0]!r} is missing")
    every = list(lines)
    chosen = [line for line in every if line["metric"] == metric]
    if not chosen:
        raise ValueError(f"metric must be one of {sorted({line['metric'] for line in every})}, not {metric!r}")
    if len(sets := sorted({line["dataset"] for line in chosen})) > 1:
        raise ValueError(f"want the scores of one data set, not of {sets}")
    runs: dict[str, dict[int, dict[str, list[float]]]] = {}
    for line in chosen:
        run = runs.setdefault(line["model"], {}).setdefault(int(line["seed"]), {})
        run.setdefault(line["photograph"], []).append(float(line["score"]))
    means = {model: {seed: {name: float(np.mean(scores)) for name, scores in run.items()} for seed, run in own.items()}
             for model, own in runs.items()}
    return {model: Scores.of(own, learned=model not in BASELINES) for model, own in means.items()}

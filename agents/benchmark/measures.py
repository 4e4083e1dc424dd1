"""What is measured for a cell: the numbers of its photos, distances, memory, versions."""

import math
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from agents.evaluation.judging import Evaluation, PhotoRecord
from agents.evaluation.metrics import delta_e, mse_uint8_wrapped, psnr_uint8_wrapped
from agents.evaluation.perceptual import lpips
from agents.evaluation.whole_photos import as_levels
from agents.networks import statistics

try:
    import resource
except ImportError:  # not on Windows
    resource = None
STATISTICS = ("luminance", "contrast", "saturation")
LARGEST = (1.0, 0.5, 1.0)  # of each: half of the pixels black, half white have a standard deviation of 0.5
NUM_BINS = 32  # of the histograms that are intersected
OPTIONAL = ("delta_e", "mse_wrapped", "psnr_wrapped", "lpips")  # means over photos, where every photo's entry has them


def summary(content: dict[str, Any]) -> dict[str, float | None]:
    """The numbers of a cell, or of several cells whose lists of photos are joined.

    Args:
        content: "photos", "experts" and "max_ev" as in a cell's file.

    Returns:
        Those of `Evaluation.summary`; "input_psnr" of the untouched photos [dB]; "luminance_distance" and the like, the
        1-D Wasserstein distances of the results to the experts' photos in mean luminance, contrast and saturation (as
        the discriminator sees them, 0 to 1); "distance", the mean of the three; "luminance_intersection" and the like,
        see `intersections`, and "intersection", their mean; and "target_distance" and the like, those of the targets
        themselves. Of entries that have them, the means of `OPTIONAL`, else None. None for NaN.
    """
    records = [PhotoRecord(**{name: None if name == "true_evs" and photo.get(name) is None else _number(photo.get(name))
                              for name in PhotoRecord._fields}) for photo in content["photos"]]
    numbers = Evaluation(records, content["max_ev"]).summary()
    numbers["input_psnr"] = float(np.mean([photo["input_psnr"] for photo in content["photos"]]))
    experts = np.array(content["experts"])
    for prefix, key in {"": "statistics", "target_": "target_statistics"}.items():
        ours = np.array([photo[key] for photo in content["photos"]])
        distances = set_distances(ours, experts)
        numbers |= {f"{prefix}{name}_distance": value for name, value in zip(STATISTICS, distances, strict=True)}
        numbers[f"{prefix}distance"] = float(np.mean(distances))
        shared = intersections(ours, experts)
        numbers |= {f"{prefix}{name}_intersection": value for name, value in zip(STATISTICS, shared, strict=True)}
        numbers[f"{prefix}intersection"] = float(np.mean(shared))
    for name in OPTIONAL:
        numbers[name] = float(np.mean([_number(photo.get(name)) for photo in content["photos"]]))
    return {name: plain(value) for name, value in numbers.items()}


def set_distances(ours: np.ndarray, theirs: np.ndarray) -> list[float]:
    """The 1-D Wasserstein distances of two sets of photos in each of `STATISTICS`.

    Args:
        ours: (N, 3), a row of `image_statistics` for each photo.
        theirs: (M, 3), likewise.
    """
    from scipy.stats import wasserstein_distance  # here, as it takes half a second to load

    return [float(wasserstein_distance(*columns)) for columns in zip(ours.T, theirs.T, strict=True)]


def intersections(ours: np.ndarray, theirs: np.ndarray) -> list[float]:
    """What the histograms of two sets of photos share in each of `STATISTICS`, 0 to 1 (Hu et al. 2018, section 5).

    As in Exposure's code, a histogram has 32 bins, luminance and saturation range from 0 to 1, and contrast is twice
    the standard deviation of luminance. There, every photo counts with sixteen patches of 64 px; here, as a whole. Sets
    of few photos share little by chance alone: compare with what the targets share.

    Args:
        ours: See `set_distances`.
        theirs: Likewise.
    """
    shared = []
    for mine, other, largest in zip(ours.T, theirs.T, LARGEST, strict=True):
        shares = [np.histogram(np.clip(values, 0, largest), NUM_BINS, (0, largest))[0] / len(values)
                  for values in (mine, other)]
        shared.append(float(np.minimum(*shares).sum()))
    return shared


def photograph(name: str, settings: dict[str, Any]) -> str:
    """The name of the photograph that a tested photo shows, whole or cropped.

    Args:
        name: The name of the photo.
        settings: "settings" of a cell. Protocols with folds test whole photographs. Elsewhere the names of crops end in
            their number, or in top, left and side for the sample photos.
    """
    if settings.get("fold") is not None:
        return name
    return re.sub(r"(_\d+){3}(_m)?$" if settings.get("photos") == "sample photos" else r"_\d+$", "", name)


def photographs(photos: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, float]:
    """The gain in PSNR of each photograph [dB], the mean over its crops, by the photograph's name.

    Crops of one photograph are alike, so photographs are what intervals over photos have to count.

    Args:
        photos: "photos" of one or several cells.
        settings: See `photograph`.
    """
    gains: dict[str, list[float]] = {}
    for photo in photos:
        gains.setdefault(photograph(photo["name"], settings), []).append(photo["psnr"] - photo["input_psnr"])
    return {name: float(np.mean(group)) for name, group in gains.items()}


def image_statistics(image: np.ndarray) -> list[float]:
    """The mean luminance, its standard deviation, and the mean saturation, as the discriminator sees them."""
    image = image / np.float32(255) if image.dtype == np.uint8 else image
    planes = torch.tensor(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    return statistics(planes, "std")[0].tolist()


def optional_numbers(image: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """The numbers of `OPTIONAL` for one result; LPIPS where it can be measured, see `perceptual.lpips`.

    Args:
        image: (H, W, 3) float32 in [0, 1], or uint8; floats are rounded to 8 bits for what wraps around.
        target: Likewise.
    """
    levels = [each if each.dtype == np.uint8 else as_levels(each) for each in (image, target)]
    metrics = {"delta_e": (delta_e, (image, target)), "mse_wrapped": (mse_uint8_wrapped, levels),
               "psnr_wrapped": (psnr_uint8_wrapped, levels)}
    if (distance := lpips()) is not None:
        metrics["lpips"] = distance, (image, target)
    return {name: float(metric(*(each[None] for each in pair))[0]) for name, (metric, pair) in metrics.items()}


def plain(value: Any) -> Any:
    """The value rounded for JSON, with None for NaN."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def _number(value: Any) -> Any:
    """The value read from JSON, with NaN for None."""
    return [_number(each) for each in value] if isinstance(value, list) else math.nan if value is None else value


def versions() -> dict[str, str]:
    """The versions of the software that the numbers depend on most."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def machine() -> str:
    """The kind of machine this is, without anything that identifies it."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"


def total_cost(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The cost of the parts of a training: the sums of "cpu_seconds" and "wall_seconds", and the highest "peak_mb"."""
    seconds = {name: round(sum(part[name] for part in parts), 2) for name in ("cpu_seconds", "wall_seconds")}
    peaks = [part["peak_mb"] for part in parts if part["peak_mb"] is not None]
    return seconds | {"peak_mb": max(peaks, default=None)}


def peak_mb() -> int | None:
    """The largest resident memory of this process so far [MB]; None if the system doesn't report it."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)

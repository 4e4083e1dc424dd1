"""Labels kept on disk for the next run, one small file per photo and settings."""

import warnings
from pathlib import Path

import numpy as np

from exposure_env.files import written_whole


def read_labels(file: Path, shape: tuple[int, int], max_segments: int) -> np.ndarray | None:
    """The (H, W) integer labels in a cache file; None if there is no file or, with a warning, a damaged one."""
    try:
        with file.open("rb") as stream, np.load(stream) as content:  # zip: a wrong byte fails its checksum
            labels = content["labels"]
        if labels.shape != shape or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"the labels are {labels.dtype} of shape {labels.shape}, not integers of shape {shape}")
        if not np.array_equal(np.unique(labels), np.arange(min(int(labels.max()) + 1, max_segments))):
            raise ValueError("the labels are not consecutive from 0")
        return labels
    except FileNotFoundError:
        return None
    except Exception as error:  # damage shows in many ways; none of them should stop a training run
        warnings.warn(f"damaged cache file {file} is recomputed: {error!r}", stacklevel=3)
        return None


def write_labels(file: Path, labels: np.ndarray) -> None:
    """Writes a cache file in one step, so that no other process ever reads half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as stream:
        np.savez_compressed(stream, labels=labels)

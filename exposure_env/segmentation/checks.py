"""Checks of the arguments that the functions of `segmentation` take."""

import numpy as np


def checked_image(image: np.ndarray) -> np.ndarray:
    """The image as contiguous float32; ValueError unless it is (H, W, 3) floats in [0, 1]."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image must be (H, W, 3) with at least one pixel, not of shape {image.shape}")
    # scikit-image would give integers a different range than floats, and `scale` would mean something else.
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"image must hold floats in [0, 1], not {image.dtype}")
    if not (image.min() >= 0 and image.max() <= 1):  # false for NaN
        raise ValueError(f"image must lie in [0, 1], not in [{image.min()}, {image.max()}]")
    return np.ascontiguousarray(image, dtype=np.float32)


def checked_labels(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The labels as an array; ValueError unless they are integers, one for each pixel of the image."""
    labels = np.asarray(labels)
    if labels.shape != image.shape[:2]:
        raise ValueError(f"labels must have the image's shape {image.shape[:2]}, not {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers, not {labels.dtype}")
    return labels


def checked_count(name: str, value: int) -> int:
    """The value as an int; ValueError unless it is an integer of at least 1."""
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer from 1, not {value!r}")
    return int(value)

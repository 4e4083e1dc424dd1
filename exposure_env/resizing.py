"""Images at other sizes: averaged where they shrink, interpolated where they grow."""

import cv2
import numpy as np

from exposure_env.threads import spread

STRIP_PIXELS = 2**18  # converted to floats at once


def shrink(image: np.ndarray, max_side: int | None) -> np.ndarray:
    """The (H, W, 3) pixels, their longer side shrunk to `max_side` by averaging areas; smaller ones as they are."""
    height, width = image.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image
    if max_side < 1:
        raise ValueError(f"max_side is {max_side}, but must be 1 or more")
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def shrunk(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The photo at another size, averaged where it shrinks, without a full-size copy in floats.

    Args:
        pixels: (H, W, 3) uint8 or uint16.
        height: New height [pixels].
        width: New width [pixels].

    Returns:
        (height, width, 3) float32 in [0, 1].
    """
    narrow = spread(lambda rows: resized(as_floats(pixels[rows]), rows.stop - rows.start, width), strips(pixels))
    return resized(np.concatenate(narrow), height, width)


def resized(plane: np.ndarray, height: int, width: int, enlarge: int = cv2.INTER_LINEAR) -> np.ndarray:
    """The plane or image at another size, averaged where it shrinks.

    Args:
        plane: (h, w) or (h, w, 3), float32 or uint8.
        height: New height, 1 or more [pixels].
        width: New width, 1 or more [pixels].
        enlarge: OpenCV's interpolation where it grows.

    Returns:
        (height, width) or (height, width, 3), same dtype, a new array.
    """
    # Two steps, since INTER_AREA averages only where both sides shrink.
    shrunk = cv2.resize(plane, (min(width, plane.shape[1]), min(height, plane.shape[0])), interpolation=cv2.INTER_AREA)
    return shrunk if shrunk.shape[:2] == (height, width) else cv2.resize(shrunk, (width, height), interpolation=enlarge)


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """Integer values as float32 in [0, 1]."""
    return pixels / np.float32(np.iinfo(pixels.dtype).max)


def strips(pixels: np.ndarray) -> list[slice]:
    """The rows of an image, (H, W, ...), cut into parts of about `STRIP_PIXELS` pixels."""
    height, width = pixels.shape[:2]
    rows = max(1, STRIP_PIXELS // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]

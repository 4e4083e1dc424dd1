"""A photo as the agent sees it: small and square."""

import cv2
import numpy as np

from exposure_env.photos.photo import check_photo, check_pixels
from exposure_env.resizing import as_floats, resized


def photo_thumbnail(image: np.ndarray, size: int | tuple[int, int] = 64, mode: str = "squeeze",
                    name: str = "photo") -> np.ndarray:
    """The thumbnail of anything that counts as a photo, (size, size, 3) float32 in [0, 1].

    Args:
        image: See `check_photo`, also for the errors.
        size: See `thumbnail`.
        mode: See `thumbnail`.
        name: What to call the photo in an error message.
    """
    pixels = check_pixels(image, name)
    return thumbnail(pixels if pixels.dtype.kind == "u" and pixels.ndim == 3 else check_photo(pixels, name), size, mode)


def thumbnail(image: np.ndarray, size: int | tuple[int, int] = 64, mode: str = "squeeze") -> np.ndarray:
    """The image at the size that the agent sees.

    Integers become floats one channel at a time, so a large photo is never in memory as floats.

    Args:
        image: (H, W, 3) or (H, W): float32, uint8 or uint16.
        size: Side of the result, or its height and width, 1 or more [pixels].
        mode: "squeeze" ignores the aspect ratio, as the paper does; "letterbox" keeps it and repeats the outermost
            pixels on the two sides that stay free (`content_box` says where the photo lies).

    Returns:
        (size, size, 3) or (size, size) float32; photos in [0, 1]. Shrunk by averaging areas, enlarged linearly.

    Raises:
        ValueError: If the mode is unknown, the size is below 1, or the size of a letterbox is not square.
    """
    top, left, height, width = content_box(*image.shape[:2], size, mode)
    if image.dtype.kind == "u" and image.ndim == 3:
        planes = [resized(as_floats(image[..., channel]), height, width) for channel in range(3)]
        content = np.stack(planes, axis=-1)
    else:
        content = resized(as_floats(image) if image.dtype.kind == "u" else image, height, width)
    rows, columns = (size, size) if isinstance(size, int | np.integer) else size
    bottom, right = rows - top - height, columns - left - width
    if content.ndim == 3 and content.dtype.kind == "f":
        content = np.clip(content, 0.0, 1.0)  # averaging overshoots by a rounding error; maps of EVs may be anything
    return cv2.copyMakeBorder(content, top, bottom, left, right, cv2.BORDER_REPLICATE)


def content_box(height: int, width: int, size: int | tuple[int, int],
                mode: str = "squeeze") -> tuple[int, int, int, int]:
    """Where a photo of that height and width lies in its thumbnail: (top, left, height, width) [pixels].

    Args:
        height: Height of the photo [pixels].
        width: Width of the photo [pixels].
        size: See `thumbnail`, also for the errors.
        mode: "squeeze" or "letterbox".
    """
    rows, columns = (size, size) if isinstance(size, int | np.integer) else size
    if min(rows, columns) < 1:
        raise ValueError(f"the thumbnail's size is {size}, but must be 1 or more")
    if mode == "squeeze":
        return 0, 0, int(rows), int(columns)
    if mode == "letterbox":
        if rows != columns:
            raise ValueError(f"a letterbox thumbnail is square, not {rows}x{columns}")
        size = int(rows)
        scale = size / max(height, width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        return (size - inner[0]) // 2, (size - inner[1]) // 2, *inner
    raise ValueError(f"the thumbnail's mode is {mode!r}, but must be 'squeeze' or 'letterbox'")

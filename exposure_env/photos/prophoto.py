"""Colours as files have them, converted to sRGB: ProPhoto RGB, in which FiveK's experts saved their photos."""

import io

import numpy as np
from PIL import ImageCms

from exposure_env.image import linear_to_srgb

GAMMA = 1.8  # of Adobe's profile, a pure power; the standard's straight piece near black is not in it
# Linear ProPhoto RGB to XYZ, and XYZ to linear sRGB; both relative to D50, sRGB adapted by Bradford's method.
_TO_XYZ = np.array([[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0.0, 0.0, 0.8252100]])
_FROM_XYZ = np.array([[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540],
                      [0.0719453, -0.2289914, 1.4052427]])  # fmt: skip


def prophoto_to_srgb(pixels: np.ndarray) -> np.ndarray:
    """The same colours in sRGB; what sRGB can't show is clipped.

    Args:
        pixels: (H, W, 3) uint8 or uint16, ProPhoto RGB.

    Returns:
        (H, W, 3), same dtype.
    """
    most = np.iinfo(pixels.dtype).max
    linear = (pixels / most) ** GAMMA @ (_FROM_XYZ @ _TO_XYZ).T
    return np.rint(linear_to_srgb(np.clip(linear, 0, 1)) * most).astype(pixels.dtype)


def colour_space(icc: bytes | None) -> str | None:
    """The space that an ICC profile stands for: "sRGB", "ProPhoto RGB"; None without a profile.

    Raises:
        ValueError: If it is broken or stands for another space; its description is named.
    """
    if icc is None:
        return None
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc))).strip()
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError(f"its colour profile is broken: {error}") from error
    if "prophoto" in name.lower() or "romm" in name.lower():
        return "ProPhoto RGB"
    if "srgb" in name.lower():
        return "sRGB"
    raise ValueError(f"its colour profile is {name!r}, but must be sRGB or ProPhoto RGB")

"""Good photos exposed wrongly along their own light: dark parts too dark, bright ones too bright, as in backlight."""

from dataclasses import dataclass

import cv2
import numpy as np

from exposure_env.image import luminance, srgb_to_linear
from exposure_env.photos.degradation import check_bits, check_range, degraded
from exposure_env.photos.photo import Photo

FLARE = 0.02  # added to luminance, so that black doesn't count as infinitely dark
RANGE = 1.0  # standard deviation of the base layer's filter in log2 luminance [stops]
SPACE = 1 / 8  # and in space, as a fraction of the photo's shorter side
SPACING = 0.5  # between the luminances at which the filter is worked out [stops]
CELLS = 64  # resolution at which it is worked out: about so many pixels on the shorter side


def backlight(
    image: np.ndarray,
    rng: np.random.Generator,
    *,
    strength: tuple[float, float] = (0.2, 0.9),
    ev_range: tuple[float, float] = (-1.0, 0.5),
    bits: int = 8,
) -> tuple[np.ndarray, np.ndarray]:
    """A good photo with too large a dynamic range, and the EV map to correct it, which follows the photo's own light.

    The exposure applied is s (b - mean of b) plus one EV for the whole photo: b is the base layer of the good photo,
    its log2 luminance without texture, and s the strength. So dark parts become darker and bright ones brighter. The
    result is clipped and rounded, so deep shadows and blown highlights lose detail for good.

    Args:
        image: (H, W, 3) sRGB-encoded, in [0, 1].
        rng: Source of the strength and of the EV, both uniform.
        strength: Least and greatest s, by how much of itself the contrast of large parts grows.
        ev_range: Lowest and highest EV of the whole photo [stops].
        bits: Bits per value that the result is rounded to, 1 to 16.

    Returns:
        The wrongly exposed image, (H, W, 3) float32 in [0, 1], and the correction, (H, W) float32 [stops]: the EV map
        that takes it back to `image`, up to what was clipped and rounded away.

    Raises:
        ValueError: If a range is not ascending, or `bits` out of range; see also `check_photo`.
    """
    wrong = Backlight(strength, ev_range, bits)(Photo("image to light from behind", image), rng)
    return wrong.image, wrong.ev_map


@dataclass(frozen=True)
class Backlight:
    """A degradation to apply afresh in each episode, as `Backlight()(photo, rng)`; see `backlight` for the settings."""

    strength: tuple[float, float] = (0.2, 0.9)
    ev_range: tuple[float, float] = (-1.0, 0.5)
    bits: int = 8

    def __post_init__(self) -> None:
        """Checks the settings."""
        check_range("strength", self.strength)
        check_range("ev_range", self.ev_range)
        check_bits(self.bits)

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The photo in backlight, with the good image as its target and the EV map that restores it.

        The good image is the photo's target where it has one, else its image.
        """
        return degraded(self, photo, rng)

    def guide(self, good: np.ndarray) -> np.ndarray:
        """The base layer of a good photo; see `base_layer`."""
        return base_layer(good)

    def ev_map(self, guide: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random EV map to apply, (H, W) float32 [stops]."""
        strength, ev = rng.uniform(*self.strength), rng.uniform(*self.ev_range)
        return np.float32(strength) * (guide - guide.mean()) + np.float32(ev)


def base_layer(image: np.ndarray) -> np.ndarray:
    """The log2 luminance of large parts: a bilateral filter keeps strong edges and takes the texture away.

    It is piecewise linear in luminance, as Durand and Dorsey's (2002): worked out at luminances half a stop apart, at
    a low resolution, and interpolated. So it costs little, and is the same at any resolution but for fine detail.

    Args:
        image: (H, W, 3) float32, sRGB-encoded in [0, 1].

    Returns:
        (H, W) float32 [stops]; 0.03 for white.
    """
    light = np.log2(luminance(srgb_to_linear(image)) + np.float32(FLARE))
    height, width = light.shape
    cell = max(1.0, min(height, width) / CELLS)
    small = max(1, round(width / cell)), max(1, round(height / cell))  # width first, as in OpenCV
    sigma = SPACE * min(small)
    lowest = float(np.floor(light.min() / SPACING))
    place = light / np.float32(SPACING) - np.float32(lowest)  # among the luminances
    base = np.zeros_like(light)
    for number in range(int(place.max()) + 2):
        weight = np.exp(-0.5 * ((light - np.float32((lowest + number) * SPACING)) / np.float32(RANGE)) ** 2)
        sums = cv2.resize(np.stack([weight, weight * light], axis=-1), small, interpolation=cv2.INTER_AREA)
        sums = cv2.GaussianBlur(sums, (0, 0), sigma)
        mean = cv2.resize(sums[..., 1] / sums[..., 0], (width, height), interpolation=cv2.INTER_LINEAR)
        base += np.maximum(1 - abs(place - number), 0) * mean
    return base

"""Good photos exposed wrongly, with a known answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from exposure_env.photos.degradation import check_bits, check_range, degraded
from exposure_env.photos.photo import Photo


def misexpose(
    image: np.ndarray,
    rng: np.random.Generator,
    *,
    ev_range: tuple[float, float] = (-2.2, 0.6),
    local: float = 1.0,
    bits: int = 8,
) -> tuple[np.ndarray, np.ndarray]:
    """A good photo exposed wrongly, differently from place to place as in uneven light, and the EV map to correct it.

    The exposure applied is one EV for the whole photo, uniform in `ev_range`, plus a smooth random EV map: 3x3 normal
    values enlarged bicubically, hence the same map at any resolution. It acts on linear light; the result is clipped
    and rounded, so deep shadows and blown highlights lose detail for good.

    Args:
        image: (H, W, 3) sRGB-encoded, in [0, 1].
        rng: Source of the exposures.
        ev_range: Lowest and highest EV of the whole photo [stops].
        local: Standard deviation of the local EV map's values [stops]; 0 for the same exposure everywhere.
        bits: Bits per value that the result is rounded to, 1 to 16.

    Returns:
        The misexposed image, (H, W, 3) float32 in [0, 1], and the correction, (H, W) float32 [stops]: the EV map that
        takes it back to `image`, up to what was clipped and rounded away.

    Raises:
        ValueError: If `ev_range` is not ascending, `local` negative or `bits` out of range; see also `check_photo`.
    """
    wrong = Misexpose(ev_range, local, bits)(Photo("image to misexpose", image), rng)
    return wrong.image, wrong.ev_map


@dataclass(frozen=True)
class Misexpose:
    """A degradation to apply afresh in each episode, as `Misexpose()(photo, rng)`; see `misexpose` for the settings."""

    ev_range: tuple[float, float] = (-2.2, 0.6)
    local: float = 1.0
    bits: int = 8

    def __post_init__(self) -> None:
        """Checks the settings."""
        check_range("ev_range", self.ev_range)
        if not (np.isfinite(self.local) and self.local >= 0):
            raise ValueError(f"local is {self.local}, but must be a number of stops, 0 or more")
        check_bits(self.bits)

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The photo misexposed, with the good image as its target and the EV map that restores it.

        The good image is the photo's target where it has one, else its image.
        """
        return degraded(self, photo, rng)

    def guide(self, good: np.ndarray) -> np.ndarray:
        """Zeros of the photo's size, (H, W) float32: the EV maps depend on nothing else."""
        return np.zeros(good.shape[:2], np.float32)

    def ev_map(self, guide: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random EV map to apply, (H, W) float32 [stops]."""
        coarse = rng.normal(rng.uniform(*self.ev_range), self.local, (3, 3)).astype(np.float32)
        return cv2.resize(coarse, guide.shape[::-1], interpolation=cv2.INTER_CUBIC)


def misexposed(
    photos: Sequence[Photo],
    seed: int | Sequence[int],
    *,
    ev_range: tuple[float, float] = (-2.2, 0.6),
    local: float = 1.0,
    bits: int = 8,
) -> list[Photo]:
    """Each photo misexposed once, with target and EV map; the same for the same seed. See `Misexpose`."""
    degrade, rng = Misexpose(ev_range, local, bits), np.random.default_rng(seed)
    return [degrade(photo, rng) for photo in photos]

"""What every way to expose good photos wrongly has in common: an EV map is drawn, applied, and rounded away."""

from typing import Protocol

import numpy as np

from exposure_env.image import expose
from exposure_env.photos.photo import Photo, check_photo


class Degradation(Protocol):
    """A way to expose good photos wrongly, afresh at each call, with a known answer.

    A call draws one EV map. Whoever needs many of one photo asks for its `guide` once, and for `ev_map` each time.
    """

    bits: int  # bits per value that wrong photos are rounded to

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The photo exposed wrongly; see `degraded`."""
        ...

    def guide(self, good: np.ndarray) -> np.ndarray:
        """What the EV maps of a good photo depend on, (H, W) float32; perhaps on its size alone."""
        ...

    def ev_map(self, guide: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random EV map to apply, (H, W) float32 [stops]."""
        ...


def degraded(how: Degradation, photo: Photo, rng: np.random.Generator) -> Photo:
    """The photo exposed wrongly, with the good image as its target and the EV map that restores it.

    The good image is the photo's target where it has one, else its image.

    Raises:
        ValueError: If it isn't a photo; see `check_photo`.
    """
    good = check_photo(photo.image if photo.target is None else photo.target, photo.name)
    ev_map = how.ev_map(how.guide(good), rng)
    return Photo(photo.name, exposed_wrongly(good, ev_map, how.bits), good, -ev_map)


def exposed_wrongly(good: np.ndarray, ev_map: np.ndarray, bits: int = 8) -> np.ndarray:
    """The photo under the EV map, (H, W, 3) float32, clipped to [0, 1] and rounded to 2^bits levels."""
    levels = np.float32(2**bits - 1)
    wrong = np.clip(np.asarray(expose(good, ev_map)), 0.0, 1.0)
    return (np.round(wrong * levels) / levels).astype(np.float32)


def check_range(name: str, ends: tuple[float, float]) -> None:
    """Raises ValueError unless these are two ascending finite numbers."""
    low, high = ends
    if not (np.isfinite([low, high]).all() and low <= high):
        raise ValueError(f"{name} is {ends}, but must be two ascending finite numbers of stops")


def check_bits(bits: int) -> None:
    """Raises ValueError unless `bits` is an integer from 1 to 16."""
    if bits not in range(1, 17):
        raise ValueError(f"bits is {bits}, but must be an integer from 1 to 16")

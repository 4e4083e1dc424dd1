"""Photos that are new in every episode: cropped, mirrored, and exposed wrongly once more.

A photo that is wrongly exposed stays a photo of the same scene, wrongly exposed, when its exposure is changed again: so
this needs no target, and a policy never meets the same photo twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exposure_env.image import expose
from exposure_env.photos.misexposure import Misexpose
from exposure_env.photos.photo import Photo, check_photo
from exposure_env.photos.thumbnails import thumbnail

Transform = Callable[[Photo, np.random.Generator], Photo]


@dataclass(frozen=True)
class Crop:
    """A random square crop of a photo, its target and its EV map, about half of them mirrored.

    Attributes:
        scales: Smallest and largest side of the crop, as a fraction of the photo's shorter side.
        mirror: Whether about half of them are mirrored.
        size: Side that crops are shrunk or enlarged to [px]; None leaves them as they are.

    Raises:
        ValueError: If the scales are not ascending within (0, 1], or the size is below 1.
    """

    scales: tuple[float, float] = (0.75, 1.0)
    mirror: bool = True
    size: int | None = None

    def __post_init__(self) -> None:
        """Checks the settings."""
        low, high = self.scales
        if not 0 < low <= high <= 1:
            raise ValueError(f"scales are {self.scales}, but must be two ascending fractions of the shorter side")
        if self.size is not None and self.size < 1:
            raise ValueError(f"size is {self.size}, but must be at least 1 px, or None")

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The crop; unless it has a size of its own, its parts are views of the photo's."""
        height, width = np.shape(photo.image)[:2]
        side = max(1, round(rng.uniform(*self.scales) * min(height, width)))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        turned = slice(None, None, -1 if self.mirror and rng.random() < 0.5 else 1)

        def cut(image: np.ndarray | None) -> np.ndarray | None:
            if image is None:
                return None
            part = image[top : top + side, left : left + side][:, turned]
            return part if self.size is None else thumbnail(part, self.size)

        return Photo(photo.name, cut(photo.image), cut(photo.target), cut(photo.ev_map))


@dataclass(frozen=True)
class MisexposeAgain:
    """A photo exposed wrongly once more: by an EV for the whole photo and a smooth local map; it loses its target.

    Attributes:
        ev: Largest EV for the whole photo, up or down [stops].
        local: Standard deviation of the local EV map's 3x3 values [stops].

    Raises:
        ValueError: If one of them is negative or not finite.
    """

    ev: float = 1.0
    local: float = 0.5

    def __post_init__(self) -> None:
        """Checks the settings."""
        if not 0 <= min(self.ev, self.local) <= max(self.ev, self.local) < np.inf:
            raise ValueError(f"ev and local must be stops, 0 or more, not {self.ev} and {self.local}")

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The photo as another wrong exposure would have shown it, without target and EV map."""
        image = check_photo(photo.image, photo.name)
        how = Misexpose((-self.ev, self.ev), self.local)
        ev_map = how.ev_map(how.guide(image), rng)
        return Photo(photo.name, np.clip(np.asarray(expose(image, ev_map)), 0.0, 1.0))


class Variants(Sequence[Photo]):
    """Several versions of each photo, the same at every look: nearly as good as new ones, and made ready only once.

    Args:
        photos: The photos.
        transform: A function of a photo and a generator, such as `Steps(Crop(), MisexposeAgain())`.
        num: Versions of each photo.
        seed: Seed of the versions.

    Raises:
        ValueError: If `num` is below 1.
    """

    def __init__(self, photos: Sequence[Photo], transform: Transform, num: int, seed: int = 0):
        if num < 1:
            raise ValueError(f"num is {num}, but there must be at least 1 version of each photo")
        self.photos, self.transform, self.num, self.seed = photos, transform, num, seed

    def __len__(self) -> int:
        return len(self.photos) * self.num

    def __getitem__(self, index: int | slice) -> Photo | list[Photo]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self.transform(self.photos[index // self.num], np.random.default_rng([self.seed, index]))


class _Several:
    def __init__(self, *transforms: Transform):
        self.transforms = transforms

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.transforms))})"


class OneOf(_Several):
    """One of several transforms, chosen anew for each photo.

    Args:
        *transforms: Functions of a photo and a generator.
    """

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The photo after one of them."""
        return self.transforms[int(rng.integers(len(self.transforms)))](photo, rng)


class Steps(_Several):
    """Several transforms, one after the other.

    Args:
        *transforms: Functions of a photo and a generator.
    """

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The photo after all of them."""
        for transform in self.transforms:
            photo = transform(photo, rng)
        return photo

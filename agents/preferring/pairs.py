"""Which two retouches of a photo are compared: random plans, rendered small for the record and larger for the eye."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from exposure_env.files import read_image
from exposure_env.photos import Photo, check_photo
from exposure_env.resizing import shrink
from exposure_env.retouch import RetouchPlan, apply_plan
from exposure_env.scenes import Scene
from exposure_env.task import ExposureTask

SHOWN_SIDE = 640  # longer side of what the judge sees, at most [px]
COMMON, OWN = 0.8, 0.5  # standard deviations of the whole photo's exposure, and of each segment's on top of it [stops]
LEAST_DIFFERENCE = 0.02  # between the thumbnails of a pair, on average, for there to be something to choose
TRIES = 100  # until a photo counts as one whose retouches all look the same


class Retouch(NamedTuple):
    """A plan for a photo, and two renderings of it."""

    plan: RetouchPlan
    thumbnail: np.ndarray  # (64, 64, 3) float32 in [0, 1]: what a reward model learns from
    shown: np.ndarray  # (h, w, 3) uint8, the longer side at most `SHOWN_SIDE`: what the judge sees


class Pair(NamedTuple):
    """Two retouches of one photo."""

    photo: str  # its name
    left: Retouch
    right: Retouch


class PhotoFiles(Sequence[Photo]):
    """Photos that are read from their files at every look, so that a large folder costs neither time nor memory.

    Looking at a file that can't be read raises a ValueError that names it, without the folder that it lies in.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> Photo | list[Photo]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        path = self.paths[index]
        try:
            return Photo(path.stem, read_image(path, SHOWN_SIDE))
        except (ValueError, OSError) as error:
            raise ValueError(str(error).replace(str(path), path.name)) from error


def random_plans(rng: np.random.Generator, num: int, segments: int, max_ev: float) -> np.ndarray:
    """The exposures of random plans, (num, segments) float32 [stops], within ±max_ev."""
    evs = rng.normal(0, COMMON, (num, 1)) + rng.normal(0, OWN, (num, segments))
    return evs.clip(-max_ev, max_ev).astype(np.float32)


class Pairs:
    """Pairs of retouches of random photos; safe to be drawn by several threads.

    Both retouches of a pair are drawn alike, so which of them is the left one is chance. A photo that can't be read, or
    whose retouches all look the same, is left out from then on.

    Args:
        photos: The photos.
        rng: Source of photos and exposures.

    Attributes:
        left_out: Why photos were left out, a sentence for each.

    Raises:
        ValueError: If there are no photos.
    """

    def __init__(self, photos: Sequence[Photo], rng: np.random.Generator):
        self.task = ExposureTask(photos, "felzenszwalb", max_segments=6)
        self.rng = rng
        self.left_out: list[str] = []
        self._photos = list(range(len(photos)))  # indices of those not left out
        self._lock = Lock()

    def draw(self) -> Pair:
        """The next pair.

        Raises:
            ValueError: If no photo is left.
        """
        with self._lock:
            while self._photos:
                index = self._photos[self.rng.integers(len(self._photos))]
                try:
                    return self._pair(self.task.photos[index])
                except (ValueError, OSError, MemoryError) as error:
                    self._photos.remove(index)
                    self.left_out.append(str(error) or f"photo {index}: {type(error).__name__}")
        raise ValueError("none of the photos can be shown")

    def _pair(self, photo: Photo) -> Pair:
        pixels = shrink(check_photo(photo.image, photo.name), SHOWN_SIDE)
        pixels = (pixels * 65535).round().astype(np.uint16)  # 16 bits: shadows may become 8 times as bright
        scene = self.task.scene(Photo(photo.name, pixels), self.rng)
        state = self.task.start([scene, scene])
        for _ in range(TRIES):
            evs = random_plans(self.rng, 2, scene.num_segments, self.task.config.max_ev)
            state.evs[:, : scene.num_segments] = evs
            thumbnails = self.task.fused(state._replace(step=state.num_segments))
            if abs(thumbnails[0] - thumbnails[1]).mean() >= LEAST_DIFFERENCE:
                return Pair(photo.name, *(self._retouch(scene, pixels, *each)
                                          for each in zip(evs, thumbnails, strict=True)))
        raise ValueError(f"{photo.name}: its retouches all look the same")

    def _retouch(self, scene: Scene, pixels: np.ndarray, evs: np.ndarray, thumbnail: np.ndarray) -> Retouch:
        config = self.task.config
        plan = RetouchPlan(scene.labels, evs, config.fusion, space=config.space, thumbnail=config.thumbnail)
        return Retouch(plan, thumbnail, (apply_plan(plan, pixels) / 257).round().astype(np.uint8))

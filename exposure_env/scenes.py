"""Photos made ready for episodes: thumbnails, each segmented once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from exposure_env.photos import Photo, photo_thumbnail, thumbnail
from exposure_env.segmentation import Segmenter, order_segments, segment_many
from exposure_env.settings import TaskConfig
from exposure_env.threads import ranges, spread

TOGETHER = 256  # photos of a data set read at once: half a gigabyte for FiveK at 500 px


class Scene(NamedTuple):
    """A photo made ready for an episode."""

    index: int  # position in the data set, -1 for a photo from elsewhere
    photo: Photo  # at thumbnail size
    image: np.ndarray  # (size, size, 3) float32 thumbnail in [0, 1]
    target: np.ndarray | None  # (size, size, 3) float32 thumbnail of the expert's version
    labels: np.ndarray  # (size, size) int32
    num_segments: int


class Scenes:
    """The scenes of a data set, made when first needed and then, unless a transform changes the photos, remembered.

    Args:
        photos: The data set.
        segmenter: See `segmentation.segment`.
        config: Settings of the task.
    """

    def __init__(self, photos: Sequence[Photo], segmenter: str | Segmenter, config: TaskConfig):
        self.photos, self.segmenter, self.config = photos, segmenter, config
        self.known: dict[int, Scene] = {}  # by index, from a photo's first episode on; empty with a transform

    def prepare(self) -> int:
        """Makes all scenes now, unless there is a transform; returns how many are ready."""
        if self.config.transform is not None:
            return 0
        for first in range(0, len(self.photos), TOGETHER):
            some = range(first, min(first + TOGETHER, len(self.photos)))
            self._made(some, [None] * len(some))
        return len(self.known)

    def make(self, photos: Sequence[int | Photo | np.ndarray | None],
             rngs: Sequence[np.random.Generator]) -> list[Scene]:
        """The scene of each photo given, or of a random one where it is None; see `ExposureTask.scene`."""
        photos = [int(rng.integers(len(self.photos))) if photo is None else photo
                  for photo, rng in zip(photos, rngs, strict=True)]
        scenes = self._made(photos, rngs)
        if self.config.order == "random":
            return [scene._replace(labels=order_segments(scene.labels, scene.image, "random", rng))
                    for scene, rng in zip(scenes, rngs, strict=True)]
        return scenes

    def _made(self, photos: Sequence[Any], rngs: Sequence[Any]) -> list[Scene]:
        """The scenes, except for a random order. Those not yet known are made together, by all threads."""
        keys, new, config = [], {}, self.config
        for position, (photo, rng) in enumerate(zip(photos, rngs, strict=True)):
            kept = isinstance(photo, int | np.integer) and config.transform is None
            keys.append(int(photo) if kept else ("once", position))
            if keys[-1] not in self.known and keys[-1] not in new:
                new[keys[-1]] = self.photo(photo, rng)
        if not new:
            return [self.known[key] for key in keys]
        given, parts = list(new.values()), ranges(len(new), 2)
        made = spread(lambda part: [_draft(config, *each) for each in given[part]], parts)
        drafts = dict(zip(new, (draft for some in made for draft in some), strict=True))
        labels = segment_many([draft.image for draft in drafts.values()], self.segmenter,
                              max_segments=config.max_segments, directory=config.labels_folder,
                              order="label" if config.order == "random" else config.order)
        for key, its in zip(drafts, labels, strict=True):
            drafts[key] = drafts[key]._replace(labels=its, num_segments=int(its.max()) + 1)
        self.known |= {key: draft for key, draft in drafts.items() if isinstance(key, int)}
        return [self.known[key] if isinstance(key, int) else drafts[key] for key in keys]

    def photo(self, photo: int | Photo | np.ndarray, rng: np.random.Generator) -> tuple[int, Photo]:
        """The index and the transformed photo; runs in the caller's thread, as a user's code may be involved."""
        index = -1
        if isinstance(photo, int | np.integer):
            if not 0 <= photo < len(self.photos):
                raise ValueError(f"photo {photo} is out of range: there are {len(self.photos)} photos, from 0")
            index, photo = int(photo), self.photos[photo]
            if not isinstance(photo, Photo):
                raise ValueError(f"photos must hold Photo(name, image), and number {index} is a {type(photo).__name__}")
        photo = photo if isinstance(photo, Photo) else Photo("photo", photo)
        if self.config.transform is not None:
            name, photo = photo.name, self.config.transform(photo, rng)
            if not isinstance(photo, Photo):
                raise ValueError(f"transform must return a Photo, but for {name!r} returned a {type(photo).__name__}")
        return index, photo


def _draft(config: TaskConfig, index: int, photo: Photo) -> Scene:
    """The scene without its labels."""
    image = photo_thumbnail(photo.image, config.size, config.thumbnail, photo.name)
    target = None
    if photo.target is not None:
        target = photo_thumbnail(photo.target, config.size, config.thumbnail, f"target of {photo.name}")
    height_width = np.shape(photo.image)[:2]
    for name, other in {"target": photo.target, "ev_map": photo.ev_map}.items():
        if other is not None and np.shape(other)[:2] != height_width:
            raise ValueError(f"{photo.name}: its {name} is {np.shape(other)[:2]} pixels, the image {height_width}")
    ev_map = None if photo.ev_map is None else thumbnail(photo.ev_map, config.size, config.thumbnail)
    # Scenes are kept, so they must not hold the full-size photos: FiveK at 500 px would take 20 GB.
    return Scene(index, Photo(photo.name, image, target, ev_map), image, target, np.empty((0, 0), np.int32), 0)


class PhotoScores:
    """The scores of a data set's untouched photos, by index, kept as long as the reward model says they hold.

    It says so by an attribute `version` that stays the same; for a model without one, nothing is kept.

    Args:
        scores: Scores known already, taken to be those of the first reward model that asks for them.
    """

    def __init__(self, scores: dict[int, float] | None = None):
        self._scores, self._judge = scores or {}, None

    def by(self, model: Any) -> dict[int, float]:
        """The scores by this reward model, a dict to add to; if it has no `version`, additions are forgotten."""
        judge = model, getattr(model, "version", None)
        if judge[1] is None:
            return {}
        if self._judge is not None and (self._judge[0] is not model or self._judge[1] != judge[1]):
            self._scores = {}
        self._judge = judge
        return self._scores

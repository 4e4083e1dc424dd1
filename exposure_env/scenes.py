"""Photos made ready for episodes: thumbnails, each segmented once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from exposure_env import kernels
from exposure_env.photos import FolderPhotos, Photo, thumbnail
from exposure_env.samples import sample_photos
from exposure_env.segment_many import segment_many
from exposure_env.segmentation import order_segments

if TYPE_CHECKING:
    from exposure_env.task import ExposureTask

TOGETHER = 256  # photos of a data set read at once: of FiveK at 500 px half a gigabyte


class Scene(NamedTuple):
    """A photo made ready for an episode."""

    index: int  # position in the data set, -1 for a photo from elsewhere
    photo: Photo  # at thumbnail size
    image: np.ndarray  # (size, size, 3) float32 thumbnail in [0, 1]
    target: np.ndarray | None  # (size, size, 3) float32 thumbnail of the expert's version
    labels: np.ndarray  # (size, size) int32
    num_segments: int


class Scenes:
    """The scenes of a task's data set; the task, which may be changed, is given with every call."""

    def __init__(self):
        self.known: dict[int, Scene] = {}  # made at a photo's first episode, by index; not where a transform changes it

    def prepare(self, task: "ExposureTask") -> int:
        """Makes all scenes now; how many are known then."""
        if task.config.transform is not None:
            return 0
        for first in range(0, len(task.photos), TOGETHER):
            some = range(first, min(first + TOGETHER, len(task.photos)))
            self._made(task, some, [None] * len(some))
        return len(self.known)

    def make(self, task: "ExposureTask", photos: Sequence[int | Photo | np.ndarray | None],
             rngs: Sequence[np.random.Generator]) -> list[Scene]:
        """A scene of each photo given; where it is None, of one drawn from the data set. See `ExposureTask.scene`."""
        photos = [int(rng.integers(len(task.photos))) if photo is None else photo
                  for photo, rng in zip(photos, rngs, strict=True)]
        scenes = self._made(task, photos, rngs)
        if task.config.order == "random":
            return [scene._replace(labels=order_segments(scene.labels, scene.image, "random", rng))
                    for scene, rng in zip(scenes, rngs, strict=True)]
        return scenes

    def _made(self, task: "ExposureTask", photos: Sequence[Any], rngs: Sequence[Any]) -> list[Scene]:
        """The scenes, but for a random order. Those not known yet are made together, by all threads."""
        keys, new, config = [], {}, task.config
        for position, (photo, rng) in enumerate(zip(photos, rngs, strict=True)):
            kept = isinstance(photo, int | np.integer) and config.transform is None
            keys.append(int(photo) if kept else ("once", position))
            if keys[-1] not in self.known and keys[-1] not in new:
                new[keys[-1]] = _photo(task, photo, rng)
        if not new:
            return [self.known[key] for key in keys]
        given, parts = list(new.values()), kernels.ranges(len(new), 2)
        made = kernels.spread(lambda part: [_draft(task, *each) for each in given[part]], parts)
        drafts = dict(zip(new, (draft for some in made for draft in some), strict=True))
        labels = segment_many([draft.image for draft in drafts.values()], task.segmenter,
                              max_segments=config.max_segments, directory=config.labels_folder,
                              order="label" if config.order == "random" else config.order)
        for key, its in zip(drafts, labels, strict=True):
            drafts[key] = drafts[key]._replace(labels=its, num_segments=int(its.max()) + 1)
        self.known |= {key: draft for key, draft in drafts.items() if isinstance(key, int)}
        return [self.known[key] if isinstance(key, int) else drafts[key] for key in keys]


def _photo(task: "ExposureTask", photo: int | Photo | np.ndarray, rng: np.random.Generator) -> tuple[int, Photo]:
    """Index and photo, transformed: what a user's code may have a hand in, in one thread."""
    index = -1
    if isinstance(photo, int | np.integer):
        if not 0 <= photo < len(task.photos):
            raise ValueError(f"photo {photo} is out of range: there are {len(task.photos)} photos, from 0")
        index, photo = int(photo), task.photos[photo]
        if not isinstance(photo, Photo):
            raise ValueError(f"photos must hold Photo(name, image), and number {index} is a {type(photo).__name__}")
    photo = photo if isinstance(photo, Photo) else Photo("photo", photo)
    return index, photo if task.config.transform is None else task.config.transform(photo, rng)


def _draft(task: "ExposureTask", index: int, photo: Photo) -> Scene:
    """The scene without its labels."""
    image = task.thumbnail(photo.image, photo.name)
    target = None if photo.target is None else task.thumbnail(photo.target, f"target of {photo.name}")
    height_width = np.shape(photo.image)[:2]
    for name, other in {"target": photo.target, "ev_map": photo.ev_map}.items():
        if other is not None and np.shape(other)[:2] != height_width:
            raise ValueError(f"{photo.name}: its {name} is {np.shape(other)[:2]} pixels, the image {height_width}")
    ev_map = None if photo.ev_map is None else thumbnail(photo.ev_map, task.config.size, task.config.thumbnail)
    # Scenes are kept, so they must not hold the full-size photos: FiveK at 500 px would take 20 GB.
    return Scene(index, Photo(photo.name, image, target, ev_map), image, target, np.empty((0, 0), np.int32), 0)


class PhotoScores:
    """Scores of the untouched photos of a data set, by index, remembered as long as the reward model says they hold.

    A reward model says so by an attribute `version` that stays the same; of one without, nothing is remembered.

    Args:
        scores: By the reward model as it will be when they are first asked for.
    """

    def __init__(self, scores: dict[int, float] | None = None):
        self._scores, self._judge = scores or {}, None

    def by(self, model: Any) -> dict[int, float]:
        """Those of this reward model, to be added to; elsewhere, what is added is forgotten."""
        judge = model, getattr(model, "version", None)
        if judge[1] is None:
            return {}
        if self._judge is not None and (self._judge[0] is not model or self._judge[1] != judge[1]):
            self._scores = {}
        self._judge = judge
        return self._scores


def resolve_photos(photos: Sequence[Photo] | str | None) -> Sequence[Photo]:
    """A data set from what a user may give: None or "sample" for the sample photos, a folder's path, or a sequence.

    Raises:
        ValueError: If there is no photo in it.
    """
    if photos is None or (isinstance(photos, str) and photos == "sample"):
        return sample_photos("inputs")
    photos = FolderPhotos(photos) if isinstance(photos, str) or hasattr(photos, "__fspath__") else photos
    if not (hasattr(photos, "__len__") and hasattr(photos, "__getitem__")):
        raise ValueError(f"photos must be a sequence of Photo or a folder's path, not {photos!r}")
    if len(photos) == 0:
        raise ValueError("photos is empty: an environment needs at least one photo")
    return photos

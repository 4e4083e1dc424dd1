"""The pictures of a report, each stored once, under a name made of its content; and EV maps to write numbers on."""

import hashlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from agents.benchmark.cells import TASK, Benchmark
from agents.benchmark.kept_pictures import kept_picture
from agents.benchmark.methods import FULL_SIZE
from agents.benchmark.report.content import Content
from agents.benchmark.trials import Trial
from agents.encoding import indexed_png, webp
from agents.evaluation.whole_photos import as_levels
from agents.playing import paired_scenes
from agents.retouching.contact_sheet import BORDER, ev_colors
from exposure_env.drawing import outlined, scaled
from exposure_env.photos import Photo, content_box
from exposure_env.resizing import shrink

FOLDER = "pictures"
BUDGET = 22e6  # bytes of all pictures; what is more is written at the next of `QUALITIES`
QUALITIES = (None, 85, 70, 50, 30)  # of WebP; None for pictures as they were kept
FINE = 4  # how much an EV map is larger than the labels, for fine lines
LEAST = 0.015  # smallest part of the photo that its EV is written on
SIDE = 320  # longer side of pictures of segments [px]
TOLERANCE = 1e-3  # areas in cells are rounded


class Segments(NamedTuple):
    """A photo's segments as a system sees them."""

    labels: np.ndarray  # (h, w) integers, without the margins of a letterbox
    areas: np.ndarray  # (K,) fractions of the thumbnail
    places: list[tuple[float, float] | None]  # where to write on each, from the left and the top [%]; None if too small


class Shown(NamedTuple):
    """A tested photo, ready to be shown."""

    photo: bytes  # WebP file
    target: bytes
    width: int  # of both, and of the results [px]
    height: int
    segments: dict[str, Segments]  # by the settings that they depend on
    outlines: bytes  # WebP file of the photo with a line around each segment


class Pictures:
    """The files of the pictures by name, each only once.

    Args:
        quality: Quality of WebP that pictures are written at, or None for leaving them as they are.
    """

    def __init__(self, quality: int | None = None):
        self.quality = quality
        self.files: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        """The bytes of all of them."""
        return sum(map(len, self.files.values()))

    def add(self, data: bytes, suffix: str = ".webp") -> str:
        """Keeps the file of a picture; returns its name in the report's folder."""
        if suffix == ".webp" and self.quality is not None:
            with Image.open(io.BytesIO(data)) as image:
                data = min(data, webp(np.asarray(image.convert("RGB")), self.quality), key=len)
        name = f"{FOLDER}/{hashlib.sha256(data).hexdigest()[:20]}{suffix}"
        self.files[name] = data
        return name


def task_settings_of(cell: dict[str, Any]) -> dict[str, Any]:
    """The settings of a cell that its photos' segments depend on."""
    return {name: cell["settings"]["config"][name] for name in TASK if name in cell["settings"]["config"]}


def key_of(settings: dict[str, Any]) -> str:
    """What tells such settings from others."""
    return repr(sorted(settings.items()))


def shown_photos(benchmark: Benchmark, content: Content) -> list[Shown]:
    """The tested photos, their targets, and their segments as each of the systems sees them.

    Raises:
        ValueError: If the photos are not those that the cells were made of.
    """
    shared = {name: getattr(benchmark.config, name) for name in TASK}
    every = [shared, *(task_settings_of(system.cells[0]) for system in content.systems)]
    kinds = {key_of(each): each for each in every}
    shown = []
    for fold in dict.fromkeys(photo.fold for photo in content.photos):
        wanted = [photo for photo in content.photos if photo.fold == fold]
        split, training = benchmark.data(fold)
        if [photo.name for photo in split.test] != [photo.name for photo in wanted]:
            raise ValueError(f"the photos of the protocol {benchmark.protocol} are no longer those that the cells were "
                             "made of")
        tasks = {}
        for key, settings in kinds.items():
            tasks[key] = Trial("", replace(benchmark.config, **settings), split, training, False).task
        scenes = {key: paired_scenes(task) for key, task in tasks.items()}
        thumbnail = tasks[key_of(shared)].thumbnail
        for place, photo in enumerate(split.test):
            pair = _pair(photo, benchmark.protocol in FULL_SIZE, thumbnail)
            segments = {key: segments_of(each[place].labels, photo.image.shape, tasks[key].config.thumbnail)
                        for key, each in scenes.items()}
            shown.append(_shown(*pair, segments, key_of(shared)))
    return shown


def _pair(photo: Photo, full_size: bool, thumbnail: Callable[[np.ndarray], np.ndarray]
          ) -> tuple[np.ndarray, np.ndarray]:
    if full_size:
        return as_levels(photo.image), as_levels(photo.target)
    return as_levels(thumbnail(photo.image)), as_levels(thumbnail(photo.target))


def _shown(photo: np.ndarray, target: np.ndarray, segments: dict[str, Segments], shared: str) -> Shown:
    data = kept_picture(photo)
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    labels = segments[shared].labels
    scale = SIDE / max(photo.shape[:2])
    small = scaled(shrink(photo, SIDE), round(scale * photo.shape[0]), round(scale * photo.shape[1]))
    return Shown(data, kept_picture(target), width, height, segments, webp(outlined(small, labels), 80))


def segments_of(labels: np.ndarray, shape: tuple[int, ...], thumbnail: str = "squeeze") -> Segments:
    """The segments of a photo, and where on each there is most room for a number.

    Args:
        labels: (size, size) integers from 0.
        shape: Shape of the photo.
        thumbnail: How it was made a thumbnail, see `photos.content_box`.
    """
    count = int(labels.max()) + 1
    areas = np.bincount(labels.ravel(), minlength=count) / labels.size
    top, left, rows, columns = content_box(*shape[:2], labels.shape, thumbnail)
    inside = np.ascontiguousarray(labels[top : top + rows, left : left + columns])
    places: list[tuple[float, float] | None] = []
    for label, area in enumerate(areas):
        room = cv2.distanceTransform(np.pad(inside == label, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        row, column = np.unravel_index(room.argmax(), room.shape)
        here = 100 * (column + 0.5) / columns, 100 * (row + 0.5) / rows
        places.append((round(float(here[0]), 1), round(float(here[1]), 1)) if area >= LEAST and room.max() else None)
    return Segments(inside, areas, places)


def are_of_segments(entry: dict[str, Any], segments: Segments) -> bool:
    """Whether a photo's exposures are those of these segments, one for each, unlike a bracket's."""
    areas = entry["areas"]
    return len(areas) == len(segments.areas) == len(entry["evs"]) and np.allclose(areas, segments.areas, atol=TOLERANCE)


def ev_map(segments: Segments, evs: Sequence[float], most: float) -> bytes:
    """The PNG file of the segments coloured by their exposures, with fine lines between them.

    Args:
        segments: K segments.
        evs: (K,) [stops].
        most: Where the colours end [stops].
    """
    labels = segments.labels.repeat(FINE, axis=0).repeat(FINE, axis=1)
    places = labels.copy()
    places[:, 1:][labels[:, 1:] != labels[:, :-1]] = len(evs)
    places[1:][labels[1:] != labels[:-1]] = len(evs)
    return indexed_png(places, np.vstack([ev_colors(np.array(evs), most), BORDER]))


def largest_ev(content: Content) -> float:
    """Where the colours of EV maps end [stops]: at the largest exposure, rounded up to half a stop."""
    evs = [abs(ev) for system in content.systems for outcome in system.outcomes for ev in outcome.entry["evs"]
           if ev is not None]
    return max(math.ceil(2 * max(evs, default=0)) / 2, 0.5)

"""How much a plan can do at all: the true EV map, averaged over each segment, and rendered."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.baselines.ev_maps import with_ev_maps
from agents.baselines.untrained import by_length
from agents.playing import paired_scenes
from exposure_env.image import clip, expose
from exposure_env.photos import Photo
from exposure_env.rewards import psnr
from exposure_env.task import ExposureTask


class Ceiling(NamedTuple):
    """What plans of one kind reach, knowing the truth; means over photos."""

    segmenter: str
    max_segments: int
    segments: float  # segments that there are
    psnr: float  # [dB]


def ceiling(photos: Sequence[Photo], segmenter: str = "felzenszwalb", max_segments: int = 6,
            batch_size: int = 64, **settings: Any) -> Ceiling:
    """What a plan reaches whose every segment gets the mean of the true EV map over it.

    It isn't quite the best plan: where values were clipped, other EVs may come nearer to the target; see
    `baselines.Oracle`.

    Args:
        photos: Photos with targets and EV maps.
        segmenter: See `ExposureTask`.
        max_segments: Largest number of segments in a photo.
        batch_size: Photos rendered at once.
        **settings: Further settings of the task, such as `fusion`.

    Raises:
        ValueError: If there are no photos, or one has no target or no EV map.
    """
    if unknown := [photo.name for photo in photos if photo.ev_map is None]:
        raise ValueError(f"{len(unknown)} of {len(photos)} photos have no EV map, such as {unknown[0]!r}")
    task = ExposureTask(photos, segmenter, max_segments=max_segments, **settings)
    scenes = paired_scenes(task)
    maps, scores = np.stack([scene.photo.ev_map for scene in scenes]), []
    for chosen, state in by_length(task.start(scenes), batch_size):
        images = task.fused(with_ev_maps(state, maps[chosen], task.config.max_ev))
        scores += psnr(images, targets=state.targets).tolist()
    segments = float(np.mean([scene.num_segments for scene in scenes]))
    return Ceiling(segmenter, max_segments, segments, float(np.mean(scores)))


def bounds(photos: Sequence[Photo]) -> tuple[float, float]:
    """Mean PSNR [dB] of the untouched thumbnails, and of those under the true EV map itself.

    Args:
        photos: Photos with targets and EV maps.
    """
    scenes = paired_scenes(ExposureTask(photos))
    images, targets, maps = (np.stack(column) for column in zip(
        *((scene.image, scene.target, scene.photo.ev_map) for scene in scenes), strict=True))
    exposed = clip(expose(images, maps))
    low, high = (float(psnr(shown, targets=targets).mean()) for shown in (images, exposed))
    return low, high

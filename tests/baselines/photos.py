"""Photos, observations of them, and how good they get."""

import numpy as np

from agents.playing import paired_scenes
from exposure_env.episode import observe
from exposure_env.image import linear_to_srgb
from exposure_env.observations import encode
from exposure_env.photos import misexposed, sample_photos
from exposure_env.rewards import psnr
from exposure_env.task import ExposureTask

PHOTOS = sample_photos("test", 6)


def darkened(evs):
    """Photos exposed wrongly by a known EV everywhere; its opposite restores them."""
    pairs = zip(sample_photos("experts", len(evs)), evs, strict=True)
    return [misexposed([photo], 0, ev_range=(ev, ev), local=0, bits=16)[0] for photo, ev in pairs]


def grey(linear, size=16):
    return np.full((size, size, 3), linear_to_srgb(np.float32(linear)), np.float32)


def begin(photos=None, segmenter="felzenszwalb", **settings):
    task = ExposureTask(PHOTOS if photos is None else photos, segmenter, **{"size": 32, **settings})
    return task, task.start(paired_scenes(task))


def observations(obs_type, first=False, planes="full"):
    """Observations of six photos after one exposure, and the photos themselves."""
    task, state = begin(planes=planes)
    state = task.advance(state, np.linspace(-1, 1, 6, dtype=np.float32))
    observed = encode(observe(state, task.local(state), planes), obs_type)
    if first and obs_type == "dict":
        observed = {key: np.moveaxis(part, -1, 1) if part.ndim == 4 else part for key, part in observed.items()}
    elif first:
        observed = np.moveaxis(observed, -1, 1)
    return observed, state.photos


def scores_of(task, state):
    return psnr(task.fused(state._replace(step=state.num_segments)), targets=state.targets)

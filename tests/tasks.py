"""Tasks on photos of 8x8 pixels, of a single grey."""

import numpy as np

from exposure_env.photos import Photo
from exposure_env.task import ExposureTask
from tests.environments import halves

GREY = np.full((8, 8, 3), 0.25, np.float32)
LIGHT = np.full((8, 8, 3), 0.5, np.float32)
PAIR = [Photo("grey", GREY, LIGHT)]  # a gain of two in encoded values


def rng(seed=0):
    return np.random.default_rng(seed)


def task(photos=PAIR, segmenter=halves, reward_model="psnr", **settings):
    return ExposureTask(photos, segmenter, reward_model, **{"size": 8, "order": "label", **settings})

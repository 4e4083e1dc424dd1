"""Photos, a policy that is told what to do, and records of what one did."""

import numpy as np

from agents.evaluation.judging import PhotoRecord
from exposure_env.photos import sample_photos

PHOTOS = sample_photos("test", 6)
GREY = np.full((16, 16, 3), 0.25, np.float32)


def halves(image):
    """The upper half, then the lower."""
    return np.arange(len(image))[:, None] * 2 // len(image) * np.ones(image.shape[:2], int)


class Record:
    """Acts as it is told, and remembers what it was asked."""

    def __init__(self, action=0.0):
        self.action, self.asked = action, []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.asked.append((observation, state, episode_start, deterministic))
        return np.full((len(observation), 1), self.action), (0 if state is None else state) + 1


def record(evs=(0.0,), true_evs=None, areas=None, name="", psnr=20.0):
    areas = [1 / len(evs)] * len(evs) if areas is None else areas
    true_evs = None if true_evs is None else list(true_evs)
    return PhotoRecord(name, len(evs), 10.0, psnr, 0.5, list(evs), true_evs, areas, GREY)

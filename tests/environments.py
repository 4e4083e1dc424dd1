"""What the environments are tried on, and an episode from its first observation to its last."""

import numpy as np
import pytest

from exposure_env.photos import sample_photos

LOCAL, GLOBAL = "exposure_env:Exposure/Local-v0", "exposure_env:Exposure/Global-v0"
PHOTOS = sample_photos("inputs", 6)
EXPERTS = sample_photos("experts", 4)
GREY = np.full((64, 64, 3), 0.25, np.float32)
obs_types = pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])


def halves(image):
    """The upper half, then the lower."""
    return np.arange(len(image))[:, None] * 2 // len(image) * np.ones(image.shape[:2], int)


def brightness(images):
    return images.mean((1, 2, 3))


class Contrast:
    """A reward model as the protocol has it."""

    differentiable = True

    def __call__(self, images, *, inputs, targets):
        return images.std((1, 2, 3))


def play(env, *actions, **reset):
    """Everything that reset and the steps of one episode return, the actions repeated as often as needed."""
    transitions = [env.reset(**reset)]
    terminated = False
    while not terminated:
        action = actions[(len(transitions) - 1) % len(actions)]
        transitions.append(env.step(np.array([action], np.float32)))
        terminated = transitions[-1][2]
    return transitions

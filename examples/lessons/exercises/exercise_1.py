"""Exercises of lesson 1: light in stops.

Fill in the two functions, then run `python examples/lessons/exercises/exercise_1.py`.
"""

import numpy as np
import skimage.data

from exposure_env.image import expose, srgb_to_linear
from exposure_env.photos import thumbnail


def stops_between(photo: np.ndarray, other: np.ndarray) -> float:
    """The EV [stops] that turns a photo into another one, which differs from it by an exposure alone.

    Args:
        photo: (H, W, 3) float32, sRGB-encoded in [0, 1]; not all black, nothing clipped.
        other: The same photo under another exposure, of the same shape, nothing clipped.

    Returns:
        A number, positive where `other` is the brighter one.
    """
    raise NotImplementedError("stops_between: how much more light is there in the other photo, in powers of two?")


def headroom(photo: np.ndarray) -> float:
    """The largest EV [stops] at which no value of the exposed photo exceeds 1.

    Args:
        photo: (H, W, 3) float32, sRGB-encoded in [0, 1]; not all black.

    Returns:
        A number from 0 (something is white already).
    """
    raise NotImplementedError("headroom: how often can the brightest value's light double before it is 1?")


def check(first, second) -> None:
    """Checks both functions on photos exposed by EVs that are known here; AssertionError says what is wrong."""
    rng = np.random.default_rng(0)
    photos = [0.6 * thumbnail(photo) for photo in (skimage.data.coffee(), skimage.data.astronaut())]
    for photo in photos:
        for ev in rng.uniform(-2.0, 0.0, 5):
            found, back = first(photo, expose(photo, ev)), first(expose(photo, ev), photo)
            assert np.ndim(found) == 0, f"stops_between: want one number, got an array of shape {np.shape(found)}"
            assert np.sign(found) == np.sign(ev), f"stops_between: {found:+.2f} stops for a darker photo: turn the sign"
            assert abs(found - ev) < 0.01, (
                f"stops_between: the other photo was exposed by {ev:+.3f} stops, you found {found:+.3f}. Did you "
                "compare light, or encoded values?")
            assert abs(found + back) < 1e-3, "stops_between: there and back must cancel"

    for photo in (*photos, expose(photos[0], -1.7)):
        room = second(photo)
        assert np.ndim(room) == 0, f"headroom: want one number, got an array of shape {np.shape(room)}"
        assert room >= 0, f"headroom: {room:.2f} stops, but nothing is clipped yet: want 0 or more"
        assert expose(photo, room).max() <= 1 + 1e-5, (
            f"headroom: after {room:+.3f} stops the brightest value is {expose(photo, room).max():.3f}, which is "
            "clipped. Did you take the brightest of the three channels?")
        assert expose(photo, room + 0.01).max() > 1, (
            f"headroom: after {room + 0.01:+.3f} stops nothing is clipped yet, so there is more room. The brightest "
            f"value's light is {srgb_to_linear(photo).max():.3f}")
    assert abs(second(np.ones((2, 2, 3), np.float32))) < 1e-5, "headroom: a white photo has none"


if __name__ == "__main__":
    check(stops_between, headroom)
    print("All checks pass.")

import pickle

import cv2
import numpy as np
import pytest

from exposure_env.image import expose
from exposure_env.photos import Misexpose, Photo, misexpose, misexposed
from tests.photos.small import grey


@pytest.mark.parametrize("ev", [-2.0, 0.5])
def test_global_misexposure_is_known(ev):
    good = np.linspace(0.2, 0.6, 12 * 16 * 3, dtype=np.float32).reshape(12, 16, 3)
    wrong, ev_map = misexpose(good, np.random.default_rng(0), ev_range=(ev, ev), local=0.0)
    assert wrong.dtype == ev_map.dtype == np.float32
    np.testing.assert_allclose(ev_map, -ev)
    np.testing.assert_allclose(wrong, expose(good, np.float32(ev)), atol=0.5001 / 255)
    np.testing.assert_allclose(wrong * 255, np.round(wrong * 255), atol=1e-4)  # 8-bit values
    np.testing.assert_allclose(expose(wrong, ev_map), good, atol=0.02)


def test_local_misexposure_is_undone_by_its_map():
    good = grey(0.45, 60, 90)
    wrong, ev_map = misexpose(good, np.random.default_rng(1), ev_range=(0.0, 0.0), local=0.4, bits=16)
    assert np.ptp(ev_map) > 0.3
    np.testing.assert_allclose(expose(wrong, ev_map), good, atol=1e-3)
    steps = max(np.abs(np.diff(ev_map, axis=axis)).max() for axis in (0, 1))
    assert steps < 0.1  # smooth


def test_misexposure_clips():
    wrong, ev_map = misexpose(grey(0.9), np.random.default_rng(0), ev_range=(1.0, 1.0), local=0.0)
    assert (wrong == 1).all() and (ev_map == -1).all()


def test_ev_map_does_not_depend_on_resolution():
    small, large = (misexpose(grey(0.4, *shape), np.random.default_rng(3))[1] for shape in ((60, 90), (240, 360)))
    np.testing.assert_allclose(cv2.resize(large, (90, 60), interpolation=cv2.INTER_AREA), small, atol=0.05)


def test_global_evs_fill_their_range():
    rng = np.random.default_rng(0)
    evs = [-misexpose(grey(0.5, 1, 1), rng, ev_range=(-2.0, 1.0), local=0.0)[1].item() for _ in range(300)]
    assert -2 <= min(evs) < -1.9 and 0.9 < max(evs) <= 1
    assert np.mean(evs) == pytest.approx(-0.5, abs=0.15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ev_range": (1.0, -1.0)}, r"\(1\.0, -1\.0\)"),
        ({"ev_range": (0.0, np.nan)}, "nan"),
        ({"local": -0.5}, r"local is -0\.5"),
        ({"local": np.inf}, "local is inf"),
        ({"bits": 0}, "bits is 0"),
        ({"bits": 17}, "bits is 17"),
    ],
)
def test_impossible_misexposure_is_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        Misexpose(**settings)
    with pytest.raises(ValueError, match=message):
        misexpose(grey(0.5), np.random.default_rng(0), **settings)


def test_misexpose_object_degrades_the_good_image_afresh():
    degrade = pickle.loads(pickle.dumps(Misexpose(ev_range=(-1.0, 0.0), local=0.2, bits=8)))
    assert degrade == Misexpose((-1.0, 0.0), 0.2, 8)
    rng, photo = np.random.default_rng(0), Photo("a", grey(0.5))
    first, second = degrade(photo, rng), degrade(photo, rng)
    assert first.name == "a" and (first.target == photo.image).all()
    assert not np.array_equal(first.image, second.image)
    again = degrade(first, np.random.default_rng(0))  # from the target, not from the image that is wrong already
    np.testing.assert_array_equal(again.image, first.image)


def test_misexposed_is_deterministic():
    photos = [Photo("a", grey(0.5)), Photo("b", grey(0.6))]
    once, twice, other = misexposed(photos, 1), misexposed(photos, 1), misexposed(photos, 2)
    assert [photo.name for photo in once] == ["a", "b"]
    for photo, same, different in zip(once, twice, other, strict=True):
        np.testing.assert_array_equal(photo.image, same.image)
        np.testing.assert_array_equal(photo.ev_map, same.ev_map)
        assert not np.array_equal(photo.ev_map, different.ev_map)

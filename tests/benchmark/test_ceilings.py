"""How much a plan can do at all."""

import numpy as np
import pytest

from agents.benchmark.ceilings import bounds, ceiling
from exposure_env.image import clip, expose
from exposure_env.photos import Photo, misexposed, sample_photos
from exposure_env.rewards import psnr
from tests.baselines.photos import grey


def two_exposures(left, right):
    """A grey photo whose halves were exposed by these EVs."""
    ev_map = np.full((64, 64), left, np.float32)
    ev_map[:, 32:] = right
    good = grey(0.18, 64)
    return Photo("two", clip(expose(good, ev_map)), good, -ev_map)


def test_by_hand():
    """Two halves in two segments are restored; in a single segment they get the mean."""
    photo = two_exposures(-1.0, -2.0)
    split = ceiling([photo], "luminance_bands", 2, fusion="local")
    assert split[:3] == ("luminance_bands", 2, 2.0) and split.psnr > 50
    whole = ceiling([photo], max_segments=1, fusion="local")
    expected = psnr(clip(expose(photo.image, 1.5))[None], targets=photo.target[None])
    assert whole.psnr == pytest.approx(expected.item(), abs=1e-3) and whole.segments == 1


def test_the_bounds_are_the_untouched_photo_and_the_map_itself():
    photo = two_exposures(-1.0, -2.0)
    low, high = bounds([photo])
    assert low == pytest.approx(psnr(photo.image[None], targets=photo.target[None]).item(), abs=1e-3) and high > 50


def test_it_is_the_mean_over_photos_in_any_order_and_of_any_size():
    photos = misexposed(sample_photos("experts", 5), 0)
    each = [ceiling([photo], "slic", 4) for photo in photos]
    together = ceiling(photos, "slic", 4, batch_size=2)
    assert together.psnr == pytest.approx(np.mean([one.psnr for one in each]), abs=1e-3)
    assert together.segments == np.mean([one.segments for one in each])
    low, high = bounds(photos)
    assert low < together.psnr < high


def test_the_truth_must_be_known():
    with pytest.raises(ValueError, match="1 of 1 photos have no EV map, such as 'bare'"):
        ceiling([Photo("bare", grey(0.2), grey(0.2))])

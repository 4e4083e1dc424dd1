"""Backlight: wrong exposures that follow the photo's own light."""

import pickle

import numpy as np
import pytest

from exposure_env.image import clip, expose, linear_to_srgb, luminance, srgb_to_linear
from exposure_env.photos import Backlight, Photo, backlight, base_layer, thumbnail
from exposure_env.photos.backlighting import FLARE
from tests.photos.small import grey, noise

DARK, BRIGHT = 0.125 - FLARE, 0.5 - FLARE  # two stops apart


def halves(height: int = 64, width: int = 64) -> np.ndarray:
    """Dark on the left and bright on the right, with a far corner of each: a base layer of -3 and -1 stops."""
    image = grey(linear_to_srgb(np.float32(DARK)), height, width)
    image[:, width // 2 :] = linear_to_srgb(np.float32(BRIGHT))
    return image


def test_by_hand():
    """The means of two levels: far from the edge the base layer is the luminance itself."""
    wrong, ev_map = backlight(halves(), np.random.default_rng(0), strength=(0.5, 0.5), ev_range=(-0.25, -0.25))
    assert wrong.dtype == ev_map.dtype == np.float32 and ev_map.shape == (64, 64)
    assert ev_map[32, 0] == pytest.approx(0.75, abs=0.03)  # the dark half was darkened by 0.5 and 0.25 stops
    assert ev_map[32, -1] == pytest.approx(-0.25, abs=0.03)
    assert ev_map.mean() == pytest.approx(0.25, abs=1e-5)
    light = luminance(srgb_to_linear(wrong))
    assert np.log2(light[32, -1] / light[32, 0]) == pytest.approx(np.log2(BRIGHT / DARK) + 1.0, abs=0.1)
    np.testing.assert_allclose(clip(expose(wrong, ev_map)), halves(), atol=0.01)
    np.testing.assert_allclose(wrong * 255, np.round(wrong * 255), atol=1e-4)  # 8-bit values


def test_a_photo_of_one_level_is_only_exposed_as_a_whole():
    wrong, ev_map = backlight(grey(0.4), np.random.default_rng(0), ev_range=(0.5, 0.5))
    np.testing.assert_allclose(ev_map, -0.5, atol=1e-6)
    np.testing.assert_allclose(wrong, expose(grey(0.4), 0.5), atol=0.5001 / 255)


def test_the_base_layer_is_a_bilateral_filter():
    """Against its definition, pixel by pixel, away from the borders, which are continued differently."""
    image = thumbnail(noise(12, 12, 3), 40)
    light = np.log2(luminance(srgb_to_linear(image)).astype(float) + FLARE)
    y, x = np.mgrid[:40, :40]
    for row, column in ((20, 20), (18, 23), (23, 17)):
        near = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 5**2))  # an eighth of the side
        weight = near * np.exp(-((light - light[row, column]) ** 2) / 2)
        assert base_layer(image)[row, column] == pytest.approx((weight * light).sum() / weight.sum(), abs=0.03)


def test_the_base_layer_keeps_edges_loses_texture_and_survives_black():
    rng = np.random.default_rng(0)
    textured = np.clip(halves() * rng.uniform(0.9, 1.1, (64, 64, 1)), 0, 1).astype(np.float32)
    base = base_layer(textured)
    assert base[:, :28].std() < 0.3 * np.log2(luminance(srgb_to_linear(textured)))[:, :28].std()
    assert base[:, 35:].mean() - base[:, :28].mean() > 1.5  # within a few pixels of the edge
    assert base_layer(grey(0.0, 1, 1)) == pytest.approx(np.log2(FLARE))
    assert base_layer(grey(1.0, 3, 50)) == pytest.approx(np.log2(1 + FLARE), abs=1e-4)


def test_the_map_is_the_same_at_any_resolution():
    large = thumbnail(noise(10, 15, 3), (120, 180))
    small = np.stack([thumbnail(large[..., channel], (60, 90)) for channel in range(3)], axis=-1)
    np.testing.assert_allclose(thumbnail(base_layer(large), (60, 90)), base_layer(small), atol=0.1)


def test_strengths_and_evs_fill_their_ranges():
    how, rng, guide = Backlight(), np.random.default_rng(0), np.float32([[-1.0, 1.0]])
    maps = np.array([how.ev_map(guide, rng)[0] for _ in range(500)])
    strengths, evs = (maps[:, 1] - maps[:, 0]) / 2, maps.mean(1)
    assert 0.2 <= strengths.min() < 0.22 and 0.88 < strengths.max() <= 0.9
    assert -1 <= evs.min() < -0.97 and 0.47 < evs.max() <= 0.5


def test_it_degrades_the_good_image_afresh():
    degrade = pickle.loads(pickle.dumps(Backlight((0.3, 0.4), bits=10)))
    assert degrade == Backlight((0.3, 0.4), (-1.0, 0.5), 10)
    rng, photo = np.random.default_rng(0), Photo("a", halves(20, 30))
    first, second = degrade(photo, rng), degrade(photo, rng)
    assert first.name == "a" and (first.target == photo.image).all()
    assert not np.array_equal(first.image, second.image)
    again = degrade(first, np.random.default_rng(0))  # from the target, not from the image that is wrong already
    np.testing.assert_array_equal(again.image, first.image)
    np.testing.assert_array_equal(again.ev_map, first.ev_map)


@pytest.mark.parametrize(("settings", "message"), [({"strength": (0.9, 0.2)}, r"strength is \(0\.9, 0\.2\)"),
                                                   ({"ev_range": (0.0, np.inf)}, "ev_range is .*inf"),
                                                   ({"bits": 0}, "bits is 0")])
def test_impossible_settings_are_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        Backlight(**settings)
    with pytest.raises(ValueError, match=message):
        backlight(grey(0.5), np.random.default_rng(0), **settings)

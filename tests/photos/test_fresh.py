"""Photos that are new in every episode."""

import numpy as np
import pytest

from exposure_env.photos import Crop, Misexpose, MisexposeAgain, OneOf, Photo, Steps, Variants

ROWS = np.linspace(0, 1, 40, dtype=np.float32)[:, None, None] * np.ones((1, 60, 3), np.float32)
ACROSS = np.linspace(0, 1, 60, dtype=np.float32)[None, :, None] * np.ones((40, 1, 3), np.float32)
PHOTO = Photo("slope", ACROSS, np.sqrt(ACROSS), ACROSS[..., 0])


def test_a_crop_is_a_square_part_of_photo_target_and_map_alike():
    rng = np.random.default_rng(0)
    for _ in range(50):
        crop = Crop((0.5, 1.0))(PHOTO, rng)
        height, width = crop.image.shape[:2]
        assert 20 <= height == width <= 40
        np.testing.assert_allclose(crop.target, np.sqrt(crop.image))
        np.testing.assert_array_equal(crop.ev_map, crop.image[..., 0])


def test_about_half_are_mirrored_or_none():
    rng = np.random.default_rng(0)
    mirrored = np.mean([(crop := Crop()(PHOTO, rng).image)[0, 0, 0] > crop[0, -1, 0] for _ in range(200)])
    assert 0.4 < mirrored < 0.6
    assert not any((crop := Crop(mirror=False)(PHOTO, rng).image)[0, 0, 0] > crop[0, -1, 0] for _ in range(50))


def test_misexposed_again_it_loses_its_target_and_is_one_ev_apart_where_nothing_is_clipped():
    rng, grey = np.random.default_rng(0), Photo("grey", np.full((8, 8, 3), 0.5, np.float32), ROWS[:8, :8])
    again = [MisexposeAgain(ev=1.0, local=0.0)(grey, rng) for _ in range(200)]
    assert all(photo.target is None and photo.ev_map is None for photo in again)
    levels = np.array([photo.image.mean() for photo in again])
    assert all(np.ptp(photo.image) < 1e-6 for photo in again)
    assert levels.min() == pytest.approx(0.3605, abs=0.01) and levels.max() == pytest.approx(0.6858, abs=0.01)
    assert np.ptp(MisexposeAgain(0.0, 0.5)(grey, rng).image) > 0.01  # another exposure in another place
    np.testing.assert_allclose(MisexposeAgain(0.0, 0.0)(grey, rng).image, grey.image, atol=1e-6)


def test_steps_follow_one_another():
    steps = Steps(Crop((0.5, 0.5), mirror=False), Misexpose((-1.0, -1.0), local=0.0))
    photo = steps(Photo("good", ACROSS), np.random.default_rng(0))
    assert photo.image.shape == photo.target.shape == (20, 20, 3) and np.allclose(photo.ev_map, 1.0)
    assert "Crop" in repr(steps) and "Misexpose" in repr(steps)


def test_one_of_several_each_as_often():
    either, rng = OneOf(Misexpose((-1.0, -1.0), local=0.0), Crop((0.5, 0.5))), np.random.default_rng(0)
    sides = [len(either(PHOTO, rng).image) for _ in range(100)]
    assert set(sides) == {20, 40} and 30 < sides.count(20) < 70 and "Misexpose" in repr(either)


def test_a_crop_may_have_a_size():
    crop = Crop((0.5, 1.0), size=8)(PHOTO, np.random.default_rng(0))
    assert crop.image.shape == crop.target.shape == (8, 8, 3) and crop.ev_map.shape == (8, 8)


def test_variants_differ_but_stay_as_they_are():
    variants = Variants([PHOTO, Photo("other", ROWS)], MisexposeAgain(), 3)
    assert len(variants) == 6 and [photo.name for photo in variants[:]] == ["slope"] * 3 + ["other"] * 3
    assert len({photo.image.mean() for photo in variants}) == 6
    np.testing.assert_array_equal(variants[4].image, variants[-2].image)
    assert not np.array_equal(variants[0].image, Variants([PHOTO], MisexposeAgain(), 1, seed=1)[0].image)
    with pytest.raises(IndexError):
        variants[6]


@pytest.mark.parametrize("make", [lambda: Crop((0.0, 1.0)), lambda: Crop((0.9, 0.8)), lambda: Crop((0.5, 1.5)),
                                  lambda: Crop(size=0), lambda: Variants([PHOTO], Crop(), 0),
                                  lambda: MisexposeAgain(-1.0), lambda: MisexposeAgain(1.0, np.inf)])
def test_settings_that_make_no_sense(make):
    with pytest.raises(ValueError, match="must be"):
        make()

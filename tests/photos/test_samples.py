import numpy as np
import pytest

from exposure_env.image import expose, luminance
from exposure_env.photos import Photo, sample_photos, sample_scenes
from exposure_env.photos.samples import DEFAULT_COUNTS, LEFT_OUT_SCENE, TRAINING_SCENES


def place(photo: Photo) -> tuple[str, int, int, int, bool]:
    scene, *numbers = photo.name.split("_")
    return scene, *map(int, numbers[:3]), photo.name.endswith("_m")


@pytest.mark.parametrize("split", DEFAULT_COUNTS)
def test_samples_are_what_they_say(split):
    photos, scenes = sample_photos(split), {scene.name: scene.image for scene in sample_scenes()}
    assert len(photos) == DEFAULT_COUNTS[split]
    for photo in photos:
        scene, top, left, side, mirrored = place(photo)
        crop = scenes[scene][top : top + side, left : left + side]
        good = photo.image if split == "experts" else photo.target
        np.testing.assert_array_equal(good, crop[:, ::-1] if mirrored else crop)
        assert 64 <= side <= 200 and good.shape == (side, side, 3)
        assert photo.image.dtype == np.float32 and 0 <= photo.image.min() <= photo.image.max() <= 1
        if split == "experts":
            assert photo.target is None and photo.ev_map is None
        else:
            np.testing.assert_allclose(photo.image, np.clip(expose(good, -photo.ev_map), 0, 1), atol=0.51 / 255)
        assert not any(array.flags.writeable for array in photo[1:] if array is not None)


def test_splits_share_scenes_but_no_pixel():
    owners = {scene.name: np.zeros((3, *scene.image.shape[:2]), bool) for scene in sample_scenes()}
    for row, split in enumerate(("inputs", "experts", "test")):
        for seed in range(2):
            for scene, top, left, side, _ in map(place, sample_photos(split, 120, seed)):
                owners[scene][row, top : top + side, left : left + side] = True
    for scene in TRAINING_SCENES:
        assert owners[scene].sum(0).max() == 1
        assert (owners[scene].mean((1, 2)) > 0.15).all()
    assert not owners[LEFT_OUT_SCENE].any()
    assert {place(photo)[0] for photo in sample_photos("left_out")} == {LEFT_OUT_SCENE}


def test_splits_look_alike():
    def quantiles(values):
        return np.quantile(values, np.linspace(0, 1, 51), axis=0)

    looks = {}
    for split in ("inputs", "experts", "test"):
        good = [photo.target if photo.target is not None else photo.image for photo in sample_photos(split)]
        looks[split] = np.array([(luminance(image).mean(), luminance(image).std(), len(image)) for image in good])
    for split in ("inputs", "test"):
        difference = np.abs(quantiles(looks[split]) - quantiles(looks["experts"])).mean(0)
        assert (difference < [0.05, 0.03, 10]).all(), difference


def test_every_scene_takes_its_turn():
    assert [place(photo)[0] for photo in sample_photos("experts", 8)] == list(TRAINING_SCENES) * 2


def test_samples_are_deterministic_and_extend_each_other():
    photos, fewer = sample_photos("test", 10, seed=5), sample_photos("test", 7, seed=5)
    for photo, same in zip(photos, fewer, strict=False):
        assert photo.name == same.name
        np.testing.assert_array_equal(photo.image, same.image)
    assert [photo.name for photo in photos] != [photo.name for photo in sample_photos("test", 10, seed=6)]
    assert sample_photos("test", 10, seed=5)[3].image is photos[3].image  # kept
    photos.clear()
    assert len(sample_photos("test", 10, seed=5)) == 10  # but for the list
    assert sample_photos("test", 0) == []


def test_sample_scenes():
    shapes = {scene.name: scene.image.shape for scene in sample_scenes()}
    assert set(shapes) == {*TRAINING_SCENES, LEFT_OUT_SCENE}
    assert shapes["astronaut"] == (512, 512, 3) and shapes["motorcycle"] == (500, 741, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("train",), "'train'"), (("inputs", -1), "count is -1"), (("inputs", 3, -2), "seed -2")],
)
def test_impossible_samples_are_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_photos(*arguments)

import pickle
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from exposure_env.files import ImageFile, save_image
from exposure_env.image import expose, luminance
from exposure_env.photos import (
    FolderPhotos,
    Misexpose,
    PairedPhotos,
    Photo,
    check_photo,
    content_box,
    misexpose,
    misexposed,
    sample_photos,
    sample_scenes,
    thumbnail,
)
from exposure_env.photos.samples import DEFAULT_COUNTS, LEFT_OUT_SCENE, TRAINING_SCENES


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def grey(value: float, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width, 3), value, np.float32)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    save_image(path, ImageFile(pixels))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2"])
def test_integers_become_floats(dtype):
    largest = np.iinfo(dtype).max
    checked = check_photo(np.array([[[0, largest // 3, largest]]], dtype))
    assert checked.dtype == np.float32
    np.testing.assert_allclose(checked, [[[0, 1 / 3, 1]]], atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_float32(dtype):
    checked = check_photo(np.array([[[0, 0.5, 1]]], dtype))
    assert checked.dtype == np.float32 and checked.tolist() == [[[0, 0.5, 1]]]


def test_a_good_photo_is_not_copied():
    assert check_photo(photo := grey(0.5)) is photo
    assert check_photo(grey(0.5)[:, ::-1]).flags.c_contiguous


def test_grey_becomes_colour():
    checked = check_photo(np.array([[0, 51], [102, 255]], np.uint8))
    np.testing.assert_allclose(checked, np.repeat([[[0], [0.2]], [[0.4], [1]]], 3, axis=-1), atol=1e-7)


@pytest.mark.parametrize("photo", [grey(0), grey(1), grey(0.3, 1, 1), grey(0.3, 1, 9), grey(0.3, 9, 1)])
def test_plain_and_narrow_photos_pass(photo):
    assert check_photo(photo).shape == photo.shape
    assert thumbnail(photo).shape == thumbnail(photo, mode="letterbox").shape == (64, 64, 3)
    assert misexpose(photo, np.random.default_rng(0))[0].shape == photo.shape


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 4, 3), np.float32), r"\(0, 4, 3\).*at least one pixel"),
        (np.zeros((4,), np.float32), r"\(4,\)"),
        (np.zeros((2, 4, 4, 3), np.float32), r"\(2, 4, 4, 3\)"),
        (np.zeros((3, 4, 4), np.float32), "channels last"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((4, 4, 1), np.uint8), r"\(4, 4, 1\)"),
        (np.zeros((4, 4, 3), np.int16), "int16"),
        (np.zeros((4, 4, 3), np.uint32), "uint32"),
        (np.zeros((4, 4, 3), bool), "bool"),
        (np.zeros((4, 4, 3), np.complex64), "complex64"),
        (np.full((4, 4, 3), np.nan), "nan"),
        (np.full((4, 4, 3), np.inf), "inf"),
        (np.full((4, 4, 3), 1.01), r"1\.01"),
        (np.full((4, 4, 3), -0.01, np.float32), r"-0\.01"),
        (np.full((4, 4, 3), 255.0), "255"),
    ],
)
def test_what_is_no_photo_is_an_error_that_names_it(image, message):
    with pytest.raises(ValueError, match=f"holiday: .*{message}"):
        check_photo(image, "holiday")


def test_folder_photos_are_sorted_shrunk_and_floats(tmp_path):
    save(tmp_path / "b.png", noise(20, 10, 3, dtype=np.uint16))
    save(tmp_path / "a.JPG", noise(5, 10, 3))
    save(tmp_path / "c.tiff", noise(8, 8, 3))
    (tmp_path / "notes.txt").write_text("not a photo")
    (tmp_path / ".hidden.png").write_text("not a photo")
    (tmp_path / "folder.png").mkdir()
    photos = FolderPhotos(tmp_path, max_side=10)
    assert [photo.name for photo in photos] == ["a", "b", "c"]
    assert [photo.image.shape for photo in photos] == [(5, 10, 3), (10, 5, 3), (8, 8, 3)]
    assert all(photo.image.dtype == np.float32 and photo.target is None for photo in photos)
    np.testing.assert_allclose(photos[2].image, noise(8, 8, 3) / 255, atol=1e-7)
    assert photos[-1].name == "c" and [photo.name for photo in photos[1:]] == ["b", "c"]
    assert FolderPhotos(str(tmp_path), max_side=None)[1].image.shape == (20, 10, 3)
    with pytest.raises(IndexError):
        photos[3]


def test_a_broken_file_is_left_out_with_a_warning(tmp_path):
    save(tmp_path / "a.png", noise(8, 8, 3))
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"left out.*broken\.png") as record:
        assert [photo.name for photo in FolderPhotos(tmp_path)] == ["a"]
    assert Path(record[0].filename).name == "test_photos.py"


def test_a_folder_without_photos_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path.name}.*jpg"):
        FolderPhotos(tmp_path)
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        FolderPhotos(tmp_path / "nowhere")
    (tmp_path / "a.jpg").touch()
    with pytest.warns(UserWarning, match="empty"), pytest.raises(ValueError, match="no photo could be read"):
        FolderPhotos(tmp_path)


def test_max_side_below_one_is_an_error(tmp_path):
    save(tmp_path / "a.png", noise(8, 8, 3))
    with pytest.raises(ValueError, match="max_side is 0"):
        FolderPhotos(tmp_path, max_side=0)


def test_pairs_match_by_stem(tmp_path):
    for name, side in (("b", 8), ("a", 30)):
        save(tmp_path / "in" / f"{name}.jpg", np.full((side, 6, 3), 60, np.uint8))
        save(tmp_path / "out" / f"{name}.png", np.full((side, 6, 3), 120, np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photos = PairedPhotos(tmp_path / "in", tmp_path / "out", max_side=15)
    assert [photo.name for photo in photos] == ["a", "b"]
    assert photos[0].image.shape == photos[0].target.shape == (15, 3, 3)
    np.testing.assert_allclose(photos[0].image, 60 / 255, atol=2 / 255)
    np.testing.assert_allclose(photos[0].target, 120 / 255, atol=1e-7)
    assert photos[1].ev_map is None


def test_pairs_leave_out_what_does_not_match_with_a_warning(tmp_path):
    for name in ("good", "cropped", "broken", "alone"):
        save(tmp_path / "in" / f"{name}.png", noise(8, 8, 3))
    save(tmp_path / "out" / "good.png", noise(8, 8, 3))
    save(tmp_path / "out" / "cropped.png", noise(8, 7, 3))
    save(tmp_path / "out" / "single.png", noise(8, 8, 3))
    (tmp_path / "out" / "broken.png").touch()
    with pytest.warns(UserWarning) as record:
        photos = PairedPhotos(tmp_path / "in", tmp_path / "out")
    assert [photo.name for photo in photos] == ["good"]
    messages = "\n".join(str(warning.message) for warning in record)
    for part in ("alone.png", "single.png", "broken.png: the file is empty", "'cropped' has two sizes: 8x8 and 7x8"):
        assert part in messages


def test_pairs_that_cannot_be_are_an_error(tmp_path):
    save(tmp_path / "in" / "a.png", noise(8, 8, 3))
    save(tmp_path / "out" / "b.png", noise(8, 8, 3))
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no pair"):
        PairedPhotos(tmp_path / "in", tmp_path / "out")
    save(tmp_path / "in" / "a.jpg", noise(8, 8, 3))
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png have one name"):
        PairedPhotos(tmp_path / "in", tmp_path / "out")


def test_real_folder(real_files):
    photos = FolderPhotos(real_files[0].parent, max_side=200)
    assert all(max(photo.image.shape) <= 200 for photo in photos)
    assert 0.2 < np.mean([photo.image.mean() for photo in photos[:20]]) < 0.7


def test_real_pairs(real_folder):
    folder = real_folder / "fivek_pairs"
    if not folder.is_dir():
        pytest.skip(f"no folder of pairs at {folder}: name the folder above it in EXPOSURE_TEST_PHOTOS")
    photos = PairedPhotos(folder / "input", folder / "expert_c")
    assert len(photos) == 15
    for photo in photos:
        small = [cv2.resize(luminance(image), (16, 16), interpolation=cv2.INTER_AREA).ravel() for image in photo[1:3]]
        assert np.corrcoef(small)[0, 1] > 0.8


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


def test_squeezed_thumbnail_averages_areas():
    image = np.array([[0.0, 0.2, 1.0, 0.0], [0.4, 0.6, 0.0, 1.0]], np.float32)[..., None].repeat(3, -1)
    np.testing.assert_allclose(thumbnail(image, 2)[..., 0], [[0.1, 0.5], [0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(thumbnail(image, 1)[..., 0], [[0.4]], atol=1e-6)
    assert content_box(2, 4, 2) == (0, 0, 2, 2)


def test_squeezed_thumbnail_enlarges_linearly():
    image = np.array([[0.0, 1.0]], np.float32)
    np.testing.assert_allclose(thumbnail(image, 4), np.tile([0.0, 0.25, 0.75, 1.0], (4, 1)), atol=1e-6)


def test_thumbnail_averages_the_side_it_shrinks_while_it_enlarges_the_other():
    image = np.tile(np.array([0.0, 1.0], np.float32), (1, 50))  # (1, 100)
    np.testing.assert_allclose(thumbnail(image, 4), np.tile([0.48, 0.52, 0.48, 0.52], (4, 1)), atol=1e-6)


def test_letterboxed_thumbnail_repeats_the_border():
    image = np.array([[0.0, 0.2, 1.0, 0.8], [0.4, 0.6, 0.6, 0.4]], np.float32)
    top, left, height, width = content_box(2, 4, 4, "letterbox")
    assert (top, left, height, width) == (1, 0, 2, 4)
    boxed = thumbnail(image, 4, "letterbox")
    np.testing.assert_array_equal(boxed, image[[0, 0, 1, 1]])
    np.testing.assert_array_equal(thumbnail(image.T.copy(), 4, "letterbox"), boxed.T)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (64, 64), (1, 1000), (1000, 3), (10, 7)])
def test_content_box_lies_in_the_thumbnail_and_keeps_the_aspect(shape):
    top, left, height, width = content_box(*shape, 64, "letterbox")
    assert min(top, left) >= 0 and top + height <= 64 and left + width <= 64 and max(height, width) == 64
    assert abs(64 - height - 2 * top) <= 1 and abs(64 - width - 2 * left) <= 1
    assert min(height, width) == max(1, round(64 * min(shape) / max(shape)))
    boxed = thumbnail(noise(*shape, 3), 64, "letterbox")
    assert boxed.shape == (64, 64, 3) and boxed.dtype == np.float32
    np.testing.assert_array_equal(boxed[0], boxed[top])


@pytest.mark.parametrize(("size", "mode", "message"), [(0, "squeeze", "size is 0"), (64, "crop", "'crop'")])
def test_impossible_thumbnail_is_an_error(size, mode, message):
    with pytest.raises(ValueError, match=message):
        thumbnail(grey(0.5), size, mode)


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

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from exposure_env.files import ImageFile, save_image
from exposure_env.image import luminance
from exposure_env.photos import FolderPhotos, PairedPhotos
from tests.photos.small import noise


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    save_image(path, ImageFile(pixels))


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
    assert Path(record[0].filename).name == "test_folders.py"


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

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from exposure_env.files import ImageFile, load_image, save_image
from tests.files.small import DTYPES, ICC, assert_holds_exif, exif_data, noise, parsed

LOSSLESS = [".png", ".tif", ".TIFF"]


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize("with_metadata", [False, True])
def test_lossless_round_trip(tmp_path, suffix, dtype, with_alpha, with_metadata):
    alpha = noise((13, 18), dtype) if with_alpha else None
    metadata = (exif_data(1), ICC) if with_metadata else (None, None)
    save_image(tmp_path / f"a{suffix}", ImageFile(noise((13, 18, 3), dtype), alpha, *metadata))
    loaded = load_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(loaded.pixels, noise((13, 18, 3), dtype), strict=True)
    assert loaded.pixels.flags.c_contiguous
    assert (loaded.alpha is None) == (alpha is None)
    if with_alpha:
        np.testing.assert_array_equal(loaded.alpha, alpha, strict=True)
    assert loaded.icc == metadata[1]
    assert (loaded.exif is None) == (not with_metadata)
    if with_metadata:
        assert_holds_exif(parsed(loaded.exif))
        with Image.open(tmp_path / f"a{suffix}") as image:  # others see it as well
            assert_holds_exif(image.getexif())
            assert image.info["icc_profile"] == ICC
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(700, 600, 3), (1, 1, 3), (1, 500, 3), (300_000, 1, 3)])
def test_other_libraries_read_our_tiff(tmp_path, dtype, shape):
    save_image(tmp_path / "a.tif", ImageFile(noise(shape, dtype), None, exif_data(), ICC))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), noise(shape, dtype))
    bgr = cv2.imread(str(tmp_path / "a.tif"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(bgr[..., ::-1], noise(shape, dtype))


def test_jpeg_keeps_metadata_and_almost_the_pixels(tmp_path):
    pixels = np.linspace(0, 255, 64 * 48 * 3).reshape(64, 48, 3).astype(np.uint8)
    save_image(tmp_path / "a.jpg", ImageFile(pixels, np.full((64, 48), 255, np.uint8), exif_data(1), ICC), quality=98)
    loaded = load_image(tmp_path / "a.jpg")
    assert np.abs(loaded.pixels.astype(int) - pixels).max() <= 4
    assert loaded.alpha is None
    assert loaded.icc == ICC
    assert_holds_exif(parsed(loaded.exif))


def test_jpeg_quality_changes_the_size(tmp_path):
    for quality in (50, 95):
        save_image(tmp_path / f"{quality}.jpg", ImageFile(noise((64, 64, 3))), quality)
    assert (tmp_path / "50.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size / 2


def test_jpeg_rounds_16_bits_to_the_nearest_of_8(tmp_path):
    pixels = noise((16, 16, 3))
    wide = pixels.astype(np.int64) * 257 + np.random.default_rng(1).integers(-128, 129, pixels.shape)
    save_image(tmp_path / "a.jpg", ImageFile(pixels))
    save_image(tmp_path / "b.jpg", ImageFile(np.clip(wide, 0, 65535).astype(np.uint16)))
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


@pytest.mark.parametrize(
    ("name", "image", "quality", "message"),
    [
        ("a.webp", ImageFile(noise((4, 4, 3))), 95, r"a\.webp: the suffix must be"),
        ("a", ImageFile(noise((4, 4, 3))), 95, "the suffix must be"),
        ("a.png", ImageFile(noise((4, 4))), 95, r"\(4, 4\) uint8"),
        ("a.png", ImageFile(noise((0, 4, 3))), 95, r"\(0, 4, 3\)"),
        ("a.png", ImageFile(noise((4, 4, 3)).astype(np.float32)), 95, "float32"),
        ("a.png", ImageFile(noise((4, 4, 3)), noise((4, 5))), 95, r"alpha is \(4, 5\)"),
        ("a.png", ImageFile(noise((4, 4, 3)), noise((4, 4), np.uint16)), 95, "alpha is .* uint16"),
        ("a.jpg", ImageFile(noise((4, 4, 3)), noise((4, 4))), 95, r"a\.jpg: JPEG cannot hold transparency"),
        ("a.jpg", ImageFile(noise((4, 4, 3))), 0, "quality is 0"),
        ("a.jpg", ImageFile(noise((1, 65_536, 3))), 95, r"a\.jpg"),
        ("a.jpg", ImageFile(noise((4, 4, 3)), None, exif_data() + b"\0" * 70_000), 95, r"a\.jpg"),
    ],
)
def test_what_cannot_be_saved_is_an_error_and_leaves_no_file(tmp_path, name, image, quality, message):
    with pytest.raises(ValueError, match=message):
        save_image(tmp_path / name, image, quality)
    assert list(tmp_path.iterdir()) == []

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from exposure_env.files import ImageFile, load_image, save_image
from tests.files.small import (
    DTYPES,
    ICC,
    ORIENTATION,
    assert_holds_exif,
    encoded,
    exif_data,
    noise,
    parsed,
    png_chunk,
    written,
)


def rotated_file(folder: Path, kind: str, pixels: np.ndarray, orientation: int) -> Path:
    exif = exif_data(orientation)
    if kind == "jpeg":
        Image.fromarray(pixels).save(folder / "a.jpg", quality=100, subsampling=0, exif=b"Exif\0\0" + exif)
        return folder / "a.jpg"
    if kind.startswith("png"):
        data = encoded(".png", pixels)
        return written(folder / "a.png", data[:33] + png_chunk(b"eXIf", exif) + data[33:])
    tag = [(ORIENTATION, "H", 1, orientation, True)]
    tifffile.imwrite(folder / "a.tif", pixels, photometric="rgb", extratags=tag, metadata=None)
    return folder / "a.tif"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png 8", "png 16", "tiff 8", "tiff 16"])
def test_every_orientation_is_turned_upright(tmp_path, kind, orientation):
    corners = np.zeros((16, 24, 3), np.uint8)  # whole JPEG blocks
    corners[:8, :8], corners[:8, -8:], corners[-8:, :8] = (250, 0, 0), (0, 200, 0), (0, 0, 150)
    stored = Image.fromarray(corners)
    stored.getexif()[ORIENTATION] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
    scale = 257 if "16" in kind else 1
    pixels = corners.astype(np.uint16) * 257 if "16" in kind else corners
    loaded = load_image(rotated_file(tmp_path, kind, pixels, orientation))
    assert loaded.pixels.shape == upright.shape
    np.testing.assert_allclose(loaded.pixels, upright * scale, atol=3 if kind == "jpeg" else 0)
    if kind.startswith("tiff"):
        return  # these have no EXIF data but the orientation
    assert parsed(loaded.exif)[ORIENTATION] == 1
    for suffix in (".jpg", ".png", ".tif"):  # nobody turns it once more
        save_image(tmp_path / f"again{suffix}", loaded)
        assert load_image(tmp_path / f"again{suffix}").pixels.shape == upright.shape
        assert Image.open(tmp_path / f"again{suffix}").getexif().get(ORIENTATION, 1) == 1


def test_alpha_turns_with_the_pixels(tmp_path):
    rgba = noise((4, 6, 4))
    image = Image.fromarray(rgba)
    exif = image.getexif()
    exif[ORIENTATION] = 6
    image.save(tmp_path / "a.png", exif=exif)
    loaded = load_image(tmp_path / "a.png")
    np.testing.assert_array_equal(loaded.pixels, np.rot90(rgba[..., :3], -1))
    np.testing.assert_array_equal(loaded.alpha, np.rot90(rgba[..., 3], -1))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientation_is_ignored_and_reset(tmp_path, orientation):
    loaded = load_image(rotated_file(tmp_path, "png 8", noise((4, 6, 3)), orientation))
    np.testing.assert_array_equal(loaded.pixels, noise((4, 6, 3)))
    assert parsed(loaded.exif)[ORIENTATION] == 1


def test_only_orientation_and_preview_change_in_exif_data(tmp_path):
    exif = exif_data(6)
    count = struct.unpack_from(">H", exif, 8)[0]
    with_preview = bytearray(exif)
    struct.pack_into(">I", with_preview, 10 + 12 * count, len(exif))
    data = encoded(".png", noise((4, 6, 3)))
    written(tmp_path / "a.png", data[:33] + png_chunk(b"eXIf", bytes(with_preview) + b"\0\0") + data[33:])
    loaded = load_image(tmp_path / "a.png").exif
    assert loaded[:-2] == exif_data(1)  # as long, hence everything at its place


def test_exif_data_behind_the_pixels_counts(tmp_path):
    for dtype in DTYPES:
        data = encoded(".png", noise((4, 6, 3), dtype))
        loaded = load_image(written(tmp_path / "a.png", data[:-12] + png_chunk(b"eXIf", exif_data(6)) + data[-12:]))
        assert loaded.pixels.shape == (6, 4, 3)
        assert_holds_exif(parsed(loaded.exif))


@pytest.mark.parametrize("exif", [b"II", b"nonsense, and more of it", b"MM\0*\0\0\0\x08\xff\xff" + b"\0" * 40])
def test_broken_exif_data_is_dropped(tmp_path, exif):
    save_image(tmp_path / "a.png", ImageFile(noise((4, 6, 3)), None, exif))
    assert load_image(tmp_path / "a.png").exif is None
    data = encoded(".png", noise((4, 6, 3)))
    loaded = load_image(written(tmp_path / "b.png", data[:33] + png_chunk(b"eXIf", exif) + data[33:]))
    assert loaded.pixels.shape == (4, 6, 3) and loaded.exif is None


def test_profile_for_grey_is_dropped(tmp_path):
    Image.fromarray(noise((4, 6))).save(tmp_path / "a.png", icc_profile=ICC[:16] + b"GRAY" + ICC[20:])
    assert load_image(tmp_path / "a.png").icc is None

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from exposure_env.files import MAX_PIXELS, ImageFile, load_image, read_image, save_image
from tests.files.small import DTYPES, ICC, encoded, exif_data, noise, png_chunk, written


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_8_bit_kind_becomes_rgb(tmp_path, mode, suffix):
    image = Image.fromarray(noise((8, 10, 4))).convert("RGBA" if mode.endswith("A") else "RGB").convert(mode)
    image.save(tmp_path / f"a{suffix}")
    loaded = load_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(loaded.pixels, np.asarray(image.convert("RGB")), strict=True)
    assert (loaded.alpha is not None) == mode.endswith("A")
    if mode.endswith("A"):
        np.testing.assert_array_equal(loaded.alpha, noise((8, 10, 4))[..., 3])


def test_grey_jpeg_becomes_rgb(tmp_path):
    Image.new("L", (10, 8), 77).save(tmp_path / "a.jpg")
    loaded = load_image(tmp_path / "a.jpg").pixels
    np.testing.assert_array_equal(loaded, np.full((8, 10, 3), 77, np.uint8), strict=True)


def test_transparent_palette_colour_becomes_alpha(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=1)
    loaded = load_image(tmp_path / "a.png")
    assert loaded.pixels.tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert loaded.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_becomes_rgb(tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f"a{suffix}"), noise((4, 6), np.uint16))
    expected = np.repeat(noise((4, 6, 1), np.uint16), 3, axis=-1)
    np.testing.assert_array_equal(load_image(tmp_path / f"a{suffix}").pixels, expected, strict=True)


@pytest.mark.parametrize(
    "options", [{"byteorder": ">"}, {"tile": (16, 16)}, {"compression": "zlib", "predictor": True}]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tiff_layouts(tmp_path, options, dtype):
    tifffile.imwrite(tmp_path / "a.tif", noise((40, 50, 3), dtype), photometric="rgb", **options)
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif").pixels, noise((40, 50, 3), dtype), strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiff_with_white_as_zero(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", noise((4, 6), dtype), photometric="miniswhite")
    expected = np.repeat(~noise((4, 6, 1), dtype), 3, axis=-1)
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif").pixels, expected, strict=True)


def test_first_of_several_images_is_read(tmp_path):
    first, second = Image.new("RGB", (6, 4), (1, 2, 3)), Image.new("RGB", (3, 3), (9, 9, 9))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif").pixels, np.full((4, 6, 3), (1, 2, 3), np.uint8))


def test_content_decides_not_the_suffix(tmp_path):
    path = written(tmp_path / "a.jpg", encoded(".png", noise((4, 6, 3))))
    np.testing.assert_array_equal(load_image(path).pixels, noise((4, 6, 3)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("part", [0.0005, 0.01, 0.3, 0.7, 0.98])
def test_a_file_cut_short_is_an_error(tmp_path, suffix, dtype, part):
    save_image(tmp_path / f"whole{suffix}", ImageFile(noise((64, 64, 3), dtype), None, exif_data(), ICC))
    data = (tmp_path / f"whole{suffix}").read_bytes()
    path = written(tmp_path / f"cut{suffix}", data[: max(2, int(part * len(data)))])
    with pytest.raises(ValueError, match=rf"cut\{suffix}: ."):
        load_image(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xff", "not a JPEG"),
        (b"just some text", "not a JPEG"),
        (b"GIF89a" + b"\0" * 50, "not a JPEG"),
    ],
)
def test_no_image_is_an_error(tmp_path, data, reason):
    with pytest.raises(ValueError, match=rf"a\.jpg: .*{reason}"):
        load_image(written(tmp_path / "a.jpg", data))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_broken_file_is_an_error(tmp_path, suffix):
    data = bytearray(encoded(suffix, noise((32, 32, 3))))
    data[4:] = noise((len(data) - 4,)).tobytes()
    with pytest.raises(ValueError, match="broken"):
        load_image(written(tmp_path / f"broken{suffix}", bytes(data)))


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", ".jpg"), ("CMYK", ".tif"), ("LAB", ".tif"), ("F", ".tif")])
def test_other_colours_are_an_error(tmp_path, mode, suffix):
    Image.new(mode, (8, 8)).save(tmp_path / f"a{suffix}")
    with pytest.raises(ValueError, match=rf"a\{suffix}: its pixels are {mode}"):
        load_image(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (noise((3, 8, 8), np.uint16), {"photometric": "rgb", "planarconfig": "separate"}),
        (noise((8, 8, 4), np.uint16), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        (noise((8, 8), np.uint16).astype(np.int16), {"photometric": "minisblack"}),
        (noise((8, 8, 3), np.uint16).astype(np.float16), {"photometric": "rgb"}),
        (noise((8, 8, 3), np.uint16).astype(np.uint32), {"photometric": "rgb"}),
        (noise((8, 8, 4), np.uint16), {"photometric": "separated"}),
        (noise((8, 8, 3)), {"photometric": "rgb", "subfiletype": 1}),
    ],
)
def test_unsupported_tiff_is_an_error(tmp_path, pixels, options):
    tifffile.imwrite(tmp_path / "odd.tif", pixels, metadata=None, **options)
    with pytest.raises(ValueError, match=r"odd\.tif: ."):
        load_image(tmp_path / "odd.tif")


def huge(kind: str, side: int) -> bytes:
    """A tiny file that claims to be side x side pixels."""
    if kind == "png":
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    if kind == "jpeg":
        data = bytearray(encoded(".jpg", noise((8, 8, 3))))
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, side, side)
        return bytes(data)
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    directory.update({256: side, 257: side, 258: (16, 16, 16), 259: 1, 262: 2, 273: 0, 277: 3, 278: side, 279: 10})
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + b"\0" * 10


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_absurd_size_is_an_error_that_names_it(tmp_path, kind):
    path = written(tmp_path / "huge.img", huge(kind, 60_000))
    with pytest.raises(ValueError, match=rf"huge\.img: it has 60000 x 60000 pixels.*{MAX_PIXELS}"):
        load_image(path)


def test_pixel_limit_can_be_set(tmp_path):
    save_image(tmp_path / "a.png", ImageFile(noise((10, 20, 3))))
    assert load_image(tmp_path / "a.png", max_pixels=200).pixels.shape == (10, 20, 3)
    with pytest.raises(ValueError, match="20 x 10 pixels.*199"):
        load_image(tmp_path / "a.png", max_pixels=199)


def test_photos_above_pillows_own_limit_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    save_image(tmp_path / "a.png", ImageFile(noise((10, 20, 3))))
    assert load_image(tmp_path / "a.png").pixels.shape == (10, 20, 3)


def test_names_beyond_ascii(tmp_path):
    path = tmp_path / "Straßenbild 写真.tif"
    save_image(path, ImageFile(noise((4, 6, 3), np.uint16)))
    np.testing.assert_array_equal(load_image(str(path)).pixels, noise((4, 6, 3), np.uint16))


@pytest.mark.parametrize("dtype", DTYPES)
def test_read_image_gives_floats(tmp_path, dtype):
    pixels = noise((10, 20, 3), dtype)
    save_image(tmp_path / "a.png", ImageFile(pixels))
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, pixels / np.iinfo(dtype).max, atol=1e-7)
    assert read_image(tmp_path / "a.png", max_side=5).shape == (2, 5, 3)
    assert read_image(tmp_path / "a.png", max_side=50).shape == (10, 20, 3)

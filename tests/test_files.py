import io
import os
import stat
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

from exposure_env.files import MAX_PIXELS, ImageFile, load_image, read_image, save_image
from exposure_env.resizing import shrink

LOSSLESS = [".png", ".tif", ".TIFF"]
DTYPES = [np.uint8, np.uint16]
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER, ORIENTATION, DATE, EXIF_IFD, GPS_IFD = 271, 274, 306, 34665, 34853
EXPOSURE_TIME, MAKER_NOTE, LATITUDE = 33434, 37500, 2


def noise(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def exif_data(orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    exif[MAKER], exif[DATE] = "Maker", "2024:05:06 07:08:09"
    if orientation is not None:
        exif[ORIENTATION] = orientation
    exif[EXIF_IFD] = {EXPOSURE_TIME: 0.004, MAKER_NOTE: b"secret notes" * 5}
    exif[GPS_IFD] = {1: "N", LATITUDE: (48.0, 51.0, 12.5)}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def assert_holds_exif(exif: Image.Exif) -> None:
    assert exif[MAKER] == "Maker"
    assert exif[DATE] == "2024:05:06 07:08:09"
    assert float(exif.get_ifd(EXIF_IFD)[EXPOSURE_TIME]) == pytest.approx(0.004)
    assert exif.get_ifd(EXIF_IFD)[MAKER_NOTE] == b"secret notes" * 5
    assert tuple(map(float, exif.get_ifd(GPS_IFD)[LATITUDE])) == (48.0, 51.0, 12.5)


def parsed(exif: bytes) -> Image.Exif:
    result = Image.Exif()
    result.load(b"Exif\0\0" + exif)
    return result


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels[..., ::-1])[1].tobytes()


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


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


def test_a_failed_save_leaves_the_old_file_alone(tmp_path, monkeypatch):
    save_image(tmp_path / "a.png", ImageFile(noise((4, 4, 3))))
    before = (tmp_path / "a.png").read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save_image(tmp_path / "a.png", ImageFile(noise((8, 8, 3))))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_replaced_file_keeps_its_permissions(tmp_path):
    save_image(tmp_path / "a.png", ImageFile(noise((4, 4, 3))))
    (tmp_path / "a.png").chmod(0o640)
    save_image(tmp_path / "a.png", ImageFile(noise((5, 5, 3))))
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
    assert load_image(tmp_path / "a.png").pixels.shape == (5, 5, 3)


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


def test_shrink_averages_and_never_enlarges():
    image = np.array([[0, 100], [50, 250], [8, 8], [8, 8]], np.uint8)[..., None].repeat(3, -1)
    assert shrink(image, 2)[..., 0].tolist() == [[100], [8]]
    assert shrink(image, 4) is image
    assert shrink(image, None) is image
    assert shrink(np.zeros((1000, 1, 3), np.uint8), 10).shape == (10, 1, 3)
    with pytest.raises(ValueError, match="max_side is 0"):
        shrink(image, 0)

"""Small files that claim to be large, and things that only look like files."""

import os
import struct
import threading

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from exposure_env.files import load_image, pixel_bytes
from tests.files.small import encoded, noise, png_chunk, written
from tests.memory import at_most


def claiming(png: bytes, width: int, height: int) -> bytes:
    """The PNG with another size in its header, under a right checksum."""
    return png[:8] + png_chunk(b"IHDR", struct.pack(">II", width, height) + png[24:29]) + png[33:]


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1, 2**24])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_chunk_that_claims_to_be_huge(tmp_path, dtype, length):
    whole = encoded(".png", noise((30, 40, 3), dtype))
    place = whole.index(b"IDAT") - 4
    path = written(tmp_path / "a.png", whole[:place] + struct.pack(">I", length) + whole[place + 4 :])
    with at_most(50), pytest.raises(ValueError, match="a.png: the file is broken or cut short"):
        load_image(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_that_claims_more_pixels_than_its_bytes_can_hold(tmp_path, dtype):
    path = written(tmp_path / "a.png", claiming(encoded(".png", noise((30, 40, 3), dtype)), 17_000, 17_000))
    with at_most(50), pytest.raises(ValueError, match="bytes can't hold 17000 x 17000 pixels"):
        load_image(path)


def test_a_jpeg_that_claims_more_pixels_than_its_bytes_can_hold(tmp_path):
    whole = encoded(".jpg", noise((30, 40, 3)))
    place = whole.index(b"\xff\xc0") + 5
    path = written(tmp_path / "a.jpg", whole[:place] + struct.pack(">HH", 16_000, 16_000) + whole[place + 4 :])
    with at_most(50), pytest.raises(ValueError, match="bytes can't hold 16000 x 16000 pixels"):
        load_image(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [1, 8, 5, 32773], ids=["none", "deflate", "lzw", "packbits"])
def test_a_tiff_that_claims_more_pixels_than_its_bytes_can_hold(tmp_path, compression, dtype):
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), noise((30, 40, 3), dtype), [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(16_000)
    with at_most(50), pytest.raises(ValueError, match="bytes can't hold 16000 x 16000 pixels"):
        load_image(path)


@pytest.mark.parametrize("tag", ["StripByteCounts", "StripOffsets"])
@pytest.mark.parametrize("big", [False, True], ids=["32 bits", "64 bits"])
def test_a_tiff_strip_that_claims_to_be_huge_or_far_away(tmp_path, tag, big):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((30, 40, 3)), photometric="rgb", bigtiff=big)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[tag].overwrite(2**42 if big else 2**32 - 1)
    with at_most(50), pytest.raises(ValueError, match="a.tif: the file is broken or cut short"):
        load_image(path)


def test_a_tiff_whose_tiles_are_far_larger_than_the_image(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((32, 32, 3), np.uint16), photometric="rgb", tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("TileWidth", "TileLength"):
            file.pages[0].tags[name].overwrite(16_000)
    with at_most(50), pytest.raises(ValueError, match="its tiles are 16000 x 16000 pixels"):
        load_image(path)


@pytest.mark.parametrize("value", [0, 77])
def test_the_smallest_files_of_large_images_are_read(tmp_path, value):
    """Of one colour, compressed as well as their writers can."""
    image = Image.new("RGB", (2000, 1500), (value,) * 3)
    image.save(tmp_path / "a.png", optimize=True)
    image.save(tmp_path / "b.jpg", quality=1, optimize=True, progressive=True)
    image.convert("L").save(tmp_path / "c.jpg", quality=1, optimize=True)
    image.convert("1").save(tmp_path / "d.png", optimize=True)
    image.convert("1").save(tmp_path / "e.tif", compression="group4")
    for compression in ("tiff_deflate", "tiff_lzw", "packbits", "jpeg"):
        image.save(tmp_path / f"f_{compression}.tif", compression=compression)
    cv2.imwrite(str(tmp_path / "j.png"), np.full((1500, 2000, 3), value, np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    for path in sorted(tmp_path.iterdir()):
        assert load_image(path).pixels.shape == (1500, 2000, 3), path.name


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_named_pipe_is_refused_at_once(tmp_path):
    from agents.json_files import read_json
    from agents.saved_agent import load_agent
    from exposure_env import RetouchPlan

    os.mkfifo(path := tmp_path / "a.json")
    refused = []

    def attempts() -> None:
        for read in (load_image, pixel_bytes, read_json, load_agent, RetouchPlan.load):
            try:
                read(path)
            except ValueError as error:
                refused.append(str(path) in str(error))

    thread = threading.Thread(target=attempts, daemon=True)
    thread.start()
    thread.join(20)
    assert refused == [True] * 5

"""Cameras' raw files. A real one would be megabytes: these are grey cards photographed by a camera that never was."""

import sys

import numpy as np
import pytest
import tifffile

from agents.cli import main
from exposure_env.files import RAW_SUFFIXES, load_image, pixel_bytes

NEUTRAL = (0.5, 1.0, 0.7)  # what the sensor's red, green and blue see of white
BLACK, WHITE = 512, 16383
XYZ_TO_SRGB = [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560],
               [0.0556434, -0.2040259, 1.0572252]]  # fmt: skip


def write_dng(path, light, orientation=1, shape=(32, 48)):
    """A card of one colour, linear light in [0, 1], seen through a Bayer pattern (red first), as a DNG."""
    seen = np.multiply(light, NEUTRAL)
    card = np.empty(shape)
    card[0::2, 0::2], card[0::2, 1::2], card[1::2, 0::2], card[1::2, 1::2] = seen[[0, 1, 1, 2]]
    matrix = np.rint(np.multiply(XYZ_TO_SRGB, np.array(NEUTRAL)[:, None]) * 10000).astype(int).ravel()
    tags = [(33421, "H", 2, (2, 2)), (33422, "B", 4, bytes([0, 1, 1, 2])), (50706, "B", 4, bytes([1, 4, 0, 0])),
            (50708, "s", 0, "Never Was"), (50721, "2i", 9, [n for m in matrix for n in (int(m), 10000)]),
            (50728, "2I", 3, [n for m in NEUTRAL for n in (int(m * 10000), 10000)]), (50714, "H", 1, BLACK),
            (50717, "H", 1, WHITE), (50778, "H", 1, 21), (274, "H", 1, orientation), (271, "s", 0, "Maker")]
    values = np.rint(BLACK + card * (WHITE - BLACK)).astype(np.uint16)
    tifffile.imwrite(path, values, photometric=32803, extratags=[(*tag, True) for tag in tags], metadata=None)
    return path


def srgb(light):
    light = np.asarray(light, np.float64)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("light", [(0.18, 0.18, 0.18), (0.5, 0.2, 0.1), (0.01, 0.01, 0.01), (0.001, 0.002, 0.001)])
def test_a_raw_file_is_developed_as_shot(tmp_path, light):
    """White-balanced, sRGB-encoded, and no brighter than it was: within 0.001, as 14 bits of the sensor allow."""
    pytest.importorskip("rawpy")
    file = load_image(write_dng(tmp_path / "card.dng", light))
    assert file.pixels.shape == (32, 48, 3) and file.pixels.dtype == np.uint16 and file.alpha is None
    np.testing.assert_allclose(file.pixels / 65535, np.broadcast_to(srgb(light), (32, 48, 3)), atol=1e-3)
    assert pixel_bytes(tmp_path / "card.dng") == file.pixels.nbytes and b"Maker" in file.exif


def test_a_raw_file_is_turned_upright(tmp_path):
    pytest.importorskip("rawpy")
    assert load_image(write_dng(tmp_path / "card.dng", (0.2, 0.2, 0.2), orientation=6)).pixels.shape == (48, 32, 3)


def test_the_command_writes_a_sixteen_bit_tiff(tmp_path, capsys):
    pytest.importorskip("rawpy")
    write_dng(tmp_path / "card.DNG", (0.05, 0.05, 0.05), shape=(80, 120))
    for expected in ("card.tif  ", "Skipped: 1 of 1"):
        assert main(["retouch", str(tmp_path), "-o", str(tmp_path / "out")]) == 0
        assert expected in capsys.readouterr().out
    result = load_image(tmp_path / "out" / "card.tif")
    assert result.pixels.shape == (80, 120, 3) and result.pixels.dtype == np.uint16 and b"Maker" in result.exif


def test_what_is_no_raw_file_and_what_is_too_large_are_errors_that_name_it(tmp_path):
    pytest.importorskip("rawpy")
    (tmp_path / "text.nef").write_bytes(b"just some text" * 100)
    with pytest.raises(ValueError, match=r"text\.nef: ."):
        load_image(tmp_path / "text.nef")
    with pytest.raises(ValueError, match=r"card\.dng: it has 48 x 32 pixels.*1000"):
        load_image(write_dng(tmp_path / "card.dng", (0.2, 0.2, 0.2)), max_pixels=1000)
    with pytest.raises(FileNotFoundError):
        load_image(tmp_path / "missing.dng")


@pytest.mark.parametrize("suffix", RAW_SUFFIXES)
def test_without_rawpy_the_error_says_what_to_install(tmp_path, capsys, monkeypatch, suffix):
    monkeypatch.setitem(sys.modules, "rawpy", None)  # importing it fails
    write_dng(tmp_path / f"card{suffix}", (0.2, 0.2, 0.2))
    with pytest.raises(ValueError, match=r'pip install "deepexposure-gym\[raw\]"'):
        load_image(tmp_path / f"card{suffix}")
    if suffix == ".dng":
        assert main(["retouch", str(tmp_path), "-o", str(tmp_path / "out")]) == 1
        assert "deepexposure-gym[raw]" in capsys.readouterr().err

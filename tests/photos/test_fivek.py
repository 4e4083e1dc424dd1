"""MIT-Adobe FiveK: its split, and small made trees of it in the layouts that people have."""

import io
import os
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from agents.cli import main
from exposure_env.files import ImageFile, load_image, save_image
from exposure_env.photos import PairedPhotos
from exposure_env.photos.datasets import fivek
from exposure_env.photos.fivek_making import make_fivek
from exposure_env.photos.fivek_photos import fivek_ids, id_ranges, read_index
from exposure_env.photos.prophoto import prophoto_to_srgb
from tests.files.small import ICC
from tests.files.test_raw import srgb, write_dng
from tests.photos.small import noise

INPUT, EXPERT, TEST = (fivek_ids(split)[:2] for split in ("inputs", "experts", "test"))
SCENE = cv2.resize(noise(6, 8, 3), (80, 60), interpolation=cv2.INTER_CUBIC)  # something to recognise


def profile(name, primaries, gamma):
    """An ICC profile of three primaries in XYZ (D50) and one gamma, as small as may be."""
    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    white = (0.9642, 1.0, 0.8249)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = name.encode() + b"\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78), b"cprt": b"text\0\0\0\0none\0",
            b"wtpt": b"XYZ \0\0\0\0" + fixed(*white), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    tags |= {name: b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in
             zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + fixed(*white) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + data


PROPHOTO = profile("ProPhoto RGB", [(0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03135, 0.00009, 0.82491)], 1.8)
ADOBE = profile("Adobe RGB (1998)", [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087),
                                     (0.14919, 0.06322, 0.74457)], 2.2)  # fmt: skip


def save(path, pixels=SCENE, icc=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(path, ImageFile(np.ascontiguousarray(pixels), icc=icc))
    return path


def darker(pixels=SCENE):
    return (pixels // 2).astype(pixels.dtype)


def tree(root, ids, inputs="input", targets="expertC", suffix=".png"):
    for number in ids:
        save(root / inputs / f"a{number:04}-who_DSC{number}{suffix}", darker())
        save(root / targets / f"a{number:04}-who_DSC{number}{suffix}")
    return root


def test_the_split_has_2000_2000_and_1000_ids_disjoint_and_complete():
    parts = [fivek_ids(split) for split in ("inputs", "experts", "test")]
    assert [len(part) for part in parts] == [2000, 2000, 1000]
    assert sorted(sum(parts, [])) == list(range(1, 5001))
    # Some that the published lists begin with.
    assert {3014, 3683, 350, 2941} <= set(parts[0])
    assert {1525, 3745, 4810, 1482, 1058} <= set(parts[1])
    assert {4100, 2053, 2056, 2058} <= set(parts[2])
    with pytest.raises(ValueError, match="inputs, experts, test, not 'train'"):
        fivek_ids("train")


def test_ids_are_told_as_ranges():
    assert id_ranges([7, 1, 2, 3, 5000]) == "a0001 to a0003, a0007, a5000"


@pytest.mark.parametrize(("inputs", "targets"), [
    ("input", "expertC"), ("raw", "label"), ("fivek/Inputs/InputAsShotZeroed", "fivek/Experts/C"),
    ("raw", "c"), ("Input", "Label"), ("input/JPG/480p", "expertC/JPG/480p"),
    ("MITAboveFiveK/raw/Maker", "processed/tiff16_c"),
])  # fmt: skip
def test_exports_in_common_layouts_are_indexed(tmp_path, inputs, targets):
    tree(tmp_path, INPUT + EXPERT + TEST, inputs, targets)
    save(tmp_path / "expertA" / "a0001.png")  # another expert's
    report = make_fivek(tmp_path, tmp_path / "fivek_500")
    assert report.made == sorted(INPUT + EXPERT + TEST) and report.problems == {} and not report.complete
    assert len(report.absent["input"]) == 5000 - 6 == len(report.absent["expert_c"])
    rows = read_index(tmp_path / "fivek_500")
    assert [rows[number]["split"] for number in (INPUT[0], EXPERT[0], TEST[0])] == ["inputs", "experts", "test"]
    pairs = PairedPhotos(tmp_path / "fivek_500" / "input", tmp_path / "fivek_500" / "expert_c")
    assert len(pairs) == 6 and pairs[0].image.shape == (60, 80, 3)


def test_the_photos_of_each_part_are_opened(tmp_path):
    tree(tmp_path, INPUT + EXPERT + TEST)
    make_fivek(tmp_path, tmp_path / "fivek_500")
    for root in (tmp_path, tmp_path / "fivek_500"):
        photos = fivek(root, "test", complete=False)
        assert [photo.name for photo in photos] == [f"a{number:04}" for number in TEST]
        np.testing.assert_array_equal(photos[0].image, (darker() / 255).astype(np.float32))
        np.testing.assert_array_equal(photos[-1].target, (SCENE / 255).astype(np.float32))
    experts = fivek(tmp_path, "experts", complete=False)
    assert experts.ids == EXPERT and experts[0].target is None
    np.testing.assert_array_equal(experts[0].image, (SCENE / 255).astype(np.float32))
    assert len(fivek(tmp_path, "inputs", complete=False)[:2]) == 2
    with pytest.raises(ValueError, match=r"lacks 998 of the 1000 photos of the split 'test': a\d{4}"):
        fivek(tmp_path, "test")
    (tmp_path / "fivek_500" / "input" / f"a{TEST[1]:04}.png").unlink()
    with pytest.raises(ValueError, match=f"lost files of a{TEST[1]:04}: run"):
        fivek(tmp_path, "test", complete=False)
    with pytest.raises(ValueError, match="no finished photos of FiveK.*exposure data fivek"):
        fivek(tmp_path / "input")


def test_large_photos_are_shrunk_to_500_pixels_and_a_pair_has_one_size(tmp_path):
    save(tmp_path / "input" / "a0001.jpg", cv2.resize(darker(), (806, 604)))  # as raw developers differ
    save(tmp_path / "expertC" / "a0001.tif", cv2.resize(SCENE.astype(np.uint16) * 257, (800, 600)), icc=ICC)
    assert make_fivek(tmp_path, tmp_path / "out").made == [1]
    sides = [load_image(tmp_path / "out" / side / "a0001.png").pixels for side in ("input", "expert_c")]
    assert [pixels.shape for pixels in sides] == [(375, 500, 3)] * 2
    assert [pixels.dtype for pixels in sides] == [np.uint8, np.uint16]


def test_an_input_with_some_pixels_more_around_it_loses_them_and_is_not_stretched(tmp_path):
    scene = cv2.resize(SCENE, (400, 300))
    save(tmp_path / "input" / "a0001.png", np.pad(darker(scene), ((2, 2), (3, 3), (0, 0))))
    save(tmp_path / "expertC" / "a0001.png", scene)
    assert make_fivek(tmp_path, tmp_path / "out").made == [1]
    np.testing.assert_array_equal(load_image(tmp_path / "out" / "input" / "a0001.png").pixels, darker(scene))


def test_what_is_wrong_is_listed_by_id_and_the_rest_is_made(tmp_path, capsys):
    tree(tmp_path, range(1, 10))
    save(tmp_path / "elsewhere" / "input" / "a0002.jpg", darker())  # a second one
    next((tmp_path / "expertC").glob("a0003*")).unlink()
    next((tmp_path / "input").glob("a0004*")).write_bytes(b"\xff\xd8 broken")
    save(next((tmp_path / "input").glob("a0005*")), SCENE)  # expert C's, by mistake
    save(next((tmp_path / "input").glob("a0006*")), darker().swapaxes(0, 1))
    save(next((tmp_path / "input").glob("a0007*")), 255 - SCENE)  # not this photo
    save(next((tmp_path / "expertC").glob("a0008*")), SCENE, icc=ADOBE)
    save(tmp_path / "input" / "a5001.png")
    assert main(["data", "fivek", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert f"2 of 5000 photos in {tmp_path / 'fivek_500'}" in said
    assert "missing (4991): a0010 to a5000" in said and "missing expert_c (1): a0003" in said
    lines = dict(line.split(": ", 1) for line in said.splitlines() if line[0] == "a")
    assert sorted(lines) == ["a0002", "a0004", "a0005", "a0006", "a0007", "a0008", "a5001"]
    assert "doubled, 2 files of the input side" in lines["a0002"] and "a0002.jpg" in lines["a0002"]
    assert "unreadable" in lines["a0004"]
    assert "the same as expert C's" in lines["a0005"]
    assert "60 x 80, expert C's photo 80 x 60; one of them is cropped or turned" in lines["a0006"]
    assert "show different things" in lines["a0007"]
    assert "'Adobe RGB (1998)', but must be sRGB or ProPhoto RGB" in lines["a0008"]
    assert "there is no such id" in lines["a5001"]
    assert sorted(read_index(tmp_path / "fivek_500")) == [1, 9]


def test_one_of_several_renditions_is_chosen_by_name(tmp_path):
    tree(tmp_path, [1, 2], "InputAsShotZeroed")
    for number in (1, 2, 3):
        save(tmp_path / "Input with Daylight WhiteBalance" / f"a{number:04}.png", SCENE // 3)
    save(tmp_path / "expertC" / "a0003.png")
    report = make_fivek(tmp_path, tmp_path / "out")
    assert report.made == [3] and set(report.problems) == {1, 2}
    report = make_fivek(tmp_path, tmp_path / "out", rendition="inputasshotzeroed")
    assert report.made == [1, 2] and report.problems == {}
    np.testing.assert_array_equal(load_image(tmp_path / "out" / "input" / "a0001.png").pixels, darker())
    with pytest.raises(ValueError, match="rendition 'zeroed'; there are Input with Daylight.*, InputAsShotZeroed"):
        make_fivek(tmp_path, tmp_path / "out", rendition="zeroed")


def test_an_input_of_another_rendition_than_most_is_wrongly_rendered(tmp_path):
    tree(tmp_path, [1, 2])
    tree(tmp_path, [3], "InputAsShotZeroed")
    report = make_fivek(tmp_path, tmp_path / "out")
    assert report.made == [1, 2] and "'InputAsShotZeroed', those of most others of 'input'" in report.problems[3]


def test_folders_of_any_name_can_be_given(tmp_path):
    tree(tmp_path, [1, 2], "before", "after")
    with pytest.raises(ValueError, match="no photo of FiveK.*--inputs and --targets"):
        make_fivek(tmp_path, tmp_path / "out")
    assert make_fivek(tmp_path, tmp_path / "out", tmp_path / "before", tmp_path / "after").made == [1, 2]
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        make_fivek(tmp_path / "nowhere", tmp_path / "out")


def test_what_was_made_is_kept_until_its_source_changes(tmp_path):
    tree(tmp_path, [1, 2])
    out = tmp_path / "out"
    make_fivek(tmp_path, out)
    for path in out.rglob("*.png"):
        os.utime(path, (2e9, 2e9))  # any time that tells
    assert make_fivek(tmp_path, out).made == [1, 2]
    assert {path.stat().st_mtime for path in out.rglob("*.png")} == {2e9}
    os.utime(next((tmp_path / "input").glob("a0002*")), (2.1e9, 2.1e9))
    make_fivek(tmp_path, out)
    assert [(out / "input" / f"a000{i}.png").stat().st_mtime == 2e9 for i in (1, 2)] == [True, False]
    make_fivek(tmp_path, out, max_side=40)
    assert load_image(out / "input" / "a0001.png").pixels.shape == (30, 40, 3)


def test_an_index_that_is_broken_is_named(tmp_path):
    tree(tmp_path, [1])
    (tmp_path / "fivek_500").mkdir()
    (tmp_path / "fivek_500" / "index.csv").write_text("id,split\n1\n")
    with pytest.raises(ValueError, match=r"index\.csv is not an index of FiveK, or broken"):
        fivek(tmp_path)


@pytest.mark.parametrize(("colour", "expected"), [
    ((0, 0, 0), (0, 0, 0)), ((65535, 65535, 65535), (255, 255, 255)),
    ((25700, 25700, 25700), 255 * srgb([(25700 / 65535) ** 1.8] * 3)),
])  # fmt: skip
def test_greys_in_prophoto_are_the_same_greys_in_srgb(colour, expected):
    patch = prophoto_to_srgb(np.full((2, 2, 3), colour, np.uint16))
    assert patch.dtype == np.uint16 and np.abs(patch / 257 - expected).max() < 1


def test_prophoto_is_converted_as_littlecms_does_within_one_level():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    source = ImageCms.ImageCmsProfile(io.BytesIO(PROPHOTO))
    theirs = ImageCms.profileToProfile(Image.fromarray(pixels), source, ImageCms.createProfile("sRGB"))
    assert np.abs(prophoto_to_srgb(pixels).astype(int) - np.asarray(theirs)).max() <= 1


def test_a_patch_in_a_16_bit_prophoto_tiff_arrives_in_srgb_within_one_level(tmp_path):
    """Light skin of the ColorChecker, sRGB (194, 150, 130), encoded by the inverse of the published matrices."""
    linear = np.array([194, 150, 130]) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    from_xyz = [[1.3459433, -0.2556075, -0.0511118], [-0.5445989, 1.5081673, 0.0205351], [0.0, 0.0, 1.2118128]]
    encoded = (np.array(from_xyz) @ to_xyz @ linear) ** (1 / 1.8)
    patch = np.broadcast_to(np.rint(encoded * 65535).astype(np.uint16), (60, 80, 3))
    save(tmp_path / "input" / "a0001.png", darker())
    save(tmp_path / "tiff16_c" / "a0001-who.tif", patch, icc=PROPHOTO)
    assert make_fivek(tmp_path, tmp_path / "out").made == [1]
    got = load_image(tmp_path / "out" / "expert_c" / "a0001.png").pixels
    assert np.abs(got / 257 - [194, 150, 130]).max() < 1
    save(tmp_path / "tiff16_c" / "a0001-who.tif", patch)  # without its profile
    assert "--untagged prophoto" in make_fivek(tmp_path, tmp_path / "out").problems[1]
    assert make_fivek(tmp_path, tmp_path / "out", untagged="prophoto").made == [1]
    np.testing.assert_array_equal(load_image(tmp_path / "out" / "expert_c" / "a0001.png").pixels, got)
    assert make_fivek(tmp_path, tmp_path / "out", untagged="srgb").made == [1]
    np.testing.assert_array_equal(load_image(tmp_path / "out" / "expert_c" / "a0001.png").pixels, patch)


def test_dng_files_of_the_original_archive_are_developed(tmp_path):
    pytest.importorskip("rawpy", reason='raw files are developed by LibRaw: pip install -e ".[raw]"')
    (tmp_path / "raw_photos" / "HQa1to700" / "photos").mkdir(parents=True)
    write_dng(tmp_path / "raw_photos" / "HQa1to700" / "photos" / "a0007-who.dng", (0.18, 0.1, 0.05), shape=(60, 80))
    bright = np.rint(np.broadcast_to(srgb([0.4, 0.2, 0.1]), (60, 80, 3)) * 65535).astype(np.uint16)
    (tmp_path / "tiff16_c").mkdir()
    tifffile.imwrite(tmp_path / "tiff16_c" / "a0007-who.tif", bright, photometric="rgb", iccprofile=ICC)
    report = make_fivek(tmp_path, tmp_path / "out")
    assert report.made == [7] and read_index(tmp_path / "out")[7]["rendition"] == "raw"
    developed = load_image(tmp_path / "out" / "input" / "a0007.png").pixels
    np.testing.assert_allclose(developed / 65535, np.broadcast_to(srgb([0.18, 0.1, 0.05]), (60, 80, 3)), atol=2e-3)

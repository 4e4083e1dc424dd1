"""`exposure retouch`, from files to files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.retouching.journal import JOURNAL
from agents.saved_agent import load_agent
from exposure_env.files import ImageFile, load_image, save_image
from exposure_env.photos import thumbnail
from exposure_env.retouch import RetouchPlan, apply_plan
from tests.cli.small import ARTIST_TAG, MAKE, ORIENTATION_TAG, dark_photo, exif, run, turned


@pytest.fixture(scope="module")
def twelve_megapixels(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("large") / "holiday.jpg"
    save_image(path, ImageFile(dark_photo("astronaut", 4000, 3000), exif=exif()))
    return path


def levels(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two images in [0, 1], on the scale of 0..255."""
    return float(abs(a.astype(np.float64) - b).mean() * 255)


def seen(pixels: np.ndarray, plan: RetouchPlan) -> np.ndarray:
    return thumbnail(pixels.astype(np.float32) / np.iinfo(pixels.dtype).max, 64, plan.thumbnail)


def test_a_twelve_megapixel_jpeg_keeps_its_size_and_exif(twelve_megapixels, tmp_path, capsys):
    assert run("retouch", twelve_megapixels, "-o", tmp_path, "--plans") == 0
    before, after = load_image(twelve_megapixels), load_image(tmp_path / "holiday.jpg")
    assert after.pixels.shape == (3000, 4000, 3) and after.pixels.dtype == np.uint8
    with Image.open(tmp_path / "holiday.jpg") as image:
        tags = image.getexif()
        assert image.format == "JPEG" and (tags[MAKE], tags[ARTIST_TAG]) == ("Camera Works", "A. Student")
        assert float(tags.get_ifd(34665)[33434]) == pytest.approx(0.008)
    plan = load_agent().plan(before.pixels)
    assert abs(plan.evs).max() > 0.1, "a photo that is one stop too dark is left as it is: this proves nothing"
    assert levels(seen(after.pixels, plan), plan.render(seen(before.pixels, plan))) < 2
    written = RetouchPlan.from_json((tmp_path / "holiday.json").read_text())
    assert written.to_json() == plan.to_json()
    assert levels(after.pixels / 255, apply_plan(written, before.pixels) / 255) < 1.5  # but for JPEG's losses
    assert "using the small agent shipped with the package" in capsys.readouterr().out


def test_a_sixteen_bit_png_keeps_its_bits_and_exif(tmp_path):
    pixels = dark_photo("coffee", 1203, 801).astype(np.uint16) * 257
    pixels += np.random.default_rng(0).integers(0, 200, pixels.shape, np.uint16)  # more than 8 bits can hold
    save_image(tmp_path / "scan.png", ImageFile(pixels, exif=exif()))
    assert run("retouch", tmp_path / "scan.png", "-o", tmp_path / "out", "--plans") == 0
    after = load_image(tmp_path / "out" / "scan.png")
    assert after.pixels.shape == (801, 1203, 3) and after.pixels.dtype == np.uint16
    assert len(np.unique(after.pixels)) > 1000 and b"Camera Works" in after.exif and b"A. Student" in after.exif
    plan = RetouchPlan.load(tmp_path / "out" / "scan.json")
    np.testing.assert_array_equal(apply_plan(plan, pixels), after.pixels)
    assert levels(seen(after.pixels, plan), plan.render(seen(pixels, plan))) < 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [JOURNAL, "scan.json", "scan.png"]


def test_a_model_of_ones_own_is_used(trained, folders, tmp_path, capsys):
    capsys.readouterr()
    photo = folders / "photos" / "0_astronaut.png"
    for model in (trained, trained / "agent.safetensors"):
        out = tmp_path / model.name
        assert run("retouch", photo, "-o", out, "--model", model, "--plans") == 0
        written = RetouchPlan.load(out / "0_astronaut.json")
        assert written.to_json() == load_agent(trained).plan(load_image(photo).pixels).to_json()
        assert str(out / "0_astronaut.png") in (printed := capsys.readouterr().out) and "shipped" not in printed


def test_alpha_and_orientation(tmp_path):
    pixels = dark_photo("chelsea", 90, 60)
    alpha = np.random.default_rng(0).integers(0, 256, (60, 90)).astype(np.uint8)
    save_image(tmp_path / "a.png", ImageFile(pixels, alpha))
    Image.fromarray(pixels).save(tmp_path / "b.jpg", exif=turned())
    assert run("retouch", tmp_path / "a.png", tmp_path / "b.jpg", "-o", tmp_path / "out") == 0
    np.testing.assert_array_equal(load_image(tmp_path / "out" / "a.png").alpha, alpha)
    with Image.open(tmp_path / "out" / "b.jpg") as image:
        assert image.size == (60, 90) and image.getexif()[ORIENTATION_TAG] == 1


def test_a_broken_photo_does_not_stop_the_others(folders, tmp_path, capsys):
    good, broken = folders / "photos" / "1_chelsea.png", tmp_path / "broken.png"
    broken.write_bytes(good.read_bytes()[:5000])
    assert run("retouch", broken, good, tmp_path / "missing.jpg", "-o", tmp_path / "out") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [JOURNAL, "1_chelsea.png"]
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed")]
    assert len(failed) == 2 and str(broken) in failed[0] and "missing.jpg" in failed[1]


@pytest.mark.parametrize("spelling", [".", "../photos", "link"])
def test_the_input_is_never_overwritten(tmp_path, capsys, spelling):
    (tmp_path / "photos").mkdir()
    photo = tmp_path / "photos" / "a.png"
    save_image(photo, ImageFile(dark_photo("chelsea", 30, 20)))
    before = photo.read_bytes()
    if spelling == "link":
        (tmp_path / "photos" / "link").symlink_to(tmp_path / "photos", target_is_directory=True)
    assert run("retouch", photo, "-o", tmp_path / "photos" / spelling) == 2
    assert photo.read_bytes() == before and "would be overwritten" in capsys.readouterr().err


def test_photos_of_one_name_are_refused(tmp_path, capsys):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        save_image(tmp_path / folder / "photo.png", ImageFile(dark_photo("chelsea", 30, 20)))
    assert run("retouch", tmp_path / "a/photo.png", tmp_path / "b/photo.png", "-o", tmp_path / "out") == 2
    assert "one file name" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_plans_of_photos_that_differ_in_the_suffix_only_are_both_kept(tmp_path):
    """As cameras write them: photo.jpg beside photo.tif. To refuse is fine, to lose a plan silently is not."""
    for name, scene in {"photo.jpg": "chelsea", "photo.png": "rocket"}.items():
        save_image(tmp_path / name, ImageFile(dark_photo(scene, 60, 40)))
    status = run("retouch", tmp_path / "photo.jpg", tmp_path / "photo.png", "-o", tmp_path / "out", "--plans")
    assert status == 2 or len(list((tmp_path / "out").glob("*.json"))) == 2


def test_no_photo_and_unknown_suffixes(folders, tmp_path, capsys):
    assert run("retouch", "-o", tmp_path / "out") == 2
    assert "at least one photo" in capsys.readouterr().err
    odd = tmp_path / "photo.webp"
    odd.write_bytes((folders / "photos" / "1_chelsea.png").read_bytes())
    assert run("retouch", odd, "-o", tmp_path / "out") == 1
    assert ".jpg" in capsys.readouterr().err and not list((tmp_path / "out").iterdir())


def test_a_file_that_is_no_model(folders, tmp_path, capsys):
    photo = folders / "photos" / "1_chelsea.png"
    assert run("retouch", photo, "-o", tmp_path / "out", "--model", photo) == 2
    assert "not a safetensors file" in capsys.readouterr().err and not (tmp_path / "out").exists()

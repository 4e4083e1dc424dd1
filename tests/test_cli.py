"""The command `exposure`, from files to files."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from agents.cli import main
from agents.retouching.journal import JOURNAL
from agents.saved_agent import load_agent
from exposure_env.files import ImageFile, load_image, save_image
from exposure_env.image import expose
from exposure_env.photos import thumbnail
from exposure_env.retouch import RetouchPlan, apply_plan

ROOT = Path(__file__).parents[1]
TINY = ["--total-timesteps", "60", "--num-envs", "4", "--n-batches", "1", "--batch-size", "4", "--width", "4",
        "--warm-up", "2", "--n-critic", "1", "--discriminator-batch-size", "4", "--device", "cpu"]
MAKE, MODEL_TAG, ARTIST_TAG, ORIENTATION_TAG = 271, 272, 315, 274


def in_process(*arguments, cwd: Path, **options) -> subprocess.Popen:
    """`exposure ...` as a process of its own, as a shell would start it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    command = [sys.executable, "-m", "agents.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def exif() -> bytes:
    tags = Image.Exif()
    tags.update({MAKE: "Camera Works", MODEL_TAG: "Mark 7", ARTIST_TAG: "A. Student", ORIENTATION_TAG: 1})
    tags.get_ifd(34665)[33434] = 0.008  # exposure time
    return tags.tobytes().removeprefix(b"Exif\0\0")


def dark_photo(name: str, width: int, height: int) -> np.ndarray:
    """One of scikit-image's photographs, one stop too dark, enlarged; (height, width, 3) uint8."""
    photo = np.clip(expose(getattr(skimage.data, name)().astype(np.float32) / 255, -1.0), 0, 1)
    return (cv2.resize(photo, (width, height), interpolation=cv2.INTER_LINEAR) * 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Folders `photos`, `experts` and `targets` with four small photos each."""
    root = tmp_path_factory.mktemp("folders")
    for i, name in enumerate(("astronaut", "chelsea", "coffee", "rocket")):
        good = getattr(skimage.data, name)()[:240, :300]
        dark = np.clip(expose(good.astype(np.float32) / 255, -1.0), 0, 1)
        for kind, pixels in {"photos": (dark * 255).astype(np.uint8), "experts": good, "targets": good}.items():
            (root / kind).mkdir(exist_ok=True)
            save_image(root / kind / f"{i}_{name}.png", ImageFile(pixels))
    return root


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory) -> Path:
    """A run folder that `exposure train` made."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run("train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", folder,
               "quick", *TINY) == 0
    return folder


# train


def test_train_writes_a_run_and_says_where(trained, folders, tmp_path, capsys):
    assert {"agent.safetensors", "config.json", "progress.csv", "curves.png"} <= {p.name for p in trained.iterdir()}
    assert load_agent(trained).policy.width == 4
    assert run("train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", tmp_path / "r",
               "quick", *TINY, "--seed", "3") == 0
    out = capsys.readouterr().out
    assert "4 photos, 4 experts' photos" in out and out.count(str(tmp_path / "r")) >= 2
    assert '"seed": 3' in (tmp_path / "r" / "config.json").read_text()


def test_train_refuses_a_used_folder_and_one_folder_of_two(trained, folders, tmp_path, capsys):
    arguments = ["train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", trained]
    assert run(*arguments, "quick", *TINY) == 2
    assert run("train", "--photos", folders / "photos", "--out", tmp_path / "x", "quick", *TINY) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2 and all(line.startswith("exposure: ") for line in errors)
    assert str(trained) in errors[0] and "--experts" in errors[1] and not (tmp_path / "x").exists()


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_train_names_an_unknown_device_in_one_line(folders, tmp_path, capsys, device):
    status = run("train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", tmp_path / "x",
                 "quick", *TINY, "--device", device)
    errors = capsys.readouterr().err.strip().splitlines()
    assert status == 2 and errors[0].startswith("exposure: ") and device in errors[0]


def test_train_names_folders_that_are_missing_or_empty(folders, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        assert run("train", "--photos", folder, "--experts", folders / "experts", "--out", tmp_path / "x",
                   "quick", *TINY) == 2
        assert str(folder) in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is POSIX's")
def test_a_real_ctrl_c_leaves_a_usable_agent(folders, tmp_path):
    """Sent to the whole process, in the midst of the training, as a terminal does."""
    folder = tmp_path / "run"
    process = in_process("train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", folder,
                         "quick", *TINY, "--total-timesteps", "10000000", cwd=tmp_path,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    log, deadline = folder / "progress.csv", time.monotonic() + 60
    while not (log.exists() and log.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted" in out and "Traceback" not in err
    assert np.isfinite(load_agent(folder).plan(np.full((20, 20, 3), 0.4, np.float32)).evs).all()
    assert {"config.json", "progress.csv", "curves.png"} <= {path.name for path in folder.iterdir()}


# evaluate


def test_evaluate_prints_a_table(trained, folders, capsys):
    capsys.readouterr()
    assert run("evaluate", "--model", trained, "--photos", folders / "photos", "--targets", folders / "targets") == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert re.split(r"\s{2,}", lines[0]) == ["policy", "PSNR [dB]", "SSIM", "score", "EV correlation"]
    rows = {fields[0]: fields[1:] for fields in (re.split(r"\s{2,}", line) for line in lines[1:])}
    assert list(rows) == ["identity", "constant EV", "auto-exposure", "fixed bracket", "agent", "oracle"]
    psnr = {name: float(fields[0]) for name, fields in rows.items()}
    assert psnr["oracle"] > psnr["identity"] + 5 and psnr["constant EV"] > psnr["identity"] + 5  # all one stop too dark
    assert (rows["identity"][2], rows["oracle"][2]) == ("0.00", "1.00")
    assert len({len(line) for line in lines}) == 1, "the columns are not aligned"


def test_evaluate_of_photos_without_a_partner_names_them(trained, folders, tmp_path, capsys):
    (tmp_path / "targets").mkdir()
    save_image(tmp_path / "targets" / "else.png", load_image(folders / "targets" / "1_chelsea.png"))
    with pytest.warns(UserWarning, match="left out") as warned:
        status = run("evaluate", "--model", trained, "--photos", folders / "photos", "--targets", tmp_path / "targets")
    assert status == 2 and "0_astronaut.png" in str(warned[0].message) and "else.png" in str(warned[1].message)
    assert str(tmp_path / "targets") in capsys.readouterr().err
    assert run("evaluate", "--model", trained, "--photos", folders / "photos") == 2
    assert "--targets" in capsys.readouterr().err


# benchmark


def test_benchmark_prints_a_table_and_writes_it(folders, tmp_path, capsys):
    arguments = ["benchmark", "fivek", "--inputs", folders / "six_photos", "--targets", folders / "six_targets",
                 "--quick", "--out", tmp_path / "cells", "--methods", "identity", "best single EV"]
    for kind in ("photos", "targets"):
        (folders / f"six_{kind}").mkdir()
        for i, path in enumerate([*sorted((folders / kind).iterdir())] * 2):
            if i < 6:
                (folders / f"six_{kind}" / f"{i}.png").write_bytes(path.read_bytes())
    assert run(*arguments, "--table", tmp_path / "table") == 0
    captured = capsys.readouterr()
    lines = captured.out.strip().splitlines()
    assert [re.split(r"\s{2,}", line)[0] for line in lines] == ["method", "identity", "best single EV"]
    gains = [float(re.split(r"\s{2,}", line)[2]) for line in lines[1:]]
    assert gains[0] == 0 and gains[1] > 5  # all one stop too dark
    assert "10 cells" in captured.err and "10/10" in captured.err
    assert {path.name for path in (tmp_path / "table").iterdir()} == {"fivek.csv", "fivek.md", "fivek.png"}
    assert run(*arguments) == 0  # nothing is left to do
    again = capsys.readouterr()
    assert again.out == captured.out and "0 of them still to run" in again.err
    (folders / "six_photos" / "6.png").write_bytes((folders / "six_photos" / "0.png").read_bytes())
    assert run(*arguments) == 2
    assert "photos was '12 files" in (error := capsys.readouterr().err) and "now '13 files" in error


def test_benchmark_names_what_is_missing(tmp_path, capsys):
    for arguments, words in {("fivek",): "--photos", ("fivek", "--photos", tmp_path): "fivek_pairs",
                             ("misexposed", "--photos", tmp_path / "nowhere"): "nowhere",
                             ("misexposed", "--methods", "magic"): "magic"}.items():
        assert run("benchmark", *arguments, "--out", tmp_path / "cells") == 2
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1 and errors.startswith("exposure: ") and words in errors
    assert not (tmp_path / "cells").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is POSIX's")
def test_an_interrupted_benchmark_leaves_no_process_and_no_half_cell(folders, tmp_path):
    process = in_process("benchmark", "misexposed", "--quick", "--timesteps", "10000000", "--methods", "II", "--seeds",
                         "0", "--out", tmp_path / "cells", cwd=tmp_path,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 100
    while not (tmp_path / "cells").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (tmp_path / "cells").exists()  # the cell is at work
    process.send_signal(signal.SIGINT)  # to the command alone: it must end its processes
    err = process.communicate(timeout=60)[1]  # also waits for the pipes that a process left over would hold
    assert process.returncode == 130 and "Traceback" not in err
    assert list((tmp_path / "cells").iterdir()) == []


# retouch


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


def turned() -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION_TAG] = 6
    return tags


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


@pytest.mark.parametrize("command", ["retouch", "show", "evaluate"])
def test_an_unknown_model_is_one_line_and_status_2(folders, tmp_path, capsys, command):
    photo = [] if command == "evaluate" else [folders / "photos" / "1_chelsea.png", "-o", tmp_path / "out.png"]
    assert run(command, *photo, "--model", tmp_path / "nowhere") == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith(f"exposure: no agent at {tmp_path / 'nowhere'}")
    assert not captured.out and not list(tmp_path.iterdir())


def test_a_file_that_is_no_model(folders, tmp_path, capsys):
    photo = folders / "photos" / "1_chelsea.png"
    assert run("retouch", photo, "-o", tmp_path / "out", "--model", photo) == 2
    assert "not a safetensors file" in capsys.readouterr().err and not (tmp_path / "out").exists()


# show


def test_show_draws_one_panel_for_each_segment(folders, tmp_path, capsys):
    photo = folders / "photos" / "2_coffee.png"
    assert run("show", photo, "-o", tmp_path / "new" / "story.png") == 0
    with Image.open(tmp_path / "new" / "story.png") as picture:
        assert picture.format == "PNG" and picture.width > 200
        assert len(picture.convert("L").getcolors(256)) > 50
    assert str(tmp_path / "new" / "story.png") in capsys.readouterr().out


def test_show_of_a_broken_photo_is_one_line(tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0nothing")
    assert run("show", tmp_path / "broken.jpg", "-o", tmp_path / "story.png") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "broken.jpg" in errors and not (tmp_path / "story.png").exists()


# The program


def test_as_a_program(folders, trained, tmp_path):
    process = in_process("retouch", folders / "photos" / "3_rocket.png", tmp_path / "no.png", "-o", "out", "--model",
                         trained, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "no.png" in err and "Traceback" not in err
    assert "3_rocket.png" in out and load_image(tmp_path / "out" / "3_rocket.png").pixels.shape == (240, 300, 3)


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["retouch", "photo.jpg"], ["train", "quick", "--no-such", "1"]])
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "exposure" in "".join(capsys.readouterr())


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "quick", "--help"],
                                       ["retouch", "--help"], ["evaluate", "--help"], ["show", "--help"],
                                       ["benchmark", "--help"]])
def test_help_explains_what_happens_by_default(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.count("usage:") == 1 and ("-o PATH" in shown) == (arguments[0] in ("retouch", "show"))
    assert re.search(r"shipped|sample photos|exposures to try|storyboard|Retouch photos", shown)

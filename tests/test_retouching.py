"""Folders of photos retouched: what is skipped, what is done anew, what a kill leaves, how much is in memory."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import exposure_env
from agents.cli import main
from agents.retouching import batch as retouching
from agents.retouching import compiling, journal
from agents.retouching.batch import find_photos, make_jobs
from agents.retouching.compiling import compile_ahead
from agents.retouching.journal import JOURNAL, Journal
from agents.saved_agent import Agent, load_agent, save_agent
from exposure_env import kernels
from exposure_env.files import ImageFile, load_image, pixel_bytes, remove_leftovers, save_image
from exposure_env.photos import check_photo, sample_photos

ROOT = Path(__file__).parents[1]


def run(*arguments) -> int:
    return main(["retouch", *map(str, arguments)])


def photo(scene: str, width: int, height: int, dtype=np.uint8) -> np.ndarray:
    """(height, width, 3), one of scikit-image's photographs, too dark."""
    small = getattr(skimage.data, scene)().astype(np.float32) * (0.4 * np.iinfo(dtype).max / 255)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(dtype)


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder with three small photos, and what doesn't belong to them."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name, scene in {"a.png": "astronaut", "b.JPG": "chelsea", "c.tif": "coffee", "sub/d.png": "rocket",
                        ".hidden.png": "rocket"}.items():
        save_image(folder / name, ImageFile(photo(scene, 90, 60)))
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture(scope="module")
def other_agent(tmp_path_factory) -> Path:
    """The shipped agent with one weight changed a little."""
    agent = load_agent()
    with torch.no_grad():
        next(iter(agent.policy.actor.parameters())).view(-1)[0] += 0.125
    path = tmp_path_factory.mktemp("other") / "agent.safetensors"
    save_agent(path, agent.policy, agent.task(sample_photos("test", 1)))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != JOURNAL}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != JOURNAL}


def age(*paths: Path) -> None:
    """As if an hour had passed; the journal allows for file systems that round times."""
    for path in paths:
        os.utime(path, ns=(0, path.stat().st_mtime_ns - 3_600_000_000_000))


# Which photos


def test_a_folder_means_the_photos_in_it(photos, out, capsys):
    assert [path.name for path in find_photos([photos])] == ["a.png", "b.JPG", "c.tif"]
    assert run(photos, photos / "sub" / "d.png", "-o", out) == 0
    assert set(contents(out)) == {"a.png", "b.JPG", "c.tif", "d.png"}
    assert "Skipped" not in capsys.readouterr().out


def test_a_folder_without_photos_is_named(tmp_path, out, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", "-o", out) == 2
    assert f"no photo in {tmp_path / 'empty'}" in capsys.readouterr().err and not out.exists()


def test_the_folder_itself_is_no_place_for_the_results(photos, capsys):
    before = contents(photos / "sub"), times(photos)
    assert run(photos, "-o", photos) == 2
    assert "would be overwritten" in capsys.readouterr().err and (contents(photos / "sub"), times(photos)) == before


@pytest.mark.parametrize("names", [("a.nef", "b/a.tif"), ("a.jpg", "b/A.JPG"), ("a.nef", "b/a.dng")])
def test_results_of_one_name_are_refused(tmp_path, names):
    with pytest.raises(ValueError, match="one file name"):
        make_jobs([tmp_path / name for name in names], tmp_path / "out")


# What is skipped


def test_a_second_run_does_only_what_is_new(photos, out, capsys):
    assert run(photos, "-o", out) == 0
    before = contents(out), times(out)
    save_image(photos / "new.png", ImageFile(photo("rocket", 60, 90)))
    capsys.readouterr()
    assert run(photos, "-o", out) == 0
    printed = capsys.readouterr().out
    assert "Skipped: 3 of 4" in printed and printed.count(" EV\n") == 1 and "new.png" in printed
    after = contents(out), times(out)
    assert [{name: each[name] for name in before[0]} for each in after] == list(before) and "new.png" in after[0]


def test_a_changed_photo_is_done_anew(photos, out, capsys):
    assert run(photos, "-o", out) == 0
    old = contents(out)
    save_image(photos / "a.png", ImageFile(255 - load_image(photos / "a.png").pixels))
    os.utime(photos / "c.tif", ns=(0, 5))  # perhaps changed: better once too often
    capsys.readouterr()
    assert run(photos, "-o", out) == 0
    printed = capsys.readouterr().out
    assert "Skipped: 1 of 3" in printed and "b.JPG  " not in printed and "c.tif  " in printed
    assert [old[name] == data for name, data in sorted(contents(out).items())] == [False, True, True]


def test_another_photo_of_the_same_name_is_done_anew(photos, tmp_path, out):
    """From another memory card; even one of the same size and time."""
    assert run(photos / "a.png", "-o", out) == 0
    (tmp_path / "card").mkdir()
    stat = (photos / "a.png").stat()
    (tmp_path / "card" / "a.png").write_bytes((photos / "sub" / "d.png").read_bytes()[: stat.st_size])
    save_image(tmp_path / "card" / "a.png", ImageFile(photo("rocket", 90, 60)))
    os.utime(tmp_path / "card" / "a.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    old = contents(out)
    assert run(tmp_path / "card" / "a.png", "-o", out) == 0 and contents(out) != old


def test_another_agent_does_all_anew_and_the_first_once_more(photos, out, other_agent, capsys):
    results = []
    for model in ((), ("--model", other_agent), (), ()):
        assert run(photos, "-o", out, *model) == 0
        results.append((contents(out), capsys.readouterr().out.count(" EV\n")))
    assert [count for _, count in results] == [3, 3, 3, 0]
    assert results[0][0] == results[2][0] == results[3][0] != results[1][0]


def test_another_version_of_the_package_does_all_anew(photos, out, capsys, monkeypatch):
    assert run(photos, "-o", out) == 0
    monkeypatch.setattr(journal, "__version__", "99.0")
    capsys.readouterr()
    assert run(photos, "-o", out) == 0 and capsys.readouterr().out.count(" EV\n") == 3


def test_overwrite_does_all_anew(photos, out, capsys):
    assert run(photos, "-o", out) == 0
    before = times(out)
    capsys.readouterr()
    assert run(photos, "-o", out, "--overwrite") == 0
    assert capsys.readouterr().out.count(" EV\n") == 3 and not set(before.values()) & set(times(out).values())


@pytest.mark.parametrize("model", [False, True])
def test_a_result_that_somebody_changed_is_kept(photos, out, other_agent, capsys, model):
    """Also when the agent changed: a photographer's own work is worth more than a new result."""
    assert run(photos, "-o", out) == 0
    save_image(out / "a.png", ImageFile(photo("rocket", 5, 4)))
    (out / "c.tif").unlink()
    before = contents(out)
    capsys.readouterr()
    arguments = (photos, "-o", out, *(("--model", other_agent) if model else ()))
    assert run(*arguments) == 1
    errors = capsys.readouterr().err
    assert "a.png is there already" in errors and "--overwrite" in errors and "b.JPG" not in errors
    assert contents(out)["a.png"] == before["a.png"] and (out / "c.tif").exists()
    assert run(*arguments, "--overwrite") == 0 and contents(out)["a.png"] != before["a.png"]
    assert run(*arguments) == 0


def test_a_file_of_somebody_else_is_kept(photos, out, capsys):
    out.mkdir()
    (out / "a.png").write_text("mine")
    assert run(photos / "a.png", "-o", out) == 1
    assert (out / "a.png").read_text() == "mine" and "a.png is there already" in capsys.readouterr().err


def test_without_its_journal_no_result_is_taken_for_up_to_date(photos, out):
    assert run(photos, "-o", out) == 0
    (out / JOURNAL).unlink()
    assert run(photos, "-o", out) == 1


def test_a_journal_cut_short_spoils_one_line_only(photos, out, capsys):
    assert run(photos / "a.png", photos / "c.tif", "-o", out) == 0
    (out / JOURNAL).write_bytes((out / JOURNAL).read_bytes()[:-20])  # the last line, on c.tif
    (out / "c.tif").unlink()
    for expected in ("Skipped: 1 of 2", "Skipped: 2 of 2"):
        capsys.readouterr()
        assert run(photos / "a.png", photos / "c.tif", "-o", out) == 0
        assert expected in capsys.readouterr().out


def test_plans_belong_to_their_results(photos, out, other_agent, capsys):
    one = photos / "a.png", "-o", out
    assert run(*one) == 0 and not (out / "a.json").exists()
    assert run(*one, "--plans") == 0 and (first := (out / "a.json").read_bytes())
    capsys.readouterr()
    assert run(*one, "--plans") == 0 and run(*one) == 0 and capsys.readouterr().out.count("Skipped: 1") == 2
    assert run(*one, "--model", other_agent) == 0 and (out / "a.json").read_bytes() == first  # now of another agent
    assert run(*one, "--model", other_agent, "--plans") == 0 and (out / "a.json").read_bytes() != first
    (out / "a.json").write_text(json.dumps({"mine": 1}))
    assert run(*one, "--model", other_agent, "--plans") == 1 and "mine" in (out / "a.json").read_text()


# Kills


def started(photos: Path, out: Path, *arguments) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "agents.cli", "retouch", str(photos), "-o", str(out), *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))


@pytest.mark.skipif(os.name != "posix", reason="these signals are POSIX's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, out, capsys, how):
    """A real process, stopped after its second result: no half file, nothing made twice, the same in the end."""
    photos, whole = tmp_path / "photos", tmp_path / "whole"
    photos.mkdir()
    for i in range(12):
        save_image(photos / f"{i:02}.png", ImageFile(photo("astronaut", 700 + i, 500, np.uint16)))
    process, deadline = started(photos, out), time.monotonic() + 60
    while not (out / "01.png").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.05)
    process.send_signal(how)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130), errors
    assert how == signal.SIGKILL or ("Interrupted" in printed and "Traceback" not in errors)
    finished = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert 2 <= len(finished) < 12
    assert run(photos, "-o", out) == 0
    assert f"Skipped: {len(finished)} of 12" in capsys.readouterr().out
    assert {name: times(out)[name] for name in finished} == finished
    assert run(photos, "-o", whole) == 0
    assert contents(whole) == {name: data for name, data in contents(out).items() if not name.endswith(".part")}
    age(*out.glob(".*.part"))
    assert run(photos, "-o", out) == 0 and contents(out) == contents(whole)  # what the kill left is gone


def test_a_kill_before_the_result_takes_its_place_leaves_what_is_done_anew(photos, out):
    """At the worst moment: noted already, and not yet there; an older result may be."""
    assert run(photos / "a.png", "-o", out) == 0
    (job,) = make_jobs([photos / "a.png"], out)
    os.utime(photos / "a.png", ns=(0, 5))
    journal = Journal(out, load_agent())
    complete = out / f".a.png.{'0' * 32}.part"
    complete.write_bytes(b"new" * 100)
    journal.note(job, journal.key(job.photo), None, complete)
    assert Journal(out, load_agent()).standing(job) == "to do"
    job.target.unlink()
    assert Journal(out, load_agent()).standing(job) == "to do"
    os.replace(complete, job.target)
    assert Journal(out, load_agent()).standing(job) == "done"


def test_only_our_own_old_leftovers_are_removed(tmp_path):
    ours, young = tmp_path / f".a.png.{'0' * 32}.part", tmp_path / f".a.png.{'1' * 32}.part"
    others = [tmp_path / f".b.png.{'0' * 32}.part", tmp_path / ".a.png.part", tmp_path / f"a.png.{'0' * 32}.part"]
    for path in (ours, young, *others):
        path.write_bytes(b"half")
    age(ours, *others)
    remove_leftovers([tmp_path / "a.png", tmp_path / "nowhere" / "c.png"])
    assert set(tmp_path.iterdir()) == {young, *others}


# Side by side, and memory


def test_many_give_the_same_as_one_by_one(photos, tmp_path, out):
    save_image(photos / "0.jpg", ImageFile(photo("coffee", 901, 333)))
    save_image(photos / "1.tif", ImageFile(photo("coffee", 333, 901, np.uint16)))
    assert run(photos, "-o", out) == 0
    for path in find_photos([photos]):
        assert run(path, "-o", tmp_path / "single") == 0
    assert contents(out) == contents(tmp_path / "single")


@pytest.mark.parametrize("limit", [0, 2_500_000, 10**9])
def test_photos_in_memory_are_bounded(tmp_path, out, monkeypatch, limit):
    """From when a photo begins to be read until it is written."""
    (tmp_path / "photos").mkdir()
    for i, scale in enumerate([1, 1, 1, 2, 3, 1, 1]):
        save_image(tmp_path / "photos" / f"{i}.png", ImageFile(photo("astronaut", 600 * scale, 500)))
    held, most, together = {}, 0, 0

    def load(path):
        nonlocal most, together
        held[path.name] = pixel_bytes(path)
        most, together = max(most, sum(held.values())), max(together, len(held))
        return load_image(path)

    def save(path, *arguments, **options):
        save_image(path, *arguments, **options)
        del held[path.name]

    monkeypatch.setattr(retouching, "PIXELS_AT_ONCE", limit)
    monkeypatch.setattr(retouching, "load_image", load)
    monkeypatch.setattr(retouching, "save_image", save)
    assert run(tmp_path / "photos", "-o", out) == 0
    assert len(contents(out)) == 7 and not held
    assert most <= max(limit, 2_700_000)  # or the largest photo alone
    assert (together == 1) == (limit == 0) and together <= 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (64, 64), (63, 190), (700, 431)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("fit", ["squeeze", "letterbox"])
def test_a_plan_of_bytes_is_that_of_the_same_photo_as_floats(shape, dtype, fit):
    agent = load_agent()
    agent = Agent(agent.policy, agent.segmenter, agent.settings | {"thumbnail": fit})
    pixels = np.ascontiguousarray(photo("coffee", *shape[::-1], dtype))
    assert agent.plan(pixels).to_json() == agent.plan(check_photo(pixels)).to_json()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are told by Linux only")
@pytest.mark.parametrize(("name", "most"), [("a.jpg", 9.5), ("turned.jpg", 9.5), ("a.png", 9.5), ("wide.tif", 15)])
def test_files_take_no_more_memory_than_pixels_and_decoder(tmp_path, name, most):
    """Bytes per pixel, at 12 megapixels: 3 (or 6) of the pixels, 4 (or 6) of the decoder; the third time as the first.

    Measured: 7.8 and 8.6 for 8 bits, 14.0 for 16, where OpenCV maps the file, too. One more copy takes 3, or 6, more.
    """
    dtype = np.uint16 if name == "wide.tif" else np.uint8
    pixels = photo("astronaut", 4000, 3000, dtype)
    if name == "turned.jpg":
        tags = Image.Exif()
        tags[274] = 6
        Image.fromarray(pixels).save(tmp_path / name, exif=tags)
    else:
        save_image(tmp_path / name, ImageFile(pixels))
    program = f"""
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from exposure_env import kernels
from exposure_env.files import load_image, save_image
kernels.enabled()  # loads Numba
def memory(which):
    return next(int(l.split()[1]) * 1024 for l in Path("/proc/self/status").read_text().splitlines() if which in l)
path = Path({str(tmp_path / name)!r})
before = memory("VmRSS")
with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
    for _ in range(3):
        image = reader.submit(load_image, path).result()
        writer.submit(save_image, path, image).result()
        del image
print((memory("VmHWM") - before) / 12e6, (memory("VmRSS") - before) / 12e6)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    peak, left = map(float, done.stdout.split())
    assert peak < most and left < 2.5, (peak, left)


class TestCompilingAhead:
    COMMAND = """
import sys
from agents import cli
from agents.retouching import compiling
compiling.LARGE = 60 * 90 * 3
sys.exit(cli.main(["retouch", *sys.argv[1:]]))
"""

    @pytest.mark.skipif(not kernels.available(), reason="needs numba")
    def test_a_large_photo_finds_all_on_disk_that_another_process_compiled(self, photos, out, tmp_path):
        folders = [out / "first", out / "second"]
        told = []
        for folder in folders:
            done = subprocess.run([sys.executable, "-c", self.COMMAND, photos / "a.png", "-o", folder], cwd=ROOT,
                                  capture_output=True, text=True, timeout=300,
                                  env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")})
            assert done.returncode == 0, done.stderr
            told.append(done.stderr.count("compiling the fast paths"))
        assert told == [1, 0]  # twice, if this process had anything left to compile
        marks = list((tmp_path / "cache").rglob("retouch-*"))
        assert len(marks) == 1
        first, second = (load_image(folder / "a.png").pixels for folder in folders)
        np.testing.assert_array_equal(first, second)

    @pytest.mark.skipif(not kernels.available(), reason="needs numba")
    def test_no_process_for_small_photos_or_for_what_is_no_photo(self, photos, monkeypatch):
        started = []
        monkeypatch.setattr(subprocess, "run", lambda *arguments, **_: started.append(arguments) or SimpleNamespace(
            returncode=1))
        monkeypatch.setattr(exposure_env, "__version__", "one that never compiled anything")
        files = [photos / "a.png", photos / "notes.txt", photos / "missing.png"]
        compile_ahead(files, None)
        assert not started
        monkeypatch.setattr(compiling, "LARGE", 60 * 90 * 3)
        compile_ahead(files, None)
        assert len(started) == 1

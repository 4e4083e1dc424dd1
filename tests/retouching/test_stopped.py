"""A run that was stopped by force goes on where it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from exposure_env.files import ImageFile, remove_leftovers, save_image
from tests.repository import ROOT
from tests.retouching.small import age, contents, photo, run, times


def started(photos: Path, out: Path, *arguments) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "agents.cli", "retouch", str(photos), "-o", str(out), *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))


@pytest.fixture(scope="module")
def twelve(tmp_path_factory) -> Path:
    """A folder that holds the folder `photos`, and `whole` with their results."""
    root = tmp_path_factory.mktemp("twelve")
    (root / "photos").mkdir()
    for i in range(12):
        save_image(root / "photos" / f"{i:02}.png", ImageFile(photo("astronaut", 700 + i, 500, np.uint16)))
    assert run(root / "photos", "-o", root / "whole") == 0
    return root


@pytest.mark.skipif(os.name != "posix", reason="these signals are POSIX's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_where_it_was(twelve, out, capsys, how):
    """A real process, stopped after its second result: no half file, nothing made twice, the same in the end."""
    photos, whole = twelve / "photos", contents(twelve / "whole")
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
    capsys.readouterr()
    assert run(photos, "-o", out) == 0
    assert f"Skipped: {len(finished)} of 12" in capsys.readouterr().out
    assert {name: times(out)[name] for name in finished} == finished
    assert {name: data for name, data in contents(out).items() if not name.endswith(".part")} == whole
    age(*out.glob(".*.part"))
    assert run(photos, "-o", out) == 0 and contents(out) == whole  # what the kill left is gone


def test_only_our_own_old_leftovers_are_removed(tmp_path):
    ours, young = tmp_path / f".a.png.{'0' * 32}.part", tmp_path / f".a.png.{'1' * 32}.part"
    others = [tmp_path / f".b.png.{'0' * 32}.part", tmp_path / ".a.png.part", tmp_path / f"a.png.{'0' * 32}.part"]
    for path in (ours, young, *others):
        path.write_bytes(b"half")
    age(ours, *others)
    remove_leftovers([tmp_path / "a.png", tmp_path / "nowhere" / "c.png"])
    assert set(tmp_path.iterdir()) == {young, *others}

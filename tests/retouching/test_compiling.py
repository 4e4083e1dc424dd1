"""Compiling ahead of a large photo."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import exposure_env
from agents.retouching import compiling
from agents.retouching.compiling import compile_ahead
from agents.saved_agent import load_agent, save_agent
from exposure_env import kernels
from exposure_env.files import ImageFile, load_image, save_image
from exposure_env.photos import sample_photos
from exposure_env.task import ExposureTask
from tests.repository import ROOT
from tests.retouching.small import photo


@pytest.fixture(scope="module")
def quickly_compiled(tmp_path_factory) -> Path:
    """The shipped agent, with segments and a rendering that need few compiled functions."""
    agent = load_agent()
    task = ExposureTask(sample_photos("test", 1), "luminance_bands", **agent.settings | {"fusion": "local"})
    path = tmp_path_factory.mktemp("quickly") / "agent.safetensors"
    save_agent(path, agent.policy, task)
    return path


@pytest.mark.skipif(not kernels.available(), reason="needs numba")
class TestCompilingAhead:
    COMMAND = """
import sys
from agents import cli
from agents.retouching import compiling
compiling.LARGE = 60 * 90 * 3
sys.exit(cli.main(["retouch", *sys.argv[1:]]))
"""
    LEFT = """
import sys
from agents import cli
from agents.retouching.compiling import retouch_small
from numba.core.registry import CPUDispatcher

def loaded():
    return {(name, each, str(signature)) for name, module in [*sys.modules.items()] if name.startswith("exposure_env")
            for each, function in vars(module).items() if isinstance(function, CPUDispatcher)
            for signature in function.signatures}

retouch_small()
before = loaded()
assert len(before) > 10
assert cli.main(["retouch", *sys.argv[1:]]) == 0
print("left:", sorted(loaded() - before))
"""

    def test_a_large_photo_finds_all_on_disk_that_another_process_compiled(
        self, photos, out, tmp_path, quickly_compiled
    ):
        folders = [out / "first", out / "second"]
        told = []
        for folder in folders:
            command = [sys.executable, "-c", self.COMMAND, photos / "a.png", "-o", folder, "--model", quickly_compiled]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300,
                                  env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")})
            assert done.returncode == 0, done.stderr
            told.append(done.stderr.count("compiling the fast paths"))
        assert told == [1, 0]  # twice, if this process had anything left to compile
        marks = list((tmp_path / "cache").rglob("retouch-*"))
        assert len(marks) == 1
        first, second = (load_image(folder / "a.png").pixels for folder in folders)
        np.testing.assert_array_equal(first, second)

    def test_the_small_pictures_need_all_that_photos_of_any_size_and_depth_need(self, tmp_path, out):
        """With the shipped agent, which blends at full size."""
        (tmp_path / "photos").mkdir()
        for i, (width, height, dtype) in enumerate([(901, 333, np.uint8), (333, 901, np.uint16), (3, 2, np.uint8)]):
            save_image(tmp_path / "photos" / f"{i}.png", ImageFile(photo("coffee", width, height, dtype)))
        command = [sys.executable, "-c", self.LEFT, tmp_path / "photos", "-o", out]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("left: []\n")

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

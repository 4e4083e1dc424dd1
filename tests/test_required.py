"""Continuous integration says what must not be skipped; such a skip is a failure there, and only there."""

import os
import subprocess
import sys

import pytest

from tests.repository import ROOT

SKIPPING = {
    "test_module.py": 'import pytest\npytest.importorskip("moonstone", reason="pip install Moonstone")\n',
    "test_inside.py": 'import pytest\ndef test_it():\n    pytest.skip("Moonstone can not be started")\n',
}


@pytest.mark.parametrize("required, status", [("Chromium Moonstone", 1), ("Chromium", 0), ("", 0)])
@pytest.mark.parametrize("name", SKIPPING)
def test_what_is_required_must_run(name, required, status, tmp_path):
    (tmp_path / name).write_text(SKIPPING[name] + "def test_other():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:xdist", "-p", "no:cacheprovider",
               "-c", os.devnull, "--rootdir", tmp_path, tmp_path]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "EXPOSURE_REQUIRE": required}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    expected = (0, 5) if status == 0 else (1, 2)  # 5: nothing to run but what was skipped; 2: a module failed
    assert done.returncode in expected, done.stdout + done.stderr
    assert ("EXPOSURE_REQUIRE wants this run, but: " in done.stdout) == bool(status)

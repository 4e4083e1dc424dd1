"""Lessons and exercises, run as a student runs them."""

import importlib
import re
import sys
from functools import partial

import pytest

from tests import programs
from tests.lessons import EXERCISES, LESSONS


@pytest.fixture(scope="session")
def start():
    """A function that runs `python path` in a folder, on the reduced budget and without a screen."""
    return partial(programs.start, EXPOSURE_QUICK="1")


@pytest.fixture(scope="session")
def told(start, tmp_path_factory):
    """A function that runs a lesson whole, once: what it prints."""
    kept = {}

    def run(name):
        if name not in kept:
            folder = tmp_path_factory.mktemp(name)
            done = start(LESSONS / f"{name}.py", cwd=folder)
            assert done.returncode == 0, done.stderr
            assert "Warning" not in done.stderr and "Traceback" not in done.stderr, done.stderr
            assert not list(folder.iterdir()), "it left files behind"
            assert len(done.stdout.splitlines()) > 5, "it says nothing"
            kept[name] = done.stdout
        return kept[name]

    return run


@pytest.fixture
def exercise(monkeypatch):
    """A function of a lesson's number: the check of its exercise, and the two right answers."""
    monkeypatch.syspath_prepend(EXERCISES)

    def load(number):
        solution = importlib.import_module(f"solution_{number}")
        right = [value for value in vars(solution).values() if getattr(value, "__module__", "") == solution.__name__]
        return importlib.import_module(f"exercise_{number}").check, *right

    yield load
    for name in [name for name in sys.modules if re.fullmatch(r"(exercise|solution)_\d", name)]:
        del sys.modules[name]

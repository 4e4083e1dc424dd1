"""Photographs for the tests: real ones from a folder where there is one, and scikit-image's, which are always there."""

import gc
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before Torch is loaded; other tests take the other processors

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from agents.startup import collect_less
from tests.repository import ROOT

FOLDER = Path(os.environ.get("EXPOSURE_TEST_PHOTOS") or ROOT.parent / "shared" / "data")
SUFFIXES = {".jpg", ".jpeg", ".png"}
NUM_PHOTOS = 12


def pytest_configure():
    """Spares what all tests load the garbage collector."""
    collect_less()


def pytest_collection_finish():
    """Likewise, of the tests themselves."""
    gc.freeze()


def pytest_addoption(parser, pluginmanager):
    """Without pytest-xdist (-p no:xdist), what pyproject.toml asks of it means nothing."""
    if not pluginmanager.hasplugin("xdist"):
        for name in ("--numprocesses", "--maxprocesses", "--dist"):
            parser.addoption(name)


def not_skipped(report):
    """The report of a test or a module, failed if it was skipped for want of what EXPOSURE_REQUIRE names: "Sphinx"."""
    required = os.environ.get("EXPOSURE_REQUIRE", "").split()
    if report.skipped and isinstance(report.longrepr, tuple) and any(name in report.longrepr[2] for name in required):
        report.outcome, report.longrepr = "failed", f"EXPOSURE_REQUIRE wants this run, but: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return not_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return not_skipped((yield))


@pytest.fixture
def one_thread():
    """Torch on one thread, which is quicker for small networks, and with a fixed seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """Folder with real photographs, in it or in folders below."""
    if not any(path.suffix.lower() in SUFFIXES for path in FOLDER.rglob("*")):
        pytest.skip(f"no photographs in {FOLDER}: name a folder of photographs in EXPOSURE_TEST_PHOTOS")
    return FOLDER


@pytest.fixture(scope="session")
def real_files(real_folder) -> list[Path]:
    """All real photographs: those of the folder `photos` in it where there is one."""
    folder = real_folder / "photos" if (real_folder / "photos").is_dir() else real_folder
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _thumbnail(photo: np.ndarray) -> np.ndarray:
    return np.clip(cv2.resize(photo, (64, 64), interpolation=cv2.INTER_AREA), 0, 1)  # averaging overshoots by rounding


@pytest.fixture(scope="session")
def real_photos(real_files) -> list[np.ndarray]:
    """12 real photographs at 64x64, then the same as larger crops at full resolution; (H, W, 3) float32 in [0, 1]."""
    chosen = [real_files[index] for index in np.linspace(0, len(real_files) - 1, NUM_PHOTOS).astype(int)]
    photos = [cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255 for path in chosen]
    return [_thumbnail(photo) for photo in photos] + [photo[60:181, 80:241].copy() for photo in photos]


@pytest.fixture(scope="session")
def sample_photos() -> list[np.ndarray]:
    """12 crops of scikit-image's photographs at 64x64, then four larger ones; (H, W, 3) float32 in [0, 1]."""
    names = ("astronaut", "chelsea", "coffee", "rocket")
    photos = [getattr(skimage.data, name)()[:300, :390].astype(np.float32) / 255 for name in names]
    thirds = [_thumbnail(photo[:, left : left + 130]) for photo in photos for left in (0, 130, 260)]
    return thirds + [photo[50:151, 100:241].copy() for photo in photos]

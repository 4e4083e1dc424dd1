"""The pictures of the documentation are those that docs/animate.py draws, and small."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from tests.repository import ROOT

LARGEST = 600e3  # bytes of an animation


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("animate", ROOT / "docs" / "animate.py")
    animate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(animate)
    folder = tmp_path_factory.mktemp("docs")
    return {path.name: path for path in animate.draw(folder / "images", folder / "results")}


@pytest.mark.parametrize("place", ["docs/images/local.gif", "docs/images/global.gif",
                                   "examples/results/storyboard_chelsea.png"])
def test_the_pictures_are_what_the_program_draws(drawn, place):
    kept = ROOT / place
    with Image.open(kept) as ours, Image.open(drawn[kept.name]) as fresh:
        count = getattr(ours, "n_frames", 1)
        assert getattr(fresh, "n_frames", 1) == count and fresh.size == ours.size
        for index in {0, count // 2, count - 1}:
            ours.seek(index), fresh.seek(index)
            one, other = (np.asarray(image.convert("RGB")).astype(int) for image in (ours, fresh))
            assert np.abs(one - other).mean() < 2  # levels of 255: other processors round otherwise
    if place.endswith(".gif"):
        assert kept.stat().st_size < LARGEST

"""What is measured of a cell, mostly by hand."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from agents.benchmark import tables as tables
from agents.benchmark.measures import image_statistics, summary
from tests.benchmark.small import photo_entry


def test_statistics_of_an_image_by_hand():
    halves = np.zeros((4, 4, 3), np.float32)
    halves[:2] = 1.0
    assert image_statistics(halves) == pytest.approx([0.5, 0.5, 0.0], abs=1e-3)
    assert image_statistics((halves * 255).astype(np.uint8)[:, ::-1]) == pytest.approx([0.5, 0.5, 0.0], abs=1e-3)
    red = np.zeros((4, 4, 3), np.float32)
    red[..., 0] = 1.0
    assert image_statistics(red)[0] == pytest.approx(0.27, abs=1e-3) and image_statistics(red)[2] > 0.9


def test_a_summary_by_hand():
    content = {"photos": [photo_entry(20, [1.0, 2.0], [1.5, 2.5]), photo_entry(22, [3.0], [None])],
               "experts": [[0.6, 0.2, 0.3], [0.4, 0.3, 0.3]], "max_ev": 3.0}
    numbers = summary(content)
    assert numbers["psnr"] == 21 and numbers["input_psnr"] == 15 and numbers["mean_abs_ev"] == 2
    assert numbers["saturated"] == pytest.approx(1 / 3, abs=1e-4) and numbers["ev_correlation"] == 1.0
    assert numbers["luminance_distance"] == pytest.approx(0.1) and numbers["contrast_distance"] == pytest.approx(0.05)
    assert numbers["saturation_distance"] == 0 and numbers["distance"] == pytest.approx(0.05)
    assert numbers["contrast_distance"] == pytest.approx(wasserstein_distance([0.2, 0.2], [0.2, 0.3]))
    constant = summary({**content, "photos": [photo_entry(20)]})
    assert constant["ev_correlation"] is None  # NaN is no JSON

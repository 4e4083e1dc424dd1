"""What is measured of a cell, mostly by hand."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from agents.benchmark import tables as tables
from agents.benchmark.measures import (
    image_statistics,
    intersections,
    optional_numbers,
    photographs,
    summary,
)
from agents.benchmark.splits import misexposed_protocol
from exposure_env.photos import Photo
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
    assert numbers["within_photo_ev_correlation"] == numbers["ev_step_correlation"] == 1.0  # of the first photo
    constant = summary({**content, "photos": [photo_entry(20)]})
    assert constant["ev_correlation"] is None  # NaN is no JSON
    assert constant["within_photo_ev_correlation"] is None and constant["ev_step_correlation"] is None
    assert summary({**content, "photos": [photo_entry(20, true_evs=[])| {"true_evs": None}]})["ev_correlation"] is None


def test_intersections_by_hand():
    """32 bins: of luminance and saturation 1/32 wide, of the standard deviation 1/64."""
    ours = np.array([[0.01, 0.10, 0.5], [0.02, 0.10, 0.5], [0.99, 0.10, 0.5], [1.0, 0.10, 0.5]])
    theirs = np.array([[0.0, 0.1095, 0.49], [1.0, 0.107, 0.49]])
    # luminance: half in the first, half in the last bin; contrast: 0.1 and 0.107 in one; saturation: 0.49 and 0.5 apart
    assert intersections(ours, theirs) == [1.0, 0.5, 0.0]
    assert intersections(theirs, theirs) == [1.0, 1.0, 1.0]
    content = {"photos": [photo_entry(20, statistics=row) for row in ours], "experts": theirs.tolist(), "max_ev": 3.0}
    numbers = summary(content)
    assert numbers["intersection"] == 0.5 and numbers["saturation_intersection"] == 0.0
    assert numbers["target_luminance_intersection"] == 0.0  # all targets' is 0.5


def test_numbers_that_old_cells_lack_are_unknown_unless_every_photo_has_them():
    extra = {"delta_e": 4.0, "mse_wrapped": 90.0, "psnr_wrapped": 28.0}
    old, new = photo_entry(20), photo_entry(20) | extra
    content = {"experts": [[0.5, 0.2, 0.3]], "max_ev": 3.0}
    assert summary(content | {"photos": [new, new | {"delta_e": 6.0}]})["delta_e"] == 5.0
    assert summary(content | {"photos": [new, old]})["delta_e"] is None
    assert summary(content | {"photos": [old]})["psnr_wrapped"] is None


def test_optional_numbers_by_hand():
    image, target = (np.full((2, 2, 3), value, np.uint8) for value in (1, 18))  # 239 squared is 33 modulo 256
    numbers = optional_numbers(image, target)
    assert numbers["mse_wrapped"] == 33 and numbers["psnr_wrapped"] == pytest.approx(10 * np.log10(255**2 / 33))
    assert optional_numbers((image / 255).astype(np.float32), target) == pytest.approx(numbers, abs=1e-4)


def test_photographs_by_hand():
    photos = [photo_entry(psnr, name=name) for psnr, name in [(16, "a_1_0"), (18, "a_1_1"), (15, "b_0"), (17, "a_2")]]
    assert photographs(photos, {"fold": None}) == {"a_1": 2.0, "b": 0.0, "a": 2.0}
    assert photographs(photos, {"fold": 2}) == {"a_1_0": 1.0, "a_1_1": 3.0, "b_0": 0.0, "a_2": 2.0}


def test_photographs_are_those_that_the_protocols_crop(sample_photos):
    good = [Photo(f"x_{i}0", image) for i, image in enumerate(sample_photos[:5])]
    for photos, settings, expected in [
        (misexposed_protocol(good).test, {"photos": "5 files, 0a"}, {photo.name for photo in good}),
        (misexposed_protocol().test, {"photos": "sample photos"}, {"astronaut", "coffee", "rocket", "motorcycle"}),
    ]:
        entries = [photo_entry(20, name=photo.name) for photo in photos]
        found = photographs(entries, settings)
        assert found.keys() <= expected and len(found) in (1, 4) and set(found.values()) == {5.0}

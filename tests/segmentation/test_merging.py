"""Ward merging, and the order of the segments."""

import numpy as np
import pytest
from scipy import ndimage

from exposure_env.image import luminance
from exposure_env.segmentation import felzenszwalb, luminance_bands, merge_segments, order_segments, segment
from tests.segmentation.small import IMAGE, LABELS, grey, is_labels, mosaic, same_partition


def test_merges_worked_out_by_hand():
    # Cost of two segments of n pixels each is n/2 * 3 d^2 (three equal channels), d the difference in grey.
    # 2 pixels a segment: 0.0|0.1: 3 * 0.01; 0.1|0.5: 3 * 0.16; 0.5|0.75: 3 * 0.0625.
    # Then {0.0, 0.1} has 4 pixels and mean 0.05; against 0.5 (2 pixels): 8/6 * 3 * 0.2025 > 3 * 0.0625.
    labels = np.array([[0, 0, 1, 1, 2, 2, 3, 3]])
    image = grey([[0.0, 0.0, 0.1, 0.1, 0.5, 0.5, 0.75, 0.75]])
    assert merge_segments(labels, image, 4).tolist() == labels.tolist()
    assert merge_segments(labels, image, 3).tolist() == [[0, 0, 0, 0, 1, 1, 2, 2]]
    assert merge_segments(labels, image, 2).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert merge_segments(labels, image, 1).tolist() == [[0] * 8]


def test_area_counts_in_the_cost():
    # 6 pixels of 0.5 between 6 of 0.3 (cost 3 * 3 * 0.04 = 0.36) and 1 of 0.8 (6/7 * 3 * 0.09 = 0.231): the single
    # pixel goes first although its colour is farther away.
    labels = np.array([[0] * 6 + [1] * 6 + [2]])
    image = grey([[0.3] * 6 + [0.5] * 6 + [0.8]])
    assert merge_segments(labels, image, 2).tolist() == [[0] * 6 + [1] * 7]


def test_only_neighbours_merge_even_if_others_are_equal():
    labels = np.array([[0, 1, 2]])
    image = grey([[0.2, 0.6, 0.2]])  # 0 and 2 are equal but apart
    assert merge_segments(labels, image, 2).tolist() == [[0, 0, 1]]  # equal costs: the pair of smallest labels


def test_diagonal_pixels_are_neighbours():
    labels = np.array([[0, 1], [2, 3]])
    image = grey([[0.2, 0.9], [0.6, 0.2]])
    assert merge_segments(labels, image, 3).tolist() == [[0, 1], [2, 0]]
    image = grey([[0.9, 0.2], [0.2, 0.6]])
    assert merge_segments(labels, image, 3).tolist() == [[0, 1], [1, 2]]


def test_colour_counts_not_only_luminance():
    image = np.zeros((1, 3, 3), np.float32)
    image[0, 0, 0] = 0.5
    image[0, 1, 0], image[0, 1, 1] = 0.4, 0.1  # distance to the left 0.02, to the right 0.02 + 0.16
    assert merge_segments(np.array([[0, 1, 2]]), image, 2).tolist() == [[0, 0, 1]]


def test_labels_may_have_gaps_and_keep_their_order():
    labels = np.array([[900, -7, 30]])
    image = grey([[0.1, 0.9, 0.5]])
    merged = merge_segments(labels, image, 8)
    assert merged.tolist() == [[2, 0, 1]]
    assert merged.dtype == np.int32


def brute_force_merge(labels, image, max_segments):
    """The definition, literally: masks and means from scratch for every pair in every round."""
    labels = labels.copy()
    height, width = labels.shape
    while len(names := np.unique(labels)) > max_segments:
        adjacent = set()
        for y in range(height):
            for x in range(width):
                for v in range(max(y - 1, 0), min(y + 2, height)):
                    for u in range(max(x - 1, 0), min(x + 2, width)):
                        adjacent.add((labels[y, x], labels[v, u]))
        costs = {}
        for i in names:
            for j in names:
                if i < j and (i, j) in adjacent:
                    one, other = image[labels == i].astype(float), image[labels == j].astype(float)
                    both = np.concatenate([one, other])
                    # Ward's cost by its meaning: growth of the squared error
                    costs[i, j] = sum(s * ((a - a.mean(0)) ** 2).sum() for s, a in ((1, both), (-1, one), (-1, other)))
        kept, gone = min(costs, key=costs.get)
        labels[labels == gone] = kept
    return labels


@pytest.mark.parametrize("seed", range(12))
def test_merge_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 8, 2)
    labels = rng.integers(0, 9, shape)  # mostly segments of several parts
    image = rng.random((*shape, 3)).astype(np.float32)
    for most in (1, 2, 4):
        assert same_partition(merge_segments(labels, image, most), brute_force_merge(labels, image, most))


def test_the_cap_is_met_exactly_and_merging_nests():
    image = mosaic(0)
    fine = felzenszwalb(image, scale=50, min_size=20)
    assert fine.max() + 1 > 12
    coarser = fine
    for most in (12, 8, 5, 2, 1):
        merged = merge_segments(fine, image, most)
        assert merged.max() + 1 == most
        assert same_partition(merged, merge_segments(coarser, image, most))  # greedy: each cap goes through the last
        coarser = merged


def test_every_pixel_a_segment():
    image = mosaic(1, (12, 12))
    merged = merge_segments(np.arange(144).reshape(12, 12), image, 3)
    assert is_labels(merged, image) and merged.max() == 2


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("area", [1, 1, 0, 0, 0, 3, 2, 2]),  # areas 3, then 2 and 2 by position, then 1
        ("luminance", [0, 0, 3, 3, 3, 1, 2, 2]),  # 0.2 and 0.2 by position, 0.5, 0.9
        ("label", [2, 2, 0, 0, 0, 1, 3, 3]),
    ],
)
def test_orders_and_ties(order, expected):
    ordered = order_segments(LABELS, IMAGE, order)
    assert ordered.tolist() == [expected]
    assert ordered.dtype == np.int32
    if order != "label":  # the numbers given do not matter
        assert order_segments(70 - 9 * LABELS, IMAGE, order).tolist() == [expected]


def test_label_order_closes_gaps():
    assert order_segments(10 * LABELS - 5, IMAGE, "label").tolist() == LABELS.tolist()


def test_random_order_comes_from_rng():
    def draw(seed):
        return order_segments(LABELS, IMAGE, "random", np.random.default_rng(seed)).tolist()

    assert draw(3) == draw(3)
    drawn = [draw(seed) for seed in range(200)]
    assert len(np.unique(drawn, axis=0)) == 24  # every order of four segments occurs
    assert all(same_partition(np.array(labels), LABELS) for labels in drawn)


def test_default_order_is_by_area():
    areas = np.bincount(segment(mosaic(6)).ravel())
    assert len(areas) > 2
    assert np.all(np.diff(areas) <= 0)


def test_luminance_order_of_a_photo_is_dark_to_bright():
    image = mosaic(6)
    labels = segment(image, order="luminance")
    means = ndimage.mean(luminance(image), labels, np.arange(labels.max() + 1))
    assert len(means) > 2
    assert np.all(np.diff(means) > 0)


def test_bands_are_capped_by_ward_merging():
    image = mosaic(8)
    labels = segment(image, "luminance_bands", bands=12, max_segments=5, order="label")
    assert labels.max() == 4
    assert same_partition(labels, brute_force_merge(luminance_bands(image, bands=12), image, 5))

"""The compiled merging and numbering of segments give the labels of the definitions: equal, not close."""

import numpy as np
import pytest

from exposure_env.segmentation import felzenszwalb, merge_segments, order_segments
from tests.kernels.small import by_definition
from tests.segmentation.small import steps

pytest.importorskip("numba")
from exposure_env.kernels import merging as kernels_merging


@pytest.mark.parametrize("seed", range(40))
def test_merging(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 24, 2))
    labels = rng.integers(-5, rng.integers(-4, 60), shape)
    image = steps(rng, shape, 3) if seed % 2 else rng.random((*shape, 3), np.float32)  # equal costs, and none
    for most in (1, 2, 5, 17):
        assert np.array_equal(merge_segments(labels, image, most), by_definition(merge_segments, labels, image, most))


def test_merging_of_many_segments():
    rng = np.random.default_rng(0)
    labels = rng.permutation(24 * 32).reshape(24, 32)
    for image in (steps(rng, labels.shape, 3), rng.random((*labels.shape, 3), np.float32)):
        assert np.array_equal(merge_segments(labels, image, 8), by_definition(merge_segments, labels, image, 8))


def test_merging_of_photographs(sample_photos):
    for photo in sample_photos:
        labels = felzenszwalb(photo, scale=30, min_size=5)
        for most in (1, 3, 8):
            expected = by_definition(merge_segments, labels, photo, most)
            assert np.array_equal(merge_segments(labels, photo, most), expected)


@pytest.mark.parametrize("low, high, dtype", [
    (0, 9, np.uint8), (-128, 127, np.int8), (-3, 40, np.int64), (2**63, 2**63 + 5, np.uint64),
    (0, 2**32 - 1, np.uint32), (-(2**31), 2**31 - 1, np.int32), (2**40, 2**40 + 3, np.int64),
    (-(2**62), 2**62, np.int64), (7, 7, np.int16),
])  # fmt: skip
def test_regions_of_any_integers(low, high, dtype):
    labels = np.random.default_rng(0).integers(low, high, (9, 14), dtype, endpoint=True)
    for some in (labels, labels.T, labels[:1, :1], labels[::2, ::3]):
        _, first, inverse, areas = np.unique(some, return_index=True, return_inverse=True, return_counts=True)
        found = kernels_merging.regions(some)
        assert (found is NotImplemented) == (int(some.max()) >= 2**31 or int(some.min()) < -(2**31)
                                   or int(some.max()) - int(some.min()) > 4 * some.size)  # fmt: skip
        if found is not NotImplemented:
            assert found[0].dtype == np.int32
            for mine, theirs in zip(found, (inverse.reshape(some.shape), first, areas), strict=True):
                assert np.array_equal(mine, theirs)
        image = np.random.default_rng(1).random((*some.shape, 3), np.float32)
        for order in ("area", "luminance", "label"):
            labelled = order_segments(some, image, order)
            assert labelled.dtype == np.int32
            assert np.array_equal(labelled, by_definition(order_segments, some, image, order))

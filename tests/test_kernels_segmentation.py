"""The compiled segmentation gives the labels of the definition, which calls scikit-image: equal, not close."""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage

from exposure_env import kernels
from exposure_env.segmentation import felzenszwalb, merge_segments, order_segments, segment, segment_many

pytest.importorskip("numba")
from exposure_env.kernels import merging as kernels_merging
from exposure_env.kernels import segmentation as kernels_segmentation
from exposure_env.segmentation import cached

SETTINGS = [  # scale, sigma, min_size [px]
    (300.0, 0.5, 50), (300.0, 0.5, 20), (300.0, 0.0, 50), (300.0, 0.8, 0), (100.0, 0.5, 50), (100.0, 1.0, 10),
    (100.0, 0.0, 1), (30.0, 0.5, 5), (30.0, 0.3, 200), (1000.0, 0.5, 50), (1000.0, 2.0, 1000), (3.0, 0.1, 2),
    (0.0, 0.5, 50), (0.0, 0.0, 7), (1e-4, 0.5, 30), (1e6, 0.5, 50),
]  # fmt: skip


@pytest.fixture(autouse=True)
def empty_memory(monkeypatch):
    monkeypatch.setattr(cached, "_memory", OrderedDict())


def assert_same(image, scale, sigma, min_size):
    expected = skimage.segmentation.felzenszwalb(image, scale=scale, sigma=sigma, min_size=min_size)
    labels = kernels_segmentation.felzenszwalb(image, scale, sigma, min_size)
    assert labels.dtype == np.int32
    assert np.array_equal(labels, expected), (image.shape, scale, sigma, min_size)
    return labels


def steps(rng, shape, levels):
    """Noise of a few levels: most costs are equal to many others."""
    return (rng.integers(0, levels, (*shape, 3)) / max(levels - 1, 1)).astype(np.float32)


def by_definition(function, *arguments, **options):
    with kernels.disabled():
        return function(*arguments, **options)


# Felzenszwalb


@pytest.mark.parametrize("setting", SETTINGS)
def test_photographs(sample_photos, setting):
    for photo in sample_photos:
        assert_same(photo, *setting)


@pytest.mark.parametrize("setting", SETTINGS)
def test_real_photographs(real_photos, setting):
    for photo in real_photos:
        assert_same(photo, *setting)


def test_eight_bits_have_many_equal_costs(sample_photos):
    for photo in sample_photos:
        for setting in SETTINGS:
            assert_same(np.round(photo * 255).astype(np.float32) / 255, *setting)


def test_a_large_photograph_takes_longer_keys():
    photo = skimage.data.astronaut()[:280, :300].astype(np.float32) / 255
    assert 4 * 280 * 300 > kernels_segmentation.FEW_EDGES
    assert_same(photo, 300, 0.5, 500)


@pytest.mark.parametrize("seed", range(150))
def test_equal_costs_and_all_shapes(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, (4, 13, 40)[seed % 3], 2))
    image = steps(rng, shape, int(rng.integers(1, 7)))
    sigma = rng.choice([0, 0.5, 1.5])
    assert_same(image, rng.choice([0, 1e-5, 1, 30, 300]), sigma, int(rng.integers(0, 30)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 64), (64, 1), (2, 2), (3, 5)])
def test_few_pixels_and_a_blur_wider_than_the_image(shape):
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    for sigma in (0, 1e-20, 0.05, 0.5, 3, 20.0, np.float32(0.3)):
        assert_same(image, 20, sigma, 2)


def test_costs_too_small_to_be_told_apart_by_their_keys():
    image = np.random.default_rng(0).random((64, 64, 3), np.float32) * np.float32(1e-12)
    costs = kernels_segmentation._costs(np.ascontiguousarray(image.transpose(2, 0, 1), np.float64))
    assert not kernels_segmentation._sorted_edges(costs)[2]
    for scale in (0.0, 1e-10, 300.0):
        assert_same(image, scale, 0.0, 50)


def test_the_order_among_equal_costs_matters_only_where_the_kernel_says_so():
    rng, said = np.random.default_rng(0), []
    for round_ in range(400):
        height, width = rng.integers(2, 20, 2)
        image = steps(rng, (height, width), int(rng.integers(2, 30)))
        costs = kernels_segmentation._costs(np.ascontiguousarray(image.transpose(2, 0, 1), np.float64))
        edges, ranked, is_sorted = kernels_segmentation._sorted_edges(costs)
        assert is_sorted
        assert np.all(np.diff(ranked) >= 0)
        assert np.array_equal(costs.ravel()[edges], ranked)
        settings = (height, width, (0.0, 1e-7, 0.1, 1.0)[round_ % 4], int(rng.integers(1, 12)))
        labels, is_certain = kernels_segmentation._grown(edges, ranked, *settings, False)
        for _ in range(5 if is_certain else 0):
            order = np.lexsort((rng.random(len(edges)), ranked))
            others, _ = kernels_segmentation._grown(edges[order], ranked[order], *settings, True)
            assert np.array_equal(labels, others)
        said.append(is_certain)
    assert 50 < sum(said) < 350


def test_the_blur_is_that_of_scipy_to_the_last_bit():
    rng = np.random.default_rng(0)
    for sigma in (0.3, 0.5, 0.8, 2.0):
        weights = kernels_segmentation._weights(sigma)
        if weights is None:  # SciPy was compiled otherwise here, and is called itself
            continue
        image = rng.random((37, 21, 3), np.float32)
        expected = skimage.filters.gaussian(image.astype(float), [sigma, sigma, 0], mode="reflect", channel_axis=-1)
        assert np.array_equal(kernels_segmentation._blurred(image, weights), expected.transpose(2, 0, 1))


def test_scipy_blurs_where_it_rounds_otherwise(sample_photos, monkeypatch):
    monkeypatch.setattr(kernels_segmentation, "_weights", lambda sigma: None)
    for setting in SETTINGS[:4]:
        assert_same(sample_photos[0], *setting)


def test_the_public_function_uses_it_and_takes_any_float_array(sample_photos):
    photo = sample_photos[0]
    read_only = photo.copy()
    read_only.flags.writeable = False
    for image in (photo, read_only, photo.astype(np.float64), photo[::-1, ::2], np.asfortranarray(photo)):
        before = len(kernels_segmentation._blurred.signatures)
        for options in ({}, {"scale": 50, "sigma": 1, "min_size": 12.5}, {"min_size": 1e300}):
            if options.get("min_size") != 1e300:  # too large an integer for scikit-image
                assert np.array_equal(felzenszwalb(image, **options), by_definition(felzenszwalb, image, **options))
            else:
                assert np.all(felzenszwalb(image, **options) == 0)
        assert len(kernels_segmentation._blurred.signatures) == before  # nothing is compiled anew


# Merging and numbering


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


# The whole, and the cache


@pytest.mark.parametrize("first", [True, False])
def test_files_are_the_same_with_and_without_kernels(tmp_path, sample_photos, first):
    for photo in sample_photos[:4]:
        written = segment(photo, directory=tmp_path) if first else by_definition(segment, photo, directory=tmp_path)
        (file,) = set(tmp_path.iterdir())
        content = file.read_bytes()
        cached._memory.clear()
        read = by_definition(segment, photo, directory=tmp_path) if first else segment(photo, directory=tmp_path)
        assert np.array_equal(written, read)
        file.unlink()
        cached._memory.clear()
        other = by_definition(segment, photo, directory=tmp_path) if first else segment(photo, directory=tmp_path)
        assert np.array_equal(written, other)
        assert file.read_bytes() == content
        file.unlink()


@pytest.mark.parametrize("threads", ["1", "2", "5"])
@pytest.mark.parametrize("segmenter", ["felzenszwalb", "luminance_bands", "slic"])
def test_many_at_once_are_the_same(sample_photos, monkeypatch, threads, segmenter):
    monkeypatch.setenv("EXPOSURE_THREADS", threads)
    expected = by_definition(lambda: [segment(photo, segmenter, order="luminance") for photo in sample_photos])
    cached._memory.clear()
    for _ in range(2):
        found = segment_many(sample_photos, segmenter, order="luminance")
        assert len(found) == len(expected)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert len(cached._memory) == len(sample_photos)
    assert segment_many([]) == []


@pytest.mark.parametrize("most", [1, 8])
def test_random_orders_are_drawn_in_sequence(sample_photos, most):
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    expected = [segment(photo, order="random", rng=one, max_segments=most) for photo in sample_photos]
    found = segment_many(sample_photos, order="random", rng=other, max_segments=most)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert one.random() == other.random()


def test_many_share_the_folder(sample_photos, tmp_path):
    expected = segment_many(sample_photos, directory=tmp_path, scale=50.0)
    assert len(list(tmp_path.iterdir())) == len(sample_photos)
    cached._memory.clear()
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    found = [segment(photo, directory=tmp_path, scale=50.0) for photo in sample_photos]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert before == {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}


def test_callables_run_in_the_caller_s_thread(sample_photos):
    seen = []

    def halves(image):
        seen.append(threading.current_thread())
        return np.indices(image.shape[:2])[0] // 32

    assert len(segment_many(sample_photos[:12], halves)) == 12
    assert seen == [threading.current_thread()] * 12


def test_malformed_arguments_of_many(sample_photos):
    for options, message in (
        ({"segmenter": "watershed"}, "watershed"), ({"order": "size"}, "size"), ({"order": "random"}, "rng=None"),
        ({"max_segments": 0}, "max_segments"), ({"scale": -1}, "scale"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            segment_many(sample_photos[:3], **options)
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        segment_many([*sample_photos[:3], np.zeros((4, 4))])


def test_a_full_memory_is_shared_by_threads(monkeypatch):
    monkeypatch.setattr(cached, "CACHE_PHOTOS", 2)
    images = [steps(np.random.default_rng(seed), (8, 8), 4) for seed in range(6)]
    expected = [segment(image, scale=1).tolist() for image in images]

    def work(seed):
        for index in np.random.default_rng(seed).integers(0, len(images), 300):
            assert segment(images[index], scale=1).tolist() == expected[index]
            assert len(cached._memory) <= 3  # one more while another thread makes room

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(cached._memory) == 2

"""The compiled segmentation gives the labels of the definition, which calls scikit-image: equal, not close."""

from collections import OrderedDict

import numpy as np
import pytest
import skimage

from exposure_env.segmentation import felzenszwalb, segment, segment_many
from tests.kernels.small import by_definition
from tests.segmentation.small import steps

pytest.importorskip("numba")
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

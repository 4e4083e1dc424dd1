import numpy as np
import pytest
import skimage
from scipy import ndimage

from exposure_env.segmentation import SEGMENTERS, felzenszwalb, luminance_bands, segment, slic
from tests.segmentation.small import grey, is_labels, mosaic, quarters, same_partition


def test_felzenszwalb_finds_four_quarters():
    image = quarters([0.1, 0.4, 0.7, 1.0])
    assert felzenszwalb(image, sigma=0).tolist() == np.kron([[0, 1], [2, 3]], np.ones((32, 32), int)).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_felzenszwalb_segments_are_8_connected_before_and_after_merging(seed):
    image = mosaic(seed)
    for labels in (felzenszwalb(image), segment(image, max_segments=4)):
        for label in range(labels.max() + 1):
            assert ndimage.label(labels == label, np.ones((3, 3)))[1] == 1


def test_min_size_is_meant_for_64x64():
    for size in (32, 64, 128):
        image = mosaic(2, (size, size))
        areas = np.bincount(felzenszwalb(image, scale=1, min_size=100).ravel())
        assert areas.min() >= 100 * (size / 64) ** 2
    assert len(areas) > 1
    image = mosaic(2)
    least = [np.bincount(felzenszwalb(image, scale=0, min_size=n).ravel()).min() for n in (0, 100)]
    assert least[0] < 10 < 100 <= least[1]


def test_felzenszwalb_equals_scikit_image_on_the_same_uint8_photo():
    pixels = (mosaic(3) * 255).round().astype(np.uint8)
    expected = skimage.segmentation.felzenszwalb(pixels, scale=300, sigma=0.5, min_size=50)
    for dtype in (np.float32, np.float64):
        assert np.array_equal(felzenszwalb((pixels / 255).astype(dtype)), expected)


def test_bands_hold_equal_areas_from_dark_to_bright():
    luma = np.random.default_rng(0).permutation(64).reshape(8, 8)
    labels = luminance_bands(grey(luma / 64), bands=4)
    assert np.array_equal(labels, luma // 16)
    assert labels.dtype == np.int32


def test_bands_weigh_channels_as_luminance_does():
    image = np.eye(3, dtype=np.float32)[None]  # red 0.2126, green 0.7152, blue 0.0722
    assert luminance_bands(image, bands=3).tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_bands_keep_a_large_black_or_white_area_apart(extreme):
    image = grey([[extreme] * 90 + [0.5] * 10])
    labels = luminance_bands(image)
    assert labels.tolist() == [[0] * 90 + [1] * 10 if extreme == 0 else [1] * 90 + [0] * 10]


def test_slic_gives_about_as_many_as_asked():
    image = quarters([0.1, 0.4, 0.7, 1.0])
    assert same_partition(slic(image, segments=4), np.kron([[0, 1], [2, 3]], np.ones((32, 32), int)))


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize("shape", [(64, 64), (64, 1), (1, 64), (1, 1), (2, 3), (40, 90)])
@pytest.mark.parametrize("content", ["black", "white", "noise"])
@pytest.mark.parametrize("most", [1, 3])
def test_any_photo_gives_valid_labels(name, shape, content, most):
    image = {"black": np.zeros, "white": np.ones, "noise": np.random.default_rng(0).random}[content]((*shape, 3))
    labels = segment(image, name, max_segments=most)
    assert is_labels(labels, image, most)
    if content != "noise" and name != "slic":
        assert not labels.any()


def test_segmenting_is_deterministic_and_leaves_the_photo_alone():
    image = mosaic(5)
    before = image.copy()
    for name in SEGMENTERS:
        first = SEGMENTERS[name](image)
        assert np.array_equal(first, SEGMENTERS[name](image.copy()))
        assert np.array_equal(first, SEGMENTERS[name](np.asfortranarray(image)))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64, np.int16])
def test_a_callable_is_relabelled_capped_and_ordered(dtype):
    image = quarters([0.0, 0.1, 0.5, 1.0], size=4)
    given = np.kron([[7, 9], [1, 40]], np.ones((2, 2))).astype(dtype)
    labels = segment(image, lambda photo: given, order="label")
    assert labels.tolist() == np.kron([[1, 2], [0, 3]], np.ones((2, 2), int)).tolist()
    capped = segment(image, lambda photo: given, max_segments=3)
    assert capped.tolist() == np.kron([[0, 0], [1, 2]], np.ones((2, 2), int)).tolist()
    assert is_labels(labels, image) and is_labels(capped, image)


def test_a_callable_gets_options_and_a_copy_of_the_photo():
    def spoiler(photo, threshold):
        assert photo.dtype == np.float32
        labels = (photo[..., 0] > threshold).astype(int)
        photo[:] = 0
        return labels

    image = quarters([0.1, 0.4, 0.7, 1.0])
    before = image.copy()
    assert segment(image, spoiler, threshold=0.2).sum() == 32 * 32
    assert segment(image, spoiler, threshold=0.5).sum() == 2 * 32 * 32
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (np.zeros((64, 63), int), r"\(64, 63\)"),
        (np.zeros((1, 64, 64), int), r"\(1, 64, 64\)"),
        (np.zeros((64, 64)), "float64"),
        (np.zeros((64, 64), bool), "bool"),
        (None, r"\(\)"),
    ],
)
def test_what_a_callable_returns_is_checked(result, message):
    with pytest.raises(ValueError, match=message):
        segment(mosaic(0), lambda photo: result)


def test_real_photographs(real_photos):
    counts = []
    for image in (photo for photo in real_photos if photo.shape == (64, 64, 3)):
        fine = felzenszwalb(image)
        labels = segment(image)
        assert is_labels(labels, image, 8)
        assert labels.max() + 1 == min(fine.max() + 1, 8)
        assert np.all(np.diff(np.bincount(labels.ravel())) <= 0)
        assert all(ndimage.label(labels == k, np.ones((3, 3)))[1] == 1 for k in range(labels.max() + 1))
        small = segment(image, max_segments=3)
        assert is_labels(small, image, 3)
        for name in ("luminance_bands", "slic"):
            assert is_labels(segment(image, name), image, 8)
        counts.append(labels.max() + 1)
    assert np.mean(counts) > 3

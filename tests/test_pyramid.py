import cv2
import numpy as np
import pytest
import torch

from exposure_env.pyramid import blend, blur, pyr_down, pyr_up

LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 17, 64)
kinds = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
heights = pytest.mark.parametrize("height", LENGTHS)
widths = pytest.mark.parametrize("width", LENGTHS)


@kinds
@heights
@widths
def test_pyr_down_equals_opencv(kind, height, width):
    planes = np.random.default_rng(0).random((2, 3, height, width))
    result = np.asarray(pyr_down(kind(planes)))
    assert result.shape == (2, 3, (height + 1) // 2, (width + 1) // 2)
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(result[index], cv2.pyrDown(planes[index]), rtol=0, atol=1e-12)


@kinds
@heights
@widths
def test_pyr_up_equals_opencv(kind, height, width):
    planes = np.random.default_rng(0).random((2, 3, (height + 1) // 2, (width + 1) // 2))
    result = np.asarray(pyr_up(kind(planes), (height, width)))
    for index in np.ndindex(2, 3):
        expected = cv2.pyrUp(planes[index], dstsize=(width, height))
        np.testing.assert_allclose(result[index], expected, rtol=0, atol=1e-12)


@kinds
@pytest.mark.parametrize("passes", [0, 1, 2, 8])
@pytest.mark.parametrize("shape", [(16, 11), (2, 5), (1, 6), (7, 1)])
def test_blur_equals_repeated_opencv_filtering(kind, passes, shape):
    planes = np.random.default_rng(0).random(shape)
    expected, taps = planes, np.array([1, 2, 1]) / 4
    for _ in range(passes):
        expected = cv2.sepFilter2D(expected, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(blur(kind(planes), passes), expected, rtol=0, atol=1e-12)


@kinds
@pytest.mark.parametrize("shape", [(16, 11), (1, 6), (7, 1)])
def test_blur_keeps_sums(kind, shape):
    planes = np.random.default_rng(0).dirichlet(np.ones(4), shape).transpose(2, 0, 1)  # add up to 1 at each pixel
    np.testing.assert_allclose(blur(kind(planes), 8).sum(0), np.ones(shape), atol=1e-12)
    if min(shape) > 8:
        dot = np.zeros(shape)
        dot[7, 5] = 1
        assert float(blur(kind(dot), 3).sum()) == pytest.approx(1, abs=1e-12)  # it spreads, and nothing is lost


@kinds
@pytest.mark.parametrize("shape", [(64, 64), (33, 50), (1, 9), (9, 1), (1, 1)])
@pytest.mark.parametrize("levels", [0, 1, 6])
def test_blend_of_one_image_is_that_image(kind, shape, levels):
    image = np.random.default_rng(0).random((2, 1, 3, *shape))
    weights = np.ones((2, 1, *shape))
    np.testing.assert_allclose(blend(kind(image), kind(weights), levels), image[:, 0], atol=1e-12)


@kinds
@pytest.mark.parametrize("shape", [(64, 64), (33, 50), (1, 9)])
def test_blend_of_identical_images_is_that_image(kind, shape):
    rng = np.random.default_rng(0)
    image = rng.random((2, 1, 3, *shape))
    weights = rng.dirichlet(np.ones(5), (2, *shape)).transpose(0, 3, 1, 2)
    result = blend(kind(np.repeat(image, 5, axis=1)), kind(weights.copy()), 5)
    np.testing.assert_allclose(result, image[:, 0], atol=1e-12)


@kinds
def test_blend_without_levels_is_the_weighted_sum_and_constant_weights_are_so_at_any_depth(kind):
    rng = np.random.default_rng(0)
    images, weights = rng.random((2, 3, 3, 12, 9)), rng.random((2, 3, 12, 9))
    expected = np.einsum("ntchw,nthw->nchw", images, weights)
    np.testing.assert_allclose(blend(kind(images), kind(weights), 0), expected, atol=1e-12)
    constant = np.broadcast_to(np.array([0.5, 0.3, 0.2])[None, :, None, None], (2, 3, 12, 9)).copy()
    expected = 0.5 * images[:, 0] + 0.3 * images[:, 1] + 0.2 * images[:, 2]
    np.testing.assert_allclose(blend(kind(images), kind(constant), 3), expected, atol=1e-12)


@kinds
def test_blend_softens_a_hard_border_and_leaves_the_distance_alone(kind):
    images = np.stack([np.zeros((3, 64, 64)), np.ones((3, 64, 64))])[None]
    left = (np.arange(64) < 32)[None, None, None, :] * np.ones((1, 1, 64, 1))
    result = np.asarray(blend(kind(images), kind(np.concatenate([left, 1 - left], axis=1)), 2))[0, 0, 32]
    assert abs(result[:16]).max() < 1e-12 and abs(result[48:] - 1).max() < 1e-12
    assert (np.diff(result) > -1e-12).all() and np.diff(result).max() < 0.3


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(kind, dtype):
    planes = kind(np.ones((1, 2, 3, 8, 8), dtype=dtype))
    for result in (pyr_down(planes), pyr_up(planes, (15, 16)), blur(planes, 2), blend(planes, planes[:, :, 0], 2)):
        assert result.dtype == planes.dtype

import numpy as np
import pytest

from exposure_env.photos import content_box, thumbnail
from tests.photos.small import grey, noise


def test_squeezed_thumbnail_averages_areas():
    image = np.array([[0.0, 0.2, 1.0, 0.0], [0.4, 0.6, 0.0, 1.0]], np.float32)[..., None].repeat(3, -1)
    np.testing.assert_allclose(thumbnail(image, 2)[..., 0], [[0.1, 0.5], [0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(thumbnail(image, 1)[..., 0], [[0.4]], atol=1e-6)
    assert content_box(2, 4, 2) == (0, 0, 2, 2)


def test_squeezed_thumbnail_enlarges_linearly():
    image = np.array([[0.0, 1.0]], np.float32)
    np.testing.assert_allclose(thumbnail(image, 4), np.tile([0.0, 0.25, 0.75, 1.0], (4, 1)), atol=1e-6)


def test_thumbnail_averages_the_side_it_shrinks_while_it_enlarges_the_other():
    image = np.tile(np.array([0.0, 1.0], np.float32), (1, 50))  # (1, 100)
    np.testing.assert_allclose(thumbnail(image, 4), np.tile([0.48, 0.52, 0.48, 0.52], (4, 1)), atol=1e-6)


def test_letterboxed_thumbnail_repeats_the_border():
    image = np.array([[0.0, 0.2, 1.0, 0.8], [0.4, 0.6, 0.6, 0.4]], np.float32)
    top, left, height, width = content_box(2, 4, 4, "letterbox")
    assert (top, left, height, width) == (1, 0, 2, 4)
    boxed = thumbnail(image, 4, "letterbox")
    np.testing.assert_array_equal(boxed, image[[0, 0, 1, 1]])
    np.testing.assert_array_equal(thumbnail(image.T.copy(), 4, "letterbox"), boxed.T)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (64, 64), (1, 1000), (1000, 3), (10, 7)])
def test_content_box_lies_in_the_thumbnail_and_keeps_the_aspect(shape):
    top, left, height, width = content_box(*shape, 64, "letterbox")
    assert min(top, left) >= 0 and top + height <= 64 and left + width <= 64 and max(height, width) == 64
    assert abs(64 - height - 2 * top) <= 1 and abs(64 - width - 2 * left) <= 1
    assert min(height, width) == max(1, round(64 * min(shape) / max(shape)))
    boxed = thumbnail(noise(*shape, 3), 64, "letterbox")
    assert boxed.shape == (64, 64, 3) and boxed.dtype == np.float32
    np.testing.assert_array_equal(boxed[0], boxed[top])


@pytest.mark.parametrize(("size", "mode", "message"), [(0, "squeeze", "size is 0"), (64, "crop", "'crop'")])
def test_impossible_thumbnail_is_an_error(size, mode, message):
    with pytest.raises(ValueError, match=message):
        thumbnail(grey(0.5), size, mode)

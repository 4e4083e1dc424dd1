import numpy as np
import pytest

from exposure_env.photos import check_photo, misexpose, thumbnail
from tests.photos.small import grey


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2"])
def test_integers_become_floats(dtype):
    largest = np.iinfo(dtype).max
    checked = check_photo(np.array([[[0, largest // 3, largest]]], dtype))
    assert checked.dtype == np.float32
    np.testing.assert_allclose(checked, [[[0, 1 / 3, 1]]], atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_float32(dtype):
    checked = check_photo(np.array([[[0, 0.5, 1]]], dtype))
    assert checked.dtype == np.float32 and checked.tolist() == [[[0, 0.5, 1]]]


def test_a_good_photo_is_not_copied():
    assert check_photo(photo := grey(0.5)) is photo
    assert check_photo(grey(0.5)[:, ::-1]).flags.c_contiguous


def test_grey_becomes_colour():
    checked = check_photo(np.array([[0, 51], [102, 255]], np.uint8))
    np.testing.assert_allclose(checked, np.repeat([[[0], [0.2]], [[0.4], [1]]], 3, axis=-1), atol=1e-7)


@pytest.mark.parametrize("photo", [grey(0), grey(1), grey(0.3, 1, 1), grey(0.3, 1, 9), grey(0.3, 9, 1)])
def test_plain_and_narrow_photos_pass(photo):
    assert check_photo(photo).shape == photo.shape
    assert thumbnail(photo).shape == thumbnail(photo, mode="letterbox").shape == (64, 64, 3)
    assert misexpose(photo, np.random.default_rng(0))[0].shape == photo.shape


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 4, 3), np.float32), r"\(0, 4, 3\).*at least one pixel"),
        (np.zeros((4,), np.float32), r"\(4,\)"),
        (np.zeros((2, 4, 4, 3), np.float32), r"\(2, 4, 4, 3\)"),
        (np.zeros((3, 4, 4), np.float32), "channels last"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((4, 4, 1), np.uint8), r"\(4, 4, 1\)"),
        (np.zeros((4, 4, 3), np.int16), "int16"),
        (np.zeros((4, 4, 3), np.uint32), "uint32"),
        (np.zeros((4, 4, 3), bool), "bool"),
        (np.zeros((4, 4, 3), np.complex64), "complex64"),
        (np.full((4, 4, 3), np.nan), "nan"),
        (np.full((4, 4, 3), np.inf), "inf"),
        (np.full((4, 4, 3), 1.01), r"1\.01"),
        (np.full((4, 4, 3), -0.01, np.float32), r"-0\.01"),
        (np.full((4, 4, 3), 255.0), "255"),
    ],
)
def test_what_is_no_photo_is_an_error_that_names_it(image, message):
    with pytest.raises(ValueError, match=f"holiday: .*{message}"):
        check_photo(image, "holiday")

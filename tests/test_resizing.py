import numpy as np
import pytest

from exposure_env.resizing import shrink


def test_shrink_averages_and_never_enlarges():
    image = np.array([[0, 100], [50, 250], [8, 8], [8, 8]], np.uint8)[..., None].repeat(3, -1)
    assert shrink(image, 2)[..., 0].tolist() == [[100], [8]]
    assert shrink(image, 4) is image
    assert shrink(image, None) is image
    assert shrink(np.zeros((1000, 1, 3), np.uint8), 10).shape == (10, 1, 3)
    with pytest.raises(ValueError, match="max_side is 0"):
        shrink(image, 0)

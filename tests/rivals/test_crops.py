"""Batches of crops: what is in them, and what is refused."""

import numpy as np
import pytest

from agents.rivals.crops import Crops, check_amount

RAMP = np.linspace(0, 1, 20 * 24 * 3, dtype=np.float32).reshape(20, 24, 3)


def test_crops_are_parts_of_the_image_half_of_them_mirrored():
    windows = np.lib.stride_tricks.sliding_window_view(RAMP, (16, 16, 3))[:, :, 0]  # (5, 9, 16, 16, 3)
    batch = Crops([RAMP], 16).batch(200).numpy().transpose(0, 2, 3, 1)
    plain = [(windows == crop).all((2, 3, 4)) for crop in batch]
    mirrored = [(windows == crop[:, ::-1]).all((2, 3, 4)) for crop in batch]
    assert all(one.sum() + other.sum() == 1 for one, other in zip(plain, mirrored, strict=True))
    assert 70 < sum(one.any() for one in plain) < 130
    assert (np.sum(plain, axis=0) + np.sum(mirrored, axis=0) > 0).all()  # every place occurs


def test_batches_are_the_seeds_and_in_the_kind_of_networks():
    one, same, other = (Crops([RAMP, RAMP[::-1]], 16, seed).batch(4) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()
    assert one.shape == (4, 3, 16, 16) and one.dtype.is_floating_point and one.dtype.itemsize == 4


def test_images_that_are_none_too_small_or_out_of_range_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        Crops([])
    with pytest.raises(ValueError, match="at least 21 px high and wide, not 20"):
        Crops([RAMP], 21)
    with pytest.raises(ValueError, match="from 0 to 2"):
        Crops([RAMP * 2], 16)


def test_amounts_below_one_are_refused():
    check_amount(1, 1)
    with pytest.raises(ValueError, match="not 0 and 4"):
        check_amount(0, 4)

"""The memory that work at full size takes."""

import tracemalloc

import cv2
import numpy as np
import pytest

from exposure_env import kernels
from exposure_env.retouch import RetouchPlan, apply_plan
from tests.retouch.small import ALL, LEFT_RIGHT, TYPES, noise


def peaks(fusion):
    """Bytes a pixel that a retouch takes, with 2 and with 8 segments; a single exposure of floats is 12."""
    pixels = cv2.resize(noise(30, 40), (1600, 1200), interpolation=cv2.INTER_CUBIC)
    for count in (2, 8):
        plan = RetouchPlan(np.arange(count)[None].repeat(count, axis=0), np.linspace(-1, 1, count), fusion)
        apply_plan(plan, pixels[:40])  # a compiler, where there is one, needs memory too
        tracemalloc.start()
        apply_plan(plan, pixels)
        yield tracemalloc.get_traced_memory()[1] / (1600 * 1200)
        tracemalloc.stop()


@pytest.mark.parametrize("fusion", ALL)
def test_memory_of_the_definition_does_not_grow_with_the_number_of_segments(fusion):
    with kernels.disabled():
        few, many = peaks(fusion)
    assert many < 70 and many < 1.25 * few


@pytest.mark.skipif(not kernels.enabled(), reason="without numba the definition is used")
@pytest.mark.parametrize("fusion", ALL)
def test_memory_of_the_fast_path_is_less_than_three_exposures_of_floats(fusion):
    assert max(peaks(fusion)) < 36  # a third of it here, where the photo is small, what threads work on


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fusion", ALL)
def test_the_photo_s_own_memory_may_take_the_result(fusion, dtype):
    pixels = noise(90, 120, dtype)
    plan = RetouchPlan(LEFT_RIGHT, [-1.0, 1.0], fusion)
    expected = apply_plan(plan, pixels.copy())
    for given in (pixels.copy(), np.asfortranarray(pixels), np.flip(np.flip(pixels, 1).copy(), 1)):
        np.testing.assert_array_equal(apply_plan(plan, given, reuse=True), expected)
    fixed = pixels.copy()
    fixed.setflags(write=False)
    np.testing.assert_array_equal(apply_plan(plan, fixed, reuse=True), expected)
    np.testing.assert_array_equal(fixed, pixels)

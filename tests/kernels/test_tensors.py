"""Renderings of tensors by the compiled functions, and their gradients."""

import inspect

import numpy as np
import pytest
import torch

from exposure_env import acceleration, fusion

pytestmark = pytest.mark.skipif(not acceleration.available(), reason="numba is not installed")
LOCAL, MASK_PYRAMID = fusion.local, fusion.mask_pyramid


def given(size: tuple[int, int], segments: int = 4, dtype: torch.dtype = torch.float32) -> tuple:
    rng = np.random.default_rng(0)
    height, width = size
    photos = rng.random((3, height // 4 + 1, width // 4 + 1, 3)).repeat(4, 1).repeat(4, 2)[:, :height, :width] ** 3
    labels = rng.integers(0, segments, (3, 3, 3)).repeat(-(-height // 3), 1).repeat(-(-width // 3), 2)
    evs = torch.tensor(rng.normal(size=(3, segments)), dtype=dtype, requires_grad=True)
    return torch.tensor(photos, dtype=dtype), torch.tensor(labels[:, :height, :width].astype(np.int32)), evs


@pytest.mark.parametrize("options", [{}, {"space": "encoded"}, {"levels": 0, "feather": 0}, {"clip_input": False},
                                     {"clip_output": False, "levels": 9, "feather": 3}])
@pytest.mark.parametrize("size", [(16, 16), (37, 22), (5, 64)])
def test_images_and_gradients_are_those_of_the_definition(size, options):
    target, results = torch.rand(3, *size, 3, dtype=torch.float64), []
    for render, dtype in ((MASK_PYRAMID, torch.float32), (inspect.unwrap(MASK_PYRAMID), torch.float64)):
        photos, labels, evs = given(size, dtype=dtype)
        image = render(photos, labels, evs, **options)
        (image.double() - target).square().sum().backward()
        results.append((image.detach().double(), evs.grad.double()))
    (image, gradient), (exact, right) = results
    torch.testing.assert_close(image, exact, rtol=0, atol=2e-6)
    torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-4 * right.abs().max().item())


def test_it_is_the_compiled_one_that_runs():
    photos, labels, evs = given((16, 16))
    assert type(MASK_PYRAMID(photos, labels, evs).grad_fn).__name__ == "MaskPyramidBackward"
    assert not MASK_PYRAMID(photos, labels, evs.detach()).requires_grad
    photos.requires_grad_(True)  # a gradient that the compiled one doesn't know
    assert type(MASK_PYRAMID(photos, labels, evs).grad_fn).__name__ != "MaskPyramidBackward"


def test_local_images_with_and_without_gradients():
    photos, labels, evs = given((16, 16))
    image = LOCAL(photos, labels, evs)
    assert image.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(LOCAL(photos, labels, evs), image.detach(), rtol=0, atol=2e-6)


def test_labels_without_an_exposure_are_left_to_the_definition():
    photos, labels, evs = given((16, 16))
    assert not type(MASK_PYRAMID(photos, labels + 1, evs).grad_fn).__name__.startswith("MaskPyramid")

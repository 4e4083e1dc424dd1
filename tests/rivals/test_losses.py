"""What DPED and WESPE look at, by hand."""

import cv2
import numpy as np
import pytest
import torch

from agents.rivals.losses import blurred, grey, total_variation


def test_the_blur_is_a_gaussian_of_3_px_up_to_the_edges():
    image = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = [cv2.GaussianBlur(each.permute(1, 2, 0).numpy(), (21, 21), 3.0, borderType=cv2.BORDER_REFLECT_101)
                for each in image]
    np.testing.assert_allclose(blurred(image).permute(0, 2, 3, 1), expected, atol=1e-12)


def test_a_point_under_the_blur_by_hand():
    image = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    image[0, 0, 20, 20] = 1
    result = blurred(image)[0, 0]
    assert (result[20, 23] / result[20, 20]).item() == pytest.approx(np.exp(-0.5))
    assert (result[26, 23] / result[20, 20]).item() == pytest.approx(np.exp(-2.5))
    assert result.sum().item() == pytest.approx(1) and result[20, 31] == 0


def test_a_flat_image_is_left_by_the_blur_as_it_is():
    image = torch.full((1, 3, 11, 16), 0.3)
    assert torch.allclose(blurred(image), image) and blurred(image).dtype == torch.float32


def test_grey_by_hand():
    image = torch.tensor([1.0, 0.5, 0.25])[None, :, None, None]
    assert grey(image).shape == (1, 1, 1, 1)
    assert grey(image).item() == pytest.approx(0.299 + 0.5 * 0.587 + 0.25 * 0.114)
    assert grey(torch.ones(1, 3, 2, 2)).mean().item() == pytest.approx(1)


def test_total_variation_by_hand():
    image = torch.tensor([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]])[None, None]
    columns, rows = (0 + 1 + 9) / 3, (1 + 4 + 0 + 0) / 4
    assert total_variation(image).item() == pytest.approx(columns + rows)
    assert total_variation(torch.full((1, 3, 4, 4), 0.7)) == 0

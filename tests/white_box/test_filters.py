"""The eight filters: values worked out by hand, the identity, NumPy and Torch alike, gradients."""

import math

import numpy as np
import pytest
import torch

from exposure_env.image import linear_to_srgb, luminance, srgb_to_linear
from exposure_env.white_box import FILTERS, NUM_PARAMETERS, PLACES, apply_filters, from_unit

each = pytest.mark.parametrize("name", list(FILTERS))


def images(num=2, seed=0):
    """Random colours from black to white; the first two pixels are black and white."""
    pixels = np.random.default_rng(seed).random((num, 3, 4, 3))
    pixels[:, 0, 0], pixels[:, 0, 1] = 0.0, 1.0
    return pixels


def parameters(name, num=2, seed=1):
    one = FILTERS[name]
    return np.random.default_rng(seed).uniform(one.low, one.high, (num, one.num_parameters))


def pixel(name, colour, *values):
    """A single pixel through a filter."""
    return FILTERS[name].apply(np.array(colour, float).reshape(1, 1, 1, 3), np.array([values], float))[0, 0, 0]


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_is_the_identity_to_the_last_bit(name, dtype):
    photos = images().astype(dtype) * 1.2  # also above 1
    zero = np.zeros((2, FILTERS[name].num_parameters), dtype)
    np.testing.assert_array_equal(FILTERS[name].apply(photos, zero), photos)
    result = FILTERS[name].apply(torch.tensor(photos), torch.tensor(zero))
    np.testing.assert_array_equal(result.numpy(), photos)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_torch_agree_and_keep_the_dtype_of_the_images(name, dtype):
    photos, values = images().astype(dtype), parameters(name)  # of float64, whatever the images are
    result = FILTERS[name].apply(photos, values)
    tensor = FILTERS[name].apply(torch.tensor(photos), torch.tensor(values))
    assert result.dtype == dtype and tensor.dtype == getattr(torch, dtype)
    np.testing.assert_allclose(tensor.numpy(), result, atol=1e-6 if dtype == "float32" else 1e-14)
    assert np.abs(result - photos).max() > 0.01  # it does something


@each
def test_results_are_finite_and_never_below_0_at_the_ends_of_the_ranges(name):
    one = FILTERS[name]
    for value in (one.low, one.high):
        result = one.apply(images(), np.full((2, one.num_parameters), value))
        assert np.isfinite(result).all() and result.min() >= -1e-15


@each
def test_gradients_are_those_of_finite_differences(name):
    """Away from the corners: the pixels lie between the joints of the curves, and their channels differ."""
    values = torch.tensor(parameters(name, 1), requires_grad=True)
    photos = torch.tensor([[[[0.2, 0.4, 0.7], [0.9, 0.81, 0.3]], [[0.05, 0.45, 0.15], [0.6, 0.3, 0.57]]]],
                          dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(FILTERS[name].apply, (photos, values), eps=1e-6, atol=1e-6)


@each
def test_gradients_are_finite_also_at_black_white_and_grey(name):
    photos = torch.tensor([[[[0.0] * 3, [1.0] * 3, [0.5] * 3, [0.0, 0.0, 1.0]]]], requires_grad=True)
    values = torch.zeros(1, FILTERS[name].num_parameters, requires_grad=True)
    FILTERS[name].apply(photos, values).sum().backward()
    assert torch.isfinite(photos.grad).all() and torch.isfinite(values.grad).all()


class TestClosedForms:
    def test_an_exposure_of_one_stop_doubles_the_light(self):
        light = srgb_to_linear(np.array([0.5, 0.2, 0.1]))
        np.testing.assert_allclose(pixel("exposure", [0.5, 0.2, 0.1], 1.0), linear_to_srgb(2 * light))

    def test_gamma_raises_values_to_a_power_and_keeps_black(self):
        np.testing.assert_allclose(pixel("gamma", [0.5, 0.25, 0.0], 1.0), [0.25, 0.0625, 0.0])
        np.testing.assert_allclose(pixel("gamma", [0.25, 0.001, 1.0], -1.0), [0.5, math.sqrt(0.001), 1.0])
        np.testing.assert_allclose(pixel("gamma", [0.0005] * 3, 1.0), 0.0005 * 0.001)

    def test_white_balance_scales_light_by_gains_of_luminance_1(self):
        gains = np.array([1.0, math.exp(0.2), math.exp(-0.4)])
        gains /= 0.2126 + 0.7152 * gains[1] + 0.0722 * gains[2]
        light = srgb_to_linear(np.array([0.5, 0.6, 0.7]))
        result = pixel("white_balance", [0.5, 0.6, 0.7], 0.2, -0.4)
        np.testing.assert_allclose(result, linear_to_srgb(light * gains))
        grey = pixel("white_balance", [0.5] * 3, 0.5, 0.5)[None, None]
        assert luminance(srgb_to_linear(grey))[0, 0] == pytest.approx(srgb_to_linear(np.array(0.5)))

    def test_saturation_pulls_channels_from_the_largest(self):
        """V = 0.5 and S = 0.4: the weight is 0.6 (1 - |1 - 1|) = 0.6."""
        np.testing.assert_allclose(pixel("saturation", [0.5, 0.4, 0.3], 0.5), [0.5, 0.37, 0.24])
        np.testing.assert_allclose(pixel("saturation", [0.5, 0.4, 0.3], -1.0), [0.5, 0.46, 0.42])
        # V = 0.8 and S = 0.5: 0.5 (1 - 0.6) = 0.2
        np.testing.assert_allclose(pixel("saturation", [0.8, 0.8, 0.4], 1.0), [0.8, 0.8, 0.32])

    @pytest.mark.parametrize("colour", [[0.0] * 3, [0.5] * 3, [1.0] * 3, [0.7, 0.0, 0.2], [1.0, 0.6, 0.4]])
    def test_saturation_leaves_greys_full_colours_and_the_brightest_alone(self, colour):
        np.testing.assert_allclose(pixel("saturation", colour, 1.0), colour)

    def test_a_tone_curve_has_slopes_in_the_given_ratios(self):
        """The lower half twice as steep as the upper: 4/3 and 2/3."""
        logs = [1.0] * 4 + [0.0] * 4
        np.testing.assert_allclose(pixel("tone_curve", [0.25, 0.5, 0.75], *logs), [1 / 3, 2 / 3, 2 / 3 + 1 / 6])
        np.testing.assert_allclose(pixel("tone_curve", [0.0, 1.0, 1.5], *logs), [0.0, 1.0, 1.5])

    def test_only_the_ratios_of_a_tone_curve_count(self):
        np.testing.assert_allclose(pixel("tone_curve", [0.1, 0.5, 0.9], *[0.7] * 8), [0.1, 0.5, 0.9])

    def test_contrast_moves_luma_along_a_cosine_and_keeps_the_ratios_of_channels(self):
        """At luma 1/3 the cosine curve is 1/4."""
        np.testing.assert_allclose(pixel("contrast", [1 / 3] * 3, 1.0), 1 / 4)
        np.testing.assert_allclose(pixel("contrast", [1 / 3] * 3, -1.0), 5 / 12)
        np.testing.assert_allclose(pixel("contrast", [0.5] * 3, 1.0), 0.5)
        colour = np.array([0.2, 0.1, 0.3])
        result = pixel("contrast", colour, 0.5)
        luma = 0.2126 * 0.2 + 0.7152 * 0.1 + 0.0722 * 0.3
        np.testing.assert_allclose(result / colour, 0.5 + 0.5 * (1 - math.cos(math.pi * luma)) / 2 / luma)

    def test_black_and_white_mixes_with_luma(self):
        luma = 0.2126 * 0.8 + 0.7152 * 0.4 + 0.0722 * 0.2
        np.testing.assert_allclose(pixel("black_and_white", [0.8, 0.4, 0.2], 1.0), luma)
        np.testing.assert_allclose(pixel("black_and_white", [0.8, 0.4, 0.2], 0.25),
                                   0.75 * np.array([0.8, 0.4, 0.2]) + 0.25 * luma)

    def test_colour_curves_are_the_channels_own(self):
        """Red's lower half has slopes of 1.1 against 0.9, whose mean is 1; blue's the reverse."""
        curves = [*[0.1] * 4, *[-0.1] * 4, *[0.05] * 8, *[-0.1] * 4, *[0.1] * 4]
        np.testing.assert_allclose(pixel("colour_curve", [0.5] * 3, *curves), [0.55, 0.5, 0.45])


class TestApplyFilters:
    @pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
    def test_each_image_goes_through_the_filter_of_its_own(self, kind):
        photos, choices = images(8), np.array([3, 0, 7, 7, 1, 4, 2, 6])
        values = from_unit(np.random.default_rng(2).uniform(-1, 1, (8, NUM_PARAMETERS)))
        results = apply_filters(*map(kind, (photos, choices, values)))
        for row, choice in enumerate(choices):
            name = list(FILTERS)[choice]
            alone = FILTERS[name].apply(photos[row : row + 1], values[row : row + 1, PLACES[name]])[0]
            np.testing.assert_allclose(np.asarray(results[row]), alone, atol=1e-14)

    def test_gradients_reach_the_parameters_of_the_chosen_filter_alone(self):
        values = torch.zeros(2, NUM_PARAMETERS, dtype=torch.float64, requires_grad=True)
        apply_filters(torch.tensor(images()), torch.tensor([0, 4]), values)[..., 0].mean().backward()
        filled = [sorted(name for name, place in PLACES.items() if values.grad[row, place].any()) for row in (0, 1)]
        assert filled == [["exposure"], ["tone_curve"]]

    @pytest.mark.parametrize("choice", [-1, 8])
    def test_a_filter_that_is_not_there_is_refused(self, choice):
        with pytest.raises(ValueError, match="choices must be from 0 to 7, not"):
            apply_filters(images(1), np.array([choice]), np.zeros((1, NUM_PARAMETERS)))

    def test_parameters_of_another_number_are_refused(self):
        with pytest.raises(ValueError, match=r"parameters must be of shape \(1, 39\), not \(1, 38\)"):
            apply_filters(images(1), np.array([0]), np.zeros((1, NUM_PARAMETERS - 1)))


def test_the_unit_spans_the_ranges():
    assert len(FILTERS) == 8 and NUM_PARAMETERS == 39
    assert [place.start for place in PLACES.values()] == [0, 1, 2, 4, 5, 13, 14, 15]
    for kind in (np.float32, torch.tensor):
        low, zero, high = (np.asarray(from_unit(kind(np.full(39, value, np.float32)))) for value in (-1, 0, 1))
        for name, one in FILTERS.items():
            np.testing.assert_allclose(low[PLACES[name]], one.low)
            np.testing.assert_allclose(high[PLACES[name]], one.high)
            np.testing.assert_allclose(zero[PLACES[name]], 0.5 if name == "black_and_white" else 0.0)
        assert {low.dtype, high.dtype} == {np.dtype("float32")}

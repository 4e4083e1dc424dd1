import numpy as np
import pytest
import torch

from exposure_env.image import clip, composite, expose, linear_to_srgb, luminance, srgb_to_linear

kinds = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
spaces = pytest.mark.parametrize("space", ["linear", "encoded"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def decoded(encoded: float) -> float:
    """The sRGB standard (IEC 61966-2-1), one number at a time."""
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


def encoded(light: float) -> float:
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def random_photo(dtype=np.float32, shape=(9, 7, 3)) -> np.ndarray:
    photo = np.random.default_rng(0).random(shape).astype(dtype)
    photo[0, 0], photo[0, 1], photo[0, 2] = 0, 1, 0.02  # black, white, below the knee of the sRGB curve
    return photo


@kinds
@pytest.mark.parametrize(
    "value, light", [(0, 0), (0.02, 0.00154799), (0.5, 0.21404114), (0.73535698, 0.5), (1, 1), (1.35325606, 2)]
)
def test_srgb_has_the_known_values_both_ways(kind, value, light):
    assert float(srgb_to_linear(kind(np.array([value], dtype=float)))[0]) == pytest.approx(light, abs=1e-7)
    assert float(linear_to_srgb(kind(np.array([light], dtype=float)))[0]) == pytest.approx(value, abs=1e-7)


@kinds
def test_srgb_round_trip_returns_every_8_bit_value_and_overshoot(kind):
    values = kind(np.concatenate([np.arange(256) / 255, np.linspace(1, 4, 50)]))
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-7)


@kinds
def test_luminance_weighs_red_green_and_blue(kind):
    primaries = kind(np.eye(3, dtype=np.float32)[None])  # one row: red, green, blue
    np.testing.assert_allclose(luminance(primaries), [[0.2126, 0.7152, 0.0722]], rtol=1e-6)


@kinds
@dtypes
@pytest.mark.parametrize("ev", [-3.5, -1.0, 0.4, 2.0])
def test_expose_decodes_multiplies_by_two_to_the_ev_and_encodes(kind, dtype, ev):
    photo = random_photo(dtype)
    expected = np.vectorize(lambda value: encoded(decoded(value) * 2**ev))(photo.astype(float))
    exposed = expose(kind(photo), kind(np.full(photo.shape[:2], ev, dtype=dtype)))
    np.testing.assert_allclose(exposed, expected, atol=1e-6)
    np.testing.assert_allclose(expose(kind(photo), ev), expected, atol=1e-6)  # a plain number does the same


@kinds
@spaces
@dtypes
def test_ev_zero_is_the_photo_bit_for_bit(kind, space, dtype):
    photo = random_photo(dtype, (64, 64, 3))
    for ev in (0, 0.0, kind(np.zeros((64, 64), dtype=dtype))):
        np.testing.assert_array_equal(expose(kind(photo), ev, space), photo)


@kinds
def test_one_stop_doubles_the_light(kind):
    photo = kind(random_photo(np.float64))
    np.testing.assert_allclose(srgb_to_linear(expose(photo, 1)), 2 * srgb_to_linear(photo), atol=1e-7)


@kinds
def test_encoded_space_is_the_literal_product(kind):
    photo = random_photo()
    np.testing.assert_array_equal(expose(kind(photo), 1.0, "encoded"), photo * np.float32(2))
    np.testing.assert_array_equal(expose(kind(photo), -2.0, "encoded"), photo / np.float32(4))


@kinds
@spaces
@pytest.mark.parametrize("first, second", [(1.5, -0.5), (2.0, 1.0), (-2.0, -1.0), (3.0, -3.0)])
def test_exposures_add_up(kind, space, first, second):
    photo = kind(random_photo(np.float64))
    twice = expose(expose(photo, first, space), second, space)
    np.testing.assert_allclose(twice, expose(photo, first + second, space), atol=1e-6)


@kinds
@spaces
@dtypes
def test_dtype_is_kept(kind, space, dtype):
    photo, evs = kind(random_photo(dtype)), kind(np.linspace(-2, 2, 63, dtype=dtype).reshape(9, 7))
    for function in (srgb_to_linear, linear_to_srgb, luminance, clip):
        assert function(photo).dtype == photo.dtype
    assert expose(photo, evs, space).dtype == expose(photo, 1.5, space).dtype == photo.dtype
    assert composite(evs, kind(np.zeros((9, 4, 4), int))).dtype == photo.dtype


@spaces
def test_a_numpy_number_as_ev_keeps_float32(space):
    assert expose(random_photo(), np.float64(1.5), space).dtype == np.float32


@spaces
@dtypes
def test_torch_equals_numpy(space, dtype):
    photo, evs = random_photo(dtype), np.linspace(-3, 3, 63, dtype=dtype).reshape(9, 7)
    on_torch = expose(torch.from_numpy(photo), torch.from_numpy(evs), space)
    np.testing.assert_allclose(on_torch, expose(photo, evs, space), rtol=1e-6, atol=1e-6)


@spaces
@pytest.mark.parametrize("ev", [-3.0, -0.7, 0.0, 1.0, 3.0])
def test_gradients_are_those_of_finite_differences_from_black_to_white(space, ev):
    photo = torch.tensor([0, 1e-3, 0.02, 0.04, 0.05, 0.3, 0.9, 1.0], dtype=torch.float64)[:, None, None, None]
    photo = photo.expand(8, 1, 1, 3).clone().requires_grad_()
    evs = torch.full((8, 1, 1), ev, dtype=torch.float64, requires_grad=True)
    to_photo, to_ev = torch.autograd.grad(expose(photo, evs, space).sum(), (photo, evs))
    with torch.no_grad():
        by_photo = (expose(photo + 1e-6, evs, space) - expose(photo - 1e-6, evs, space)) / 2e-6
        by_ev = (expose(photo, evs + 1e-6, space) - expose(photo, evs - 1e-6, space)).sum(-1) / 2e-6
    torch.testing.assert_close(to_photo, by_photo, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(to_ev, by_ev, rtol=1e-6, atol=1e-6)


@spaces
def test_float32_gradients_are_finite_from_black_to_white(space):
    photo = torch.linspace(0, 1, 256)[:, None, None].expand(256, 1, 3).clone().requires_grad_()
    for ev in (-30.0, -3.0, 0.0, 3.0, 30.0):
        evs = torch.full((256, 1), ev, requires_grad=True)
        for gradient in torch.autograd.grad(clip(expose(photo, evs, space)).sum(), (photo, evs)):
            assert torch.isfinite(gradient).all()
    for curve in (srgb_to_linear, linear_to_srgb):
        values = torch.tensor([-1.0, -1e-9, 0.0, 1.0, 8.0], requires_grad=True)
        assert torch.isfinite(torch.autograd.grad(curve(values).sum(), values)[0]).all()


@pytest.mark.parametrize("space", ["srgb", "", None])
def test_unknown_space_is_an_error_that_names_it(space):
    with pytest.raises(ValueError, match=repr(space)):
        expose(random_photo(), 1.0, space)


@kinds
def test_clip_confines_to_zero_and_one(kind):
    np.testing.assert_array_equal(clip(kind(np.array([-0.5, 0.0, 0.25, 1.0, 1.5]))), [0, 0, 0.25, 1, 1])


@kinds
@pytest.mark.parametrize("label_dtype", [np.uint8, np.int32, np.int64])
def test_composite_of_numbers_is_an_ev_map(kind, label_dtype):
    labels = kind(np.array([[[0, 1], [2, 0]], [[1, 1], [0, 2]]], dtype=label_dtype))
    evs = kind(np.array([[0.5, -1.0, 2.0], [3.0, 0.0, -2.5]]))
    np.testing.assert_array_equal(composite(evs, labels), [[[0.5, -1], [2, 0.5]], [[0, 0], [3, -2.5]]])


@kinds
def test_composite_of_images_takes_each_pixel_from_the_layer_of_its_label(kind):
    layers = np.random.default_rng(0).random((2, 3, 4, 5, 3))
    labels = np.random.default_rng(1).integers(0, 3, (2, 4, 5)).astype(np.int32)
    result = composite(kind(layers), kind(labels))
    assert tuple(result.shape) == (2, 4, 5, 3)
    for photo, row, column in np.ndindex(2, 4, 5):
        expected = layers[photo, labels[photo, row, column], row, column]
        np.testing.assert_array_equal(result[photo, row, column], expected)


def test_composite_passes_each_pixels_gradient_to_its_own_segment():
    evs = torch.zeros(1, 3, requires_grad=True)
    composite(evs, torch.tensor([[[0, 0, 1], [0, 1, 1]]])).sum().backward()
    assert evs.grad.tolist() == [[3, 3, 0]]

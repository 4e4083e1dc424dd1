"""The eight filters of "Exposure: A White-Box Photo Post-Processing Framework" (Hu et al., 2018).

Form: A filter takes images (N, H, W, 3), sRGB-encoded floats from 0, and parameters (N, K), NumPy arrays or Torch
tensors. It returns images of the same dtype, not clipped, and lets gradients flow to both. Where all parameters are 0,
it returns the images exactly. Each works pixel by pixel, so what was chosen on a thumbnail holds at any size.

Values: Exposure and white balance multiply linear light, as in a camera; the others change encoded values.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from array_api_compat import array_namespace, device

from exposure_env.image import Array, expose, linear_to_srgb, luminance, srgb_to_linear

CURVE_STEPS = 8  # pieces of a curve
DARK = 0.001  # below it the gamma curve is a straight line: the slope of a power is infinite at 0


class Filter(NamedTuple):
    """A filter and what its parameters may be."""

    apply: Callable[[Array, Array], Array]  # (N, H, W, 3) images, (N, num_parameters) parameters -> images
    num_parameters: int
    low: float  # the least value of each parameter
    high: float  # the largest
    unit: str = ""  # how the one parameter is written in a caption


def exposure(images: Array, parameters: Array) -> Array:
    """The images with their light multiplied by 2^p.

    Args:
        images: See above.
        parameters: (N, 1) stops, from -3.5 to 3.5.
    """
    return expose(images, _spread(images, parameters)[..., 0])


def gamma(images: Array, parameters: Array) -> Array:
    """The values v raised to the power g = 2^p, v^g; below 0.001, v 0.001^(g - 1).

    Args:
        images: See above.
        parameters: (N, 1) logarithms to base 2 of g, which lies between 1/3 and 3.
    """
    power = 2.0 ** _spread(images, parameters)
    return images * array_namespace(images).clip(images, min=DARK) ** (power - 1.0)


def white_balance(images: Array, parameters: Array) -> Array:
    """The images with red, green and blue light multiplied by gains whose luminance is 1.

    The gains are (1, e^p, e^q), divided by their Rec. 709 luminance.

    Args:
        images: See above.
        parameters: (N, 2) natural logarithms p and q of the gains of green and blue over red, from -0.5 to 0.5.
    """
    xp, logs = array_namespace(images), _spread(images, parameters)
    gains = xp.exp(xp.concat([xp.zeros_like(logs[..., :1]), logs], axis=-1))
    gains = gains / (1.0 + luminance(gains - 1.0)[..., None])  # written so that gains of 1 have exactly luminance 1
    light = srgb_to_linear(images)
    return images + (linear_to_srgb(light * gains) - linear_to_srgb(light))


def saturation(images: Array, parameters: Array) -> Array:
    """The images with each pixel's distances from its largest channel V multiplied by 1 + p w.

    Hue and V stay. The saturation S of HSV becomes S + p S (1 - S) (1 - |1 - 2V|): colours that are pale and of middle
    brightness change most, none leaves the gamut, and grey stays grey. (The paper leaves out the factor S, takes no
    negative p, and so gives hues to greys.)

    Args:
        images: See above.
        parameters: (N, 1) from -1 to 1.
    """
    xp = array_namespace(images)
    largest, smallest = (each(images, axis=-1, keepdims=True) for each in (xp.max, xp.min))
    bright = xp.clip(largest, min=0.5, max=1.0)
    # (1 - S) (1 - |1 - 2V|), where 1 - S = smallest / V, without a division by small numbers
    weight = 2.0 * xp.clip(smallest, max=1.0) * (1.0 - bright) / bright
    return images - (largest - images) * weight * _spread(images, parameters)


def tone_curve(images: Array, parameters: Array) -> Array:
    """The values through one curve of eight straight pieces with slopes in the ratios 2^p_0 to 2^p_7.

    The curve rises from (0, 0) to (1, 1), and beyond 1 with slope 1.

    Args:
        images: See above.
        parameters: (N, 8) logarithms to base 2 of the relative slopes, from -1 to 1, from dark to bright.
    """
    return _curved(images, 2.0 ** _spread(images, parameters)[..., None, :])


def contrast(images: Array, parameters: Array) -> Array:
    """The images with each pixel's luma l moved to (1 - p) l + p (1 - cos(pi l)) / 2, its colours in proportion.

    Args:
        images: See above.
        parameters: (N, 1) from -1, less contrast, to 1, more.
    """
    xp = array_namespace(images)
    luma = xp.clip(luminance(images)[..., None], min=1e-6, max=1.0)
    ratio = (1.0 - xp.cos(math.pi * luma)) / (2.0 * luma)
    return images * (1.0 + _spread(images, parameters) * (ratio - 1.0))


def black_and_white(images: Array, parameters: Array) -> Array:
    """The images mixed with their luma: (1 - p) v + p l.

    Args:
        images: See above.
        parameters: (N, 1) from 0, in colour, to 1, in black and white.
    """
    return images + _spread(images, parameters) * (luminance(images)[..., None] - images)


def colour_curve(images: Array, parameters: Array) -> Array:
    """The values of each channel through a curve of its own; as `tone_curve`, with slopes in the ratios 1 + p.

    Args:
        images: See above.
        parameters: (N, 24) from -0.1 to 0.1: eight for red from dark to bright, eight for green, eight for blue.
    """
    slopes = 1.0 + _spread(images, parameters)
    xp = array_namespace(slopes)
    return _curved(images, xp.reshape(slopes, (*slopes.shape[:-1], 3, CURVE_STEPS)))


FILTERS = {
    "exposure": Filter(exposure, 1, -3.5, 3.5, " EV"),
    "gamma": Filter(gamma, 1, -math.log2(3), math.log2(3), " (log2)"),
    "white_balance": Filter(white_balance, 2, -0.5, 0.5),
    "saturation": Filter(saturation, 1, -1.0, 1.0),
    "tone_curve": Filter(tone_curve, CURVE_STEPS, -1.0, 1.0),
    "contrast": Filter(contrast, 1, -1.0, 1.0),
    "black_and_white": Filter(black_and_white, 1, 0.0, 1.0),
    "colour_curve": Filter(colour_curve, 3 * CURVE_STEPS, -0.1, 0.1),
}
PLACES: dict[str, slice] = {}  # where a filter's parameters are among those of all
NUM_PARAMETERS = 0
for _name, _filter in FILTERS.items():
    PLACES[_name] = slice(NUM_PARAMETERS, NUM_PARAMETERS + _filter.num_parameters)
    NUM_PARAMETERS += _filter.num_parameters


def apply_filters(images: Array, choices: Array, parameters: Array) -> Array:
    """Each image through one filter.

    Args:
        images: (N, H, W, 3) floats.
        choices: (N,) integers, positions in `FILTERS`.
        parameters: (N, 39) parameters of all filters, in their own units; only those of the chosen one count.

    Returns:
        (N, H, W, 3) images of the same dtype, not clipped. Gradients flow to images and parameters.

    Raises:
        ValueError: If a choice names no filter, or there are not 39 parameters for each image.
    """
    xp, num = array_namespace(images), images.shape[0]
    if tuple(parameters.shape) != (num, NUM_PARAMETERS):
        raise ValueError(f"parameters must be of shape {(num, NUM_PARAMETERS)}, not {tuple(parameters.shape)}")
    if num and not 0 <= int(xp.min(choices)) <= int(xp.max(choices)) < len(FILTERS):
        raise ValueError(f"choices must be from 0 to {len(FILTERS) - 1}, not {choices}")
    results = xp.zeros_like(images)
    for index, (name, one) in enumerate(FILTERS.items()):
        rows = xp.nonzero(choices == index)[0]
        if len(rows):
            results[rows] = one.apply(images[rows], parameters[rows, PLACES[name]])
    return results


def from_unit(unit: Array) -> Array:
    """The parameters of all filters in their own units, from numbers in [-1, 1] that span their ranges.

    Args:
        unit: (..., 39) floats; -1 stands for the least value of a parameter, 1 for the largest.

    Returns:
        (..., 39) floats of the same dtype. 0 stands for 0, except for black-and-white, where -1 does.
    """
    xp = array_namespace(unit)
    bounds = [[getattr(each, end) for each in FILTERS.values() for _ in range(each.num_parameters)]
              for end in ("low", "high")]
    low, high = (xp.asarray(each, dtype=unit.dtype, device=device(unit)) for each in bounds)
    return (low + high) / 2 + unit * (high - low) / 2


def _spread(images: Array, parameters: Array) -> Array:
    """(N, K) parameters as (N, 1, 1, K), in the images' dtype."""
    return array_namespace(images).astype(parameters, images.dtype)[:, None, None, :]


def _curved(images: Array, slopes: Array) -> Array:
    """The values through curves of straight pieces; slopes (N, 1, 1, 1 or 3, K), of which only the ratios count."""
    xp, steps = array_namespace(images), slopes.shape[-1]
    # Adding the change, rather than summing up the pieces, makes equal slopes the identity to the last bit.
    changes, curved = slopes / xp.mean(slopes, axis=-1, keepdims=True) - 1.0, images
    for step in range(steps):
        curved = curved + xp.clip(images - step / steps, min=0.0, max=1 / steps) * changes[..., step]
    return curved

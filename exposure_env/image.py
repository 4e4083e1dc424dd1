"""Exposing a photo: from sRGB to linear light and back, with a gain in stops in between.

Images are channel-last and sRGB-encoded, (..., H, W, 3) floats in [0, 1]. Every function takes NumPy arrays and Torch
tensors alike, keeps their dtype, and lets gradients flow.
"""

from typing import Any, Literal

from array_api_compat import array_namespace

Array = Any  # a NumPy array or a Torch tensor
Space = Literal["linear", "encoded"]

MAX_EV = 32.0  # largest exposure of any plan or task [stops]; far beyond any photo, and far from overflow
ENCODED_KNEE = 0.04045  # sRGB (IEC 61966-2-1) is linear below the knee and a power law above it
LINEAR_KNEE = 0.0031308


def srgb_to_linear(encoded: Array) -> Array:
    """Linear light of sRGB-encoded values.

    Args:
        encoded: Float array of any shape, nominally in [0, 1].

    Returns:
        Array of the same shape and dtype, proportional to light.
    """
    xp = array_namespace(encoded)
    # The power sees no value below the knee: its gradient there would be NaN for negative input.
    power = ((xp.clip(encoded, min=ENCODED_KNEE) + 0.055) / 1.055) ** 2.4
    return xp.where(encoded <= ENCODED_KNEE, encoded / 12.92, power)


def linear_to_srgb(linear: Array) -> Array:
    """sRGB-encoded values of linear light; values above 1 follow the same power law.

    Args:
        linear: Float array of any shape, nominally in [0, 1].

    Returns:
        Array of the same shape and dtype.
    """
    xp = array_namespace(linear)
    power = 1.055 * xp.clip(linear, min=LINEAR_KNEE) ** (1 / 2.4) - 0.055
    return xp.where(linear <= LINEAR_KNEE, linear * 12.92, power)


def luminance(image: Array) -> Array:
    """Rec. 709 weighted channel sum: luminance of linear light, luma of encoded values.

    Args:
        image: (..., H, W, 3) floats.

    Returns:
        (..., H, W) floats of the same dtype.
    """
    return 0.2126 * image[..., 0] + 0.7152 * image[..., 1] + 0.0722 * image[..., 2]


def expose(photo: Array, ev: Array | float, space: Space = "linear") -> Array:
    """The photo under another exposure, not clipped; exactly the photo where `ev` is 0.

    In linear light one EV is a photographic stop. In encoded values the product is the paper's literal
    S * e with e = 2^EV (section 4).

    Args:
        photo: (..., H, W, 3) sRGB-encoded floats in [0, 1].
        ev: Exposure values in stops, a number or an array broadcastable to (..., H, W).
        space: "linear" multiplies light, "encoded" multiplies encoded values.

    Returns:
        (..., H, W, 3) sRGB-encoded floats, 0 or more and possibly above 1.

    Raises:
        ValueError: If `space` is neither "linear" nor "encoded".

    Examples:
        >>> import numpy as np
        >>> grey = np.full((1, 1, 3), 0.5)
        >>> expose(grey, 1.0).round(3)    # twice the light
        array([[[0.686, 0.686, 0.686]]])
        >>> expose(grey, 1.0, "encoded")
        array([[[1., 1., 1.]]])
    """
    # float(): NumPy's float64 scalars are floats too, and would turn float32 photos into float64.
    gain = 2.0 ** (float(ev) if isinstance(ev, int | float) else ev[..., None])
    if space == "encoded":
        return photo * gain
    if space != "linear":
        raise ValueError(f'space must be "linear" or "encoded", not {space!r}')
    light = srgb_to_linear(photo)
    # Adding the change, rather than decoding and encoding the photo, makes EV 0 the identity to the last bit.
    return photo + (linear_to_srgb(light * gain) - linear_to_srgb(light))


def clip(image: Array) -> Array:
    """The image with values confined to [0, 1]."""
    return array_namespace(image).clip(image, min=0.0, max=1.0)


def composite(layers: Array, labels: Array) -> Array:
    """The layer that each pixel's label names.

    Args:
        layers: (N, K) numbers, one per segment, or (N, K, H, W, C) images.
        labels: (N, H, W) integers 0..K-1.

    Returns:
        (N, H, W) floats (an EV map if the numbers are EVs) or (N, H, W, C) images.
    """
    xp = array_namespace(layers)
    labels = xp.astype(labels, xp.int64)
    if layers.ndim == 2:
        flat = xp.take_along_axis(layers, xp.reshape(labels, (labels.shape[0], -1)), axis=1)
        return xp.reshape(flat, labels.shape)
    index = xp.broadcast_to(labels[:, None, ..., None], (labels.shape[0], 1, *layers.shape[2:]))
    return xp.take_along_axis(layers, index, axis=1)[:, 0]

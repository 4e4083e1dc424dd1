"""Renderings of a retouching plan: one photo, its segments and their EVs become one image.

Every rendering is batched, differentiable and written once for NumPy and Torch. `local` is the paper's S^l and
`mertens` its exposure blending (section 3, eq. 16). `mask_pyramid` blends the globally exposed images where their
segments lie, without the seams of `local`. `mertens_masked` weights them both ways.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from exposure_env.acceleration import accelerated
from exposure_env.image import Array, Space, clip, composite, expose
from exposure_env.pyramid import blend, blur

TINY = 1e-30  # under a square root: keeps the gradient finite where the root is zero
FUSIONS: dict[str, Callable[..., Array]] = {}  # renderings by name


class Layers(NamedTuple):
    """What a rendering blends: the photo under T exposures, and how much each counts at every pixel."""

    evs: Array  # (N, T) [stops]
    images: Array  # (N, T, 3, H, W)
    weights: Array  # (N, T, H, W), 0 or more; they add up to 1 over T


def rendering(layers: Callable[..., Layers], *, additive: bool = False) -> Callable[..., Any]:
    """Decorates a rendering and enters it into `FUSIONS`, so that plans may name it, also at full size.

    Args:
        layers: Function of the same arguments for what it blends; at full size it is called for the thumbnail.
        additive: Whether the result is the photo plus the sum of what each exposure, independent of the others, changes
            under its segment's mask. The only options are then `levels`, `feather` and those for clipping.
    """

    def enter(function: Callable[..., Array]) -> Callable[..., Array]:
        function.layers, function.additive = layers, additive  # type: ignore[attr-defined]
        FUSIONS[function.__name__] = function
        return function

    return enter


def resolve_fusion(fusion: str | Callable[..., Array]) -> Callable[..., Array]:
    """The rendering of that name, or the callable itself (a `functools.partial` sets a rendering's options).

    Raises:
        ValueError: If the name is not one of `FUSIONS`.
    """
    if callable(fusion):
        return fusion
    if fusion not in FUSIONS:
        raise ValueError(f"fusion must be one of {sorted(FUSIONS)} or a callable, not {fusion!r}")
    return FUSIONS[fusion]


def option_defaults(fusion: str) -> dict[str, Any]:
    """The options of the rendering of that name, which are its keyword arguments except `space`, and their defaults."""
    parameters = inspect.signature(FUSIONS[fusion]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "space"}


def mertens_weights(images: Array, *, contrast: float = 1.0, saturation: float = 1.0,
                    exposedness: float = 1.0) -> Array:
    """The quality of every pixel of every image, not normalised (Mertens, Kautz and Van Reeth 2007).

    Contrast is the absolute Laplacian of the grey image, saturation the standard deviation over R, G and B, exposedness
    the product over the channels of exp(-(x - 0.5)^2 / 0.08). Quality is the product of the three, each raised to its
    exponent. OpenCV leaves exposedness out by default (exponent 0).

    Args:
        images: (N, T, 3, H, W) sRGB-encoded floats in [0, 1].
        contrast: Exponent of contrast; 0 leaves it out.
        saturation: Exponent of saturation; 0 leaves it out.
        exposedness: Exponent of exposedness; 0 leaves it out.

    Returns:
        (N, T, H, W) floats in [0, ...).
    """
    xp = array_namespace(images)
    red, green, blue = images[:, :, 0], images[:, :, 1], images[:, :, 2]
    weights = xp.ones_like(red)
    if contrast:
        # Channel by channel, since neighbouring values subtract exactly in float32; only later steps round.
        laplacian = _second_difference(images) + xp.matrix_transpose(_second_difference(xp.matrix_transpose(images)))
        laplacian = 0.299 * laplacian[:, :, 0] + 0.587 * laplacian[:, :, 1] + 0.114 * laplacian[:, :, 2]
        weights = weights * (laplacian**2 + TINY) ** (contrast / 2)
    if saturation:  # from differences of channels: exactly zero on grey pixels, where rounding would otherwise decide
        variance = ((red - green) ** 2 + (green - blue) ** 2 + (blue - red) ** 2) / 9
        weights = weights * (variance + TINY) ** (saturation / 2)
    if exposedness:
        weights = weights * xp.exp(-exposedness / 0.08 * xp.sum((images - 0.5) ** 2, axis=2))
    return weights


def _second_difference(grey: Array) -> Array:
    """x[i-1] - 2 x[i] + x[i+1] along the last axis, reflected at the border; exactly zero where the row is constant."""
    xp = array_namespace(grey)
    if grey.shape[-1] == 1:
        return xp.zeros_like(grey)
    step = grey[..., 1:] - grey[..., :-1]
    padded = xp.concat([-step[..., :1], step, -step[..., -1:]], axis=-1)
    return padded[..., 1:] - padded[..., :-1]


def segment_masks(labels: Array, num_segments: int, like: Array, feather: int = 0) -> Array:
    """One plane per segment, 1 inside and 0 outside, with a softened border.

    Args:
        labels: (N, H, W) integers 0..num_segments-1.
        num_segments: Number of planes K.
        like: Array whose dtype the masks take.
        feather: Passes of the blur [1 2 1]/4.

    Returns:
        (N, K, H, W) floats in [0, 1]; they add up to 1 over K.
    """
    xp = array_namespace(like)
    index = xp.arange(num_segments, dtype=labels.dtype, device=device(labels))
    return blur(xp.astype(labels[:, None] == index[None, :, None, None], like.dtype), feather)


def masked_layers(photos: Array, labels: Array, evs: Array, count: Array | None = None, *, space: Space = "linear",
                  feather: int = 0, clip_input: bool = True, **unused: Any) -> Layers:
    """The photo under each segment's exposure, weighted by the segment's mask; arguments as for `mask_pyramid`."""
    return Layers(evs, _exposed(photos, evs, space, clip_input), segment_masks(labels, evs.shape[1], photos, feather))


@rendering(masked_layers, additive=True)
@accelerated("fusion.local")
def local(photos: Array, labels: Array, evs: Array, count: Array | None = None, *, space: Space = "linear",
          clip_output: bool = True) -> Array:
    """The local image S^l: every segment under its own exposure, with hard borders (section 4).

    Args:
        photos: (N, H, W, 3) sRGB-encoded floats in [0, 1].
        labels: (N, H, W) integers 0..K-1.
        evs: (N, K) exposure values in stops; 0 for segments not yet exposed.
        count: Ignored; an exposure of 0 already means "not yet".
        space: See `image.expose`.
        clip_output: Whether the result is clipped to [0, 1].

    Returns:
        (N, H, W, 3) floats.
    """
    image = expose(photos, composite(evs, labels), space)
    return clip(image) if clip_output else image


@rendering(masked_layers, additive=True)
@accelerated("fusion.mask_pyramid")
def mask_pyramid(photos: Array, labels: Array, evs: Array, count: Array | None = None, *, space: Space = "linear",
                 levels: int = 3, feather: int = 1, clip_input: bool = True, clip_output: bool = True) -> Array:
    """The globally exposed images, blended by the masks of their segments, Laplacian band by band.

    This keeps the local intent of the plan and leaves no seams. It is not in the paper.

    Args:
        photos: (N, H, W, 3) sRGB-encoded floats in [0, 1].
        labels: (N, H, W) integers 0..K-1.
        evs: (N, K) exposure values in stops; 0 for segments not yet exposed.
        count: Ignored; an exposure of 0 already means "not yet".
        space: See `image.expose`.
        levels: Halvings of the pyramid; 2 or 3 keep the intent, more blur it.
        feather: Passes of the blur [1 2 1]/4 over the masks.
        clip_input: Whether the exposed images are clipped to [0, 1] before they are blended.
        clip_output: Whether the result is clipped to [0, 1].

    Returns:
        (N, H, W, 3) floats.
    """
    return _blended(masked_layers(photos, labels, evs, space=space, feather=feather, clip_input=clip_input), levels,
                    clip_output)


def mertens_layers(photos: Array, labels: Array, evs: Array, count: Array | None = None, *, space: Space = "linear",
                   contrast: float = 1.0, saturation: float = 1.0, exposedness: float = 1.0,
                   include_input: bool = True, epsilon: float = 1e-6, clip_input: bool = True,
                   **unused: Any) -> Layers:
    """The globally exposed images and the photo itself, weighted by quality; arguments as for `mertens`."""
    evs, present = _with_input(evs, count, include_input)
    images = _exposed(photos, evs, space, clip_input)
    quality = mertens_weights(images, contrast=contrast, saturation=saturation, exposedness=exposedness)
    return Layers(evs, images, _normalised((quality + epsilon) * present[:, :, None, None]))


@rendering(mertens_layers)
@accelerated("fusion.mertens")
def mertens(photos: Array, labels: Array, evs: Array, count: Array | None = None, *, space: Space = "linear",
            contrast: float = 1.0, saturation: float = 1.0, exposedness: float = 1.0, include_input: bool = True,
            epsilon: float = 1e-6, levels: int | None = None, clip_input: bool = True,
            clip_output: bool = True) -> Array:
    """The exposure blending EB of the globally exposed images and the photo itself (section 3, eq. 16).

    It is blind to the segments: it does not know which of them asked for which exposure.

    Args:
        photos: (N, H, W, 3) sRGB-encoded floats in [0, 1].
        labels: (N, H, W) integers; ignored.
        evs: (N, K) exposure values in stops.
        count: (N,) integers, how many of the K exposures take part, counted from the first; by default all.
        space: See `image.expose`.
        contrast: See `mertens_weights`, like the next two.
        saturation: Exponent.
        exposedness: Exponent.
        include_input: Whether the photo itself is blended in, as in section 4. It always is where `count` is 0.
        epsilon: Added to every weight; 1e-12 in OpenCV, too small for stable gradients in float32.
        levels: Halvings of the pyramid; by default as many as the shorter side allows.
        clip_input: Whether exposed images are clipped first; if not, contrast and saturation alone are one global gain.
        clip_output: Whether the result is clipped to [0, 1].

    Returns:
        (N, H, W, 3) floats.
    """
    layers = mertens_layers(photos, labels, evs, count, space=space, contrast=contrast, saturation=saturation,
                            exposedness=exposedness, include_input=include_input, epsilon=epsilon,
                            clip_input=clip_input)
    return _blended(layers, levels, clip_output)


def mertens_masked_layers(photos: Array, labels: Array, evs: Array, count: Array | None = None, *,
                          space: Space = "linear", contrast: float = 1.0, saturation: float = 1.0,
                          exposedness: float = 1.0, include_input: bool = False, epsilon: float = 1e-6,
                          feather: int = 8, clip_input: bool = True, **unused: Any) -> Layers:
    """The globally exposed images, weighted by masks and quality; arguments as for `mertens_masked`."""
    masks = segment_masks(labels, evs.shape[1], photos, feather)
    if include_input:
        xp = array_namespace(photos)
        masks = xp.concat([xp.ones_like(masks[:, :1]), masks], axis=1)
    evs, _ = _with_input(evs, None, include_input)
    images = _exposed(photos, evs, space, clip_input)
    quality = mertens_weights(images, contrast=contrast, saturation=saturation, exposedness=exposedness)
    return Layers(evs, images, _normalised((quality + epsilon) * masks))


@rendering(mertens_masked_layers)
@accelerated("fusion.mertens_masked")
def mertens_masked(photos: Array, labels: Array, evs: Array, count: Array | None = None, *, space: Space = "linear",
                   contrast: float = 1.0, saturation: float = 1.0, exposedness: float = 1.0,
                   include_input: bool = False, epsilon: float = 1e-6, levels: int = 3, feather: int = 8,
                   clip_input: bool = True, clip_output: bool = True) -> Array:
    """The blend of `mask_pyramid`, with masks times Mertens weights: near borders the better exposed image wins.

    Args:
        photos: (N, H, W, 3) sRGB-encoded floats in [0, 1].
        labels: (N, H, W) integers 0..K-1.
        evs: (N, K) exposure values in stops; 0 for segments not yet exposed.
        count: Ignored: a segment not yet exposed shows the photo.
        space: See `image.expose`.
        contrast: See `mertens_weights`, like the next two.
        saturation: Exponent.
        exposedness: Exponent.
        include_input: Whether the photo itself competes everywhere, under a mask of 1.
        epsilon: Added to every Mertens weight before the product.
        levels: Halvings of the pyramid.
        feather: Passes of the blur [1 2 1]/4 over the masks: wide, so that there is something to choose between.
        clip_input: Whether the exposed images are clipped to [0, 1] first.
        clip_output: Whether the result is clipped to [0, 1].

    Returns:
        (N, H, W, 3) floats.
    """
    layers = mertens_masked_layers(
        photos, labels, evs, space=space, contrast=contrast, saturation=saturation, exposedness=exposedness,
        include_input=include_input, epsilon=epsilon, feather=feather, clip_input=clip_input)  # fmt: skip
    return _blended(layers, levels, clip_output)


def _exposed(photos: Array, evs: Array, space: Space, clip_input: bool) -> Array:
    """The whole photo under each of these exposures, the global images S^g: (N, T, 3, H, W)."""
    planar = array_namespace(photos).permute_dims(photos, (0, 3, 1, 2))
    images = expose(planar[:, None], evs[:, :, None, None], space)
    return clip(images) if clip_input else images


def _with_input(evs: Array, count: Array | None, include_input: bool) -> tuple[Array, Array]:
    """The exposures (N, T), preceded by 0 for the photo itself where it may be wanted, and which of them take part."""
    xp = array_namespace(evs)
    steps = xp.arange(evs.shape[1], device=device(evs))[None]
    present = xp.ones_like(evs) if count is None else xp.astype(steps < count[:, None], evs.dtype)
    if not include_input and count is None:
        return evs, present
    alone = xp.ones_like(present[:, :1]) if include_input else xp.astype(count[:, None] == 0, present.dtype)
    return xp.concat([xp.zeros_like(evs[:, :1]), evs], axis=1), xp.concat([alone, present], axis=1)


def _normalised(weights: Array) -> Array:
    return weights / array_namespace(weights).sum(weights, axis=1, keepdims=True)


def _blended(layers: Layers, levels: int | None, clip_output: bool) -> Array:
    """The layers blended, (N, H, W, 3), with as many halvings as the shorter side allows, at most `levels`."""
    deepest = int(math.log2(min(layers.images.shape[-2:])))
    planar = blend(layers.images, layers.weights, deepest if levels is None else min(levels, deepest))
    image = array_namespace(planar).permute_dims(planar, (0, 2, 3, 1))
    return clip(image) if clip_output else image

"""Ways to cut a photo into segments: graph-based (the paper's), bands of luminance, superpixels."""

from collections.abc import Callable

import numpy as np
import skimage

from exposure_env.acceleration import accelerated
from exposure_env.image import luminance
from exposure_env.segmentation.checks import checked_count, checked_image
from exposure_env.segmentation.merging import numbered

Segmenter = Callable[[np.ndarray], np.ndarray]


def felzenszwalb(image: np.ndarray, *, scale: float = 300.0, sigma: float = 0.5, min_size: float = 50) -> np.ndarray:
    """Segments of similar colour, 8-connected, about ten in a thumbnail (Felzenszwalb and Huttenlocher, IJCV 2004).

    Args:
        image: (H, W, 3) floats in [0, 1], sRGB-encoded, since linear light loses the segments in the shadows.
        scale: Preference for large segments, in the original code's units (colours 0..255).
        sigma: Standard deviation of the blur applied first, in pixels.
        min_size: Pixels of the smallest segment of a 64x64 image; scaled with the area for other sizes.

    Returns:
        (H, W) int32 labels 0..K-1, every label present; likewise for the segmenters below.

    Raises:
        ValueError: If the image is malformed, or an option negative or not finite.
    """
    image = checked_image(image)
    for name, value in {"scale": scale, "sigma": sigma, "min_size": min_size}.items():
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} must be finite and at least 0, not {value!r}")
    smallest = round(min_size * image.shape[0] * image.shape[1] / 64**2)
    return _felzenszwalb(image, scale, sigma, smallest)


@accelerated("segmentation.felzenszwalb")
def _felzenszwalb(image: np.ndarray, scale: float, sigma: float, min_size: int) -> np.ndarray:
    return numbered(skimage.segmentation.felzenszwalb(image, scale=scale, sigma=sigma, min_size=min_size))


def luminance_bands(image: np.ndarray, *, bands: int = 4) -> np.ndarray:
    """The photographer's luminosity masks: bands of luminance of equal area, dark to bright, connected or not.

    Pixels of equal luminance share a band, so a photo of few tones has fewer bands. Raises ValueError unless `bands`
    is an integer of at least 1.
    """
    luma, bands = luminance(checked_image(image)), checked_count("bands", bands)
    _, tones, areas = np.unique(luma, return_inverse=True, return_counts=True)
    # Bands go by the middle rank of a tone: quantile values would coincide where half a photo is black or blown out.
    quantiles = (np.cumsum(areas) - areas / 2) / luma.size
    return numbered((bands * quantiles).astype(int)[tones].reshape(luma.shape))


def slic(image: np.ndarray, *, segments: int = 8) -> np.ndarray:
    """Compact segments of similar size, about `segments` of them (SLIC superpixels, Achanta et al., TPAMI 2012).

    Raises ValueError unless `segments` is an integer of at least 1.
    """
    image, segments = checked_image(image), checked_count("segments", segments)
    return numbered(skimage.segmentation.slic(image, n_segments=segments, start_label=0))


SEGMENTERS: dict[str, Segmenter] = {"felzenszwalb": felzenszwalb, "luminance_bands": luminance_bands, "slic": slic}

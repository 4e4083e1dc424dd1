"""Numbers that say how alike two images are, and how far to trust the mean of such numbers."""

from collections.abc import Callable, Sequence

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

PERFECT = 100.0  # PSNR of an exact match [dB]: infinity would swallow the mean over photos
SSIM_WINDOW = 11  # [px]
FEWEST = 10  # values that a bootstrap needs


def mse(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The mean squared error per photo, (N,), on the literature's scale of 0..255 whatever the dtype.

    Args:
        images: (N, H, W, 3) floats in [0, 1], uint8 or uint16.
        targets: Likewise, of the same shape.

    Raises:
        ValueError: If the shapes differ or a dtype is not supported.
    """
    images, targets = unit(images), unit(targets)
    if images.shape != targets.shape or images.ndim != 4:
        raise ValueError(f"want two equal shapes (N, H, W, 3), not {images.shape} and {targets.shape}")
    return 255.0**2 * np.mean((images - targets) ** 2, axis=(1, 2, 3))


def psnr(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The peak signal-to-noise ratio per photo, (N,) [dB], at most 100; arguments as for `mse`."""
    floor = 10 ** (-PERFECT / 10)
    return -10 * np.log10(np.maximum(mse(images, targets) / 255.0**2, floor))


def ssim(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The structural similarity per photo, (N,), averaged over the colours; arguments as for `mse`.

    It uses the Gaussian window of Wang et al. (2004): sigma 1.5 px, 11 px wide. NaN for photos smaller than that.
    """
    if min(np.shape(images)[1:3]) < SSIM_WINDOW:
        return np.full(len(images), np.nan)
    settings = dict(data_range=1.0, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    pairs = zip(unit(images), unit(targets), strict=True)
    return np.array([structural_similarity(image, target, **settings) for image, target in pairs])


def delta_e(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The mean colour difference CIEDE2000 per photo, (N,) from 0; arguments as for `mse`.

    A difference of 1 can just be seen (Sharma, Wu and Dalal 2005). By scikit-image, for D65 and the observer of 2
    degrees.
    """
    pairs = zip(unit(images), unit(targets), strict=True)
    return np.array([deltaE_ciede2000(rgb2lab(image), rgb2lab(target)).mean() for image, target in pairs])


def mse_uint8_wrapped(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """MSE per photo, (N,), of uint8 images whose differences and squares wrap around at 256; for the record only.

    It hardly depends on the images: two random ones give 105.5, and alike ones less, as small differences don't wrap.

    Args:
        images: (N, H, W, 3) uint8.
        targets: Likewise.

    Raises:
        ValueError: If they are of another dtype: floats don't wrap around.
    """
    if not images.dtype == targets.dtype == np.uint8:
        raise ValueError(f"only uint8 images wrap around at 256, not {images.dtype} and {targets.dtype}")
    difference = images - targets
    return np.mean(difference * difference, axis=(1, 2, 3))


def psnr_uint8_wrapped(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """PSNR per photo, (N,) [dB], at most 100, of `mse_uint8_wrapped`; two random images give 27.9 dB."""
    floor = 10 ** (-PERFECT / 10)
    return -10 * np.log10(np.maximum(mse_uint8_wrapped(images, targets) / 255.0**2, floor))


def unit(images: np.ndarray) -> np.ndarray:
    """The images as float64 in [0, 1], from uint8, uint16 or floats.

    Raises:
        ValueError: If they are of another dtype.
    """
    images = np.asarray(images)
    if images.dtype in (np.uint8, np.uint16):
        return images / float(np.iinfo(images.dtype).max)
    if images.dtype.kind != "f":
        raise ValueError(f"images must be uint8, uint16 or floats in [0, 1], not {images.dtype}")
    return images.astype(np.float64)


def pearson(pairs: Sequence[tuple[float, float]], weights: Sequence[float] | None = None,
            least: float = 1e-6) -> float:
    """Pearson's correlation of the pairs without NaN; NaN if either side is constant or fewer than two are left.

    Args:
        pairs: (N, 2).
        weights: (N,), how much each pair counts; all the same by default. Pairs without weight are left out.
        least: A side counts as constant if its values differ by less than this.
    """
    pairs = np.array(pairs, float).reshape(-1, 2)
    weights = np.ones(len(pairs)) if weights is None else np.asarray(weights, float)
    known = np.isfinite(pairs).all(1) & (weights > 0)
    pairs, weights = pairs[known], weights[known]
    if len(pairs) < 2 or np.ptp(pairs, axis=0).min() < least:
        return float("nan")
    (ours, both), (_, theirs) = np.cov(pairs.T, ddof=0, aweights=weights)
    return float(np.clip(both / np.sqrt(ours * theirs), -1.0, 1.0))


def iqm(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """The interquartile mean: without the lowest and the highest quarter of the values, rounded down to whole ones."""
    values = np.sort(np.asarray(values, float), axis=axis)
    cut, num = values.shape[axis] // 4, values.shape[axis]
    return np.take(values, np.arange(cut, num - cut), axis=axis).mean(axis=axis)


def interval(values: Sequence[float], confidence: float = 0.95, rng: np.random.Generator | None = None, *,
             statistic: Callable[..., np.ndarray] = np.mean, resamples: int = 5000) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean, or of another statistic, of many values.

    For few, such as seeds, it is too narrow (0.83 instead of 0.95 over five): `statistics.student` is for them.

    Args:
        values: (N,), at least ten independent ones.
        confidence: Probability that the interval should cover.
        rng: Source of the resamples; by default the same every time.
        statistic: `np.mean`, `iqm` or another function of an array and `axis`.
        resamples: Number of resamples.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: If there are fewer than ten values, or `confidence` doesn't lie between 0 and 1.
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) < FEWEST or not 0 < confidence < 1:
        raise ValueError(f"want a list of at least {FEWEST} values, as a bootstrap over fewer covers too little, and "
                         f"0 < confidence < 1, not shape {values.shape}, {confidence}")
    rng = np.random.default_rng(0) if rng is None else rng
    drawn = values[rng.integers(len(values), size=(resamples, len(values)))]
    low, high = np.quantile(statistic(drawn, axis=-1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)

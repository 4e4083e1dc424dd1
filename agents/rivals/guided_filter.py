"""A guided filter (He, Sun and Tang, 2010) that carries what was done to a thumbnail to the photo, channel by channel.

Within small windows of the thumbnail, what is added to a photo is taken to be slope * guide + offset. Slopes and
offsets are enlarged, and applied to the photo's own guide (the fast guided filter: He and Sun, arXiv:1505.00996, 2015).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from exposure_env.resizing import resized, strips


def linear_models(guide: Tensor, target: Tensor, radius: int = 1, epsilon: float = 1e-4) -> tuple[Tensor, Tensor]:
    """The slopes and offsets, (N, C, H, W) each, by which the guide gives the target.

    Args:
        guide: (N, C, H, W) floats.
        target: Likewise.
        radius: Radius of the windows [px], which are cut off at the border.
        epsilon: Added to the guide's variance: where that is much less, the slope is 0 and the target is averaged.
    """
    mean_guide, mean_target = _mean(guide, radius), _mean(target, radius)
    variance = (_mean(guide * guide, radius) - mean_guide * mean_guide).clamp(min=0)
    slopes = (_mean(guide * target, radius) - mean_guide * mean_target) / (variance + epsilon)
    offsets = mean_target - slopes * mean_guide
    return _mean(slopes, radius), _mean(offsets, radius)


def _mean(planes: Tensor, radius: int) -> Tensor:
    return functional.avg_pool2d(planes, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)


def corrected(photo: np.ndarray, slopes: Tensor, offsets: Tensor, guide: Callable[[Tensor], Tensor]) -> np.ndarray:
    """The photo plus the correction that its guide gives, clipped to [0, 1].

    Args:
        photo: (H, W, 3) float32.
        slopes: (1, 3, h, w), see `linear_models`; enlarged linearly.
        offsets: Likewise.
        guide: Function from the photo, or some rows of it, (1, 3, rows, W), to its guide, alike, pixel by pixel.

    Returns:
        (H, W, 3) float32.
    """
    slopes, offsets = (resized(np.ascontiguousarray(each[0].permute(1, 2, 0).cpu().numpy()), *photo.shape[:2])
                       for each in (slopes, offsets))
    result = offsets
    for rows in strips(photo):  # of the guide, there is no copy at full size
        with torch.inference_mode():
            planes = guide(torch.as_tensor(photo[rows]).permute(2, 0, 1)[None])[0]
        result[rows] += slopes[rows] * planes.permute(1, 2, 0).cpu().numpy() + photo[rows]
    return np.clip(result, 0, 1, out=result)

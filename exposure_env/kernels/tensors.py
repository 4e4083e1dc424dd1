"""The renderings of Torch tensors on the CPU, by the compiled functions; gradients flow to the exposures.

Torch keeps every layer of a blend for the way back. Here the way back computes the layers again, one after the other in
the processor's cache: what an EV changes in the bands of the pyramid, times the gradient of the bands.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from exposure_env.image import Space
from exposure_env.kernels.blend import slopes
from exposure_env.pyramid import up_matrix
from exposure_env.threads import ranges, spread


def takes(photos: Any, labels: Any, evs: Any) -> bool:
    """Whether these are tensors on the CPU, through which no gradient flows but to the exposures."""
    if not all(isinstance(array, Tensor) and array.device.type == "cpu" for array in (photos, labels, evs)):
        return False
    return not photos.requires_grad and photos.dtype == evs.dtype == torch.float32


def without_gradients(render: Any, photos: Tensor, labels: Tensor, evs: Tensor) -> Any:
    """The rendering by NumPy as a tensor; NotImplemented if a gradient is to flow to the exposures."""
    if evs.requires_grad and torch.is_grad_enabled():
        return NotImplemented
    image = render(photos.numpy(), labels.numpy(), evs.detach().numpy())
    return image if image is NotImplemented else torch.from_numpy(image)


class MaskPyramid(torch.autograd.Function):
    """`fusion.mask_pyramid`, differentiable by the exposures."""

    @staticmethod
    def forward(context: Any, photos: Tensor, labels: Tensor, evs: Tensor, render: Any, levels: np.ndarray,
                linear: bool, feather: int, clips: tuple[bool, bool]) -> Tensor:
        """The blend; `render` gives it unclipped, as a NumPy array."""
        image = torch.from_numpy(render(photos.numpy(), labels.numpy(), evs.detach().numpy()))
        context.save_for_backward(photos, labels, evs, image)
        context.settings = levels, linear, feather, clips
        return image.clamp(0, 1) if clips[1] else image.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient by the exposures."""
        photos, labels, evs, image = context.saved_tensors
        levels, linear, feather, clips = context.settings
        if clips[1]:
            gradient = gradient * ((image >= 0) & (image <= 1))
        arrays = [np.ascontiguousarray(array.detach().numpy()) for array in (photos, labels.int(), evs)]
        arrays.append(_band_gradients(gradient.permute(0, 3, 1, 2), levels))
        out = np.empty(evs.shape, np.float32)
        spread(lambda some: slopes(*(array[some] for array in arrays), levels, linear, feather, clips[0], out[some]),
               ranges(len(out), 1))
        return None, None, torch.from_numpy(out), None, None, None, None, None


def _band_gradients(gradient: Tensor, levels: np.ndarray) -> np.ndarray:
    """(N, 3 * room) derivatives by the bands, from those by the image (N, 3, H, W): the sum of bands, transposed."""
    height, width, _, plane, start = levels[-1]
    room = start + 2 * plane
    out = np.zeros((len(gradient), 3, room), np.float32)
    for height, width, stride, plane, start in levels:
        if gradient.shape[-1] != width or gradient.shape[-2] != height:
            rows, columns = gradient.shape[-2:]
            up, across = (torch.from_numpy(up_matrix((length + 1) // 2, length).astype(np.float32))
                          for length in (rows, columns))
            gradient = up.T @ gradient @ across
        for parity in range(2):
            some = gradient[:, :, parity::2].numpy()
            framed = out[:, :, start + parity * plane : start + (parity + 1) * plane]
            framed.reshape(*framed.shape[:2], -1, stride)[:, :, 1 : 1 + some.shape[2], 2 : 2 + width] = some
    return out.reshape(len(out), -1)


def mask_pyramid(photos: Tensor, labels: Tensor, evs: Tensor, render: Any, levels: np.ndarray, space: Space,
                 feather: int, clips: tuple[bool, bool]) -> Tensor:
    """See `MaskPyramid`."""
    return MaskPyramid.apply(photos.contiguous(), labels, evs, render, levels, space == "linear", feather, clips)

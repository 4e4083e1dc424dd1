"""What DPED and WESPE look at: images blurred, in grey, and how much they vary from pixel to pixel."""

import torch
from torch import Tensor
from torch.nn import functional

BLUR = 3.0  # standard deviation of DPED's blur [px]
REACH = 10  # of its kernel, on each side [px]
GREY = (0.299, 0.587, 0.114)  # weights of Rec. 601


def blurred(images: Tensor, deviation: float = BLUR) -> Tensor:
    """The images under a Gaussian blur, the same on a grey surface up to the edges: what is left is colour and light.

    Args:
        images: (N, C, H, W) floats, at least 11 px high and wide.
        deviation: Standard deviation [px].
    """
    places = torch.arange(-REACH, REACH + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-(places**2) / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = functional.pad(images, (REACH, REACH, REACH, REACH), mode="reflect")
    rows = functional.conv2d(padded, kernel, groups=images.shape[1])
    return functional.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])


def grey(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1, H, W): the images without colour, as encoded."""
    weights = torch.tensor(GREY, device=images.device, dtype=images.dtype)
    return (images * weights[:, None, None]).sum(1, keepdim=True)


def total_variation(images: Tensor) -> Tensor:
    """The mean squared difference of neighbours in a column, and that of neighbours in a row, added.

    Args:
        images: (N, C, H, W) floats, at least 2 px high and wide.
    """
    return images.diff(dim=2).square().mean() + images.diff(dim=3).square().mean()

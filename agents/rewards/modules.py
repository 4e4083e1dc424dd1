"""Torch modules as reward models: networks, metrics of torchmetrics, piq or pyiqa, and functions like them."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from exposure_env.image import Array
from exposure_env.rewards import name_of


class TorchReward:
    """A Torch module, or a function of tensors, as a reward model for the environment's arrays and agents' tensors.

    A module is put into evaluation mode. The scores of arrays are arrays, computed without gradients. Those of tensors
    are tensors on the images' device, and gradients flow from them to the images, wherever the module is.

    Args:
        module: Called with a batch of images, and with what it compares them with if `against` says so; returns (N,) or
            (N, 1) scores.
        layout: "NCHW", as most networks have it, or "NHWC", as it comes.
        against: None for a module that looks at the images alone; "targets" or "inputs" for one that compares.
        lower_better: Whether it is a distance, as pyiqa's metrics say of themselves; by default the module's own word.
        one_by_one: Whether it is called with one image at a time, for metrics that give one number for a whole batch.
        batch_size: Most images at once.
        device: Where the module is put; None leaves it where it is.
        name: What to call it; by default the module's own name.

    Raises:
        ValueError: If a layout or a context is unknown, or `batch_size` is below 1.
    """

    differentiable = True

    def __init__(self, module: Callable[..., Tensor], *, layout: Literal["NCHW", "NHWC"] = "NCHW",
                 against: Literal["targets", "inputs"] | None = None, lower_better: bool | None = None,
                 one_by_one: bool = False, batch_size: int = 64, device: str | torch.device | None = None,
                 name: str | None = None):
        if layout not in ("NCHW", "NHWC"):
            raise ValueError(f'layout must be "NCHW" or "NHWC", not {layout!r}')
        if against not in (None, "targets", "inputs"):
            raise ValueError(f'against must be None, "targets" or "inputs", not {against!r}')
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if isinstance(module, nn.Module):
            module = (module if device is None else module.to(device)).eval()
        self.module, self.layout, self.against, self.device = module, layout, against, device
        self.lower_better = bool(getattr(module, "lower_better", False)) if lower_better is None else lower_better
        self.batch_size = 1 if one_by_one else batch_size
        self.name = name or (type(module).__name__ if isinstance(module, nn.Module) else name_of(module))
        self.keeps_images = False

    def __repr__(self) -> str:
        return f"TorchReward({self.name})"

    @property
    def version(self) -> Any:
        """The module's own; None if it has none."""
        return getattr(self.module, "version", None)

    def __call__(self, images: Array, **context: Array | None) -> Array:
        """(N,) scores of images (N, H, W, 3).

        Raises:
            ValueError: If there is nothing to compare with, or the module gives one number for several images.
        """
        given = [images]
        if self.against is not None:
            if context[self.against] is None:
                raise ValueError(f"reward {self.name} compares with {self.against}, and the photos have none: give "
                                 "paired photos")
            given.append(context[self.against])
        if isinstance(images, Tensor):
            return self._scores(given).to(images.device)
        with torch.no_grad():
            return self._scores([torch.as_tensor(np.asarray(each)) for each in given]).cpu().numpy()

    def _scores(self, given: list[Tensor]) -> Tensor:
        device = self._device(given[0])
        given = [each.to(device) for each in given]
        if self.layout == "NCHW":
            given = [each.permute(0, 3, 1, 2) for each in given]
        chunks = zip(*(each.split(self.batch_size) for each in given), strict=True)
        return torch.cat([self._checked(self.module(*chunk), len(chunk[0])) for chunk in chunks])

    def _device(self, images: Tensor) -> torch.device | str:
        if self.device is not None:
            return self.device
        weights = next(self.module.parameters(), None) if isinstance(self.module, nn.Module) else None
        return images.device if weights is None else weights.device

    def _checked(self, scores: Any, num: int) -> Tensor:
        scores = torch.as_tensor(scores)
        if scores.numel() != num:
            raise ValueError(f"reward {self.name} gave {scores.numel()} numbers of shape {tuple(scores.shape)} for "
                             f"{num} images: set its reduction to 'none', or one_by_one=True")
        return scores.reshape(num)

"""The renderings of `fusion`, compiled, for float32 NumPy arrays.

Three things make them fast. Exposing takes no power function: an sRGB value above the knee is a power of light, so a
gain in light is a gain in x + 0.055, and the few powers left are taken once per photo. The blend is computed as the
photo plus the blend of what every exposure changes in it, so exposures of 0 EV cost nothing and leave the photo as it
is to the last bit. And all planes of a photo stay in the processor's cache.

On photographs, their error against the definition in float64 is on average half that of the definition in float32.
"""

import importlib
import math
from collections.abc import Callable
from functools import cache, partial
from types import ModuleType
from typing import Any, get_args

import numpy as np
from array_api_compat import is_torch_array

from exposure_env.image import Space
from exposure_env.kernels.blend import blend, expose_segments
from exposure_env.threads import ranges, spread

LARGEST = 512  # side of an image [px]: beyond it planes leave the cache; `retouch.full_size` is for those
PIXELS = 2048  # the least to give to a thread: they take a tenth of a millisecond


@cache
def _tensors() -> ModuleType:
    """`kernels.tensors`, which imports Torch: only for those who come with tensors."""
    return importlib.import_module("exposure_env.kernels.tensors")


@cache
def levels_of(height: int, width: int, levels: int) -> np.ndarray:
    """Height, width, width and size of a plane with its frame, and offset of each pyramid level: (levels + 1, 5)."""
    rows, start = [], 0
    for _ in range(levels + 1):
        stride = width + 4 + width % 2
        plane = ((height + 1) // 2 + 2) * stride
        rows.append((height, width, stride, plane, start))
        start += 2 * plane
        height, width = (height + 1) // 2, (width + 1) // 2
    return np.array(rows, np.int64)


def _layout(photos: Any, levels: int | None) -> np.ndarray:
    """The `levels_of` photos (N, H, W, 3), with as many halvings as the shorter side allows, at most `levels`."""
    height, width = photos.shape[1:3]
    deepest = int(math.log2(min(height, width)))
    return levels_of(height, width, deepest if levels is None else max(0, min(levels, deepest)))


def _takes(photos: Any, labels: Any, evs: Any, count: Any = None, masked: bool = True) -> bool:
    """Whether the compiled renderings support these arrays; `masked` says whether they look at the labels."""
    arrays = [photos, labels, evs] if count is None else [photos, labels, evs, count]
    if not all(type(array) is np.ndarray and array.size for array in arrays):
        return False
    num, slots = evs.shape if evs.ndim == 2 else (0, 0)
    if not (photos.dtype == evs.dtype == np.float32 and photos.ndim == 4 and max(photos.shape[1:3]) <= LARGEST
            and photos.shape[::3] == (num, 3) and labels.shape == photos.shape[:3] and labels.dtype.kind in "iu"):
        return False
    if count is not None and (count.shape != (num,) or count.dtype.kind not in "iu"):
        return False
    return not masked or (labels.min() >= 0 and labels.max() < slots)


def _spread(kernel: Callable[..., None], photos: np.ndarray, *arrays: np.ndarray, options: tuple) -> np.ndarray:
    """The kernel's results for the photos, some photos on every thread."""
    photos, *arrays = (_plain(array) for array in (photos, *arrays))
    out = np.empty_like(photos)
    least = max(1, PIXELS // (photos.shape[1] * photos.shape[2]))
    spread(lambda some: kernel(photos[some], *(array[some] for array in arrays), *options, out[some]),
                   ranges(len(photos), least))
    return out


def _plain(array: np.ndarray) -> np.ndarray:
    """The array in the form that the kernels are compiled for: contiguous, writable, float32 or int32."""
    return np.require(array, np.float32 if array.dtype.kind == "f" else np.int32, ["C", "A", "W"])


def _pyramid(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, count: np.ndarray | None = None, *,
             space: Space, levels: int | None, clip_input: bool, clip_output: bool, feather: int = 0,
             powers: tuple[float, float, float] = (0.0, 0.0, 0.0), epsilon: float = 0.0, include_input: bool = False,
             masked: bool = False, weighed: bool = False) -> np.ndarray:
    """The blends of `fusion`: with masks or without (`masked`), with Mertens weights or without (`weighed`)."""
    counts = np.full(len(photos), evs.shape[1], np.int32) if count is None else count
    options = (_layout(photos, levels), _is_linear(space), masked, weighed, bool(include_input), int(feather),
               tuple(map(np.float32, powers)), np.float32(epsilon), (bool(clip_input), bool(clip_output)))
    return _spread(blend, photos, labels, evs, counts, options=options)


def _is_linear(space: Space) -> bool:
    if space not in get_args(Space):
        raise ValueError(f'space must be "linear" or "encoded", not {space!r}')
    return space == "linear"


def local(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, count: np.ndarray | None = None, *,
          space: Space = "linear", clip_output: bool = True) -> np.ndarray:
    """The compiled `fusion.local`; also for tensors on the CPU through which no gradient flows."""
    if is_torch_array(photos) and (tensors := _tensors()).takes(photos, labels, evs):
        run = partial(local, space=space, clip_output=clip_output)
        return tensors.without_gradients(run, photos, labels, evs)
    if not _takes(photos, labels, evs, count):
        return NotImplemented
    return _spread(expose_segments, photos, labels, evs, options=(_is_linear(space), bool(clip_output)))


def mask_pyramid(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, count: np.ndarray | None = None, *,
                 space: Space = "linear", levels: int = 3, feather: int = 1, clip_input: bool = True,
                 clip_output: bool = True) -> np.ndarray:
    """The compiled `fusion.mask_pyramid`; also for tensors on the CPU, see `kernels.tensors`."""
    if is_torch_array(photos) and (tensors := _tensors()).takes(photos, labels, evs):
        if not _takes(photos.numpy(), labels.numpy(), evs.detach().numpy()):
            return NotImplemented
        render = partial(_pyramid, space=space, levels=levels, feather=feather, clip_input=clip_input,
                         clip_output=False, masked=True)
        return tensors.mask_pyramid(photos, labels, evs, render, _layout(photos, levels), space, feather,
                                    (clip_input, clip_output))
    if not _takes(photos, labels, evs, count):
        return NotImplemented
    return _pyramid(photos, labels, evs, space=space, levels=levels, feather=feather, clip_input=clip_input,
                    clip_output=clip_output, masked=True)


def mertens(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, count: np.ndarray | None = None, *,
            space: Space = "linear", contrast: float = 1.0, saturation: float = 1.0, exposedness: float = 1.0,
            include_input: bool = True, epsilon: float = 1e-6, levels: int | None = None, clip_input: bool = True,
            clip_output: bool = True) -> np.ndarray:
    """The compiled `fusion.mertens`."""
    if not _takes(photos, labels, evs, count, masked=False):
        return NotImplemented
    return _pyramid(photos, labels, evs, count, space=space, levels=levels, clip_input=clip_input,
                    clip_output=clip_output, powers=(contrast, saturation, exposedness), epsilon=epsilon,
                    include_input=include_input, weighed=True)


def mertens_masked(photos: np.ndarray, labels: np.ndarray, evs: np.ndarray, count: np.ndarray | None = None, *,
                   space: Space = "linear", contrast: float = 1.0, saturation: float = 1.0, exposedness: float = 1.0,
                   include_input: bool = False, epsilon: float = 1e-6, levels: int = 3, feather: int = 8,
                   clip_input: bool = True, clip_output: bool = True) -> np.ndarray:
    """The compiled `fusion.mertens_masked`."""
    if not _takes(photos, labels, evs, count):
        return NotImplemented
    return _pyramid(photos, labels, evs, space=space, levels=levels, feather=feather, clip_input=clip_input,
                    clip_output=clip_output, powers=(contrast, saturation, exposedness), epsilon=epsilon,
                    include_input=include_input, masked=True, weighed=True)

"""Conversions between NumPy arrays and Torch tensors, and the state of random numbers."""

import json
from typing import Any

import numpy as np
import torch

from exposure_env.image import Array
from exposure_env.parsing import parse_json


def rng_state(rng: np.random.Generator) -> str:
    """The state of a generator as JSON, because its 128-bit integers do not fit into tensors."""
    return json.dumps(rng.bit_generator.state)


class RandomSource:
    """A mixin for a source whose draws depend on its generator `rng`, its settings and its photos alone."""

    rng: np.random.Generator

    def state_dict(self) -> dict[str, Any]:
        """The state of the random numbers, all that later draws depend on besides settings and photos."""
        return {"rng": rng_state(self.rng)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where another source of the same photos left off.

        Args:
            state: The result of its `state_dict`.
        """
        self.rng.bit_generator.state = parse_json(state["rng"])


def alike(images: Array, other: Array) -> Array:
    """The images as an array of the same kind as the other, on the same device."""
    return torch.as_tensor(images, device=other.device) if isinstance(other, torch.Tensor) else on_host(images)


def on_host(array: Array) -> np.ndarray:
    """The array as a NumPy array."""
    return array.cpu().numpy() if isinstance(array, torch.Tensor) else array


def tensors(tree: Any) -> Any:
    """The same lists, tuples and dicts with tensors in place of arrays.

    Args:
        tree: See `checkpoints.write_checkpoint`.

    Raises:
        ValueError: If it contains anything but tensors, arrays, numbers, strings and None.
    """
    if isinstance(tree, dict):
        return {key: tensors(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(tensors(value) for value in tree)
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(tree))
    if isinstance(tree, np.generic):
        return tree.item()
    if tree is None or isinstance(tree, torch.Tensor | int | float | str):
        return tree
    raise ValueError(f"a checkpoint holds tensors, numbers and strings, not {type(tree).__name__}")


def arrays(tree: Any) -> Any:
    """The same lists, tuples and dicts with copied arrays in place of tensors: the inverse of `tensors`."""
    if isinstance(tree, dict):
        return {key: arrays(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(arrays(value) for value in tree)
    return tree.numpy().copy() if isinstance(tree, torch.Tensor) else tree

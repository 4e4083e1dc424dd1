"""Weights of networks as safetensors files, with settings as metadata. Nothing in a file is executed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from exposure_env.files import write_whole


def write_weights(path: Path, weights: Mapping[str, Tensor], meta: Mapping[str, str]) -> None:
    """Writes a file, whole or not at all; the same weights and metadata give the same bytes.

    Args:
        path: File to write; its folder is made.
        weights: Tensors by name.
        meta: Metadata, among it "format".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in weights.items()}
    write_whole(path, _sorted(save(plain, dict(meta))))  # save_file would make it readable only by its owner


def found(path: str | os.PathLike, name: str, what: str) -> Path:
    """A file of weights, given by its path or that of a run's folder.

    Args:
        path: Either.
        name: The file's name in a run's folder.
        what: What it holds, for the error message.

    Raises:
        ValueError: If there is none.
    """
    path = Path(path)
    path = path / name if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"no {what} at {path}: give a run folder or its {name}")
    return path


def read_weights(path: Path, expected: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights in a file, as float32, and its metadata.

    Args:
        path: File to read.
        expected: Its format.

    Raises:
        ValueError: If it is damaged or of another format, or a weight is no finite number.
    """
    try:
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file, and nothing else is loaded: {error}") from error
    if meta.get("format") != expected:
        raise ValueError(f"{path} must be of format {expected!r}, not {meta.get('format')!r}")
    for name, tensor in weights.items():
        if not (tensor.is_floating_point() and bool(tensor.isfinite().all())):
            raise ValueError(f"the weights in {path} must be finite numbers, but some of {name!r} are not")
    return {name: tensor.to(torch.float32, copy=True) for name, tensor in weights.items()}, meta


def assign(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Gives a network, which may be on Torch's meta device, the weights of a file.

    Raises:
        ValueError: If they are those of another network.
    """
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} don't fit its settings: {error}") from error


def _sorted(content: bytes) -> bytes:
    """The same safetensors file with a sorted header; `save` orders the metadata differently each time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]

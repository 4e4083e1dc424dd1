"""Weights of networks as safetensors files, with settings as metadata. Nothing in a file is executed."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

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


def _sorted(content: bytes) -> bytes:
    """The same safetensors file with a sorted header; `save` orders the metadata differently each time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]

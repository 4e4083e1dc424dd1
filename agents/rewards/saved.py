"""Reward models that have learned, as safetensors files: their weights and their shape. Nothing in a file is executed.

A file holds one discriminator, several that judge together, or a model of somebody's preferences, which has the same
networks (see `preferences`).
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from agents.networks import Discriminator
from agents.rewards.discriminator import DiscriminatorReward
from agents.weights import assign, found, read_weights, write_weights
from exposure_env.image import Array
from exposure_env.parsing import parse_json

FORMAT = "deepexposure-gym reward, version 1"
FILE_NAME = "reward.safetensors"
SHIPPED = Path(__file__).parents[1] / "pretrained" / FILE_NAME
MOST_MEMBERS = 64
Kind = Literal["discriminator", "preferences"]


class FrozenReward:
    """Networks that no longer learn, as one reward model: the mean of their scores.

    Where there are several, their standard deviation is reported as the part "disagreement": how little they know about
    such images. With `caution` it lowers the score, so that an agent stays where they agree.

    Args:
        networks: Discriminators for images of one size.
        kind: What they have learned from.
        caution: Weight of the disagreement that is subtracted from the mean.
        device: Where the networks are put.

    Raises:
        ValueError: If there are no networks, they are for images of different sizes, or `caution` is below 0.
    """

    differentiable, version, keeps_images = True, 0, True

    def __init__(self, networks: Sequence[Discriminator], kind: Kind = "discriminator", *, caution: float = 0.0,
                 device: str | torch.device = "cpu"):
        if not networks or len({network.settings["size"] for network in networks}) > 1:
            raise ValueError(f"an ensemble needs networks for images of one size, not "
                             f"{[network.settings['size'] for network in networks]}")
        if not caution >= 0:
            raise ValueError(f"caution must be 0 or more, not {caution}")
        self.members = [DiscriminatorReward(network.requires_grad_(False), device=device) for network in networks]
        self.kind, self.caution = kind, caution
        self.size = networks[0].settings["size"]
        self.parts = ("disagreement",) if len(networks) > 1 else ()

    def __repr__(self) -> str:
        return f"FrozenReward({len(self.members)} x {self.kind})"

    def __call__(self, images: Array, **context: Any) -> Array | tuple[Array, dict[str, Array]]:
        """(N,) scores, higher is better; with several members also {"disagreement": (N,)}.

        Raises:
            ValueError: If the images are of another size than the networks were made for.
        """
        if images.shape[1:3] != (self.size, self.size):
            raise ValueError(f"this reward was made for images of {self.size} px, not {tuple(images.shape[1:3])}")
        scores = [member(images) for member in self.members]
        if len(scores) == 1:
            return scores[0]
        if isinstance(images, Tensor):
            every = torch.stack(scores)
            mean, spread = every.mean(0), (every.var(0, correction=0) + 1e-12).sqrt()
        else:
            every = np.stack(scores)
            mean, spread = every.mean(0), np.sqrt(every.var(0) + 1e-12)
        return mean - self.caution * spread, {"disagreement": spread}


def save_reward(path: str | os.PathLike, networks: Sequence[Discriminator], kind: Kind = "discriminator") -> None:
    """Writes networks as one file, whole or not at all.

    Args:
        path: File to write.
        networks: Discriminators of one shape.
        kind: What they have learned from.

    Raises:
        ValueError: If they differ in shape.
    """
    shapes = [network.settings for network in networks]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"the networks of one file must have one shape, not {shapes}")
    meta = {"format": FORMAT, "kind": kind, "network": json.dumps(shapes[0]), "members": str(len(networks))}
    weights = {f"{i}.{name}": tensor for i, network in enumerate(networks)
               for name, tensor in network.state_dict().items()}
    write_weights(Path(path), weights, meta)


def load_reward(path: str | os.PathLike | None = None, *, caution: float = 0.0,
                device: str | torch.device = "cpu") -> FrozenReward:
    """The reward model in a file or a run's folder; by default the small discriminator shipped with the package.

    Args:
        path: The file or folder.
        caution: See `FrozenReward`.
        device: Where the networks are put.

    Raises:
        ValueError: If the file is missing, damaged or not a reward model, or its weights don't fit its settings or
            aren't finite.
    """
    path = found(SHIPPED if path is None else path, FILE_NAME, "reward model")
    weights, meta = read_weights(path, FORMAT)
    with torch.device("meta"):  # without memory: however large the settings say it is, only the file's weights take any
        networks = _empty(meta, path)
    for i, network in enumerate(networks):
        own = {name.removeprefix(f"{i}."): tensor for name, tensor in weights.items() if name.startswith(f"{i}.")}
        assign(network, own, path)
    return FrozenReward(networks, meta["kind"], caution=caution, device=device)


def load_ensemble(paths: Sequence[str | os.PathLike], *, caution: float = 0.0,
                  device: str | torch.device = "cpu") -> FrozenReward:
    """The networks of several files or runs, such as those of one training with several seeds, judging together.

    Args:
        paths: See `load_reward`.
        caution: See `FrozenReward`.
        device: Where the networks are put.

    Raises:
        ValueError: If there are none, one can't be loaded, or they are for images of different sizes.
    """
    members = [member.network for path in paths for member in load_reward(path).members]
    return FrozenReward(members, caution=caution, device=device)


def shipped() -> FrozenReward:
    """The reward model of the name "discriminator"."""
    return load_reward()


def _empty(meta: dict[str, str], path: Path) -> list[Discriminator]:
    """The untrained networks that the metadata describes."""
    try:
        shape, members = parse_json(meta["network"]), int(meta["members"])
        if meta["kind"] not in ("discriminator", "preferences") or not 1 <= members <= MOST_MEMBERS:
            raise ValueError(f"kind and members are {meta['kind']!r} and {members}")
        if not isinstance(shape, dict):
            raise ValueError(f"network must be a JSON object, not {shape!r:.100}")
        for name in ("size", "width", "halvings"):
            if not (isinstance(shape.get(name), int) and 0 <= shape[name] <= 4096):
                raise ValueError(f"{name} must be an integer from 0 to 4096, not {shape.get(name)!r:.100}")
        return [Discriminator(**shape) for _ in range(members)]
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        raise ValueError(f"the settings in {path} are not those of a reward model: {error}") from error

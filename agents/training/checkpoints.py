"""Checkpoints, from which an interrupted training run resumes bit for bit: a run's state, and the file that keeps it.

Bit for bit on the CPU: a GPU adds up gradients in a different order every time, so there a resumed run gets the same
photos, noise and order, but not the same last bits. The state is taken between two updates, when nothing is half done.
`checkpoint.pt` holds only tensors, numbers, strings, lists and dicts and is read as such: nothing in it can execute.
"""

import json
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agents.arrays import tensors
from exposure_env.files import written_whole
from exposure_env.parsing import parse_json

CHECKPOINT = "checkpoint.pt"
FORMAT = "deepexposure-gym checkpoint, version 1"


class Randomness:
    """The random number generators that a whole process shares: Python's, NumPy's and Torch's."""

    def state_dict(self) -> dict[str, Any]:
        """The states of the generators; Torch's is the CPU's, the only one that training uses, on any device."""
        name, keys, *rest = np.random.get_state()  # used by SB3's noise
        return {"python": json.dumps(random.getstate()), "numpy": json.dumps([name, keys.tolist(), *rest]),
                "torch": torch.get_rng_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the states of the generators.

        Args:
            state: The result of `state_dict`.

        Raises:
            ValueError: If it is the state of something else.
        """
        try:
            version, internal, gauss = parse_json(state["python"])
            name, keys, *rest = parse_json(state["numpy"])
            random.setstate((version, tuple(internal), gauss))
            np.random.set_state((name, np.array(keys, np.uint32), *rest))
            torch.set_rng_state(state["torch"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"these are not the states of generators: {error!r}") from error


class Checkpoints(BaseCallback):
    """A callback that saves a run between two updates: at the start, at regular intervals, and at the end.

    Args:
        path: File to write.
        parts: The parts of the run by name, among them "model"; each has `state_dict` and `load_state_dict`.
        every: Updates between two checkpoints; one that is due waits until the run is healthy.
        healthy: Whether the run is worth saving in its current state.
        before: Called with the number of updates before each checkpoint is written.

    Raises:
        ValueError: If `every` is below 1.
    """

    def __init__(self, path: Path, parts: dict[str, Any], every: int, healthy: Callable[[], bool] = lambda: True,
                 before: Callable[[int], None] = lambda updates: None):
        super().__init__()
        if every < 1:
            raise ValueError(f"checkpoint_every must be at least 1, not {every}")
        self.path, self.parts, self.every, self.healthy, self.before = path, parts, every, healthy, before
        self.written = -every  # so that one is written before the first update
        self.playing = False

    def _on_rollout_start(self) -> None:
        if self.model.num_updates >= self.written + self.every and self.healthy():
            self.write()
        self.playing = True

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.playing = False

    def _on_training_end(self) -> None:
        if self.model.num_updates > self.written and not self.playing:  # a callback may stop it during play
            self.write()

    def write(self) -> None:
        """Writes the current state."""
        self.written = self.parts["model"].num_updates
        self.before(self.written)
        write_checkpoint(self.path, {name: part.state_dict() for name, part in self.parts.items()})

    def load(self) -> None:
        """Restores all parts from the file.

        Raises:
            ValueError: If the file is missing, damaged, or of another kind of run.
        """
        state = read_checkpoint(self.path)
        if missing := self.parts.keys() - state.keys():
            raise ValueError(f"{self.path} is of another kind of run: it lacks {sorted(missing)}")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.written = self.parts["model"].num_updates


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a state, whole or not at all: whenever the power fails, the file is either the old or the new one.

    Args:
        path: File to write.
        state: Tensors, arrays, numbers, strings, None, and lists, tuples and dicts of them.

    Raises:
        ValueError: If it contains anything else.
    """
    with written_whole(path) as file:
        torch.save({"format": FORMAT, **tensors(state)}, file)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state in a file that `write_checkpoint` wrote, with tensors in place of arrays.

    Args:
        path: File to read.

    Raises:
        ValueError: If the file is missing, damaged or not a checkpoint.
    """
    if not path.is_file():
        raise ValueError(f"there is no {path}, so there is nothing to go on with: start a new run")
    try:
        with zipfile.ZipFile(path) as archive:  # for its checksums, which torch.load ignores
            if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:  # Torch never compresses
                raise ValueError("it is compressed")
            if damaged := archive.testzip():
                raise ValueError(f"the checksum of {damaged} is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is damaged, or no checkpoint: {error}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{path} must be of format {FORMAT!r}")
    return state

"""Going on with an interrupted training run, bit for bit: what a run's state is, and the files that keep it.

Bit for bit on the CPU: a GPU adds up gradients in another order every time, so there the run goes on with the same
photos, noise and order, but not to the last bit. The state is taken between two updates, where nothing is half done.
`checkpoint.pt` holds tensors, numbers, strings, lists and dicts only and is read as such: nothing in it can execute.
"""

import copy
import json
import os
import pickle
import random
import zipfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import VectorizedActionNoise

CHECKPOINT = "checkpoint.pt"
FORMAT = "deepexposure-gym checkpoint, version 1"


class Resumable:
    """What an algorithm of Stable-Baselines3 on an `ExposureVecEnv` needs to go on where another one was."""

    @property
    def num_updates(self) -> int:
        """Updates so far."""
        return self._n_updates

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that further updates depend on, but for settings, photos, reward model and random numbers.

        To be taken between two updates. With it, `learn(reset_num_timesteps=False)` goes on in the midst of episodes.
        """
        noise = getattr(self, "_noise", None)
        critic = self.policy.critic_optimizer
        return copy.deepcopy({
            "policy": self.policy.state_dict(),
            "optimizer": self.policy.optimizer.state_dict(),
            "critic_optimizer": None if critic is None else critic.state_dict(),
            "num_timesteps": self.num_timesteps,
            "n_updates": self._n_updates,
            "progress_remaining": self._current_progress_remaining,
            "ev_centre": self.ev_centre,
            "observations": self._last_obs,
            "episode_starts": self._last_episode_starts,
            "episodes": list(self.ep_info_buffer or []),
            "noise": None if noise is None else [getattr(each, "noise_prev", None) for each in noise.noises],
            "env": self.env.unwrapped.state_dict(),
        })

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another algorithm with the same settings was.

        Args:
            state: What its `state_dict` gave; arrays may have become tensors.

        Raises:
            ValueError: If it is the state of something else.
        """
        try:
            self.policy.load_state_dict(state["policy"])
            self.policy.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # it would share the tensors
            if self.policy.critic_optimizer is not None:
                self.policy.critic_optimizer.load_state_dict(copy.deepcopy(state["critic_optimizer"]))
            self.env.unwrapped.load_state_dict(arrays(state["env"]))
            self.num_timesteps, self._n_updates = state["num_timesteps"], state["n_updates"]
            self._current_progress_remaining, self.ev_centre = state["progress_remaining"], state["ev_centre"]
            self._last_obs, self._last_episode_starts = arrays(state["observations"]), arrays(state["episode_starts"])
            self.ep_info_buffer = deque(state["episodes"], maxlen=self._stats_window_size)
            self.ep_success_buffer = deque(maxlen=self._stats_window_size)
            if state["noise"] is not None:
                self._noise = VectorizedActionNoise(self.action_noise, self.n_envs)
                for each, before in zip(self._noise.noises, arrays(state["noise"]), strict=True):
                    if before is not None:
                        each.noise_prev = before
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"this is not the state of such an algorithm: {error!r}") from error


class Randomness:
    """The states of the generators that a whole process shares: Python's, NumPy's and Torch's."""

    def state_dict(self) -> dict[str, Any]:
        """Their states; of Torch the CPU's, the only one that training draws from, on whatever device."""
        name, keys, *rest = np.random.get_state()  # SB3's noise draws from it
        return {"python": json.dumps(random.getstate()), "numpy": json.dumps([name, keys.tolist(), *rest]),
                "torch": torch.get_rng_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Sets them.

        Args:
            state: What `state_dict` gave.

        Raises:
            ValueError: If it is the state of something else.
        """
        try:
            version, internal, gauss = json.loads(state["python"])
            name, keys, *rest = json.loads(state["numpy"])
            random.setstate((version, tuple(internal), gauss))
            np.random.set_state((name, np.array(keys, np.uint32), *rest))
            torch.set_rng_state(state["torch"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"these are not the states of generators: {error!r}") from error


class Checkpoints(BaseCallback):
    """Writes the state of a run between two updates: at the start, every so many updates, and at the end.

    Args:
        path: File to write.
        parts: What the run consists of, by name: each has `state_dict` and `load_state_dict`. One is the "model".
        every: Updates between two checkpoints; more where the run is not healthy when one is due.
        healthy: Whether the run is worth keeping as it is.
        before: Called before a checkpoint is written, with the number of updates.

    Raises:
        ValueError: If `every` is below 1.
    """

    def __init__(self, path: Path, parts: dict[str, Any], every: int, healthy: Callable[[], bool] = lambda: True,
                 before: Callable[[int], None] = lambda updates: None):
        super().__init__()
        if every < 1:
            raise ValueError(f"checkpoint_every must be at least 1, not {every}")
        self.path, self.parts, self.every, self.healthy, self.before = path, parts, every, healthy, before
        self.written = -every  # so that the first is written before the first update
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
        if self.model.num_updates > self.written and not self.playing:  # a callback may stop it in the midst of play
            self.write()

    def write(self) -> None:
        """Writes the state as it is now."""
        self.written = self.parts["model"].num_updates
        self.before(self.written)
        write_checkpoint(self.path, {name: part.state_dict() for name, part in self.parts.items()})

    def load(self) -> None:
        """Sets all parts to what the file says.

        Raises:
            ValueError: If there is no such file, it is damaged, or of another kind of run.
        """
        state = read_checkpoint(self.path)
        if missing := self.parts.keys() - state.keys():
            raise ValueError(f"{self.path} is of another kind of run: it lacks {sorted(missing)}")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.written = self.parts["model"].num_updates


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a state, atomically: whenever the power fails, the file is the old one or the new one.

    Args:
        path: File to write.
        state: Tensors, arrays, numbers, strings, None, and lists, tuples and dicts of them.

    Raises:
        ValueError: If there is something else in it.
    """
    scratch = path.with_suffix(".tmp")
    with open(scratch, "wb") as file:
        torch.save({"format": FORMAT, **tensors(state)}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state in a file that `write_checkpoint` wrote, with tensors in place of arrays.

    Args:
        path: File to read.

    Raises:
        ValueError: If there is no such file, or it is damaged or something else.
    """
    if not path.is_file():
        raise ValueError(f"there is no {path}, so there is nothing to go on with: start a new run")
    try:
        with zipfile.ZipFile(path) as archive:  # its checksums: torch.load looks at none
            if damaged := archive.testzip():
                raise ValueError(f"the checksum of {damaged} is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is damaged, or no checkpoint: {error}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{path} must be of format {FORMAT!r}")
    return state


def tensors(tree: Any) -> Any:
    """The same lists, tuples and dicts with tensors in place of arrays.

    Args:
        tree: See `write_checkpoint`.

    Raises:
        ValueError: If there is something in it that is no tensor, array, number, string or None.
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
    """The same lists, tuples and dicts with arrays, copied, in place of tensors: what `tensors` did, undone."""
    if isinstance(tree, dict):
        return {key: arrays(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(arrays(value) for value in tree)
    return tree.numpy().copy() if isinstance(tree, torch.Tensor) else tree


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a dict as JSON, atomically."""
    scratch = path.with_suffix(".json.tmp")
    scratch.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(scratch, path)


def read_json(path: Path) -> dict[str, Any]:
    """The dict in a JSON file.

    Raises:
        ValueError: If there is no such file, or it is something else.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.parent} holds no run to go on with: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, not {content!r}")
    return content


def check_same(given: dict[str, Any], kept: dict[str, Any], path: Path) -> None:
    """Makes sure that a run goes on as it began.

    Args:
        given: Settings now.
        kept: Settings then.
        path: Where those are kept.

    Raises:
        ValueError: If they differ, naming where.
    """
    given = json.loads(json.dumps(given))  # tuples become lists
    if names := sorted(name for name in given.keys() | kept.keys() if given.get(name) != kept.get(name)):
        told = ", ".join(f"{name} is {given.get(name)!r}, not {kept.get(name)!r}" for name in names)
        raise ValueError(f"the run goes on as it began, but {told} as in {path}")

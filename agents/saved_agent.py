"""Agents as safetensors files: the weights, and the settings needed to use them. Nothing in a file is executed."""

import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box

from agents.playing import play
from agents.policy import ExposurePolicy
from agents.weights import assign, found, read_weights, write_weights
from exposure_env.observations import observation_space
from exposure_env.parsing import parse_json
from exposure_env.photos import Photo
from exposure_env.retouch import RetouchPlan
from exposure_env.settings import TaskConfig
from exposure_env.task import ExposureTask

FORMAT = "deepexposure-gym agent, version 1"
FILE_NAME = "agent.safetensors"
SHIPPED = Path(__file__).parent / "pretrained" / FILE_NAME
ACTION_SPACE = Box(-1.0, 1.0, (1,), np.float32)
SETTINGS = {field.name for field in fields(TaskConfig)} - {"transform", "shaping", "labels_folder"}  # only for training
PLACEHOLDER = [Photo("none", np.zeros((8, 8, 3), np.float32))]  # a task needs a photo, even to define its spaces


class Agent(NamedTuple):
    """A policy and the settings of the task it was trained on."""

    policy: ExposurePolicy
    segmenter: str
    settings: dict[str, Any]  # fields of `TaskConfig`

    def task(self, photos: Any = None, reward_model: Any = "psnr") -> ExposureTask:
        """The agent's task, on the given photos."""
        return ExposureTask(photos, self.segmenter, reward_model, **self.settings)

    def plan(self, image: np.ndarray) -> RetouchPlan:
        """The agent's plan to retouch one photo.

        Args:
            image: (H, W, 3) uint8, uint16 or floats in [0, 1], of any size.

        Raises:
            ValueError: If the image is malformed.
        """
        task = self.task([Photo("photo", image)])
        state = play(self.policy, task, task.start([task.scene(0, np.random.default_rng(0))]))
        config, count = task.config, int(state.num_segments[0])
        return RetouchPlan(state.labels[0], state.evs[0, :count], fusion=config.fusion, space=config.space,
                           thumbnail=config.thumbnail)


def save_agent(path: str | os.PathLike, policy: ExposurePolicy, task: ExposureTask) -> None:
    """Writes an agent, whole or not at all.

    Args:
        path: File to write.
        policy: The trained policy.
        task: The task it was trained on.

    Raises:
        ValueError: If the task's segmenter or fusion is not given by name: it could not be loaded again.
    """
    settings = {name: value for name, value in asdict(task.config).items() if name in SETTINGS}
    for name, value in {"segmenter": task.segmenter, "fusion": task.config.fusion}.items():
        if not isinstance(value, str):
            raise ValueError(f"an agent's {name} must be a name, so that it can be loaded again, not {value!r}")
    meta = {"format": FORMAT, "settings": json.dumps(settings), "segmenter": task.segmenter,
            "policy": json.dumps(policy.settings)}
    write_weights(Path(path), policy.actor.state_dict(), meta)


def load_agent(path: str | os.PathLike | None = None) -> Agent:
    """The agent in a file or a run folder; by default the small one shipped with the package.

    Raises:
        ValueError: If the file is missing, damaged or not an agent, or its weights don't fit its settings or aren't
            finite.
    """
    path = found(SHIPPED if path is None else path, FILE_NAME, "agent")
    weights, meta = read_weights(path, FORMAT)
    with torch.device("meta"):  # without memory: however large the settings say it is, only the file's weights take any
        agent = _empty(meta, path)
    assign(agent.policy.actor, weights, path)
    return agent


def _empty(meta: dict[str, str], path: Path) -> Agent:
    """The untrained agent that the metadata describes."""
    try:
        settings, shape = parse_json(meta["settings"]), parse_json(meta["policy"])
        if not (isinstance(settings, dict) and isinstance(shape, dict)):
            raise ValueError(f"settings and policy must be JSON objects, not {settings!r:.100} and {shape!r:.100}")
        for name, number in shape.items():
            if name != "actor" and not (isinstance(number, int) and 0 <= number <= 4096):
                raise ValueError(f"{name} must be an integer from 0 to 4096, not {number!r:.100}")
        # No other setting may reach the constructors: a "reward_model" would be imported and called.
        if extra := set(settings) - SETTINGS | set(shape) - {"width", "halvings", "actor"}:
            raise ValueError(f"{sorted(extra)} don't belong to an agent")
        task = ExposureTask(PLACEHOLDER, meta["segmenter"], **settings)
        policy = ExposurePolicy(observation_space(task.config, "uint8"), ACTION_SPACE, **shape)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, MemoryError) as error:  # Torch: RuntimeErrors
        raise ValueError(f"the settings in {path} are not those of an agent: {error}") from error
    policy.set_training_mode(False)
    return Agent(policy, meta["segmenter"], settings)

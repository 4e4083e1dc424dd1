"""By what a game is judged: the rewards that a player may choose from, and what a run's own networks expect."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.networks import Critic
from agents.rewards import load_reward
from agents.rewards.saved import FILE_NAME as REWARD
from agents.saved_agent import PLACEHOLDER, SHIPPED, Agent
from agents.training.checkpoints import CHECKPOINT, read_checkpoint
from agents.training.run_folder import CONFIG, read_config
from agents.weights import assign
from exposure_env import episode
from exposure_env.episode import CHANNELS
from exposure_env.rewards import resolve_reward
from exposure_env.task import ExposureTask

SHAPES = {  # title, unit and digits of a score
    "psnr": ("PSNR", "dB", 1), "ssim": ("SSIM", "", 3), "ciede2000": ("CIEDE2000, negated", "", 1),
    "well_exposedness": ("Well-exposedness", "", 3), "entropy": ("Entropy", "bit", 2),
    "colourfulness": ("Colourfulness", "", 3), "mean_luminance": ("Mean luminance", "", 3),
    "discriminator": ("Discriminator", "", 2),
}  # fmt: skip
ALWAYS = ("psnr", "well_exposedness", "entropy", "colourfulness", "mean_luminance", "discriminator")


class Judge(NamedTuple):
    """A reward model to choose, and how its scores are written."""

    name: str
    title: str
    unit: str  # "" where there is none
    digits: int  # after the point
    model: Callable[..., Any]
    needs_target: bool


class Estimate(NamedTuple):
    """What a run's own network thinks of the states on the way."""

    title: str
    of: Callable[[episode.EpisodeState], np.ndarray]  # N states -> (N,)
    at_end: bool  # whether it can say something of a finished state, too


class InTurn:
    """A reward model that is asked by one thread at a time: a user's own need not stand more."""

    def __init__(self, model: Callable[..., Any]):
        self._model, self._lock = model, Lock()

    def __getattr__(self, name: str) -> Any:
        """Whatever else the model has: whether it is differentiable, its version."""
        return getattr(self._model, name)

    def __call__(self, images: Any, **context: Any) -> Any:
        """The model's own answer."""
        with self._lock:
            return self._model(images, **context)


def judges(task: ExposureTask, extra: str | None = None) -> dict[str, Judge]:
    """The reward models that games of this task offer, by name; the extra one first.

    A reward that is there by default is left out where it can't judge thumbnails of the task's size.

    Args:
        task: The agent's task.
        extra: Another one: a name, "module:attribute", or the path of a run or a reward's file.

    Raises:
        ValueError: If the extra one doesn't exist, or can't judge a photo.
    """
    found = {}
    for name in dict.fromkeys(filter(None, (extra, *ALWAYS))):
        model = resolve_reward(name)
        try:
            needs_target = _needs_target(task, model)
        except ValueError:
            if name == extra:
                raise
            continue
        title, unit, digits = SHAPES.get(name, (Path(name).name.removesuffix(".safetensors"), "", 3))
        found[name] = Judge(name, title, unit, digits, model if name in SHAPES else InTurn(model), needs_target)
    return found


def _needs_target(task: ExposureTask, model: Callable[..., Any]) -> bool:
    """Whether the model can't judge a photo without a target.

    Raises:
        ValueError: If it can't judge one with a target, either.
    """
    size = task.config.size
    image = np.full((1, size, size, 3), 0.4, np.float32)
    state = episode.start(image, np.zeros((1, size, size), np.int32), 1)
    try:
        task.score(state, model)
    except ValueError:
        task.score(state._replace(targets=image), model)
        return True
    return False


def run_estimate(agent: Agent, run: Path | None) -> Estimate | None:
    """What the agent's own run says about states: its critic's V(s), else its discriminator's D(S_t), else nothing.

    Args:
        agent: The agent.
        run: Its run folder or file; None for the shipped agent.

    Raises:
        ValueError: If the run's configuration, checkpoint or reward is damaged.
    """
    folder = SHIPPED.parent if run is None else run if run.is_dir() else run.parent
    task = agent.task(PLACEHOLDER)
    if (folder / CONFIG).exists() and (folder / CHECKPOINT).exists() and read_config(folder).value == "critic":
        return _critic(agent, task, folder / CHECKPOINT)
    if not (folder / REWARD).exists():
        return None
    reward = load_reward(folder)
    if reward.size != task.config.size:
        return None
    whose = "the shipped discriminator" if run is None else "the run’s discriminator"
    return Estimate(f"D(Sₜ), {whose}", lambda states: np.asarray(task.score(states, reward), np.float64), True)


def _critic(agent: Agent, task: ExposureTask, path: Path) -> Estimate:
    """The critic in a checkpoint."""
    weights = read_checkpoint(path).get("model", {}).get("policy", {})
    own = {name.removeprefix("critic."): each for name, each in weights.items() if name.startswith("critic.")}
    critic = Critic(CHANNELS[task.config.planes], task.config.size, agent.policy.width, agent.policy.halvings)
    assign(critic, own, path)

    def values(states: episode.EpisodeState) -> np.ndarray:
        planes = episode.observe(states, task.local(states), task.config.planes)
        with torch.no_grad():
            return critic(torch.as_tensor(planes).permute(0, 3, 1, 2)).double().numpy()

    return Estimate("V(s), the run’s critic", values, False)

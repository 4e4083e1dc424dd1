"""Pictures of what an agent does."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.saved_agent import Agent
from exposure_env import episode, files, render
from exposure_env.panels import panels
from exposure_env.photos import Photo

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def episode_picture(agent: Agent, photo: Photo, panel: int = 192) -> np.ndarray:
    """The storyboard of an agent's episode on a photo: (rows, columns, 3) uint8, one panel per step.

    Args:
        agent: The agent.
        photo: The photo. Where it has a target, that is shown, and PSNR is the score and the reward.
        panel: Side of each picture in a panel [px].
    """
    task, plan = agent.task([photo]), agent.plan(photo.image)
    state, scored = task.start([task.scene(0, np.random.default_rng(0))]), photo.target is not None
    shown = []
    for ev in plan.evs.astype(np.float32):
        before, state = state, task.advance(state, ev[None])
        done = episode.is_done(state)
        reward = task.rewards(before, state, done, task.finish(state) if done[0] else None)[0] if scored else None
        shown += panels(task, state, [(float(ev), reward)], scored=scored, panel=panel)
    return render.storyboard(shown)


def write_figure(path: Path, figure: "Figure", dpi: int = 110) -> None:
    """Writes a Matplotlib figure as a PNG file, whole or not at all."""
    with files.written_whole(path) as file:
        figure.savefig(file, dpi=dpi, format="png")


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a (rows, columns, 3) uint8 picture as a PNG, JPEG or TIFF file."""
    files.save_image(path, files.ImageFile(picture, None, None, None))

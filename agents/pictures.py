"""Pictures of what an agent does."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.saved_agent import Agent
from exposure_env import episode, files, render
from exposure_env.photos import Photo

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def episode_picture(agent: Agent, photo: Photo, panel: int = 192) -> np.ndarray:
    """The storyboard of an agent's episode on a photo: (rows, columns, 3) uint8, one panel per step.

    Args:
        agent: The agent.
        photo: The photo.
        panel: Side of each picture in a panel [px].
    """
    task, plan = agent.task([photo]), agent.plan(photo.image)
    state = episode.start(task.thumbnail(photo.image)[None], plan.labels[None], task.config.max_segments)
    panels = []
    for ev in plan.evs.astype(np.float32):
        state = episode.advance(state, ev[None])
        panels.append(render.storyboard_panel(state, task.fused(state)[0], float(ev), None, panel=panel,
                                       space=task.config.space))
    return render.storyboard(panels)


def write_figure(path: Path, figure: "Figure", dpi: int = 110) -> None:
    """Writes a Matplotlib figure as a PNG file, whole or not at all."""
    with files.written_whole(path) as file:
        figure.savefig(file, dpi=dpi, format="png")


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a (rows, columns, 3) uint8 picture as a PNG, JPEG or TIFF file."""
    files.save_image(path, files.ImageFile(picture, None, None, None))

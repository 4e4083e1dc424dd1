"""Pictures of what an agent does, still and moving, and their files."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agents.animation import Frame
from agents.saved_agent import Agent
from exposure_env import episode, files, render
from exposure_env.panels import panels
from exposure_env.photos import Photo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVING = (".gif", ".mp4")
COLOURS = 255  # of a GIF, one more stands for what stays as it is
FPS = 20  # of a video


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
    """Writes a (rows, columns, 3) uint8 picture as a PNG, JPEG or TIFF file, whole or not at all."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        return files.save_image(path, files.ImageFile(picture, None, None, None))
    with files.written_whole(path) as file:  # slower than a photo's PNG, and a third smaller: much of it is paper
        Image.fromarray(picture).save(file, "PNG")


def check_moving(path: Path) -> None:
    """Checks that an animation can be written to a file of that name.

    Raises:
        ValueError: If the suffix is another one, or a video is asked for and moviepy is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in MOVING:
        raise ValueError(f"an animation must end in one of {', '.join(MOVING)}, not {path.name!r}")
    if suffix == ".mp4":
        try:
            import moviepy  # noqa: F401
        except ImportError as error:
            raise ValueError('an .mp4 needs moviepy: pip install "deepexposure-gym[video]"; a .gif needs '
                             "nothing") from error


def write_animation(path: str | os.PathLike, frames: Sequence[Frame]) -> None:
    """Writes an animation, whole or not at all: a GIF that loops, of one palette for all frames, or an MP4.

    Args:
        path: File ending in .gif or .mp4.
        frames: The frames, at least one. Durations are rounded, in a GIF to 0.01, in a video to 0.05 seconds.

    Raises:
        ValueError: See `check_moving`; or if there is no frame.
    """
    path = Path(path)
    check_moving(path)
    if not frames:
        raise ValueError("an animation has one frame or more, not none")
    if path.suffix.lower() == ".mp4":
        return _write_video(path, frames)
    every = Image.fromarray(np.concatenate([frame.picture[::3, ::3] for frame in frames]))
    palette = every.quantize(COLOURS, Image.Quantize.FASTOCTREE)  # keeps rare colours, such as those of eyes
    images = [Image.fromarray(frame.picture).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(100 * frame.seconds) * 10 for frame in frames]  # a GIF counts hundredths, Pillow thousandths
    with files.written_whole(path) as file:
        images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)


def _write_video(path: Path, frames: Sequence[Frame]) -> None:
    from moviepy import ImageSequenceClip

    clip = ImageSequenceClip([frame.picture for frame in frames], durations=[frame.seconds for frame in frames])
    with tempfile.TemporaryDirectory() as place:
        video = Path(place) / "video.mp4"
        clip.write_videofile(str(video), fps=FPS, codec="libx264", audio=False, logger=None)
        files.write_whole(path, video.read_bytes())

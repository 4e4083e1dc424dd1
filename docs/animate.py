"""Pictures for the documentation: python docs/animate.py, in a minute.

`images/local.gif` and `images/global.gif` are an episode of `Exposure/Local-v0` and one of `Exposure/Global-v0`: the
agent shipped with the package plays them on one photo, exposed wrongly so that there is a target. It has learned from
other crops of it. `storyboard_chelsea.png` is what `examples/quickstart.py --seed 0` writes under that name: a scene
that the agent has never seen.

`images/training.gif` is that scene over a training of ten minutes: exposure train --out RUN planes --snapshots 12; then
python docs/animate.py --training RUN
"""

import argparse
from pathlib import Path

from agents import load_agent
from agents.animation import episode_frames, training_frames
from agents.pictures import episode_picture, write_animation, write_picture
from agents.training.snapshots import snapshots_of
from exposure_env import Photo, misexposed, sample_scenes

ROOT = Path(__file__).parents[1]


def wrong(name: str, seed: int) -> Photo:
    """One of the sample scenes, exposed wrongly."""
    return next(photo for photo in misexposed(sample_scenes(), seed) if photo.name == name)


def draw(images: Path, results: Path) -> list[Path]:
    """Writes the pictures of episodes.

    Args:
        images: Folder for the animations, made if it is missing.
        results: Folder for the storyboard, likewise.

    Returns:
        Their files.
    """
    local, coffee = load_agent(), wrong("coffee", 5)  # dark on the left, bright on the right
    whole = local._replace(settings=local.settings | {"max_segments": 1})
    for folder in (images, results):
        folder.mkdir(parents=True, exist_ok=True)
    write_animation(images / "local.gif", episode_frames(local, coffee))
    write_animation(images / "global.gif", episode_frames(whole, coffee))
    write_picture(results / "storyboard_chelsea.png", episode_picture(local, wrong("chelsea", 1)))
    return [images / "local.gif", images / "global.gif", results / "storyboard_chelsea.png"]


def draw_training(images: Path, run: Path) -> list[Path]:
    """Writes the animation of a training; arguments and result as for `draw`, with the folder of a run."""
    agents = [(snapshot.name, load_agent(snapshot.path)) for snapshot in snapshots_of(run)]
    write_animation(images / "training.gif", training_frames(agents, wrong("chelsea", 1)))
    return [images / "training.gif"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", type=Path, metavar="RUN", help="draw the training of this run, and nothing else")
    run, folder = parser.parse_args().training, ROOT / "docs" / "images"
    for path in draw(folder, ROOT / "examples" / "results") if run is None else draw_training(folder, run):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")

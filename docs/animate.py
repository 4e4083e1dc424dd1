"""Pictures for the documentation, of the agent shipped with the package: python docs/animate.py [FOLDER], in a minute.

`images/local.gif` and `images/global.gif` are an episode of `Exposure/Local-v0` and one of `Exposure/Global-v0`, on one
photo, exposed wrongly so that there is a target; the agent has learned from other crops of it. `storyboard_chelsea.png`
is what `examples/quickstart.py --seed 0` writes under that name, a scene that the agent has never seen.
"""

import sys
from pathlib import Path

from agents import load_agent
from agents.animation import episode_frames
from agents.pictures import episode_picture, write_animation, write_picture
from exposure_env import misexposed, sample_scenes

ROOT = Path(__file__).parents[1]


def draw(images: Path, results: Path) -> list[Path]:
    """Writes the pictures.

    Args:
        images: Folder for the animations, made if it is missing.
        results: Folder for the storyboard, likewise.

    Returns:
        Their files.
    """
    scenes = [photo.name for photo in sample_scenes()]
    coffee = misexposed(sample_scenes(), seed=5)[scenes.index("coffee")]  # dark on the left, bright on the right
    chelsea = misexposed(sample_scenes(), seed=1)[scenes.index("chelsea")]
    local = load_agent()
    whole = local._replace(settings=local.settings | {"max_segments": 1})
    for folder in (images, results):
        folder.mkdir(parents=True, exist_ok=True)
    write_animation(images / "local.gif", episode_frames(local, coffee))
    write_animation(images / "global.gif", episode_frames(whole, coffee))
    write_picture(results / "storyboard_chelsea.png", episode_picture(local, chelsea))
    return [images / "local.gif", images / "global.gif", results / "storyboard_chelsea.png"]


if __name__ == "__main__":
    places = [Path(place) for place in sys.argv[1:2]] * 2 or [ROOT / "docs" / "images", ROOT / "examples" / "results"]
    for path in draw(*places):
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")

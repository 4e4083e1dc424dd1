"""Train DeepExposure II against a learning discriminator, and show in numbers and pictures what it does to photographs.

Install the package first, as in the README; then one of:

python examples/quickstart.py (sample photos, a few minutes on a laptop)

python examples/quickstart.py --photos DIR --experts DIR (your own, unpaired)

python examples/quickstart.py --quick (20 seconds, only to see it run)
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from agents import load_agent, train
from agents.evaluation import compare, contestants, format_table
from agents.pictures import episode_picture, write_picture
from agents.training.configuration import PRESETS
from exposure_env import FolderPhotos, apply_plan, misexposed, sample_photos, sample_scenes
from exposure_env.render import comparison


@dataclass(frozen=True)
class Quickstart:
    """What to train on, and where to write."""

    photos: Path | None = None  # folder of photos to learn to retouch
    experts: Path | None = None  # folder of good photos; every fifth is kept for the test
    out: Path | None = None  # run folder; runs/quickstart-<time> by default
    seed: int = 0
    quick: bool = False  # end in 20 seconds


def main(options: Quickstart) -> None:
    if options.photos is None and options.experts is None:
        inputs, experts = sample_photos("inputs", 512), sample_photos("experts", 512)
        tests = {"test crops": sample_photos("test"), "left-out scene": sample_photos("left_out")}
        fitting, whole = inputs, misexposed(sample_scenes(), seed=1)
    elif options.photos is None or options.experts is None:
        raise SystemExit("give both --photos and --experts, or neither")
    else:
        inputs, good = FolderPhotos(options.photos), list(FolderPhotos(options.experts))
        experts = [photo for i, photo in enumerate(good) if i % 5] or good
        tests = {"held-out experts' photos, misexposed": misexposed(good[::5], seed=1)}
        fitting, whole = misexposed(experts, seed=2), inputs[:5]

    config = replace(PRESETS["quick"], seed=options.seed)
    if options.quick:
        config = replace(config, warm_start=5, total_timesteps=300, warm_up=5, fresh=1)
        tests = {name: photos[:8] for name, photos in tests.items()}
        inputs, fitting, whole = inputs[:32], fitting[:32], whole[:2]
    print(f"Training on {len(inputs)} photos and {len(experts)} experts' photos: {config.warm_start} steps on "
          f"misexposed experts, then {config.total_timesteps} exposures")
    run = train(config, inputs, experts, options.out or Path("runs") / time.strftime("quickstart-%Y%m%d-%H%M%S"))
    if run.interrupted:
        raise SystemExit(f"Interrupted; the agent as it was: {run.folder}")
    agent = load_agent(run.folder)

    policies = contestants(agent.policy, agent.task(fitting), experts)
    for name, photos in tests.items():
        print(f"\n{name}, {len(photos)} photos" + (" (--quick is too short to learn)" if options.quick else ""))
        print(format_table(compare(policies, agent.task(photos))))

    for photo in whole:
        before = (photo.image * 255).round().astype("uint8")
        images = {"before": before, "after": apply_plan(agent.plan(photo.image), before)}
        images |= {} if photo.target is None else {"target": photo.target}
        write_picture(run.folder / f"retouched_{photo.name}.png", comparison(list(images.values()), list(images)))
        write_picture(run.folder / f"storyboard_{photo.name}.png", episode_picture(agent, photo))
    print(f"\nIn {run.folder}: the agent (agent.safetensors), curves.png, storyboard_*.png, retouched_*.png")


if __name__ == "__main__":
    try:
        main(tyro.cli(Quickstart, description=__doc__))
    except ValueError as error:  # such as a folder without a photo
        raise SystemExit(f"quickstart: {error}") from None

"""Settings of a rival of the benchmark, tried on photographs kept back from its training inputs.

python benchmarks/tuning_rivals.py CycleGAN --photos DIR (the defaults, then eleven other settings drawn from `SPACES`)

python benchmarks/tuning_rivals.py CycleGAN --photos DIR --try width=16 norm=instance (one setting)

python benchmarks/tuning_rivals.py --quick (some seconds, only to see it run)

A fifth of the photographs that a protocol gives to learn from is kept back, and what is learned from the others is
measured on crops of it, see `tuning.held_out`. The photos of the protocol's test are not looked at. Gains are over the
untouched photos, in dB.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from agents.benchmark.cells import Cell
from agents.benchmark.fingerprints import fingerprint
from agents.benchmark.making import make_benchmark
from agents.benchmark.rivals import RIVALS, sources
from exposure_env.files import ImageFile, save_image
from tuning import held_out

SPACES: dict[str, dict[str, list[Any]]] = {  # what is tried of each rival's settings; names are those of its `fit`
    "Exposure": {
        "learning_rate": [1e-5, 3e-5, 1e-4],
        "choice_learning_rate": [1e-4, 3e-4],
        "discriminator_learning_rate": [2e-4, 5e-4, 1e-3],
        "learning_rate_decay": [0.03, 0.1, 0.3],
        "reward_scale": [0.02, 0.05, 0.1],
        "n_critic": [5, 10],
        "averaging": [0.98, 0.995],
        "max_steps": [3, 5],
    },
    "CycleGAN": {
        "learning_rate": [2e-4, 5e-4, 1e-3],
        "discriminator_learning_rate": [2e-4, 1e-3],
        "cycle_weight": [1.0, 3.0, 10.0],
        "identity_weight": [0.0, 1.0],
        "norm": ["none", "instance"],
        "discriminator_norm": ["none", "instance"],
        "patch_halvings": [2, 3],
        "batch_size": [2, 4, 8],
    },
    "DPED": {
        "learning_rate": [5e-4, 1e-3, 2e-3],
        "colour_weight": [30.0, 100.0, 300.0],
        "texture_weight": [0.0, 0.01, 0.05],
        "content_weight": [0.3, 1.0, 3.0],
        "smoothness_weight": [0.0, 0.1],
        "halvings": [0, 1, 2],
        "width": [8, 16],
    },
    "WESPE": {
        "learning_rate": [1e-4, 3e-4, 1e-3],
        "discriminator_learning_rate": [3e-4, 1e-3],
        "colour_weight": [0.1, 0.3, 1.0],
        "texture_weight": [0.0, 0.1, 1.0],
        "cycle_weight": [3.0, 10.0, 30.0],
        "smoothness_weight": [0.0, 0.1],
        "halvings": [1, 2],
    },
    "DPE": {
        "learning_rate": [3e-4, 1e-3, 2e-3],
        "critic_learning_rate": [3e-4, 1e-3],
        "n_critic": [1, 2],
        "identity_weight": [100.0, 300.0, 1000.0],
        "cycle_weight": [300.0, 1000.0, 3000.0],
        "width": [8, 12],
    },
    "DGF, paired": {
        "learning_rate": [1e-3, 3e-3],
        "batch_size": [16, 32],
        "side": [16, 32],
        "width": [16, 24, 32],
        "radius": [1, 2],
        "epsilon": [1e-5, 1e-4, 1e-3],
    },
}
SHOWN = 8  # photos in a picture


@dataclass
class Tuning:
    """What to try."""

    rival: Annotated[str, tyro.conf.Positional] = "CycleGAN"  # one of `SPACES`
    photos: Path | None = None  # folder of good photographs; by default the sample photos
    protocol: str = "backlit-v1"  # one without folds
    num_settings: int = 12  # settings, the defaults among them
    share: float = 1.0  # of the benchmark's budget
    seed: int = 0  # of the drawing and of the trainings
    try_: Annotated[list[str], tyro.conf.arg(name="try")] = field(default_factory=list)  # NAME=VALUE instead of drawing
    pictures: Path | None = None  # folder for a picture of each: photos, results and targets
    quick: bool = False  # two settings on the sample photos, too short to learn anything


def drawn(rival: str, num: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Different settings: first the defaults, an empty dict, then what others change in them."""
    defaults, settings = RIVALS[rival].settings, [{}]
    most = np.prod([len(values) for values in SPACES[rival].values()])
    while len(settings) < min(num, most):
        choice = {name: values[rng.integers(len(values))] for name, values in SPACES[rival].items()}
        choice = {name: value for name, value in choice.items() if value != defaults[name]}
        settings += [] if choice in settings else [choice]
    return settings


def given(rival: str, texts: list[str]) -> dict[str, Any]:
    """The settings of texts "name=value", each of the kind of its default."""
    defaults, pairs = RIVALS[rival].settings, [text.split("=", 1) for text in texts]
    if wrong := [pair for pair in pairs if len(pair) < 2 or pair[0] not in defaults]:
        raise SystemExit(f"settings must be NAME=VALUE with a name among {[*defaults]}, not {'='.join(wrong[0])!r}")
    return {name: type(defaults[name])(value) for name, value in pairs}


def main(options: Tuning) -> None:
    if options.rival not in SPACES:
        raise SystemExit(f"the rival must be one of {[*SPACES]}, not {options.rival!r}")
    if options.quick:
        options = replace(options, protocol="sample-v1", num_settings=2, share=0.001)
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    benchmark = make_benchmark(options.protocol, options.photos)
    trial = benchmark.trial(Cell(options.rival, options.seed))
    trial = trial._replace(split=held_out(trial.split, fingerprint(benchmark.folders)))
    task, num_photos = trial.task, max(1, round(options.share * trial.config.total_timesteps))
    untouched = trial.evaluate(lambda photo: photo, task).values("psnr")
    print(f"{options.rival} on {options.protocol}: {num_photos} photos to learn from, tested on {len(untouched)}, "
          f"untouched {untouched.mean():.2f} dB", "gain  25 % to 75 %    CPU [s]  settings", sep="\n", flush=True)
    tried = [given(options.rival, options.try_)] if options.try_ else drawn(options.rival, options.num_settings, rng)
    for number, changes in enumerate(tried):
        cpu = time.process_time()
        retouch = RIVALS[options.rival].fit(*sources(trial), num_photos=num_photos, seed=options.seed, **changes)
        cpu = time.process_time() - cpu
        evaluation = trial.evaluate(retouch, task)
        gains = evaluation.values("psnr") - untouched
        told = ", ".join(f"{name}={value}" for name, value in changes.items()) or "defaults"
        low, high = np.quantile(gains, (0.25, 0.75))
        print(f"{gains.mean():+.2f}  {low:+.2f} to {high:+.2f}  {cpu:7.0f}  {told}", flush=True)
        if options.pictures is not None:
            options.pictures.mkdir(parents=True, exist_ok=True)
            shown = np.linspace(0, len(gains) - 1, SHOWN).astype(int)
            rows = [[task.thumbnail(trial.split.test[i].image), evaluation.records[i].image,
                     task.thumbnail(trial.split.test[i].target)] for i in shown]
            picture = np.concatenate([np.concatenate(row) for row in rows], axis=1)
            save_image(options.pictures / f"{options.rival}-{number}.png",
                       ImageFile(np.round(picture * 255).astype(np.uint8)))


if __name__ == "__main__":
    main(tyro.cli(Tuning, description=__doc__))

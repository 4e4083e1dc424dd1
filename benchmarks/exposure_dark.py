"""Train Exposure's agent on photos rendered dark, unpaired, and measure what it gains on others.

python benchmarks/exposure_dark.py --photos DIR --seeds 0 1 2 (a folder of good photographs; minutes for each seed)

python benchmarks/exposure_dark.py --quick (the sample photos, too few of them to learn anything)

Photographs are split as in the benchmark's protocols: photos to retouch, experts' photos and test photos come from
different ones. All but the experts' are made darker by 0.5 to 2.5 stops. Told are the gains in PSNR over the dark
photos, by seed, and which filters the agent applies.
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from agents.benchmark.rivals import unpaired
from agents.benchmark.splits import SIZE, misexposed_protocol
from agents.evaluation.metrics import psnr
from agents.evaluation.statistics import student
from agents.rivals.exposure import fit_exposure
from exposure_env.photos import FolderPhotos, Misexpose

DARK = Misexpose((-2.5, -0.5), local=0.0)


@dataclass(frozen=True)
class ExposureDark:
    """What to learn from."""

    photos: Path | None = None  # folder of good photographs; by default the sample photos, of few scenes
    num_photos: int = 16_000  # photos to learn from
    seeds: tuple[int, ...] = (0,)
    quick: bool = False


def main(options: ExposureDark) -> None:
    torch.set_num_threads(1)
    photos = None if options.photos is None else FolderPhotos(options.photos)
    split = misexposed_protocol(photos, degradation=DARK)
    test = split.test[:12] if options.quick else split.test
    before = np.array([psnr(photo.image[None], photo.target[None])[0] for photo in test])
    print(f"{len(split.inputs)} photos to retouch, {len(split.experts)} experts', {len(test)} tested; untouched "
          f"{before.mean():.2f} dB", flush=True)
    gains = []
    for seed in options.seeds:
        quick = {"num_crops": 32, "width": 4, "batch_size": 8} if options.quick else {}
        cpu = time.process_time()
        retouch = fit_exposure(*unpaired(split, SIZE, seed), seed=seed,
                               num_photos=16 if options.quick else options.num_photos, **quick)
        cpu, used = time.process_time() - cpu, Counter()
        after = []
        for photo in test:
            used.update(retouch.filters(photo.image))
            after.append(psnr(retouch(photo.image)[None], photo.target[None])[0])
        gains.append(float(np.mean(after - before)))
        told = ", ".join(f"{name} {number / len(test):.2f}" for name, number in used.most_common())
        print(f"seed {seed}: {gains[-1]:+.2f} dB, better on {np.mean(after > before):.0%} of the photos, "
              f"{cpu:.0f} s of processor time; filters a photo: {told}", flush=True)
    mean, low, high, n = student(gains)
    print(f"mean gain {mean:+.2f} dB" + (f", 95 % {low:+.2f} to {high:+.2f} over {n} seeds" if n > 1 else ""))


if __name__ == "__main__":
    main(tyro.cli(ExposureDark, description=__doc__))

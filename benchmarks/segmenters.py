"""Measure how much a plan can do at all, by segmenter and number of segments: what to recommend for each protocol.

python benchmarks/segmenters.py --photos DIR (a folder of good photographs, by default the sample photos; minutes)

python benchmarks/segmenters.py --fusion local (another rendering)

python benchmarks/segmenters.py --quick (seconds, a few photos)

Each protocol exposes good photographs wrongly by an EV map that is known. Here, its mean over each segment is the
segment's EV, and the rendered plan is compared with the good photo: PSNR [dB], and in brackets how many segments there
are on average. No method can do much better with these segments. One segment is one EV for the whole photo.

Only the photographs that methods learn from are measured, never those of the test.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from agents.benchmark.ceilings import bounds, ceiling
from agents.benchmark.protocols import PROTOCOLS
from agents.benchmark.splits import misexposed_protocol
from exposure_env import FolderPhotos, Photo, sample_photos
from exposure_env.segmentation import SEGMENTERS

NUMBERS = (1, 2, 4, 6, 8, 12)  # of segments, at most


@dataclass(frozen=True)
class Segmenters:
    """Options."""

    photos: Path | None = None  # folder of good photographs; the sample photos by default
    fusion: str = "mask_pyramid"  # rendering of the plans, see exposure_env/fusion.py
    num_photos: int = 320  # crops to measure, of those that methods learn from
    quick: bool = False  # measure eight crops with few segments


def learned_from(protocol: str, folder: Path | None, num: int) -> list[Photo]:
    """Some of the wrongly exposed photos that methods learn from."""
    how = PROTOCOLS[protocol].degradation
    if folder is None:
        rng = np.random.default_rng(0)
        return [how(photo, rng) for photo in sample_photos("inputs", num)]
    inputs = misexposed_protocol(FolderPhotos(folder), degradation=how).inputs
    return [inputs[i] for i in np.linspace(0, len(inputs) - 1, min(len(inputs), num)).astype(int)]


def main(options: Segmenters) -> None:
    numbers, num = (NUMBERS[1:3], 8) if options.quick else (NUMBERS, options.num_photos)
    for protocol in (name for name, protocol in PROTOCOLS.items() if protocol.kind == "good"):
        inputs = learned_from(protocol, options.photos, num)
        low, high = bounds(inputs)
        print(f"{protocol}, {len(inputs)} photos, {options.fusion}: untouched {low:.2f} dB, under the true EV map "
              f"{high:.2f} dB")
        print(f"{'at most':<16}" + "".join(f"{number:>14}" for number in numbers))
        for segmenter in SEGMENTERS:
            found = [ceiling(inputs, segmenter, number, fusion=options.fusion) for number in numbers]
            cells = [f"{each.psnr:>7.2f} ({each.segments:4.1f})" for each in found]
            print(f"{segmenter:<16}" + "".join(cells), flush=True)
        print()


if __name__ == "__main__":
    main(tyro.cli(Segmenters, description=__doc__))

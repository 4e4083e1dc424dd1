"""The benchmark's protocols: photos, how they are dealt, sizes, seed, and what all methods share.

A published number names its protocol, the version and the fingerprint. A change that results depend on makes another
version, under another name; the old one stays.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from agents.benchmark.splits import CROPS, FEW_CROPS, NUM_FOLDS
from agents.training.building import DEGRADATIONS
from agents.training.configuration import PRESETS
from exposure_env.photos import Degradation

DIGITS = 8  # of a fingerprint
OLD_NAMES = {"misexposed": "uneven-v1"}  # protocols by the names that they had
Kind = Literal["samples", "good", "bsds500", "fivek_folders", "pairs", "brackets", "fivek"]


@dataclass(frozen=True)
class Protocol:
    """What a number of the benchmark refers to.

    Attributes:
        name: The name, with the version.
        kind: Which photos it takes, and how they are dealt; see `data.KINDS`.
        settings: What it changes in the preset "recommended": the plan of all methods (segmenter, max_segments,
            fusion), how good photos are exposed wrongly (degradation), and perhaps training settings.
        version: Rises when results stop being comparable.
        crops: Numbers of crops of each photograph of the inputs, experts and test, of the sample photos in all; or of
            pairs and other photographs.
        folds: Number of folds that are tested in turn; None if the test photos are always the same.
        full_size: Whether the test photos are measured whole, else as thumbnails of 64 x 64 pixels.
        max_side: Longer side that larger photos are shrunk to when they are read [pixels]; None for no limit.
        seed: Seed of the split, the crops and the misexposure.
        photos: What the sample photos have to be: a checksum of the pixels of each by its name.
        methods: Names of methods, or of groups of them, that run if none are named.
    """

    name: str
    kind: Kind
    settings: Mapping[str, Any] = field(hash=False)
    version: int = 1
    crops: Mapping[str, int] = field(default_factory=lambda: dict(CROPS), hash=False)
    folds: int | None = None
    full_size: bool = False
    max_side: int | None = 500
    seed: int = 0
    photos: Mapping[str, str] = field(default_factory=dict, hash=False)
    methods: tuple[str, ...] = ("main", "baselines")

    @property
    def degradation(self) -> Degradation:
        """How its learners expose good photos wrongly."""
        return DEGRADATIONS[self.settings["degradation"]]

    def fingerprint(self, photos: str) -> str:
        """Eight hexadecimal digits that tell this protocol on these photos from any other.

        Args:
            photos: The photos' own fingerprint; see `fingerprints.fingerprint`.
        """
        parts = {name: value for name, value in asdict(self).items() if name != "methods"} | {"given": photos}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:DIGITS]


# Good photographs exposed wrongly by us, the truth known: unevenly from place to place, or as in backlight. Plans that
# know the truth reach most with these segments, see benchmarks/segmenters.py.
_UNEVEN = {"segmenter": "slic", "max_segments": 8, "fusion": "mask_pyramid", "degradation": "uneven"}
_BACKLIT = {"segmenter": "luminance_bands", "max_segments": 4, "fusion": "mask_pyramid", "degradation": "backlit"}
_REGIONS = {"segmenter": "felzenszwalb", "max_segments": 6, "fusion": "mask_pyramid"}
# An expert's retouches of photos that are mostly a little dark. So few pairs teach little more than one EV for all
# photos, and only in a short training.
_FEW_PAIRS = _REGIONS | {"warm_start": 100, "ev_prior": "mean", "ev_penalty": 10.0, "learning_rate": 2e-4,
                         "total_timesteps": 6_000}
# What so few scenes need, see agents/training/configuration.py
_FEW_SCENES = {name: getattr(PRESETS["quick"], name) for name in (
    "reference_penalty", "learning_rate", "misexposed", "misexposed_local", "fresh_scales")}
_OFFICIAL = {"inputs": 8, "experts": 8, "test": 2}  # there are 200 photographs in the test: a few crops of each do

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (
    # Bundled, and small enough for a laptop: four segments rather than the eight of uneven-v1 leave plans that know
    # the truth at 24.3 dB (eight: 26.0, one: 21.0, untouched: 18.3), and show half again as many photos in a training.
    Protocol("sample-v1", "samples", _UNEVEN | _FEW_SCENES | {"max_segments": 4, "warm_start": 600,
                                                             "total_timesteps": 12_000},
             crops={"inputs": 192, "experts": 192, "test": 32}, methods=("all",),
             photos={"astronaut": "fdcaa55f", "coffee": "acf41373", "rocket": "49cf24ab", "motorcycle": "a1e17c60"}),
    Protocol("uneven-v1", "good", _UNEVEN),
    Protocol("backlit-v1", "good", _BACKLIT),
    # The same in the official split of a data set that anyone can get
    Protocol("uneven-bsds500-v1", "bsds500", _UNEVEN, crops=_OFFICIAL),
    Protocol("backlit-bsds500-v1", "bsds500", _BACKLIT, crops=_OFFICIAL),
    Protocol("fivek", "fivek_folders", _FEW_PAIRS | {"degradation": "dim"}, crops=FEW_CROPS, folds=NUM_FOLDS,
             full_size=True, max_side=None),
    # Anyone's pairs. What is wrong with the photos isn't known, so warm starts and yardsticks learn from both kinds.
    Protocol("pairs-v1", "pairs", _FEW_PAIRS | {"degradation": "mixed"}, crops=FEW_CROPS, folds=NUM_FOLDS,
             full_size=True),
    # Thousands of retouches teach more than fifteen: the preset's own warm start and budget
    Protocol("fivek-2k2k1k-v1", "fivek", _REGIONS | {"degradation": "dim"}, full_size=True,
             crops={"inputs": 2, "experts": 2}),
    # Real exposures, a dark and a normal frame of each scene: 3.3 to 5.5 stops apart
    Protocol("brackets-v1", "brackets", _REGIONS | {"max_ev": 6.0, "degradation": "dark", "warm_start": 300,
                                                    "total_timesteps": 12_000},
             crops=FEW_CROPS, folds=NUM_FOLDS, full_size=True, max_side=None),
)}  # fmt: skip


def protocol_name(name: str) -> str:
    """The present name of a protocol.

    Raises:
        ValueError: If there is no such protocol.
    """
    name = OLD_NAMES.get(name, name)
    if name not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {[*PROTOCOLS, *OLD_NAMES]}, not {name!r}")
    return name

"""Experiments with a known answer: which photos an agent learns from, and which it is tested on."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agents.training.building import DEGRADATIONS
from exposure_env.photos import Degradation, Photo, sample_photos, thumbnail
from exposure_env.settings import TaskConfig

MISEXPOSED = DEGRADATIONS["uneven"]  # EV uniform in -2.2..+0.6 for the whole photo, plus a smooth local map; 8 bits
SHARES = {"inputs": 0.4, "experts": 0.4, "test": 0.2}  # fractions of the photographs
CROPS = {"inputs": 8, "experts": 8, "test": 4}  # per photograph
SAMPLES: dict[str, int | None] = {"inputs": 512, "experts": 512, "test": None}  # crops of the sample photos
FEW_CROPS = {"pairs": 32, "others": 3}  # per photograph, in protocols of pairs: there are few
NUM_FOLDS = 5
SIZE = TaskConfig().size


class Split(NamedTuple):
    """The photos of one experiment; no photograph is in two of the three lists."""

    inputs: list[Photo]  # photos to learn to retouch; targets are for measuring, and for the paired reward
    experts: list[Photo]  # good photos, unpaired
    test: Sequence[Photo]  # with targets


def misexposed_protocol(photos: Sequence[Photo] | None = None, seed: int = 0, degradation: Degradation = MISEXPOSED,
                        numbers: Mapping[str, int | None] | None = None) -> Split:
    """Photographs with a known wrong exposure: inputs, experts and test photos come from different photographs.

    Each photograph gives several random square crops. Input and test crops are misexposed by an EV uniform in
    -2.2..+0.6 stops and a smooth local map, or by another degradation, and rounded to 8 bits; the good crop is their
    target.

    Args:
        photos: Well exposed photographs, at least five; None for the sample photos, whose crops are disjoint but come
            from the same four scenes.
        seed: Seed of the split, the crops and the misexposure.
        degradation: How the crops are exposed wrongly.
        numbers: Numbers of crops for the inputs, experts and test: of each photograph, by default `CROPS`; or of the
            sample photos in all, by default `SAMPLES`, None there for as many as there are.

    Raises:
        ValueError: If there are fewer than five photographs.
    """
    rng = np.random.default_rng(seed)
    if photos is None:
        sample = Split(*(sample_photos(split, (numbers or SAMPLES)[split], seed) for split in Split._fields))
        if degradation == MISEXPOSED:  # as the sample photos are already
            return sample
        return sample._replace(**{name: misexpose_all(getattr(sample, name), rng, degradation)
                                  for name in ("inputs", "test")})
    if len(photos) < 5:
        raise ValueError(f"{len(photos)} photos are too few to be split: give at least five")
    shuffled, dealt, first = rng.permutation(len(photos)), {}, 0
    for name, share in SHARES.items():
        last = len(photos) if name == "test" else first + round(share * len(photos))
        dealt[name], first = shuffled[first:last], last
    return _misexposed({name: (photos, chosen) for name, chosen in dealt.items()}, numbers or CROPS, degradation, rng)


def official_protocol(train: Sequence[Photo], test: Sequence[Photo], seed: int = 0,
                      degradation: Degradation = MISEXPOSED, numbers: Mapping[str, int | None] = CROPS) -> Split:
    """Photographs with a known wrong exposure, in a data set's own split: see `misexposed_protocol`.

    The photographs for training are dealt at random into two halves, inputs and experts' photos. Those for validation
    take no part: they are there to choose settings with.

    Args:
        train: Well exposed photographs for training, at least two.
        test: Those for testing.
        seed: Seed of the halves, the crops and the misexposure.
        degradation: How the crops are exposed wrongly.
        numbers: Numbers of crops for the inputs, experts and test of each photograph.

    Raises:
        ValueError: If there are too few photographs.
    """
    if len(train) < 2 or not len(test):
        raise ValueError(f"{len(train)} photos for training and {len(test)} for testing are too few: give at least two "
                         "and one")
    rng = np.random.default_rng(seed)
    inputs, experts = np.array_split(rng.permutation(len(train)), 2)
    dealt = {"inputs": (train, inputs), "experts": (train, experts), "test": (test, np.arange(len(test)))}
    return _misexposed(dealt, numbers, degradation, rng)


def _misexposed(dealt: Mapping[str, tuple[Sequence[Photo], np.ndarray]], numbers: Mapping[str, int | None],
                degradation: Degradation, rng: np.random.Generator) -> Split:
    """The crops of the photographs at the given places, those of the inputs and the test exposed wrongly."""
    split = {}
    for name, (photos, places) in dealt.items():
        side = SIZE * 9 // 8 if name == "experts" else SIZE  # experts are cropped once more in each batch
        split[name] = _all_crops((photos[i] for i in places), numbers[name], side, rng)
    inputs, test = (misexpose_all(split[name], rng, degradation) for name in ("inputs", "test"))
    return Split(inputs, split["experts"], test)


def parts_protocol(inputs: Sequence[Photo], experts: Sequence[Photo], test: Sequence[Photo], seed: int = 0,
                   numbers: Mapping[str, int | None] = CROPS) -> Split:
    """Real retouches in a data set's own split: crops of the inputs, crops of experts' other photos, whole test photos.

    Args:
        inputs: Untouched photos with targets.
        experts: Retouched photos of other photographs.
        test: Untouched photos with targets; they may be read from their files one by one.
        seed: Seed of the crops.
        numbers: Numbers of crops of each input and experts' photo.
    """
    rng = np.random.default_rng(seed)
    return Split(_all_crops(inputs, numbers["inputs"], SIZE, rng),
                 _all_crops(experts, numbers["experts"], SIZE * 9 // 8, rng), test)


def folds(num_photos: int, num_folds: int = NUM_FOLDS, seed: int = 0) -> list[np.ndarray]:
    """The positions of the photos, dealt at random into folds of similar size; a photo is always in the same fold.

    Raises:
        ValueError: If there are fewer than two folds, or no more photos than folds.
    """
    if num_folds < 2 or num_photos < num_folds + 1:
        raise ValueError(f"{num_photos} photos can't be dealt into {num_folds} folds: give at least two folds, "
                         "and more photos than folds")
    return np.array_split(np.random.default_rng(seed).permutation(num_photos), num_folds)


def fivek_protocol(pairs: Sequence[Photo], fold: int, raw: Sequence[Photo] = (), experts: Sequence[Photo] = (),
                   others: Sequence[Photo] = (), num_folds: int = NUM_FOLDS, seed: int = 0,
                   numbers: Mapping[str, int] = FEW_CROPS) -> Split:
    """Real retouches: one fold of the pairs is the test, uncropped; the others become an unpaired data set.

    The training pairs are dealt into two halves, alternately by the brightness of the untouched photos: random halves
    of a dozen would differ so much that the difference would be learned. The inputs are crops of the first half's
    untouched photos, of the unpaired untouched photos, and of the first half's targets, misexposed as in
    `misexposed_protocol`. The experts' photos are crops of the second half's targets and of the unpaired retouched
    photos. A discriminator soon knows a dozen photographs by heart, so other good photographs join both sides: half of
    them, misexposed, the inputs, the other half the experts' photos.

    Args:
        pairs: Photos with targets.
        fold: Number of the fold that is the test, from 0.
        raw: Untouched photos without targets.
        experts: Retouched photos of photographs that occur nowhere else.
        others: Well exposed photographs of any kind.
        num_folds: Number of folds.
        seed: Seed of the folds, the halves, the crops and the misexposure.
        numbers: Numbers of crops of each photograph of a pair, or without its partner, and of each other photograph.

    Raises:
        ValueError: If there is no such fold, a pair has no target, two photographs share a name, or there are too
            few pairs; see `folds`.
    """
    _check_pairs(pairs, [*raw, *experts, *others], fold, num_folds)
    tested = folds(len(pairs), num_folds, seed)[fold]
    rng = np.random.default_rng([seed, fold])
    rest = np.setdiff1d(np.arange(len(pairs)), tested)
    ranked = rest[np.argsort([pairs[i].image.mean() for i in rest], kind="stable")]
    half = ((np.arange(len(rest)) + 1) // 2 + rng.integers(2)) % 2  # 0 1 1 0 0 1 1 0 ..., or the reverse
    first, second = ([pairs[i] for i in ranked[half == which]] for which in (0, 1))
    good = [*(Photo(photo.name, photo.target) for photo in second), *experts]
    num, more = numbers["pairs"], numbers["others"]
    inputs = [*_all_crops([*first, *raw], num, SIZE, rng), *misexpose_all(_all_crops(first, num, SIZE, rng), rng)]
    retouched = _all_crops(good, num, SIZE * 9 // 8, rng)
    wrong, right = ([others[i] for i in half] for half in np.array_split(rng.permutation(len(others)), 2))
    inputs += misexpose_all(_all_crops(wrong, more, SIZE, rng), rng)
    retouched += _all_crops(right, more, SIZE * 9 // 8, rng)
    return Split(inputs, retouched, [pairs[i] for i in tested])


def brackets_protocol(pairs: Sequence[Photo], fold: int, photos: Sequence[Photo] = (), num_folds: int = NUM_FOLDS,
                      seed: int = 0, numbers: Mapping[str, int] = FEW_CROPS) -> Split:
    """Real exposures: a dark and a normal frame of each bracket; the scenes of one fold are the test, uncropped.

    The inputs are crops of the other scenes' dark frames, the experts' photos crops of their normal frames and of other
    good photographs: two frames of one moment, but which belongs to which is not told to who learns unpaired.

    Args:
        pairs: Dark frames, with the normal frames as targets.
        fold: Number of the fold that is the test, from 0.
        photos: Well exposed photographs of any kind, further experts' photos.
        num_folds: Number of folds, into which scenes are dealt; see `scene`.
        seed: Seed of the folds and the crops.
        numbers: Numbers of crops of each frame of a pair, and of each other photograph.

    Raises:
        ValueError: If there is no such fold, a pair has no target, two photographs share a name, or there are too
            few scenes; see `folds`.
    """
    _check_pairs(pairs, photos, fold, num_folds)
    scenes = sorted({scene(photo.name) for photo in pairs})
    if len(scenes) <= num_folds:
        raise ValueError(f"{len(pairs)} photos of {len(scenes)} scenes, such as {scenes[:1]}, can't be dealt into "
                         f"{num_folds} folds: photos whose names differ in the number at their end are of one scene")
    tested = {scenes[i] for i in folds(len(scenes), num_folds, seed)[fold]}
    rng = np.random.default_rng([seed, fold])
    learned = [photo for photo in pairs if scene(photo.name) not in tested]
    normal = [Photo(photo.name, photo.target) for photo in learned]
    experts = _all_crops(normal, numbers["pairs"], SIZE * 9 // 8, rng)
    experts += _all_crops(photos, numbers["others"], SIZE * 9 // 8, rng)
    inputs = _all_crops(learned, numbers["pairs"], SIZE, rng)
    return Split(inputs, experts, [photo for photo in pairs if scene(photo.name) in tested])


def scene(name: str) -> str:
    """What a photo shows, by its name: all before the number at its end, where there is one, as in museum_2."""
    return re.sub(r"[\W_]*\d+$", "", name) or name


def _check_pairs(pairs: Sequence[Photo], others: Sequence[Photo], fold: int, num_folds: int) -> None:
    if fold not in range(num_folds):
        raise ValueError(f"fold must lie in 0..{num_folds - 1}, not {fold}")
    names = [photo.name for photo in (*pairs, *others)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each photograph must occur once, among pairs and unpaired photos, not twice: {twice[:5]}")
    if missing := [photo.name for photo in pairs if photo.target is None]:
        raise ValueError(f"{len(missing)} of {len(pairs)} pairs have no target, such as {missing[0]!r}")


def _all_crops(photos: Iterable[Photo], num: int, side: int, rng: np.random.Generator) -> list[Photo]:
    return [crop for photo in photos for crop in crops(photo, num, side, rng)]


def crops(photo: Photo, num: int, side: int, rng: np.random.Generator) -> list[Photo]:
    """Random square crops of a photo and its target, 60 to 100 % of the shorter side, about half of them mirrored.

    Args:
        photo: The photo.
        num: Number of crops.
        side: Side of the crops after shrinking [px].
        rng: Source of places, sizes and flips.
    """
    height, width = photo.image.shape[:2]
    cut = []
    for i in range(num):
        extent = max(1, round(rng.uniform(0.6, 1.0) * min(height, width)))
        top, left = rng.integers(height - extent + 1), rng.integers(width - extent + 1)
        mirrored = slice(None, None, -1 if rng.random() < 0.5 else 1)
        box = slice(top, top + extent), slice(left, left + extent)
        images = (image if image is None else thumbnail(image[box], side)[:, mirrored]
                  for image in (photo.image, photo.target))
        cut.append(Photo(f"{photo.name}_{i}", *images))
    return cut


def misexpose_all(photos: Sequence[Photo], rng: np.random.Generator,
                  degradation: Degradation = MISEXPOSED) -> list[Photo]:
    """The photos misexposed, each with its good image as the target and the EV map that restores it."""
    return [degradation(photo, rng) for photo in photos]

"""A small photo collection that needs no download: crops of the colour photographs that come with scikit-image.

Five scenes are far too few to train a good retouching agent; they are enough to see one learn, and to run every
example. Four scenes serve for training. Each is cut into rectangles that belong to the inputs, the experts or the test,
so the splits share the scenes but not a single pixel: a discriminator cannot tell inputs from experts by the scene. The
fifth scene is left out of all that, for testing on something new.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import cycle, islice, permutations, product

import numpy as np
import skimage.data

from exposure_env.image import luminance
from exposure_env.photos.folders import FolderPhotos
from exposure_env.photos.misexposure import misexposed
from exposure_env.photos.photo import Photo, check_photo

TRAINING_SCENES = ("astronaut", "coffee", "rocket", "motorcycle")
LEFT_OUT_SCENE = "chelsea"
DEFAULT_COUNTS = {"inputs": 192, "experts": 192, "test": 64, "left_out": 32}
SMALLEST, LARGEST = 64, 200  # side of a crop [pixels]
_DEALT = ("inputs", "experts", "test")


def sample_scenes() -> list[Photo]:
    """The five whole photographs, of up to 741x500 pixels, without targets; their arrays are read-only."""
    return list(_scenes().values())


def sample_photos(split: str = "inputs", count: int | None = None, seed: int = 0) -> list[Photo]:
    """Random square crops of the sample photographs, 64 to 200 pixels wide, half of them mirrored.

    Args:
        split: "inputs", "experts" and "test" are crops of the same four scenes that share no pixel; "left_out" are
            crops of a fifth scene. All but the experts are misexposed (`misexpose` with its defaults), with the good
            crop as their target and the EV map that restores it.
        count: Number of crops, 0 or more; by default 192 inputs, 192 experts, 64 for the test, 32 left out. A smaller
            number gives the first of the same crops.
        seed: Choice of the crops and of their misexposure, 0 or more. It does not affect what belongs to which split:
            crops of different splits share no pixel, whatever their seeds.

    Returns:
        Photos with read-only arrays, drawn once and kept. Their names give the scene, top, left and side of the crop,
        as in coffee_120_64_80, and end in _m for a mirrored one.

    Raises:
        ValueError: If the split is unknown, or the count or seed negative.
    """
    if split not in DEFAULT_COUNTS:
        raise ValueError(f"split is {split!r}, but must be one of {', '.join(DEFAULT_COUNTS)}")
    count = DEFAULT_COUNTS[split] if count is None else count
    if count < 0 or seed < 0:
        raise ValueError(f"count is {count} and seed {seed}, but both must be 0 or more")
    return list(_sample_photos(split, int(count), int(seed)))


@lru_cache(maxsize=8)
def _sample_photos(split: str, count: int, seed: int) -> tuple[Photo, ...]:
    seeds = [seed, list(DEFAULT_COUNTS).index(split)]
    uniform = np.random.default_rng(seeds).random((count, 5))
    scenes = (LEFT_OUT_SCENE,) if split == "left_out" else TRAINING_SCENES
    crops = {}
    for turn, scene in enumerate(scenes):
        own = uniform[turn :: len(scenes)]
        drawn = _draw_crops(*_rectangles(scene, split), own[:, :4])
        crops[scene] = zip(*drawn.T.tolist(), own[:, 4] < 0.5, strict=True)
    photos = [_crop(scene, *next(crops[scene])) for scene in islice(cycle(scenes), count)]
    return tuple(_freeze(photo) for photo in (photos if split == "experts" else misexposed(photos, [*seeds, 1])))


def _crop(scene: str, top: int, left: int, side: int, mirrored: bool) -> Photo:
    image = _scenes()[scene].image[top : top + side, left : left + side]
    name = f"{scene}_{top}_{left}_{side}" + ("_m" if mirrored else "")
    return Photo(name, np.ascontiguousarray(image[:, ::-1] if mirrored else image))


@lru_cache(maxsize=1)
def _scenes() -> dict[str, Photo]:
    load = {name: getattr(skimage.data, name) for name in ("astronaut", "coffee", "rocket", "chelsea")}
    load["motorcycle"] = lambda: skimage.data.stereo_motorcycle()[0]  # the left view
    return {name: _freeze(Photo(name, check_photo(read(), name))) for name, read in load.items()}


def _freeze(photo: Photo) -> Photo:
    for array in photo[1:]:
        if array is not None:
            array.setflags(write=False)
    return photo


def _rectangles(scene: str, split: str) -> tuple[np.ndarray, int]:
    # The rectangles that the split owns, (R, 4) as (top, left, height, width), and the side of the largest crop.
    if split == "left_out":
        height, width = _scenes()[scene].image.shape[:2]
        return np.array([[0, 0, height, width]]), LARGEST
    dealt, largest = _partitions()[scene]
    return dealt[_DEALT.index(split)], largest


def _draw_crops(rectangles: np.ndarray, largest: int | np.ndarray, uniform: np.ndarray) -> np.ndarray:
    # rectangles (..., R, 4), largest (...), uniform (N, 4) in [0, 1) -> (..., N, 3) of (top, left, side): a log-uniform
    # side, then one of the rectangles with room for it, then a place in that.
    side = np.floor(SMALLEST * (np.asarray(largest)[..., None] / SMALLEST) ** uniform[:, 0]).astype(int)
    room = np.maximum(rectangles[..., None, 2:] - side[..., None, :, None] + 1, 0)  # (..., R, N, 2) down and across
    fitting = room.all(-1).cumsum(-2)  # (..., R, N)
    chosen = (fitting <= uniform[:, 1] * fitting[..., -1:, :]).sum(-2)
    places = np.take_along_axis(room, chosen[..., None, :, None], -3)[..., 0, :, :]
    corner = np.take_along_axis(rectangles[..., :2], chosen[..., None], -2)
    return np.concatenate([corner + np.floor(uniform[:, 2:] * places).astype(int), side[..., None]], -1)


@lru_cache(maxsize=1)
def _partitions() -> dict[str, tuple[np.ndarray, int]]:
    """The rectangles of each training scene that each split owns, chosen so that the splits look alike.

    Returns:
        For each scene, (3, 4, 4): four rectangles each for inputs, experts and test, as (top, left, height, width); and
        the side of the largest crop that fits into each of the three.
    """
    best = [_partition(scene) for scene in TRAINING_SCENES]
    # Finally, the splits' parts of a scene are swapped so that remaining differences cancel out over the scenes.
    means = np.stack([look for _, _, look in best])  # (scenes, 3, 4)
    orders = list(product([(0, 1, 2)], *[list(permutations(range(3)))] * (len(best) - 1)))
    sums = [sum(mean[list(order)] for mean, order in zip(means, chosen, strict=True)) for chosen in orders]
    chosen = orders[int(np.argmin([np.ptp(total, axis=0).sum() for total in sums]))]
    return {
        scene: (dealt[list(order)], largest)
        for scene, order, (dealt, largest, _) in zip(TRAINING_SCENES, chosen, best, strict=True)
    }


def _partition(scene: str, candidates: int = 300) -> tuple[np.ndarray, int, np.ndarray]:
    # Of many random ways to cut the scene into 12 rectangles and deal them to three owners, this is the one whose crops
    # differ least between owners, in the distributions of their mean colours and of their contrast:
    # (3, 4, 4) rectangles, the largest side, and (3, 4) mean looks.
    image = _scenes()[scene].image
    grey = np.asarray(luminance(image))[..., None]
    planes = np.concatenate([image, grey, grey**2], -1, dtype=np.float64)
    sums = np.pad(planes.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))  # sums over any rectangle in four look-ups
    rng = np.random.default_rng(0)
    uniform, ways = rng.random((96, 4)), []
    for _ in range(candidates):
        rectangles = _cut(image.shape[0], image.shape[1], 12, rng)
        rectangles = rectangles[np.argsort(-rectangles[:, 2:].min(1))]
        # Dealt out in threes from the widest to the narrowest, so that each owner has room for crops of all scales.
        ways.append(np.stack([rng.permutation(three) for three in rectangles.reshape(-1, 3, 4)], axis=1))
    dealt = np.stack(ways)  # (candidates, 3, 4, 4)
    largest = np.minimum(dealt[..., 2:].min(-1).max(-1).min(-1), LARGEST)
    looks = _look(sums, _draw_crops(dealt, largest[:, None].repeat(3, 1), uniform))  # (candidates, 3, 96, 4)
    ordered = np.sort(looks, axis=2)
    difference = np.abs(ordered - np.roll(ordered, 1, axis=1)).mean((2, 3)).sum(1) + 1.0 - largest / LARGEST
    best = int(difference.argmin())
    return dealt[best], int(largest[best]), looks[best].mean(1)


def _cut(height: int, width: int, pieces: int, rng: np.random.Generator) -> np.ndarray:
    # Cuts the largest rectangle across its longer side until there are enough: (pieces, 4).
    rectangles = [(0, 0, height, width)]
    while len(rectangles) < pieces:
        rectangles.sort(key=lambda r: r[2] * r[3])
        top, left, h, w = rectangles.pop()
        cut = round(rng.uniform(0.35, 0.65) * max(h, w))
        if h >= w:
            rectangles += [(top, left, cut, w), (top + cut, left, h - cut, w)]
        else:
            rectangles += [(top, left, h, cut), (top, left + cut, h, w - cut)]
    return np.array(rectangles)


def _look(sums: np.ndarray, crops: np.ndarray) -> np.ndarray:
    # crops (..., 3) -> (..., 4): their mean red, green, blue, and standard deviation of luminance.
    top, left, side = np.moveaxis(crops, -1, 0)
    bottom, right = top + side, left + side
    means = (sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]) / (side**2)[..., None]
    deviation = np.sqrt(np.maximum(means[..., 4:] - means[..., 3:4] ** 2, 0.0))
    return np.concatenate([means[..., :3], deviation], -1)


def resolve_photos(photos: Sequence[Photo] | str | None) -> Sequence[Photo]:
    """A data set from what a user may give: None or "sample" for the sample photos, a folder's path, or a sequence.

    Raises:
        ValueError: If it is something else, or there is no photo in it.
    """
    if photos is None or (isinstance(photos, str) and photos == "sample"):
        return sample_photos("inputs")
    photos = FolderPhotos(photos) if isinstance(photos, str) or hasattr(photos, "__fspath__") else photos
    if not (hasattr(photos, "__len__") and hasattr(photos, "__getitem__")):
        raise ValueError(f"photos must be a sequence of Photo or a folder's path, not {photos!r}")
    if len(photos) == 0:
        raise ValueError("photos is empty: an environment needs at least one photo")
    return photos

"""Blends of eight exposures, full-size and thumbnails: speed, memory and accuracy, against OpenCV's Mertens fusion."""

from collections.abc import Iterator

import cv2
import numpy as np

from exposure_env import exposure_fusion, sample_photos, sample_scenes
from exposure_env.fusion import FUSIONS
from exposure_env.image import clip, expose
from exposure_env.photos import thumbnail
from exposure_env.retouch.bands import add_bands, collapsed, gaussians
from timing import STATUS, Line, in_new_process, peak_memory, race, rate

EVS = np.linspace(-2, 2, 8)  # no 0 among them


def large_photo(megapixels: float) -> np.ndarray:
    """A mosaic of the sample scenes, (H, W, 3) uint8, three wide by two high."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    tiles = [cv2.resize((scene.image * 255).astype(np.uint8), (768, 512)) for scene in sample_scenes()]
    rows = [np.concatenate([tiles[(row + column) % len(tiles)] for column in range(height * 3 // 2 // 768 + 1)], axis=1)
            for row in range(height // 512 + 1)]
    return np.ascontiguousarray(np.concatenate(rows)[:height, : height * 3 // 2])


def stack(photo: np.ndarray, dtype: type = np.float32) -> list[np.ndarray]:
    """The ready-made exposures that OpenCV blends."""
    exposures = []
    for ev in EVS:
        table = clip(expose(np.arange(256, dtype=np.float32) / 255, float(ev))) * 255
        exposures.append(np.take(np.rint(table).astype(dtype) if dtype == np.uint8 else table.astype(dtype), photo))
    return exposures


def opencv(exposures: list[np.ndarray]) -> np.ndarray:
    return cv2.createMergeMertens(1, 1, 1).process(exposures)


def ours(photo: np.ndarray) -> np.ndarray:
    return exposure_fusion(photo, EVS, include_input=False, epsilon=1e-12)


def blend_24mp(rounds: int, quick: bool) -> Iterator[Line]:
    """Speed and memory at 24 megapixels, against OpenCV on float32."""
    size = 1.0 if quick else 24.0
    yield _large_blend("blend_24mp_speed", size, np.float32, min(rounds, 3))
    if STATUS.exists():
        mine, other = (in_new_process(_peak, job, size)[0] for job in ("ours", "opencv"))
        yield Line("blend_24mp_memory", other / mine, "times less", f"OpenCV; extra {mine:.2f} against {other:.2f} GB")


def blend_50mp(rounds: int, quick: bool) -> Iterator[Line]:
    """Speed and memory at 50 megapixels, against OpenCV on uint8."""
    size = 1.0 if quick else 50.0
    yield _large_blend("blend_50mp_speed", size, np.uint8, min(rounds, 2))
    if STATUS.exists():
        note = "resident in all, Python and both photos included"
        yield Line("blend_50mp_rss_gb", in_new_process(_peak, "ours", size)[1], "GB", note)


def _large_blend(name: str, megapixels: float, dtype: type, rounds: int) -> Line:
    photo = large_photo(megapixels)
    exposures = stack(photo, dtype)
    ours(photo[:64, :64])  # compiles
    ratio, note = race(lambda: rate(lambda: ours(photo), megapixels),
                       lambda: rate(lambda: opencv(exposures), megapixels), rounds)
    return Line(name, ratio, "times as fast", f"OpenCV, {dtype.__name__}, 8 exposures; megapixels: {note}")


def _peak(job: str, megapixels: float) -> tuple[float, float]:
    """`peak_memory` of one blend, input excluded; run it in a process of its own."""
    photo = large_photo(megapixels)
    if job == "ours":
        ours(photo[:64, :64])  # imports and compiles
        return peak_memory(lambda: ours(photo))
    exposures = stack(photo)
    return peak_memory(lambda: opencv(exposures))


def blend_error(rounds: int, quick: bool) -> Iterator[Line]:
    """Rounding errors at 2 megapixels, against the definition in 64 bits."""
    photo = large_photo(0.2 if quick else 2.0)
    expected = _levels(_definition(photo))
    theirs = _levels(opencv(stack(photo)))
    for name, levels in {"ours": ours(photo).astype(float), "opencv": theirs}.items():
        difference = np.abs(levels - expected)
        yield Line(f"blend_error_{name}", difference.mean(), "levels of 255",
                   f"in the mean; {(difference > 1).mean():.3%} of values off by more than one")


def _levels(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 1) * 255)


def _definition(photo: np.ndarray) -> np.ndarray:
    """Mertens, Kautz and Van Reeth's blend in float64, on OpenCV's pyramids."""
    images = [np.clip(expose(photo / 255.0, float(ev)), 0, 1) for ev in EVS]
    weights = []
    for image in images:
        laplacian = cv2.filter2D(image, cv2.CV_64F, np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]))
        red, green, blue = np.moveaxis(image, -1, 0)
        saturation = np.sqrt(((red - green) ** 2 + (green - blue) ** 2 + (blue - red) ** 2) / 9)
        contrast = np.abs(laplacian @ np.array([0.299, 0.587, 0.114]))
        weights.append(contrast * saturation * np.exp(-((image - 0.5) ** 2).sum(-1) / 0.08) + 1e-12)
    total, depth = sum(weights), int(np.log2(min(photo.shape[:2])))
    bands: list[list[np.ndarray]] = [[], [], []]
    for image, weight in zip(images, weights, strict=True):
        halved = gaussians(weight / total, depth)
        for c in range(3):
            add_bands(image[..., c].copy(), halved, bands[c])
    return np.stack([collapsed(bands[c]) for c in range(3)], axis=-1)


def blend_64(rounds: int, quick: bool) -> Iterator[Line]:
    """Speed on thumbnails, for each way of blending; `mertens` is the one that does what OpenCV does."""
    photos = np.stack([thumbnail(photo.image) for photo in sample_photos("inputs", 64)])
    labels = np.broadcast_to(np.arange(64)[:, None] // 8, (64, 64, 64)).astype(np.int32)
    evs = np.broadcast_to(EVS.astype(np.float32), (64, 8)).copy()
    exposures = [stack(np.rint(photo * 255).astype(np.uint8)) for photo in photos]
    times, rounds = (1, 1) if quick else (8, 3 * rounds)  # more rounds: short ones suffer more from other processes
    for name in ("mertens", "mask_pyramid", "mertens_masked", "local"):
        fuse = FUSIONS[name]
        extra = {"include_input": False} if name == "mertens" else {}
        fuse(photos, labels, evs, **extra)
        ratio, note = race(
            lambda: rate(lambda: [fuse(photos, labels, evs, **extra) for _ in range(times)], times * 64),  # noqa: B023
            lambda: rate(lambda: [opencv(each) for _ in range(times) for each in exposures], times * 64),
            rounds)
        yield Line("blend_64_speed" if name == "mertens" else f"blend_64_{name}", ratio, "times as fast",
                   f"OpenCV, 8 exposures; {name}, 64 px, 64 at once, images: {note}")

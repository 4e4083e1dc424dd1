"""What image processing does without learning: equalised or matched histograms, and a bracket chosen by entropy.

The first two are functions from photo to photo, the third is a policy.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from skimage.color import lab2rgb, rgb2lab

from agents.baselines.untrained import PhotoPolicy, finished_with
from exposure_env import episode
from exposure_env.image import Space, clip, expose, luminance
from exposure_env.photos import Photo, check_photo

LEVELS = 256
LEAST_TILE = 16  # side [px] below which tiles hold too few pixels for a histogram of 256 levels
EV_STEP = 0.1  # between the exposures that are tried [stops]


class Clahe:
    """Contrast-limited adaptive histogram equalisation of lightness (Zuiderveld 1994), by OpenCV; colours a, b stay.

    The lightness L of CIELAB is equalised in 256 levels, and what each level changes is added to L, which so keeps its
    precision. Nothing is fitted.

    Args:
        clip_limit: What a level may count at most, in multiples of the mean count of all levels.
        tiles: Tiles along each side; fewer where they would be smaller than 16 px.

    Raises:
        ValueError: If `clip_limit` isn't positive, or `tiles` is below 1.
    """

    def __init__(self, clip_limit: float = 2.0, tiles: int = 8):
        if not clip_limit > 0 or tiles < 1:
            raise ValueError(f"clip_limit must be above 0 and tiles at least 1, not {clip_limit} and {tiles}")
        self.clip_limit, self.tiles = float(clip_limit), tiles

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """The photo equalised, (H, W, 3) float32 in [0, 1].

        Args:
            photo: See `photos.check_photo`, also for the errors.
        """
        lab = rgb2lab(check_photo(photo))
        rows, columns = (max(1, min(self.tiles, side // LEAST_TILE)) for side in lab.shape[:2])
        levels = np.rint(lab[..., 0] * np.float32(2.55)).astype(np.uint8)
        equalised = cv2.createCLAHE(self.clip_limit, (columns, rows)).apply(levels)
        lab[..., 0] = np.clip(lab[..., 0] + (equalised.astype(np.float32) - levels) / np.float32(2.55), 0, 100)
        return clip(lab2rgb(lab).astype(np.float32))


class HistogramMatching:
    """A function that gives every photo the same histogram of luma; colours change in proportion to it.

    Matching luma alone keeps the photo's own colours: matched channel by channel, every photo would come to the same
    mean colour. A level of luma goes to the level that as large a part of the histogram lies below; of a level's own
    pixels half count as below.

    Args:
        histogram: (256,) weights of the levels of luma from 0 to 1, not all 0.

    Raises:
        ValueError: If it isn't of 256 finite numbers from 0, one above 0.
    """

    def __init__(self, histogram: np.ndarray):
        histogram = np.asarray(histogram, float)
        if histogram.shape != (LEVELS,) or not np.isfinite(histogram).all() or histogram.min() < 0 or (
                histogram.max() == 0):
            raise ValueError(f"a histogram is {LEVELS} finite weights from 0, one above 0, not {histogram}")
        self.histogram = histogram / histogram.sum()

    @classmethod
    def fit(cls, experts: Sequence[Photo]) -> "HistogramMatching":
        """The function with the mean of the experts' photos' histograms.

        Raises:
            ValueError: If there are no photos.
        """
        if not len(experts):
            raise ValueError("give at least one expert's photo")
        return cls(np.mean([_shares(_levels(luminance(photo.image))) for photo in experts], axis=0))

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """The photo matched, (H, W, 3) float32 in [0, 1].

        Args:
            photo: See `photos.check_photo`, also for the errors.
        """
        photo = check_photo(photo)
        luma = luminance(photo)
        there = np.flatnonzero(self.histogram)
        table = np.interp(_ranks(_shares(_levels(luma))), _ranks(self.histogram)[there], there) / (LEVELS - 1)
        matched = np.interp(luma * (LEVELS - 1), np.arange(LEVELS), table).astype(np.float32)
        return clip(photo * (matched / np.maximum(luma, np.float32(0.5 / (LEVELS - 1))))[..., None])


class EntropyBracket(PhotoPolicy):
    """Each photo blended with one brighter exposure of itself, which shows most in its dark parts: FI by entropy.

    As in single-image fusion by Ying et al. ("A New Image Contrast Enhancement Algorithm Using Exposure Fusion
    Framework", CAIP 2017), the exposure is the one under which the pixels that are too dark have the histogram of
    brightness with the largest entropy; brightness is the geometric mean of the three channels. Unlike there, a pixel
    is too dark if its largest channel is below one half, unsmoothed; light is multiplied as in a camera without a
    response curve; the blend is Mertens's. `evaluation.evaluate` uses `plan` and `fusion`, as with `FixedBracket`; in
    an environment, `predict` gives the exposure to every segment.

    Args:
        max_ev: Largest exposure, and that of action 1 [stops]; the task's.
        space: The task's; see `image.expose`.
    """

    fusion = "mertens"

    def __init__(self, max_ev: float = 3.0, space: Space = "linear"):
        self.max_ev, self.space = max_ev, space

    def evs(self, photos: np.ndarray) -> np.ndarray:
        """Exposures (N,) [stops], from 0 in tenths; the least of equals, and 0 where nothing is too dark."""
        return np.array([self._brighter(photo[photo.max(-1) < 0.5]) for photo in photos])

    def _brighter(self, dark: np.ndarray) -> float:
        """The exposure of the dark pixels, (M, 3)."""
        tried = np.arange(int(round(self.max_ev / EV_STEP, 6)) + 1) * EV_STEP
        if not len(dark):
            return 0.0
        shares = [_shares(_levels(np.cbrt(clip(expose(dark[None], float(ev), self.space)).prod(-1)))) for ev in tried]
        return float(tried[int(np.argmax([-np.sum(each * np.log(np.maximum(each, 1e-12))) for each in shares]))])

    def plan(self, state: episode.EpisodeState) -> episode.EpisodeState:
        """The finished brackets of N photos; their segments are ignored, as if each photo were a single one."""
        whole = episode.start(state.photos, np.zeros_like(state.labels), 1, state.targets)
        return finished_with(whole, self.evs(state.photos)[:, None])


def _levels(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as levels 0..255."""
    return np.rint(values * (LEVELS - 1)).astype(np.intp)


def _shares(levels: np.ndarray) -> np.ndarray:
    """(256,) fractions of the pixels at each level."""
    return np.bincount(levels.ravel(), minlength=LEVELS)[:LEVELS] / levels.size


def _ranks(shares: np.ndarray) -> np.ndarray:
    """(256,) the fraction of the pixels below each level, of its own pixels half."""
    return np.cumsum(shares) - shares / 2

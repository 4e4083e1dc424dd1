"""Scores of seeds by photos: mean, interquartile mean, profile and comparison, each with two intervals.

The first interval is for other seeds on these photos, the second for other seeds on other photos of the same kinds.
Both are Student's t about the estimate. The variances come from leaving out one seed, and one photo, at a time (the
jackknife; Efron and Stein 1981). Of a mean, that gives `statistics.student` and `statistics.crossed`; and it works with
three seeds, where resampling doesn't. Interquartile mean, performance profile and probability of improvement are those
of Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from agents.evaluation.metrics import iqm
from agents.evaluation.statistics import Interval


class Scores(NamedTuple):
    """What a method reached with each seed on each photo."""

    seeds: tuple[int, ...]  # S; of a method that doesn't learn, one that says nothing
    photos: tuple[str, ...]  # P names; of several crops of one photograph, the photograph's
    values: np.ndarray  # (S, P) float64, finite
    learned: bool = True  # whether another seed would give other scores

    @classmethod
    def of(cls, runs: Mapping[int, Mapping[str, float]], learned: bool = True) -> "Scores":
        """The scores of runs that were tested on the same photos.

        Args:
            runs: For each seed, the score of each photo by the photo's name.
            learned: See `Scores`.

        Raises:
            ValueError: If there are no scores, the photos differ from seed to seed, a score is not finite, or a method
                that doesn't learn has several seeds.
        """
        seeds, photos = tuple(runs), tuple(next(iter(runs.values()), ()))
        if not photos or (len(seeds) > 1 and not learned):
            raise ValueError(f"want scores of at least one photo, and one seed of a method that doesn't learn, not "
                             f"{len(photos)} photos, {len(seeds)} seeds and learned={learned}")
        for seed, scores in runs.items():
            _check_same(photos, scores, f"seed {seed}", f"seed {seeds[0]}")
        values = np.array([[runs[seed][name] for name in photos] for seed in seeds], float)
        if not np.isfinite(values).all():
            seed, photo = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(f"scores must be finite, not {values[seed, photo]} for seed {seeds[seed]} on "
                             f"{photos[photo]}")
        return cls(seeds, photos, values, learned)


class Estimate(NamedTuple):
    """An estimate with both intervals; `n` is the number of seeds, the smaller one of two methods.

    Where nothing learns, `n` of the second is the number of photos.
    """

    value: float
    over_seeds: Interval  # these photos; without ends for one seed, and for methods that don't learn
    over_both: Interval  # other photos too; without ends for one seed of a method that learns, or one photo


class Profile(NamedTuple):
    """How large a part of all scores lies above each threshold."""

    thresholds: np.ndarray  # (T,)
    fractions: np.ndarray  # (T,), 0 to 1
    over_seeds: np.ndarray  # (T, 2), pointwise low and high ends within 0 to 1, NaN where unknown
    over_both: np.ndarray  # (T, 2), likewise, for other photos too
    n: int  # seeds


def mean(scores: Scores, confidence: float = 0.95) -> Estimate:
    """The mean over seeds and photos.

    Raises:
        ValueError: If `confidence` doesn't lie between 0 and 1.
    """
    return _estimate(np.mean, [scores], confidence)


def interquartile_mean(scores: Scores, confidence: float = 0.95) -> Estimate:
    """The mean of the middle half of all scores, seeds and photos pooled: `scipy.stats.trim_mean` of 0.25.

    A few photos that go very well or very badly don't move it. See `mean` for the error.
    """
    return _estimate(lambda values: iqm(values.ravel()), [scores], confidence)


def performance_profile(scores: Scores, thresholds: Sequence[float], confidence: float = 0.95) -> Profile:
    """The fraction of runs on photos whose score is above each threshold, with pointwise intervals.

    Where all scores lie on one side of a threshold the interval has no width: it knows of nothing rarer than one photo.

    Args:
        scores: The scores of one method.
        thresholds: (T,), finite.
        confidence: Probability that the interval at any one threshold should cover; that all do is less likely.

    Raises:
        ValueError: If there are no thresholds, one is not finite, or `confidence` doesn't lie between 0 and 1.
    """
    limits = np.asarray(thresholds, float)
    if limits.ndim != 1 or limits.size == 0 or not np.isfinite(limits).all():
        raise ValueError(f"want a list of finite thresholds, not {thresholds!r}")
    fractions, *ends = _both(lambda values: (values[..., None] > limits).mean((0, 1)), [scores], confidence)
    return Profile(limits, fractions, *(np.clip(each, 0, 1) for each in ends), len(scores.seeds))


def difference(ours: Scores, theirs: Scores, confidence: float = 0.95) -> Estimate:
    """How much more ours is than theirs in the mean, paired by photo and, where both have them, by seed.

    Seeds that only one of them has are left out if they share at least two. With fewer in common all seeds count, and
    their variances add up, with Satterthwaite's degrees of freedom (Welch's test). A method that doesn't learn is the
    same for every seed.

    Raises:
        ValueError: If they were tested on different photos, or `confidence` doesn't lie between 0 and 1.
    """
    return _estimate(lambda a, b: a.mean() - b.mean(), _aligned(ours, theirs), confidence)


def probability_of_improvement(ours: Scores, theirs: Scores, confidence: float = 0.95) -> Estimate:
    """How likely a run of ours scores higher than a run of theirs on a photo drawn at random; ties count half.

    For each photo it is Mann and Whitney's U over all pairs of seeds, as a fraction of the pairs; then the mean over
    the photos. Seeds and errors are as in `difference`. Where every pair agrees the interval has no width: it knows of
    nothing rarer than that.
    """
    def wins(a: np.ndarray, b: np.ndarray) -> float:
        return np.mean((1 + np.sign(a[:, None] - b[None])) / 2)  # (S, S', P)

    value, *intervals = _estimate(wins, _aligned(ours, theirs), confidence)
    within = (each._replace(low=float(np.clip(each.low, 0, 1)), high=float(np.clip(each.high, 0, 1)))
              for each in intervals)
    return Estimate(value, *within)


def _aligned(ours: Scores, theirs: Scores) -> list[Scores]:
    """The scores of both on photos in the same order, and on the seeds that they share if those are two or more."""
    _check_same(ours.photos, theirs.photos, "the second method", "the first")
    places = [theirs.photos.index(name) for name in ours.photos]
    pair = [ours, theirs._replace(photos=ours.photos, values=theirs.values[:, places])]
    common = tuple(seed for seed in ours.seeds if seed in theirs.seeds)
    if len(common) < 2:
        return pair
    return [each._replace(seeds=common, values=each.values[[each.seeds.index(seed) for seed in common]])
            for each in pair]


def _estimate(statistic: Callable[..., float], scores: Sequence[Scores], confidence: float) -> Estimate:
    value, *ends = _both(statistic, scores, confidence)
    seeds = [len(each.seeds) for each in scores if each.learned]
    nums = min(seeds, default=1), min(seeds, default=len(scores[0].photos))
    return Estimate(float(value), *(Interval(float(value), *map(float, each), num)
                                    for each, num in zip(ends, nums, strict=True)))


def _both(statistic: Callable[..., np.ndarray], scores: Sequence[Scores], confidence: float) -> tuple[np.ndarray, ...]:
    """The statistic, (...), and the ends of its intervals over seeds and over both, (..., 2) each.

    Args:
        statistic: Function of the values, (S, P), of each of the scores.
        scores: One, or two with the same photos; if their seeds are the same, they are left out together.
        confidence: Probability that an interval should cover.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    values = [each.values for each in scores]
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, each in enumerate(scores):
        if each.learned:
            groups.setdefault(each.seeds, []).append(place)
    seeds = [_left_out(statistic, values, group, 0) for group in groups.values()]
    photos = _left_out(statistic, values, range(len(values)), 1)
    value = np.asarray(statistic(*values))
    return value, _ends(value, seeds, confidence), _ends(value, [*seeds, photos], confidence)


def _left_out(statistic: Callable[..., np.ndarray], values: Sequence[np.ndarray], which: Sequence[int], axis: int
              ) -> tuple[np.ndarray, int]:
    """The jackknife's variance of the statistic, from leaving out each seed or photo, and its degrees of freedom."""
    num = values[which[0]].shape[axis]
    if num < 2:
        return np.asarray(np.nan), 0
    left = [statistic(*(np.delete(each, one, axis) if place in which else each for place, each in enumerate(values)))
            for one in range(num)]
    return (num - 1) * np.var(left, axis=0), num - 1


def _ends(value: np.ndarray, parts: Sequence[tuple[np.ndarray, int]], confidence: float) -> np.ndarray:
    """Both ends, (..., 2), from the parts of the variance; NaN without any part, or where one of them is unknown."""
    variances = np.array([np.broadcast_to(variance, value.shape) for variance, _ in parts] or [value * np.nan])
    freedoms = np.array([freedom for _, freedom in parts] or [0]).reshape(-1, *[1] * value.ndim)
    total = variances.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(total > 0, total**2 / (variances**2 / freedoms).sum(0), np.inf)
    half = stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(total)
    return np.stack([value - half, value + half], -1)


def _check_same(first: Sequence[str], second: Sequence[str] | Mapping[str, float], who: str, other: str) -> None:
    if wrong := sorted(set(first) ^ set(second)):
        raise ValueError(f"want the same photos for all, but only one of {who} and {other} has {wrong[0]!r}")

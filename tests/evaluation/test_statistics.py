"""Intervals over few seeds, by hand and by how often they cover."""

import math

import numpy as np
import pytest
from scipy import stats

from agents.evaluation.statistics import Interval, crossed, paired, student


def simulated(trials, seeds, photos, between_photos, between_seeds, residual, rng):
    """(trials, seeds, photos) gains whose true mean is 0 [dB]."""
    return (rng.normal(0, between_photos, (trials, 1, photos)) + rng.normal(0, between_seeds, (trials, seeds, 1))
            + rng.normal(0, residual, (trials, seeds, photos)))


def coverage(intervals, truth=0.0):
    return np.mean([interval.low <= truth <= interval.high for interval in intervals])


class TestStudent:
    def test_by_hand(self):
        mean, low, high, n = student([1.0, 2.0, 3.0])
        assert (mean, n) == (2.0, 3)  # standard error 1 / sqrt(3); t of 0.975 with 2 degrees is 4.3027
        assert (low, high) == pytest.approx((2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-4)
        assert student([0.0, 1.0]).high == pytest.approx(0.5 + 12.7062 * 0.5, abs=1e-4)
        assert student([0.0, 1.0], confidence=0.5).high == pytest.approx(0.5 + 1.0 * 0.5)  # t of 0.75 with 1 is 1

    def test_equals_scipy(self):
        values = np.random.default_rng(0).normal(2, 3, 7)
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
        np.testing.assert_allclose(student(values, 0.9)[1:3], expected)

    def test_one_value_has_no_interval_and_equal_ones_an_empty_one(self):
        mean, low, high, n = student([4.0])
        assert (mean, n) == (4.0, 1) and math.isnan(low) and math.isnan(high)
        assert student([4.0, 4.0]) == Interval(4.0, 4.0, 4.0, 2)

    @pytest.mark.parametrize("num", [3, 5])
    def test_it_covers_as_often_as_it_says(self, num):
        rng = np.random.default_rng(num)
        assert 0.935 < coverage([student(rng.normal(0, 0.05, num)) for _ in range(2000)]) < 0.965

    @pytest.mark.parametrize("values, confidence", [([], 0.95), ([[1, 2]], 0.95), ([1, 2], 95), ([1, 2], 0)])
    def test_nonsense_is_refused(self, values, confidence):
        with pytest.raises(ValueError, match="want values in 1 dimension and"):
            student(values, confidence)

    def test_what_is_not_finite_is_refused(self):
        with pytest.raises(ValueError, match="must be finite, not nan"):
            student([1.0, math.nan])


class TestPaired:
    def test_differences_by_seed_by_hand(self):
        ours, theirs = {0: 1.0, 1: 2.5, 2: 3.0, 7: 99.0}, {2: 2.0, 1: 1.0, 0: 1.0, 5: -99.0}
        assert paired(ours, theirs) == student([0.0, 1.5, 1.0])

    def test_what_both_share_cancels(self):
        shared = {0: 10.0, 1: -3.0, 2: 40.0}
        low, high = paired({seed: value + 0.25 for seed, value in shared.items()}, shared)[1:3]
        assert (low, high) == (0.25, 0.25)

    def test_without_a_seed_in_common(self):
        with pytest.raises(ValueError, match=r"no seed in common: \[0\] and \[1\]"):
            paired({0: 1.0}, {1: 1.0})


class TestCrossed:
    def test_by_hand(self):
        values = np.array([[0.0, 2.0, 4.0], [2.0, 4.0, 6.0]])  # seeds 1 apart from the mean 3, photos 2
        seeds, photos = 2.0 / 2, 4.0 / 3  # variances of the means of the seeds, 2 and 4, and of the photos, 1, 3 and 5
        freedom = (seeds + photos) ** 2 / (seeds**2 / 1 + photos**2 / 2)
        half = stats.t.ppf(0.975, freedom) * math.sqrt(seeds + photos)
        assert crossed(values) == pytest.approx((3.0, 3 - half, 3 + half, 2))

    def test_with_photos_that_differ_only_it_is_students_over_photos(self):
        photos = np.random.default_rng(0).normal(1, 3, 60)
        np.testing.assert_allclose(crossed(np.stack([photos] * 5))[:3], student(photos)[:3])

    def test_with_seeds_that_differ_only_it_is_students_over_seeds(self):
        seeds = np.array([1.0, 2.0, 5.0])
        np.testing.assert_allclose(crossed(np.stack([seeds] * 60, axis=1))[:3], student(seeds)[:3])
        assert crossed(np.full((3, 4), 1.5)) == Interval(1.5, 1.5, 1.5, 3)

    @pytest.mark.parametrize("seeds", [3, 5])
    def test_it_covers_with_realistic_variances(self, seeds):
        """Between photos 3 dB, between seeds 0.05 dB, residual 0.5 dB."""
        gains = simulated(2000, seeds, 60, 3.0, 0.05, 0.5, np.random.default_rng(seeds))
        assert 0.935 < coverage(map(crossed, gains)) < 0.965
        assert coverage([student(each.mean(1)) for each in gains]) < 0.5  # over seeds alone: other photos are no topic

    @pytest.mark.parametrize(("variances", "least", "most"), [
        ((0.0, 1.0, 0.5), 0.935, 0.965),  # seeds alone
        ((1.0, 1.0, 0.5), 0.92, 0.96),
        ((0.3, 0.05, 0.5), 0.94, 0.985),
        ((0.0, 0.0, 0.5), 0.97, 1.0),  # too wide by half, at worst
    ])
    def test_it_covers_with_other_variances(self, variances, least, most):
        gains = simulated(2000, 5, 60, *variances, np.random.default_rng(0))
        assert least < coverage(map(crossed, gains)) < most

    def test_too_few_are_refused(self):
        for shape in [(1, 5), (5, 1)]:
            with pytest.raises(ValueError, match=f"at least two seeds and two photos, not {shape[0]} and {shape[1]}"):
                crossed(np.zeros(shape))
        with pytest.raises(ValueError, match="values in 2 dimensions"):
            crossed(np.zeros(5))

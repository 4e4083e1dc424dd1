"""Estimates over seeds and photos: by hand, against scipy, and by how often their intervals cover."""

import csv
import math

import numpy as np
import pytest
from scipy import stats

from agents.evaluation.scores import (
    Scores,
    difference,
    interquartile_mean,
    mean,
    performance_profile,
    probability_of_improvement,
)
from agents.evaluation.statistics import Interval, crossed, paired, student
from tests.evaluation.test_statistics import coverage, simulated
from tests.repository import ROOT

TRIALS = 1000


def scores(values, seeds=None, learned=True):
    values = np.array(values, float)
    photos = tuple(f"photo {number}" for number in range(values.shape[1]))
    return Scores(tuple(range(len(values)) if seeds is None else seeds), photos, values, learned)


def flat(estimate):
    return [estimate.value, *estimate.over_seeds, *estimate.over_both]


@pytest.fixture
def five():
    return np.random.default_rng(1).normal(2, 1, (5, 12))


class TestScores:
    def test_photos_are_matched_by_name(self):
        found = Scores.of({3: {"a": 1.0, "b": 2.0}, 5: {"b": 4.0, "a": 3.0}})
        assert found.seeds == (3, 5) and found.photos == ("a", "b")
        np.testing.assert_array_equal(found.values, [[1, 2], [3, 4]])

    @pytest.mark.parametrize(("runs", "learned", "message"), [
        ({}, True, "at least one photo.* not 0 photos, 0 seeds"),
        ({0: {}}, True, "not 0 photos, 1 seeds"),
        ({0: {"a": 1.0}, 1: {"a": 1.0}}, False, "not 1 photos, 2 seeds and learned=False"),
        ({0: {"a": 1.0}, 4: {"b": 1.0}}, True, "only one of seed 4 and seed 0 has 'a'"),
        ({0: {"a": 1.0, "b": math.nan}}, True, "must be finite, not nan for seed 0 on b"),
    ])
    def test_what_makes_no_sense_is_refused(self, runs, learned, message):
        with pytest.raises(ValueError, match=message):
            Scores.of(runs, learned)


class TestMean:
    def test_its_intervals_are_students_over_seeds_and_the_crossed_one(self, five):
        value, over_seeds, over_both = mean(scores(five), 0.9)
        assert value == pytest.approx(five.mean()) and over_seeds.n == over_both.n == 5
        assert over_seeds == pytest.approx(student(five.mean(1), 0.9))
        assert over_both == pytest.approx(crossed(five, 0.9))

    def test_one_seed_of_a_learner_has_no_interval_and_a_baseline_has_students_over_photos(self, five):
        for each in mean(scores(five[:1]))[1:]:
            assert each.mean == pytest.approx(five[0].mean()) and math.isnan(each.low) and each.n == 1
        _, over_seeds, over_both = mean(scores(five[:1], learned=False))
        assert math.isnan(over_seeds.high) and over_both == pytest.approx(student(five[0]))

    def test_one_photo_tells_nothing_of_others(self, five):
        _, over_seeds, over_both = mean(scores(five[:, :1]))
        assert over_seeds == pytest.approx(student(five[:, 0])) and math.isnan(over_both.low)

    def test_equal_scores_have_intervals_without_width(self):
        assert mean(scores(np.full((3, 4), 1.5))).over_both == Interval(1.5, 1.5, 1.5, 3)

    def test_a_confidence_in_percent_is_refused(self, five):
        with pytest.raises(ValueError, match="between 0 and 1, not 95"):
            mean(scores(five), 95)


class TestInterquartileMean:
    def test_equals_scipy(self, five):
        for values in (five, five[:3], five[:1, :7]):
            assert interquartile_mean(scores(values)).value == pytest.approx(stats.trim_mean(values, 0.25, axis=None))

    def test_a_photo_that_goes_wrong_hardly_moves_it(self, five):
        broken = five.copy()
        broken[:, 0] = -1000
        assert abs(interquartile_mean(scores(broken)).value - interquartile_mean(scores(five)).value) < 0.3

    def test_its_intervals_cover(self):
        gains = simulated(400, 5, 40, 1.0, 0.3, 0.5, np.random.default_rng(0))  # symmetric: its true value is 0
        found = [interquartile_mean(scores(each)) for each in gains]
        assert 0.93 <= coverage(each.over_both for each in found) < 0.99

    def test_its_interval_over_seeds_covers_on_photos_that_stay(self):
        rng = np.random.default_rng(0)
        photos, gains = rng.normal(0, 1, 40), simulated(20400, 5, 40, 0.0, 0.3, 0.5, rng)
        truth = stats.trim_mean((photos + gains[400:]).reshape(20000, -1), 0.25, axis=1).mean()
        found = [interquartile_mean(scores(photos + each)).over_seeds for each in gains[:400]]
        assert 0.93 <= coverage(found, truth) < 0.97


class TestPerformanceProfile:
    def test_by_hand(self):
        found = performance_profile(scores([[0, 1, 2, 3], [1, 1, 2, 4]]), [-1, 1, 2.5, 9])
        np.testing.assert_array_equal(found.fractions, [1, 0.5, 0.25, 0])
        assert found.n == 2 and found.over_both.shape == (4, 2)
        np.testing.assert_array_equal(found.over_seeds[[0, 3]], [[1, 1], [0, 0]])

    def test_its_intervals_are_those_of_a_mean_of_zeros_and_ones_kept_within(self, five):
        found = performance_profile(scores(five), [2.0, 4.2])
        for place, limit in enumerate([2.0, 4.2]):
            _, over_seeds, over_both = mean(scores(five > limit))
            assert found.over_seeds[place] == pytest.approx(np.clip(over_seeds[1:3], 0, 1))
            assert found.over_both[place] == pytest.approx(np.clip(over_both[1:3], 0, 1))

    def test_it_never_rises(self, five):
        fractions = performance_profile(scores(five), np.linspace(-2, 6, 50)).fractions
        assert fractions[0] == 1 and fractions[-1] == 0 and (np.diff(fractions) <= 0).all()

    def test_its_intervals_cover(self):
        gains = simulated(400, 5, 40, 1.0, 0.3, 0.5, np.random.default_rng(0))
        limits = [-1.0, 0.0, 0.7]
        found = np.array([performance_profile(scores(each), limits).over_both for each in gains])  # (trials, 3, 2)
        truth = stats.norm.sf(limits, scale=math.sqrt(1 + 0.3**2 + 0.5**2))
        assert ((found[..., 0] <= truth) & (truth <= found[..., 1])).mean(0).min() >= 0.93

    @pytest.mark.parametrize("thresholds", [[], [[1.0]], [math.inf]])
    def test_thresholds_must_be_numbers(self, five, thresholds):
        with pytest.raises(ValueError, match="want a list of finite thresholds"):
            performance_profile(scores(five), thresholds)


class TestDifference:
    def test_the_same_seeds_are_paired_by_seed_and_photo(self, five):
        other = five + np.random.default_rng(2).normal(0.5, 0.1, five.shape)
        value, over_seeds, over_both = difference(scores(other), scores(five))
        assert value == pytest.approx((other - five).mean())
        assert over_seeds == pytest.approx(paired(dict(enumerate(other.mean(1))), dict(enumerate(five.mean(1)))))
        assert over_both == pytest.approx(crossed(other - five))

    def test_order_of_seeds_and_photos_doesnt_matter(self, five):
        ours, theirs = scores(five + np.arange(5)[:, None]), scores(five)
        turned = Scores(ours.seeds[::-1], ours.photos[::-1], ours.values[::-1, ::-1])
        assert flat(difference(turned, theirs)) == pytest.approx(flat(difference(ours, theirs)))

    def test_seeds_that_one_lacks_are_left_out(self, five):
        theirs = scores(five[1:4] - 0.25, seeds=(1, 2, 3))
        assert flat(difference(scores(five), theirs)) == flat(difference(scores(five[1:4], (1, 2, 3)), theirs))

    def test_other_seeds_are_compared_as_welch_does(self, five):
        theirs = np.random.default_rng(3).normal(2, 2, (3, 12))
        _, over_seeds, over_both = difference(scores(five), scores(theirs, seeds=(7, 8, 9)))
        expected = stats.ttest_ind(five.mean(1), theirs.mean(1), equal_var=False).confidence_interval()
        assert over_seeds[1:] == pytest.approx((expected.low, expected.high, 3))
        spread = five.mean(1).var(ddof=1) / 5, theirs.mean(1).var(ddof=1) / 3, (
            five.mean(0) - theirs.mean(0)).var(ddof=1) / 12
        freedom = sum(spread) ** 2 / sum(part**2 / num for part, num in zip(spread, (4, 2, 11), strict=True))
        half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(spread))
        assert over_both.high - over_both.mean == pytest.approx(half)

    def test_a_baseline_is_the_same_for_every_seed(self, five):
        baseline = scores(five[:1] * 0.5, learned=False)
        value, over_seeds, over_both = difference(scores(five, seeds=(4, 5, 6, 7, 8)), baseline)
        assert over_both == pytest.approx(crossed(five - 0.5 * five[0]))
        assert over_seeds == pytest.approx(student((five - 0.5 * five[0]).mean(1)))

    def test_other_photos_are_refused(self, five):
        with pytest.raises(ValueError, match="only one of the second method and the first has 'photo 11'"):
            difference(scores(five), scores(five[:, :11]))

    @pytest.mark.parametrize(("method", "seeds", "ratio"), [("I", 5, 4.34), ("regression", 3, 0.98)])
    def test_pairing_makes_stored_intervals_narrower_where_methods_are_alike(self, method, seeds, ratio):
        """Over seeds, from the runs' means, which are all that the table keeps: II minus the other."""
        with (ROOT / "examples" / "results" / "uneven-v1.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        ours, theirs = ({int(line["seed"]): {"all": float(line["gain"])} for line in lines if line["method"] == name}
                        for name in ("II", method))
        other = {seed + 100: gains for seed, gains in theirs.items()}  # as if their seeds had nothing in common
        narrow, wide = (difference(Scores.of(ours), Scores.of(each)).over_seeds for each in (theirs, other))
        assert narrow.n == seeds
        assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(ratio, abs=0.01)


class TestProbabilityOfImprovement:
    def test_by_hand_with_ties_counted_half(self):
        ours, theirs = scores([[1, 5], [2, 5]]), scores([[0, 5], [2, 6], [3, 4]], seeds=(5, 6, 7))
        # photo a: 1 beats 0; 2 beats 0 and ties with 2: 2.5 of 6; photo b: 5 ties with 5 and beats 4, twice: 3 of 6
        assert probability_of_improvement(ours, theirs).value == pytest.approx((2.5 / 6 + 3 / 6) / 2)

    def test_equals_scipys_mann_whitney_on_each_photo(self, five):
        theirs = np.round(np.random.default_rng(4).normal(2, 1, (3, 12)))
        ours = np.round(five)
        expected = [stats.mannwhitneyu(a, b).statistic / 15 for a, b in zip(ours.T, theirs.T, strict=True)]
        found = probability_of_improvement(scores(ours), scores(theirs, seeds=(7, 8, 9)))
        assert found.value == pytest.approx(np.mean(expected))

    def test_both_directions_add_up_to_one(self, five):
        ours, theirs = scores(five), scores(five[::-1] + 0.1, seeds=(5, 6, 7, 8, 9))
        there, back = probability_of_improvement(ours, theirs), probability_of_improvement(theirs, ours)
        assert there.value + back.value == pytest.approx(1)
        assert there.over_both.low == pytest.approx(1 - back.over_both.high)

    def test_a_photo_that_is_hard_for_all_says_nothing(self, five):
        """Stratified by photo: however much photos differ, only seeds on the same photo are compared."""
        ours, theirs, photos = scores(five), scores(five - 0.2), 100 * np.arange(12)
        found = probability_of_improvement(scores(five + photos), scores(five - 0.2 + photos))
        assert flat(found) == pytest.approx(flat(probability_of_improvement(ours, theirs)))

    def test_its_ends_stay_within_0_and_1(self, five):
        value, over_seeds, over_both = probability_of_improvement(scores(five + 9), scores(five))
        assert value == 1 and over_seeds[:3] == over_both[:3] == (1, 1, 1)
        found = probability_of_improvement(scores(five[:3] + 1.4), scores(five[:3, ::-1], seeds=(7, 8, 9)))
        assert 0 <= found.over_both.low < found.value < found.over_both.high <= 1

    @pytest.mark.parametrize("seeds", [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)])
    def test_its_interval_covers(self, seeds):
        rng = np.random.default_rng(0)
        better = 0.2 + rng.normal(0, 1, (300, 1, 40))  # on each photo [dB]
        ours, theirs = (simulated(300, 5, 40, 0.0, 0.3, 0.5, rng) + sign * better / 2 for sign in (1, -1))
        # a run of ours minus one of theirs, on any photo, is normal with mean 0.2 and variance 1 + 2 (0.3² + 0.5²)
        truth = stats.norm.cdf(0.2 / math.sqrt(1 + 2 * (0.3**2 + 0.5**2)))
        found = [probability_of_improvement(scores(a), scores(b, seeds)).over_both
                 for a, b in zip(ours, theirs, strict=True)]
        assert 0.93 <= coverage(found, truth) <= 1


class TestCoverage:
    """How often intervals of 95 % over five normal seeds and forty photos hold the truth: at least 0.93."""

    def test_of_students_t_over_seeds_on_photos_that_stay(self):
        rng = np.random.default_rng(5)
        photos = rng.normal(0, 3, 40)
        gains = photos + simulated(TRIALS, 5, 40, 0.0, 0.3, 0.5, rng)
        found = [mean(scores(each)).over_seeds for each in gains]
        assert 0.93 <= coverage(found, photos.mean()) < 0.97

    @pytest.mark.parametrize("variances", [(3.0, 0.05, 0.5), (1.0, 0.3, 0.5), (0.3, 0.3, 0.5), (0.3, 0.05, 0.5)])
    def test_of_the_crossed_interval(self, variances):
        gains = simulated(TRIALS, 5, 40, *variances, np.random.default_rng(5))
        assert coverage([mean(scores(each)).over_both for each in gains]) >= 0.93

    @pytest.mark.parametrize(("num", "least"), [(3, 0.91), (5, 0.93)])
    def test_of_the_crossed_interval_at_its_worst(self, num, least):
        """The seeds' share of the variance is eight times the photos': with three seeds that is less than promised."""
        gains = simulated(3 * TRIALS, num, 40, 1.0, math.sqrt(8 * num / 40), 0.0, np.random.default_rng(8))
        assert least <= coverage([mean(scores(each)).over_both for each in gains]) < least + 0.025

    @pytest.mark.parametrize("other_seeds", [False, True])
    def test_of_the_difference(self, other_seeds):
        """What both share, be it photos or seeds, cancels, and the narrow interval still covers."""
        rng = np.random.default_rng(6)
        shared = simulated(TRIALS, 5, 40, 3.0, 0.0 if other_seeds else 1.0, 0.0, rng)
        ours, theirs = (shared + simulated(TRIALS, 5, 40, 0.3, 0.1, 0.3, rng) for _ in range(2))
        found = [difference(scores(a), scores(b, range(5, 10) if other_seeds else None)).over_both
                 for a, b in zip(ours, theirs, strict=True)]
        assert coverage(found) >= 0.93
        assert np.mean([each.high - each.low for each in found]) < 0.5  # one of the means alone has 2

    @pytest.mark.parametrize("other_seeds", [False, True])
    def test_of_the_difference_on_photos_that_stay(self, other_seeds):
        rng = np.random.default_rng(7)
        shared = rng.normal(0, 3, 40) + (0.0 if other_seeds else rng.normal(0, 1, (TRIALS, 5, 1)))
        ours, theirs = (shared + simulated(TRIALS, 5, 40, 0.0, 0.1, 0.3, rng) for _ in range(2))
        found = [difference(scores(a), scores(b, range(5, 10) if other_seeds else None)).over_seeds
                 for a, b in zip(ours, theirs, strict=True)]
        assert 0.93 <= coverage(found) < 0.975

    @pytest.mark.parametrize(("num", "expected"), [(3, 0.74), (5, 0.83)])
    def test_of_a_percentile_bootstrap_over_so_few_it_would_be_too_low(self, num, expected):
        rng = np.random.default_rng(num)
        values = rng.normal(0, 1, (5000, num))
        drawn = rng.integers(num, size=(1000, num))  # the same resamples for all: they only stand for all there are
        low, high = np.quantile(values[:, drawn].mean(-1), [0.025, 0.975], axis=1)
        assert np.mean((low <= 0) & (0 <= high)) == pytest.approx(expected, abs=0.015)

    @pytest.mark.parametrize(("num", "expected"), [(3, 0.79), (5, 0.89)])
    def test_of_a_bootstrap_of_both_seeds_and_photos_it_would_be_too_low_too(self, num, expected):
        """Where it is the seeds that differ."""
        rng = np.random.default_rng(0)
        gains = simulated(1000, num, 40, 0.0, 0.3, 0.5, rng)
        seeds, photos = (rng.multinomial(size, [1 / size] * size, size=1000) / size for size in (num, 40))
        drawn = np.einsum("rs,tsr->tr", seeds, gains @ photos.T)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
        resampled = np.mean((low <= 0) & (0 <= high))
        assert resampled == pytest.approx(expected, abs=0.015)
        assert coverage([mean(scores(each)).over_both for each in gains]) > resampled + 0.05

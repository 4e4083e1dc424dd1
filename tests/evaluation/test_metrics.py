import math

import numpy as np
import pytest
from scipy.stats import pearsonr, trim_mean
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from agents.evaluation.metrics import (
    delta_e,
    interval,
    iqm,
    mse,
    mse_uint8_wrapped,
    pearson,
    psnr,
    psnr_uint8_wrapped,
    ssim,
)

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 256, (4, 24, 20, 3), dtype=np.uint8)
NOISE = RNG.normal(size=TARGETS.shape) * np.reshape([3, 10, 30, 90], (4, 1, 1, 1))
IMAGES = np.clip(TARGETS + NOISE, 0, 255).astype(np.uint8)


def unit(images):
    return (images / 255).astype(np.float32)


class TestImages:
    def test_mse_and_psnr_by_hand(self):
        targets = np.zeros((3, 2, 2, 3))
        images = np.zeros((3, 2, 2, 3))
        images[1, 0, 0, 0] = 1  # one of twelve values off by all there is
        images[2] = 0.1
        np.testing.assert_allclose(mse(images, targets), [0, 255**2 / 12, 25.5**2], rtol=1e-12)
        np.testing.assert_allclose(psnr(images, targets), [100, 10 * math.log10(12), 20], rtol=1e-12)

    def test_they_are_those_of_scikit_image(self):
        pairs = list(zip(IMAGES, TARGETS, strict=True))
        np.testing.assert_allclose(mse(IMAGES, TARGETS), [mean_squared_error(*pair) for pair in pairs])
        np.testing.assert_allclose(psnr(IMAGES, TARGETS), [peak_signal_noise_ratio(b, a) for a, b in pairs])
        wang = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1)
        np.testing.assert_allclose(ssim(IMAGES, TARGETS), [structural_similarity(*pair, **wang) for pair in pairs])

    @pytest.mark.parametrize("metric", [mse, psnr, ssim])
    def test_integers_do_not_wrap_around(self, metric):
        expected = metric(unit(IMAGES), unit(TARGETS))
        np.testing.assert_allclose(metric(IMAGES, TARGETS), expected, rtol=1e-5)
        np.testing.assert_allclose(metric(IMAGES, unit(TARGETS)), expected, rtol=1e-5)
        sixteen = [image.astype(np.uint16) * 257 for image in (IMAGES, TARGETS)]
        np.testing.assert_allclose(metric(*sixteen), expected, rtol=1e-5)
        np.testing.assert_allclose(metric(TARGETS, IMAGES), metric(IMAGES, TARGETS))  # 1 - 255 is as far as 255 - 1

    def test_wrapped_integers_give_28_db_whatever_the_images(self):
        images, targets = RNG.integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
        np.testing.assert_allclose(psnr_uint8_wrapped(images, targets), [27.9] * 3, atol=0.05)
        assert psnr(images, targets).max() < 8

    def test_wrapped_by_hand(self):
        pair = [np.full((1, 2, 2, 3), value, np.uint8) for value in (1, 18)]  # 1 - 18 is 239, its square 33 modulo 256
        assert mse_uint8_wrapped(*pair)[0] == 33
        assert psnr_uint8_wrapped(*pair)[0] == pytest.approx(10 * math.log10(255**2 / 33))
        assert psnr_uint8_wrapped(pair[0], pair[0])[0] == 100

    def test_wrapped_random_images_give_the_mean_of_squares_modulo_256(self):
        """Over all differences: 0, 1, 4, ... 225, 0, 33, ... has the mean 105.5."""
        squares = np.arange(256) ** 2 % 256
        images, targets = RNG.integers(0, 256, (2, 1, 256, 256, 3), dtype=np.uint8)
        assert mse_uint8_wrapped(images, targets)[0] == pytest.approx(squares.mean(), rel=0.01)

    def test_floats_do_not_wrap(self):
        with pytest.raises(ValueError, match="only uint8 images wrap around at 256, not float32 and uint8"):
            psnr_uint8_wrapped(unit(IMAGES), TARGETS)

    def test_colour_difference_by_hand(self):
        """Of greys it is that of lightness over S_L = 1 + 0.015 d / sqrt(20 + d), d the square of mean L - 50."""
        pair = [np.full((1, 2, 2, 3), value) for value in (0.0, 1.0)]  # L 0 and 100
        np.testing.assert_allclose(delta_e(*pair), 100, atol=0.01)
        lightness = [116 * np.cbrt(((value + 0.055) / 1.055) ** 2.4) - 16 for value in (0.2, 0.3)]
        square = (np.mean(lightness) - 50) ** 2
        expected = (lightness[1] - lightness[0]) / (1 + 0.015 * square / np.sqrt(20 + square))
        pair = [np.full((1, 2, 2, 3), value) for value in (0.2, 0.3)]
        np.testing.assert_allclose(delta_e(*pair), expected, atol=0.01)

    def test_colour_difference_of_any_dtype_photo_by_photo(self):
        differences = delta_e(IMAGES, TARGETS)
        assert (np.diff(differences) > 0).all() and differences[0] > 0  # more noise, more difference
        np.testing.assert_allclose(delta_e(unit(IMAGES), TARGETS), differences, atol=1e-3)
        np.testing.assert_allclose(delta_e(TARGETS, TARGETS), 0, atol=1e-6)

    def test_ssim_is_one_for_equal_images_and_unknown_for_tiny_ones(self):
        np.testing.assert_allclose(ssim(TARGETS, TARGETS), 1.0)
        assert np.isnan(ssim(TARGETS[:, :10], TARGETS[:, :10])).all()

    @pytest.mark.parametrize("images, message", [
        (IMAGES[:, :1], "equal shapes"),
        (IMAGES[0], "equal shapes"),
        (IMAGES.astype(np.int16), "int16"),
        (IMAGES > 3, "bool"),
    ])
    def test_what_cannot_be_compared_is_refused(self, images, message):
        with pytest.raises(ValueError, match=message):
            psnr(images, TARGETS)


class TestPearson:
    def test_equals_scipy_on_the_pairs_that_are_known(self):
        pairs = np.random.default_rng(1).normal(size=(20, 2)) @ [[1, 0.7], [0, 0.7]]
        holes = np.concatenate([pairs, [[np.nan, 3.0], [2.0, np.nan]]])
        assert pearson(holes) == pytest.approx(pearsonr(*pairs.T).statistic)

    def test_by_hand(self):
        assert pearson([(0, 5), (1, 3), (2, 1)]) == pytest.approx(-1)
        assert pearson([(0, 0), (1, 0), (1, 1), (0, 1)]) == pytest.approx(0)

    def test_weighted_by_hand(self):
        pairs = [(0, 0), (1, 2), (2, 1), (9, -9)]  # of the first three: covariance 1/3, variances 2/3
        assert pearson(pairs, [1, 1, 1, 0]) == pytest.approx(0.5)
        assert pearson(pairs[:3], [2, 1, 1]) == pytest.approx(pearson([pairs[0], *pairs[:3]]))  # as if it came twice
        assert pearson([*pairs[:3], (math.nan, 5)], [1, 1, 1, 7]) == pytest.approx(0.5)

    def test_what_differs_too_little_counts_as_constant(self):
        assert pearson([(0, 0), (1e-4, 1)]) == pytest.approx(1)
        assert math.isnan(pearson([(0, 0), (1e-4, 1)], least=1e-3))

    @pytest.mark.parametrize("pairs", [[], [(1, 2)], [(1, 2), (1, 3)], [(1, 2), (2, 2)], [(1, 2), (2, math.nan)]])
    def test_unknown_where_there_is_nothing_to_correlate(self, pairs):
        assert math.isnan(pearson(pairs))


class TestIntervals:
    def test_interquartile_mean_by_hand(self):
        assert iqm([9, 0, 2, 4]) == 3
        assert iqm([5]) == 5
        assert iqm([100, 1, 2, 3, -100]) == 2  # a quarter of five is one
        np.testing.assert_array_equal(iqm([[0, 10], [1, 20], [2, 30], [900, -7]], axis=0), [1.5, 15])

    @pytest.mark.parametrize("num", [1, 3, 4, 7, 8, 100])
    def test_interquartile_mean_equals_scipy(self, num):
        values = np.random.default_rng(num).normal(size=(3, num))
        np.testing.assert_allclose(iqm(values), trim_mean(values, 0.25, axis=1))

    def test_interval_by_hand(self):
        # Of ten values, one of them 1, a resample holds that a binomial number of times: P(0) = 0.35, P(0 or 1) = 0.74.
        values = [0] * 9 + [1]
        assert interval(values, confidence=0.2) == (0.1, 0.1)
        assert interval(values, confidence=0.4) == (0.0, 0.1)
        assert interval([3] * 10) == (3, 3)

    def test_a_bootstrap_over_few_covers_too_little_and_is_refused(self):
        """As seeds are few: resampled means of five values cover the truth in 83 of 100 cases, not in 95."""
        rng = np.random.default_rng(6)
        samples = rng.normal(size=(1000, 5))
        drawn = np.take_along_axis(samples[:, None], rng.integers(5, size=(1000, 500, 5)), axis=-1).mean(-1)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=-1)
        assert 0.79 < np.mean((low < 0) & (high > 0)) < 0.87
        with pytest.raises(ValueError, match="at least 10 values, as a bootstrap over fewer covers too little"):
            interval(samples[0])

    def test_interval_of_the_mean_agrees_with_the_normal_one(self):
        values = np.random.default_rng(2).normal(20, 3, 400)
        half = 1.96 * values.std() / 20
        np.testing.assert_allclose(interval(values), [values.mean() - half, values.mean() + half], atol=0.05)
        low, high = interval(values, confidence=0.5)
        assert high - low == pytest.approx(2 * 0.6745 * values.std() / 20, rel=0.08)

    def test_interval_covers_the_truth_as_often_as_it_says(self):
        rng = np.random.default_rng(3)
        ends = np.array([interval(rng.normal(size=50), 0.8, resamples=500) for _ in range(300)])
        assert 0.72 < np.mean((ends[:, 0] < 0) & (ends[:, 1] > 0)) < 0.86

    def test_interquartile_mean_is_not_moved_by_an_outlier(self):
        values = [*np.linspace(19, 21, 39), 1e6]
        assert interval(values)[1] > 1e4
        low, high = interval(values, statistic=iqm)
        assert 19 < low < 20 < high < 21

    def test_the_same_every_time_unless_an_rng_is_given(self):
        values = np.random.default_rng(4).normal(size=30)
        assert interval(values) == interval(values)
        assert interval(values) != interval(values, rng=np.random.default_rng(5))

    @pytest.mark.parametrize("values, confidence", [([], 0.95), ([[1, 2]], 0.95), ([*range(9)], 0.95),
                                                    ([*range(10)], 95), ([*range(10)], 0)])
    def test_nonsense_is_refused(self, values, confidence):
        with pytest.raises(ValueError, match="list of at least 10 values"):
            interval(values, confidence)

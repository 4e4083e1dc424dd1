"""Equalised and matched histograms, and a bracket chosen by entropy."""

import cv2
import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab

from agents.baselines.classic import Clahe, EntropyBracket, HistogramMatching
from agents.evaluation.judging import evaluate
from exposure_env.fusion import mertens
from exposure_env.image import clip, expose, luminance
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask
from tests.baselines.photos import PHOTOS, begin, observations

RNG = np.random.default_rng(0)
NOISY = RNG.random((48, 40, 3)).astype(np.float32)


def in_grey(values):
    """Values in [0, 1] as a grey photo."""
    return np.repeat(np.asarray(values, np.float32)[..., None], 3, axis=-1)


class TestClahe:
    def test_grey_levels_come_out_as_opencv_equalises_them(self):
        """On grey photos of whole levels of lightness, nothing is left to add."""
        levels = np.arange(64 * 64).reshape(64, 64) % 200 + 20
        lab = np.zeros((64, 64, 3), np.float32)
        lab[..., 0] = levels / 2.55
        photo = clip(lab2rgb(lab))
        expected = cv2.createCLAHE(2.0, (4, 4)).apply(levels.astype(np.uint8))  # tiles of 16 px
        result = rgb2lab(Clahe()(photo))
        np.testing.assert_allclose(result[..., 0] * 2.55, expected, atol=0.05)
        np.testing.assert_allclose(result[..., 1:], 0, atol=0.05)

    def test_a_dull_photo_gains_contrast_and_keeps_its_colours(self):
        dull = (0.4 + 0.1 * NOISY).astype(np.float32)
        before, after = (rgb2lab(each) for each in (dull, Clahe()(dull)))
        assert after[..., 0].std() > 1.5 * before[..., 0].std()
        np.testing.assert_allclose(after[..., 1:], before[..., 1:], atol=0.02)

    def test_more_may_count_more(self):
        dull = (0.4 + 0.1 * NOISY).astype(np.float32)
        spread = [Clahe(limit)(dull).std() for limit in (1.0, 2.0, 8.0)]
        assert spread == sorted(spread) and spread[2] > 1.2 * spread[0]

    @pytest.mark.parametrize("shape", [(1, 1, 3), (9, 70, 3), (200, 30, 3)])
    def test_photos_of_any_size_stay_in_range(self, shape):
        result = Clahe()(RNG.random(shape).astype(np.float32))
        assert result.shape == shape and result.dtype == np.float32 and 0 <= result.min() <= result.max() <= 1

    def test_bad_settings_are_refused(self):
        with pytest.raises(ValueError, match="clip_limit must be above 0 and tiles at least 1, not 0 and 8"):
            Clahe(0)
        with pytest.raises(ValueError, match="2 and 0"):
            Clahe(2, 0)


class TestHistogramMatching:
    def test_two_levels_go_to_the_two_levels_of_the_experts(self):
        photo = in_grey([[0.2, 0.2], [0.6, 0.6]])
        expert = in_grey([[102 / 255, 1.0], [1.0, 102 / 255]])
        np.testing.assert_allclose(HistogramMatching.fit([Photo("e", expert)])(photo),
                                   in_grey([[0.4, 0.4], [1.0, 1.0]]), atol=1e-6)

    def test_what_has_the_histogram_already_stays(self):
        np.testing.assert_allclose(HistogramMatching.fit([Photo("e", NOISY)])(NOISY), NOISY, atol=5 / 255)

    def test_every_photo_counts_alike_whatever_its_size(self):
        photos = [Photo("small", in_grey(np.zeros((2, 2)))), Photo("large", in_grey(np.ones((20, 20))))]
        histogram = HistogramMatching.fit(photos).histogram
        assert histogram[0] == histogram[255] == 0.5

    def test_a_darkened_photo_gets_its_luma_back_and_keeps_its_hues(self):
        good = (0.1 + 0.8 * NOISY).astype(np.float32)
        result = HistogramMatching.fit([Photo("e", good)])(good / 2)
        np.testing.assert_allclose(luminance(result), luminance(good), atol=0.02)
        np.testing.assert_allclose(result[..., 0] * good[..., 1], result[..., 1] * good[..., 0], atol=1e-5)

    def test_black_stays_black_and_a_photo_of_one_level_goes_to_the_median(self):
        matching = HistogramMatching(np.ones(256))
        assert not matching(in_grey(np.zeros((3, 4)))).any()
        np.testing.assert_allclose(matching(in_grey(np.full((3, 4), 0.2))), 127.5 / 255, atol=1e-5)

    @pytest.mark.parametrize("histogram", [np.zeros(256), np.ones(255), np.full(256, np.nan), -np.ones(256)])
    def test_what_is_no_histogram_is_refused(self, histogram):
        with pytest.raises(ValueError, match="256 finite weights"):
            HistogramMatching(histogram)

    def test_without_experts_there_is_nothing_to_match(self):
        with pytest.raises(ValueError, match="at least one"):
            HistogramMatching.fit([])


class TestEntropyBracket:
    def test_the_exposure_spreads_the_dark_levels_as_far_as_they_go(self):
        """Four dark levels of equal share count two bits wherever they stay apart; below, the first three melt."""
        dark = in_grey(np.tile([0.2, 0.6, 1.0, 40.0], (4, 1)) / 255)  # of 8 bits, 0, 1, 1 and 40
        ev = EntropyBracket().evs(dark[None])[0]
        levels = [np.unique(np.rint(expose(dark, each) * 255)[..., 0]).size for each in (ev - 0.1, ev)]
        assert levels == [3, 4]

    def test_a_photo_darkened_by_two_stops_is_brightened_by_about_two(self):
        ramp = in_grey(np.linspace(0, 1, 4096).reshape(64, 64))
        assert EntropyBracket().evs(clip(expose(ramp, -2.0))[None])[0] == pytest.approx(2.0, abs=0.25)
        assert EntropyBracket(max_ev=1.0).evs(clip(expose(ramp, -2.0))[None])[0] == 1.0

    def test_bright_pixels_do_not_count(self):
        photos = np.stack([in_grey(np.full((8, 8), 0.6)), in_grey(RNG.uniform(0.5, 1, (8, 8)))])
        np.testing.assert_array_equal(EntropyBracket().evs(photos), [0, 0])
        dark = in_grey(RNG.uniform(0, 0.1, (8, 8)))
        both = np.concatenate([dark, photos[1]])
        assert EntropyBracket().evs(both[None])[0] == EntropyBracket().evs(dark[None])[0] > 1

    def test_its_result_is_the_photo_blended_with_that_exposure(self):
        task, state = begin()
        policy = EntropyBracket()
        evs = policy.evs(state.photos).astype(np.float32)
        expected = mertens(state.photos, np.zeros_like(state.labels), evs[:, None])
        for record, image in zip(evaluate(policy, task).records, expected, strict=True):
            np.testing.assert_allclose(record.image, image, atol=1e-6)
            assert len(record.evs) == 1 and record.num_segments >= 1

    def test_in_an_environment_every_segment_gets_it(self):
        observed, photos = observations("float32")
        np.testing.assert_allclose(EntropyBracket().predict(observed)[0][:, 0] * 3, EntropyBracket().evs(photos),
                                   atol=1e-6)

    def test_the_space_is_the_tasks(self):
        task = ExposureTask(PHOTOS, size=32, space="encoded")
        assert EntropyBracket(space="encoded").evs(PHOTOS[0].image[None]) != EntropyBracket().evs(
            PHOTOS[0].image[None]) and evaluate(EntropyBracket(space="encoded"), task).values("psnr").min() > 5

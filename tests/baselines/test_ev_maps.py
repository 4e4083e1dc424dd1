"""Policies that give each segment the mean of an EV map."""

import numpy as np
import pytest

from agents.baselines.ev_maps import DARKEST, GreyRule, segment_means, with_ev_maps
from agents.playing import play
from exposure_env.episode import observe
from exposure_env.observations import encode
from exposure_env.photos import Photo
from tests.baselines.photos import PHOTOS, begin, darkened, grey, observations, scores_of

TINY = np.array([[[0, 0], [1, 2]], [[1, 1], [1, 1]]])  # labels of two photos


def split_in_two(image):
    """Left and right."""
    return np.arange(image.shape[1])[None] * 2 // image.shape[1] * np.ones(image.shape[:2], int)


def dark_and_bright(dark, bright):
    image = grey(dark)
    image[:, 8:] = grey(bright)[:, 8:]
    return Photo("two", image, image)


def test_means_over_segments_by_hand():
    maps = np.float32([[[1, 2], [3, 4]], [[0, 0], [2, 6]]])
    means = segment_means(maps, TINY, 4)
    assert means.dtype == np.float32
    np.testing.assert_array_equal(means, [[1.5, 3, 4, 0], [0, 2, 0, 0]])


def test_finished_episodes_have_the_means_within_the_limit_and_nothing_elsewhere():
    task, state = begin(max_segments=4)
    maps = np.random.default_rng(0).normal(0, 5, state.labels.shape).astype(np.float32)
    maps[0] = 9.0
    finished = with_ev_maps(state, maps, max_ev=2.0)
    assert (finished.step == state.num_segments).all() and abs(finished.evs).max() == 2.0
    for labels, evs, its, count in zip(state.labels, finished.evs, maps, state.num_segments, strict=True):
        expected = [np.clip(its[labels == number].mean(), -2, 2) for number in range(count)]
        np.testing.assert_allclose(evs[:count], expected, atol=1e-4)
        assert not evs[count:].any()


class TestGreyRule:
    def test_by_hand(self):
        """Two stops below middle grey and one above: half of the way is one stop up and half a stop down."""
        task, state = begin([dark_and_bright(0.045, 0.36)], split_in_two, size=16)
        for fraction in (0.0, 0.5, 1.0):
            evs = GreyRule(fraction).plan(state).evs[0, :2]
            np.testing.assert_allclose(evs, [2 * fraction, -fraction], atol=1e-3)
        _, whole = begin([dark_and_bright(0.045, 0.36)], max_segments=1, size=16)
        np.testing.assert_allclose(GreyRule(0.5).plan(whole).evs, [[0.25]], atol=1e-3)

    def test_black_is_dark_but_not_infinitely(self):
        _, state = begin([Photo("black", grey(0), grey(0))], size=16)
        assert GreyRule(0.25).plan(state).evs[0, 0] == pytest.approx((np.log2(0.18) - np.log2(DARKEST)) / 4, abs=1e-4)
        assert GreyRule(1.0).plan(state).evs[0, 0] == 3.0

    @pytest.mark.parametrize("planes", ["full", "paper"])
    def test_played_step_by_step_it_is_the_same_plan(self, planes):
        task, state = begin(planes=planes)
        policy = GreyRule(0.4)
        played, plan = play(policy, task, state), policy.plan(state)
        np.testing.assert_allclose(played.evs, plan.evs, atol=0.05)  # seen in 8 bits
        policy.observation_space = np.empty(0, np.float32)  # asks for floats
        np.testing.assert_allclose(play(policy, task, state).evs, plan.evs, atol=1e-4 if planes == "full" else 0.05)

    @pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
    def test_it_acts_on_observations_of_any_type(self, obs_type):
        actions, state = GreyRule(0.3).predict(observations(obs_type)[0], state=("kept",))
        assert actions.shape == (6, 1) and actions.dtype == np.float32 and state == ("kept",)
        np.testing.assert_allclose(actions, GreyRule(0.3).predict(observations(obs_type, first=True)[0])[0], atol=1e-6)
        task, begun = begin()
        alone = encode(observe(begun, task.local(begun), "full"), obs_type)
        alone = {key: part[3] for key, part in alone.items()} if isinstance(alone, dict) else alone[3]
        first = GreyRule(0.3).plan(begun).evs[3, 0] / 3
        assert GreyRule(0.3).predict(alone)[0] == pytest.approx([first], abs=0.02)

    @pytest.mark.parametrize("max_segments", [1, 6])
    def test_fit_finds_the_best_fraction(self, max_segments):
        task, state = begin(PHOTOS, max_segments=max_segments)
        means = [scores_of(task, GreyRule(fraction).plan(state)).mean() for fraction in (0.0, 0.25, 0.5, 0.75)]
        assert GreyRule.fit(task, fractions=(0.0, 0.25, 0.5, 0.75), batch_size=4).fraction == np.argmax(means) / 4
        assert GreyRule.fit(task).max_ev == 3.0

    def test_photos_that_were_middle_grey_are_recovered(self):
        photos = [Photo("a", grey(0.18)), Photo("b", grey(0.18))]
        wrong = [photo._replace(target=good.image) for photo, good in zip(
            [Photo("a", grey(0.09)), Photo("b", grey(0.045))], photos, strict=True)]
        assert GreyRule.fit(begin(wrong, size=16)[0]).fraction == 1.0

    def test_what_makes_no_sense(self):
        with pytest.raises(ValueError, match=r"fraction must lie in \[0, 1\], not 1.5"):
            GreyRule(1.5)
        with pytest.raises(ValueError, match="no target"):
            GreyRule.fit(begin(darkened([-1.0]))[0], [Photo("bare", grey(0.2))])

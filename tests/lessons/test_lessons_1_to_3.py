"""What the first three lessons claim; and their exercises tell right from wrong answers."""

import re

import numpy as np
import pytest

from exposure_env.image import luminance, srgb_to_linear

NAMES = ("lesson_1_a_stop", "lesson_2_a_bandit", "lesson_3_credit")
NUMBER = r"([+-]?[\d.]+(?:e[+-]\d+)?)"


def numbers(pattern, text):
    """All numbers that # stands for in the pattern, in all places where it matches."""
    found = re.findall(re.escape(pattern).replace(r"\#", r"\s*" + NUMBER), text)
    assert found, f"{pattern!r} is nowhere in:\n{text}"
    return [float(number) for match in found for number in (match if isinstance(match, tuple) else (match,))]


def test_lesson_1_finds_the_stops_that_were_taken_away_but_not_what_was_clipped(told):
    (dark,), (bright,) = (numbers(f"two stops too {name}: best EV #,", told(NAMES[0])) for name in ("dark", "bright"))
    assert dark == 2 and -2 < bright < 0
    assert numbers("two stops down and up: largest error #,", told(NAMES[0])) == [0]
    assert numbers("two stops up and down: largest error #,", told(NAMES[0]))[0] > 0.1


def test_lesson_1_gains_more_with_an_exposure_for_each_segment(told):
    (shadow,) = numbers("with a shadow: # dB", told(NAMES[0]))
    _, one = numbers("best single EV: #: # dB", told(NAMES[0]))
    (each,) = numbers("of each segment: # dB", told(NAMES[0]))
    assert shadow + 1 < one < each - 1


def test_lesson_2_shows_clouds_with_one_centre_of_which_the_baseline_shrinks_one(told):
    true = numbers("true gradient, first two of 8:##", told(NAMES[1]))
    clouds = np.array(numbers("mean##, variance#, downhill#%", told(NAMES[1]))).reshape(3, 4)
    plain, mean, value = clouds
    assert plain[2] > 5 * mean[2] and plain[2] > 5 * value[2] and plain[3] > 2 * mean[3]
    for cloud in clouds:  # within five standard errors of 60 estimates; the variance is that of eight numbers
        assert np.abs(cloud[:2] - true).max() < 5 * np.sqrt(cloud[2] / 60)


def test_lesson_2_learns_more_than_a_constant_and_no_more_than_there_is(told):
    gains = numbers("# dB,", told(NAMES[1]))
    nothing, constant, _, learned, best = gains
    assert abs(nothing) < 0.01 < constant + 1 < learned < best


def test_lesson_3_adds_the_same_to_every_return(told):
    for mean, spread, start in np.array(numbers("returns#, give or take#; -potential of the start#", told(NAMES[2]))
                                        ).reshape(2, 3):  # fmt: skip
        assert mean == start and spread < 1e-9
    (total,) = numbers("] sum#", told(NAMES[2]))
    (final,) = numbers("0.   0.   0.  #]", told(NAMES[2]))
    assert total == pytest.approx(final + start, abs=0.1)


def test_lesson_3_guesses_values_better_than_a_constant_can(told):
    for method in ("Monte Carlo", "temporal differences"):
        off, deviation = numbers(f"{method}: V is off by# after 512 episodes, of a standard deviation of#",
                                 told(NAMES[2]))  # fmt: skip
        assert off < deviation / 2


def test_lesson_3_removes_variance_and_keeps_the_gradient(told):
    means, variances = np.array(numbers("gradient of segment 3#, variance of all#", told(NAMES[2]))).reshape(5, 2).T
    plain, mean, shaped, value, temporal = variances
    assert plain > 5 * mean and mean > 1.4 * shaped and mean > 1.4 * value and shaped > 1.3 * temporal
    assert np.allclose(means[1:], means[2], rtol=0.3)


def test_lesson_3_comes_nearer_to_the_best_plan_with_credit(told):
    without, credited = numbers("return - mean# stops off", told(NAMES[2]))
    assert credited < without < 1


def test_wrong_answers_to_exercise_1_are_told_what_is_wrong(exercise):
    check, stops, headroom = exercise(1)
    check(stops, headroom)
    with pytest.raises(AssertionError, match="encoded values"):
        check(lambda photo, other: np.log2(other.mean() / photo.mean()), headroom)
    with pytest.raises(AssertionError, match="turn the sign"):
        check(lambda photo, other: stops(other, photo), headroom)
    with pytest.raises(AssertionError, match="more room"):
        check(stops, lambda photo: -np.log2(photo.max()))
    with pytest.raises(AssertionError, match="three channels"):
        check(stops, lambda photo: -np.log2(luminance(srgb_to_linear(photo)).max()))


def test_wrong_answers_to_exercise_2_are_told_what_is_wrong(exercise):
    check, width, baseline = exercise(2)
    check(width, baseline)
    with pytest.raises(AssertionError, match="derivative by sigma"):
        check(lambda noise, sigma: (noise**2 / sigma**2 - 1) / sigma, baseline)
    with pytest.raises(AssertionError, match="finite difference"):
        check(lambda noise, sigma: noise**2 / sigma**2, baseline)
    with pytest.raises(AssertionError, match="one number for each action"):
        check(lambda noise, sigma: np.mean(noise**2 / sigma**2 - 1), baseline)
    with pytest.raises(AssertionError, match="count more"):
        check(width, lambda slopes, rewards: rewards.mean())


def test_wrong_answers_to_exercise_3_are_told_what_is_wrong(exercise):
    check, shaped, returns = exercise(3)
    check(shaped, returns)
    with pytest.raises(AssertionError, match="at the end Phi must be 0"):
        check(lambda rewards, phi, gamma: rewards + gamma * phi[:, 1:] - phi[:, :-1], returns)
    with pytest.raises(AssertionError, match="discounted sum"):
        check(lambda rewards, phi, gamma: shaped(rewards, phi, 1.0), returns)
    with pytest.raises(AssertionError, match="lambda 0.0"):
        check(shaped, lambda rewards, values, gamma, lam: returns(rewards, values, gamma, 1.0))
    with pytest.raises(AssertionError, match="lambda 1.0"):
        check(shaped, lambda rewards, values, gamma, lam: returns(rewards, values, gamma, 0.0))

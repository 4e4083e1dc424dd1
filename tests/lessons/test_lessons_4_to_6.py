"""What lessons 4 to 6 claim; and their exercises tell right from wrong answers."""

import re

import numpy as np
import pytest
import torch

GRADIENT, REWARD, FAILS = "lesson_4_the_gradient", "lesson_5_the_reward_learns", "lesson_6_how_it_fails"
NUMBER = r"(?<!\w)[+-]?\d+\.?\d*(?:e[+-]?\d+)?"


def numbers(line, text):
    """All numbers of a line that begins like this."""
    found = re.search("^" + re.escape(line) + "(.*)", text, re.MULTILINE)
    assert found, f"{line!r} is nowhere in:\n{text}"
    return [float(number) for number in re.findall(NUMBER, found[1])]


def test_lesson_4_autograd_agrees_with_finite_differences_and_the_theorem_holds(told):
    slopes = np.reshape(numbers("slope at 0 [dB/stop]: autograd", told(GRADIENT)), (2, 4))
    np.testing.assert_allclose(*slopes, atol=2e-5)
    assert np.abs(slopes).max() > 0.1
    differences, autograd, steps = np.reshape(numbers("dJ/dtheta: finite differences", told(GRADIENT)), (3, 2))
    np.testing.assert_allclose(differences, autograd, atol=1e-4)
    np.testing.assert_allclose(steps, autograd, atol=1e-5)


def test_lesson_4_a_critic_comes_nearer_as_it_learns_and_the_reward_as_value_is_near_at_once(told):
    cosines = {name: numbers(f"{name}: cosine with the true slopes", told(GRADIENT)) for name in ("II", "I", "DDPG")}
    assert cosines["II"][0] == cosines["II"][1] > 0.8
    assert cosines["I"][1] > cosines["I"][0] and cosines["I"][1] > cosines["DDPG"][1]


def test_lesson_4_more_mini_batches_agree_better_with_all_others(told):
    found = numbers("cosine with the other photos' gradient:", told(GRADIENT))
    assert found[::2] == [1, 2, 4, 8] and found[1] < found[5] and found[1] < found[7]


def test_lesson_5_the_slope_points_back_after_training_with_the_penalty_only(told):
    right = {name: numbers(name, told(REWARD))[0] for name in ("before training", "penalty", "none", "clipping")}
    assert right["penalty"] > max(right[name] for name in right if name != "penalty")
    assert right["penalty"] > 70


def test_lesson_5_the_penalty_keeps_the_slope_near_1_and_without_it_it_grows_without_end(told):
    gentle, wild = (numbers(f"{name:10} length of the gradient in the last updates", told(REWARD))[0]
                    for name in ("penalty", "none"))  # fmt: skip
    assert 0.5 < gentle < 2 and wild > 100


def test_lesson_5_the_set_that_looks_most_like_the_experts_is_not_the_one_that_errs_least(told):
    mean, like, oracle, one = (numbers(name, told(REWARD)) for name in (
        "mean answer     PSNR", "most like a set PSNR", "oracle          PSNR", "one EV for all  PSNR"))  # fmt: skip
    assert mean[0] > like[0] + 0.5 and like[1] < mean[1] - 0.01  # PSNR [dB]; W1 [stops]
    assert like[2] > 0.5 and mean[2] == 0  # tau
    assert oracle[0] > mean[0] > one[0] and oracle[1] < 0.02


def test_lesson_6_an_actor_beyond_the_limit_has_no_gradient_at_all(told):
    right, wrong, faster = (numbers(f"{name:18} PSNR at the end", told(FAILS))
                            for name in ("right", "wrong at first", "the same, faster"))  # fmt: skip
    assert right[1] < 20 and right[0] > faster[0] + 3
    assert faster[1:] == [100, 0] and wrong[2] > 0


def test_lesson_6_optima_of_other_rewards_score_above_the_good_photo_and_are_worse(told):
    names = "PSNR", "entropy", "colourfulness", "as it was"
    scores = {name: numbers(f"{name:14}PSNR", told(FAILS)) for name in names}
    for column, name in enumerate(("PSNR", "entropy", "colourfulness")):
        assert scores[name][column] == max(scores[other][column] for other in scores if other != "as it was")
        if column:
            assert scores[name][column] > scores["as it was"][column] and scores[name][0] < scores["PSNR"][0] - 3


def test_lesson_6_few_photos_are_known_by_heart(told):
    few, many = (float(number) for number in re.findall(rf"memorised ({NUMBER})", told(FAILS)))
    assert few > many


def test_exercise_4_tells_typical_mistakes(exercise):
    check, slopes, gradient = exercise(4)
    with pytest.raises(AssertionError, match="divides them by N"):
        check(lambda start, evs: slopes(start, evs) / len(evs), gradient)
    with pytest.raises(AssertionError, match="slope of tanh"):
        check(slopes, lambda weights, features, values, most: most * values @ features / len(features))
    with pytest.raises(AssertionError, match="mean over states"):
        check(slopes, lambda weights, features, values, most: gradient(weights, features, values, most) * len(features))


def test_exercise_5_tells_typical_mistakes(exercise):
    check, penalty, distance = exercise(5)
    with pytest.raises(AssertionError, match="create_graph"):
        check(lambda *arguments: penalty(*arguments).detach(), distance)
    with pytest.raises(AssertionError, match="each image's own length"):
        check(of_the_mean_length, distance)
    with pytest.raises(AssertionError, match="no order"):
        check(penalty, lambda first, second: abs(first - second).mean())
    with pytest.raises(AssertionError, match="spread"):
        check(penalty, lambda first, second: abs(first.mean() - second.mean()))


def of_the_mean_length(network, real, fake, mix):
    """A penalty on the mean length, where the mean of penalties is asked for."""
    share = mix[:, None, None, None]
    between = (share * real + (1 - share) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(network(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1).mean() - 1).square()


def test_exercise_6_tells_typical_mistakes(exercise):
    check, inverted, memorised = exercise(6)
    with pytest.raises(AssertionError, match="way back is free"):
        check(lambda actions, slopes: slopes * (1 - actions**2), memorised)
    with pytest.raises(AssertionError, match="turns round"):
        check(lambda actions, slopes: inverted(np.clip(actions, -1, 1), slopes), memorised)
    with pytest.raises(AssertionError, match="would be right here"):
        check(inverted, lambda shown, held_out, wrong: shown.mean() - held_out.mean())

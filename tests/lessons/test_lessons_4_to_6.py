"""Lessons 4 to 6 run as they stand and show what they say; their exercises tell right from wrong answers."""

import ast
import importlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.repository import ROOT

LESSONS = ROOT / "examples" / "lessons"
GRADIENT, REWARD, FAILS = NAMES = ("lesson_4_the_gradient", "lesson_5_the_reward_learns", "lesson_6_how_it_fails")
NUMBER = r"(?<!\w)[+-]?\d+\.?\d*(?:e[+-]?\d+)?"


def start(path, cwd):
    """`python path` on the reduced budget, without a screen."""
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "EXPOSURE_QUICK": "1"}
    return subprocess.run([sys.executable, path], cwd=cwd, env=environment, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A function that runs a lesson, once: what it prints."""
    kept = {}

    def run(name):
        if name not in kept:
            folder = tmp_path_factory.mktemp(name)
            done = start(LESSONS / f"{name}.py", folder)
            assert done.returncode == 0, done.stderr
            assert "Warning" not in done.stderr and "Traceback" not in done.stderr, done.stderr
            assert not list(folder.iterdir()), "it left files behind"
            kept[name] = done.stdout
        return kept[name]

    return run


def numbers(line, text):
    """All numbers of a line that begins like this."""
    found = re.search("^" + re.escape(line) + "(.*)", text, re.MULTILINE)
    assert found, f"{line!r} is nowhere in:\n{text}"
    return [float(number) for number in re.findall(NUMBER, found[1])]


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_runs_whole_and_says_something(name, told):
    assert len(told(name).splitlines()) > 5


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_has_the_form_of_a_lesson(name):
    source = (LESSONS / f"{name}.py").read_text("utf-8")
    title, line, _, goal, *_ = ast.get_docstring(ast.parse(source)).splitlines()
    assert title.startswith(f"Lesson {name[7]}: ") and line == "=" * len(title) and goal.startswith("**Goal.** ")
    assert "def main" not in source and "input(" not in source and not re.search(r"^(from|import).*\b_\w", source, re.M)
    assert 2 <= len(re.findall(r"plt\.(?:subplots|figure)\(", source)) <= 3
    assert len(re.findall(r"picture\s+(?:# )?to\s+(?:# )?remember", source)) == 1
    for heading, under in re.findall(r"^# (.+)\n# (-{4,})$", source, re.M):
        assert len(heading) == len(under), heading
    for cell in source.split("# %%\n")[1:]:
        ast.parse(cell)
        assert "plt." not in cell or cell.rstrip().endswith("plt.show()"), cell
    assert source.split("# What to remember\n")[1].split("# Exercises\n")[0].count("\n# - ") == 3
    assert f"exercises/exercise_{name[7]}.py" in source and f"exercises/solution_{name[7]}.py" in source


# What they claim


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


# Exercises


@pytest.fixture
def exercises(monkeypatch):
    """A function that imports a module of the exercises, as a script beside it would."""
    monkeypatch.syspath_prepend(LESSONS / "exercises")
    return importlib.import_module


@pytest.mark.parametrize("number", (4, 5, 6))
def test_the_checks_fail_on_the_unsolved_exercise_and_pass_on_the_solution(number, tmp_path):
    unsolved, solved = (start(LESSONS / "exercises" / f"{kind}_{number}.py", tmp_path)
                        for kind in ("exercise", "solution"))  # fmt: skip
    assert unsolved.returncode == 1 and re.search(r"(AssertionError|NotImplementedError): \w", unsolved.stderr)
    assert solved.returncode == 0 and solved.stdout == "All checks pass.\n", solved.stderr


def solved(exercises, number, first, second):
    """The check of an exercise, and its two solved functions."""
    solution = exercises(f"solution_{number}")
    return exercises(f"exercise_{number}").check, getattr(solution, first), getattr(solution, second)


def test_exercise_4_tells_typical_mistakes(exercises):
    check, slopes, gradient = solved(exercises, 4, "slopes", "actor_gradient")
    with pytest.raises(AssertionError, match="divides them by N"):
        check(lambda start, evs: slopes(start, evs) / len(evs), gradient)
    with pytest.raises(AssertionError, match="slope of tanh"):
        check(slopes, lambda weights, features, values, most: most * values @ features / len(features))
    with pytest.raises(AssertionError, match="mean over states"):
        check(slopes, lambda weights, features, values, most: gradient(weights, features, values, most) * len(features))


def test_exercise_5_tells_typical_mistakes(exercises):
    check, penalty, distance = solved(exercises, 5, "gradient_penalty", "wasserstein")
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


def test_exercise_6_tells_typical_mistakes(exercises):
    check, inverted, memorised = solved(exercises, 6, "inverted", "memorised")
    with pytest.raises(AssertionError, match="way back is free"):
        check(lambda actions, slopes: slopes * (1 - actions**2), memorised)
    with pytest.raises(AssertionError, match="turns round"):
        check(lambda actions, slopes: inverted(np.clip(actions, -1, 1), slopes), memorised)
    with pytest.raises(AssertionError, match="would be right here"):
        check(inverted, lambda shown, held_out, wrong: shown.mean() - held_out.mean())

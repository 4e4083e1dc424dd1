"""A game without a browser: its curves, its rivals and its oracle agree with the task that the agent was trained on."""

import numpy as np
import pytest

from agents.playground import Game, Shown
from agents.playground.board import outline
from agents.playground.gallery import sheet
from agents.playground.library import MOST_GAMES, Forgotten
from agents.playing import play
from exposure_env.photos import Photo
from exposure_env.resizing import shrink
from exposure_env.retouch import apply_plan
from exposure_env.rewards import psnr
from tests.playground import Tiles, agent, library


@pytest.fixture(scope="module")
def games():
    return library()


@pytest.fixture(scope="module")
def coffee(games):
    return games.game("coffee", 1)


def test_a_curve_holds_the_scores_of_the_tasks_own_results(games, coffee):
    judge = games.judges["psnr"]
    curve = coffee.curve([1.0], judge)
    assert len(curve.evs) == 31 and (curve.evs[0], curve.evs[-1]) == (-3, 3)
    for i in (0, 12, 30):
        evs = [1.0, float(curve.evs[i])]
        plan = coffee.plan([*evs, 0.0])
        result = plan.render(coffee.start.photos[0])
        assert curve.scores[i] == pytest.approx(float(psnr(result[None], targets=coffee.start.targets)[0]), abs=1e-3)
    assert curve.best == curve.evs[curve.scores.argmax()]


def test_the_agent_plays_as_elsewhere_and_goes_on_from_any_state(games, coffee):
    judge = games.judges["psnr"]
    plan = coffee.finished([], "agent", judge)
    assert plan == pytest.approx(agent().plan(coffee.shown.pixels).evs)
    assert coffee.finished([], "agent", games.judges["entropy"]) == plan
    task = agent().task([Photo("coffee", coffee.shown.pixels)])
    state = task.advance(task.start([task.scene(0, np.random.default_rng(0))]), np.array([-2.0], np.float32))
    expected = play(agent().policy, task, state).evs[0]
    assert coffee.finished([-2.0], "agent", judge) == pytest.approx(expected) and expected[0] == -2


def test_the_greedy_rival_takes_the_best_of_each_curve(games, coffee):
    for name in ("psnr", "entropy"):
        plan = coffee.finished([0.6], "greedy", games.judges[name])
        assert plan[0] == 0.6
        for step in (1, 2):
            assert plan[step] == coffee.curve(plan[:step], games.judges[name]).best
    assert coffee.finished([], "greedy", games.judges["psnr"]) != coffee.finished([], "greedy", games.judges["entropy"])


def test_nobody_beats_the_oracle(games, coffee):
    for name in ("psnr", "discriminator"):
        judge = games.judges[name]
        evs, score = coffee.oracle(judge)
        assert coffee.scores([evs], judge)[0] == pytest.approx(score, abs=1e-4)
        rivals = [coffee.finished([], rival, judge) for rival in ("agent", "greedy")]
        assert score >= max(coffee.scores([*rivals, [0.0] * 3], judge)) - 1e-6


def test_the_course_begins_with_the_untouched_photo(games, coffee):
    course = coffee.course([1.0, 0.5], games.judges["psnr"])
    untouched = psnr(coffee.start.photos, targets=coffee.start.targets)[0]
    assert len(course) == 3 and course[0] == pytest.approx(float(untouched), abs=1e-4)
    assert len(coffee.estimates([1.0, 0.5, 0.0])) == 4
    critic = games.estimate._replace(at_end=False)
    assert len(Game(coffee.shown, coffee.task, coffee.policy, critic).estimates([1.0, 0.5, 0.0])) == 3


def test_the_board_looks_like_the_result_at_full_size(coffee):
    evs = [1.2, 0.4, 0.8]
    full = shrink(apply_plan(coffee.plan(evs), coffee.shown.pixels), max(coffee.board.pixels.shape))
    board = coffee.board.exposed(np.array(evs))
    assert board.shape == full.shape and board.dtype == np.uint8
    before = np.abs(full.astype(int) - coffee.board.pixels).mean()
    assert np.abs(full.astype(int) - board).mean() < before / 5
    np.testing.assert_array_equal(coffee.board.exposed(np.zeros(0)), coffee.board.pixels)


def test_outlines_go_around_segments_and_around_no_specks():
    mask = np.zeros((60, 80), np.float32)
    mask[10:50, 20:70] = 1
    mask[2, 2] = 1
    path = outline(mask)
    assert path.count("M") == path.count("Z") == 1
    points = np.array([pair.split() for pair in path[1:-1].split("L")], float)
    assert np.abs(points.min(0) - (20, 10)).max() < 1 and np.abs(points.max(0) - (70, 50)).max() < 1


def test_samples_have_a_target_and_the_seed_decides_how_wrong_they_are(games):
    one, same, other = (games.gallery.photo("coffee", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.pixels, same.pixels)
    np.testing.assert_array_equal(one.target, other.target)
    assert (one.pixels != other.pixels).any()


def test_a_sheet_holds_ten_photos_none_twice_the_same_for_a_class(games):
    items = games.gallery.items()
    found = sheet(items, 7)
    assert found == sheet(items, 7) != sheet(items, 8)
    assert len(set(found)) == 10 and {photo for photo, _ in found[:5]} == {item.id for item in items}
    assert len(sheet([items[0]._replace(seeded=False)], 0)) == 1


def test_without_a_target_no_reward_that_needs_one_is_offered():
    games = library(Tiles())
    names = [[judge.name for judge in games.offered(games.game(photo, 0))] for photo in ("dark", "plain")]
    assert "psnr" in names[0] and "psnr" not in names[1] and "entropy" in names[1]


def test_the_oldest_games_are_forgotten_and_made_again():
    games = library(Tiles())
    first = games.game("dark", 0)
    assert games.game("dark", 0) is first and games.game("plain", 3) is games.game("plain", 4)
    for seed in range(1, MOST_GAMES + 1):
        games.game("dark", seed)
    again = games.game("dark", 0)
    assert again is not first and again.segments == first.segments
    for photo in ("nowhere", "own-nowhere", ""):
        with pytest.raises(Forgotten):
            games.game(photo, 0)


def test_a_game_remembers_only_so_much(games, coffee):
    for ev in np.linspace(-3, 3, 200):
        coffee.picture([float(ev)])
    assert len(coffee._kept) <= 48


def test_a_reward_of_ones_own_comes_first_and_a_wrong_one_is_refused():
    games = library(Tiles(), "exposure_env.rewards:unclipped")
    assert next(iter(games.judges)) == "exposure_env.rewards:unclipped"
    judge = games.judges["exposure_env.rewards:unclipped"]
    assert games.game("plain", 0).scores([[0.0]], judge)[0] > 0.9
    with pytest.raises(ValueError, match="nonsense"):
        library(Tiles(), "nonsense")


def test_a_photo_of_one_colour_can_be_played(games):
    game = Game(Shown("grey", np.full((50, 70, 3), 90, np.uint8)), coffee_task(games), agent().policy)
    assert game.segments >= 1 and game.estimates([]) is None
    assert game.finished([], "greedy", games.judges["well_exposedness"])


def coffee_task(games):
    return games.game("coffee", 1).task

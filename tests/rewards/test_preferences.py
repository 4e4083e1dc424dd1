import json

import numpy as np
import pytest

from agents.rewards import save_reward
from agents.rewards.preferences import Preference, PreferenceFolder, agreement, fit_preferences
from exposure_env import ExposureTask, sample_photos
from exposure_env.rewards import resolve_reward, score
from tests.rewards.small import images


def answers(num, judge, seed=0):
    """What a judge, a function of images, says about random retouches of the sample photos."""
    task, rng = ExposureTask(sample_photos("experts", 64), max_segments=4), np.random.default_rng(seed)
    state = task.start([task.draw(rng) for _ in range(num)])
    made = []
    for _ in range(2):
        evs = rng.normal(0, 0.8, (num, 1)) + rng.normal(0, 0.5, state.evs.shape)
        made.append(task.fused(state._replace(evs=evs.astype(np.float32), step=state.num_segments.copy())))
    better = judge(made[0]) > judge(made[1])
    return [Preference(left, right, "left" if first else "right")
            for left, right, first in zip(*made, better, strict=True)]


def contrast_without_white(photos):
    return photos.std((1, 2, 3)) - 2 * (photos > 0.97).mean((1, 2, 3))


def test_a_hidden_judge_is_recovered_from_300_answers(tmp_path):
    told = answers(500, contrast_without_white)
    reward = fit_preferences(told[:300], members=2)
    assert agreement(reward, told[300:]) >= 0.85
    assert agreement(reward, [each._replace(preferred={"left": "right", "right": "left"}[each.preferred])
                              for each in told[300:]]) <= 0.15
    save_reward(tmp_path / "taste.safetensors", [member.network for member in reward.members], "preferences")
    again, photos = resolve_reward(tmp_path / "taste.safetensors"), np.stack([each.left for each in told[:5]])
    assert again.kind == "preferences"
    np.testing.assert_allclose(score(again, photos, photos, None), score(reward, photos, photos, None), rtol=1e-4)


def preference(preferred="left", seed=0, **settings):
    return Preference(*images(2, seed=seed, size=16), preferred, **settings)


class TestFolder:
    def test_answers_come_back_as_they_were_given_to_a_byte(self, tmp_path):
        folder, given = PreferenceFolder(tmp_path / "new"), [preference("left", 0), preference("right", 1, judge="you")]
        assert [folder.add(each) for each in given] == [1, 2]
        for told, expected in zip(PreferenceFolder(tmp_path / "new").read(), given, strict=True):
            assert told[2:] == expected[2:]
            np.testing.assert_allclose(told.left, expected.left, atol=0.5001 / 255)
            np.testing.assert_allclose(told.right, expected.right, atol=0.5001 / 255)

    def test_a_judge_who_contradicts_himself_is_named_or_left_out(self, tmp_path):
        folder, first = PreferenceFolder(tmp_path), preference("left", 0, photo="cat", judge="Ann")
        for each in (first, preference("left", 1), first._replace(preferred="right"),
                     first._replace(preferred="right", judge="Bob")):  # another may differ
            folder.add(each)
        with pytest.raises(ValueError, match="'Ann'.*'cat'.*line 1.*line 3"):
            folder.read()
        assert [each.judge for each in folder.read("drop")] == ["judge", "Bob"]

    def test_the_same_pair_turned_round_is_the_same_pair(self, tmp_path):
        folder, first = PreferenceFolder(tmp_path), preference("left")
        folder.add(first)
        folder.add(Preference(first.right, first.left, "right"))
        assert len(folder.read()) == 2
        folder.add(Preference(first.right, first.left, "left"))
        with pytest.raises(ValueError, match="line 1.*line 3"):
            folder.read()

    def test_a_line_that_was_never_finished_is_left_out(self, tmp_path):
        folder = PreferenceFolder(tmp_path)
        folder.add(preference())
        with open(tmp_path / "preferences.jsonl", "a") as file:
            file.write('{"photo": "ca')
        assert len(folder.read()) == len(folder) == 1
        assert folder.add(preference(seed=1)) == 2  # and does no harm to the next
        assert len(folder.read()) == 2

    def test_after_a_line_was_deleted_no_images_are_overwritten(self, tmp_path):
        folder, path = PreferenceFolder(tmp_path), tmp_path / "preferences.jsonl"
        for seed in range(3):
            folder.add(preference(seed=seed))
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[1:]))
        folder.add(preference(seed=3))
        for told, seed in zip(folder.read(), (1, 2, 3), strict=True):
            np.testing.assert_allclose(told.left, preference(seed=seed).left, atol=0.5001 / 255)

    @pytest.mark.parametrize("change, message", [
        ({"preferred": "both"}, "both"), ({"left": "../secret.png"}, "secret"), ({"left": None}, "None"),
        ({"right": "pairs/none.png"}, "none.png"),
    ])
    def test_a_damaged_line_is_named(self, tmp_path, change, message):
        folder = PreferenceFolder(tmp_path)
        folder.add(preference())
        path = tmp_path / "preferences.jsonl"
        path.write_text(json.dumps(json.loads(path.read_text()) | change) + "\n")
        with pytest.raises((ValueError, OSError), match=message):
            folder.read()

    def test_words_in_place_of_a_line(self, tmp_path):
        (tmp_path / "preferences.jsonl").write_text("the left one\n")
        with pytest.raises(ValueError, match="line 1 is not an answer"):
            PreferenceFolder(tmp_path).read()

    def test_no_answers(self, tmp_path):
        with pytest.raises(ValueError, match="no answers"):
            PreferenceFolder(tmp_path).read()

    @pytest.mark.parametrize("wrong", [preference("up"), preference()._replace(left=images(1, size=8)[0])])
    def test_an_answer_that_makes_no_sense_is_refused_before_anything_is_written(self, tmp_path, wrong):
        with pytest.raises(ValueError, match="up|shape"):
            PreferenceFolder(tmp_path / "new").add(wrong)
        assert not (tmp_path / "new").exists()


def test_few_answers_and_mixed_sizes_are_refused():
    with pytest.raises(ValueError, match="9 answers are too few"):
        fit_preferences([preference()] * 9)
    with pytest.raises(ValueError, match="one size"):
        fit_preferences([preference()] * 9 + [Preference(*images(2, size=32), "left")])
    with pytest.raises(ValueError, match="no answers"):
        agreement(None, [])

import math
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from exposure_env.episode import EpisodeState, concatenate, select
from exposure_env.fusion import local, mask_pyramid, mertens
from exposure_env.photos import FolderPhotos, Photo, sample_photos
from exposure_env.task import ExposureTask, resolve_photos
from tests.environments import brightness, halves
from tests.tasks import GREY, LIGHT, PAIR, rng, task


def play(task, scenes, *evs):
    """The states of an episode, from the first to the last; one number of `evs` a step, for all photos."""
    states = [task.start(scenes)]
    for ev in evs:
        states.append(task.advance(states[-1], np.full(len(scenes), ev, np.float32)))
    return states


class TestPhotos:
    @pytest.mark.parametrize("spec", [None, "sample"])
    def test_none_and_sample_are_the_sample_photos(self, spec):
        photos, expected = resolve_photos(spec), sample_photos("inputs")
        assert [photo.name for photo in photos] == [photo.name for photo in expected] and len(photos) == 192

    @pytest.mark.parametrize("kind", [str, Path])
    def test_a_folder_is_read(self, tmp_path, kind):
        for name, value in {"b": 200, "a": 100}.items():
            cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((5, 4, 3), value, np.uint8))
        photos = resolve_photos(kind(tmp_path))
        assert isinstance(photos, FolderPhotos) and [photo.name for photo in photos] == ["a", "b"]
        assert photos[1].image.max() == np.float32(200 / 255)

    def test_a_sequence_stays_what_it_is(self):
        assert resolve_photos(PAIR) is PAIR

    @pytest.mark.parametrize("empty", [[], ()])
    def test_an_empty_data_set_is_an_error(self, empty):
        with pytest.raises(ValueError, match="photos is empty"):
            ExposureTask(empty)

    def test_an_empty_folder_is_an_error_that_names_it(self, tmp_path):
        with pytest.raises(ValueError, match=tmp_path.name):
            ExposureTask(tmp_path)


class TestExposuresAndImages:
    @pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
    def test_actions_are_clipped_and_multiplied(self, kind):
        stops = task(max_ev=2.5).exposure(kind(np.array([-7, -1, 0, 0.5, 1, 9], np.float32)))
        np.testing.assert_array_equal(stops, [-2.5, -2.5, 0, 1.25, 2.5, 2.5])
        assert stops.dtype == kind(np.zeros(1, np.float32)).dtype

    def test_the_local_image_is_in_the_tasks_space(self):
        for space, expected in {"encoded": 0.5, "linear": 0.3521261}.items():
            ours = task(space=space)
            _, state = play(ours, [ours.scene(0, rng())], 1.0)
            np.testing.assert_allclose(ours.local(state)[0, :4], expected, atol=1e-6)
            np.testing.assert_array_equal(ours.local(state)[0, 4:], 0.25)

    @pytest.mark.parametrize(
        "fusion, function",
        [("local", local), ("mask_pyramid", mask_pyramid), ("mertens", mertens),
         (partial(mask_pyramid, levels=1), partial(mask_pyramid, levels=1)), (lambda *a, **k: local(*a, **k), local)],
        ids=["local", "mask_pyramid", "mertens", "partial", "function"],
    )  # fmt: skip
    def test_the_fused_image_is_the_rendering_asked_for_of_the_exposures_so_far(self, fusion, function):
        photo = rng(0).random((8, 8, 3)).astype(np.float32) * 0.5
        ours = task([Photo("noise", photo)], fusion=fusion, space="encoded")
        _, one, two = play(ours, [ours.scene(0, rng())], 1.0, -1.5)
        labels = halves(photo)[None].astype(np.int32)
        for state, evs, count in ((one, [[1.0, 0]], 1), (two, [[1.0, -1.5]], 2)):
            evs = np.pad(np.array(evs, np.float32), ((0, 0), (0, 6)))
            expected = function(photo[None], labels, evs, np.array([count]), space="encoded")
            np.testing.assert_allclose(ours.fused(state), expected, atol=1e-6)


class TestRewards:
    def test_the_gain_in_psnr_by_hand(self):
        ours = task(space="encoded", fusion="local")
        states = play(ours, [ours.scene(0, rng())], 1.0, math.log2(1.6))  # upper half right, the lower 0.4 for 0.5
        outcome = ours.finish(states[-1])
        error, gain = 10 * math.log10(1 / 0.005), 10 * math.log10(1 / 0.005) - 10 * math.log10(1 / 0.0625)
        np.testing.assert_allclose(outcome.score, [error], rtol=1e-5)
        np.testing.assert_allclose(outcome.input_score, [10 * math.log10(16)], rtol=1e-6)
        np.testing.assert_allclose(ours.rewards(states[1], states[2], np.array([True]), outcome), [gain], rtol=1e-5)
        assert outcome.score.dtype == outcome.input_score.dtype == np.float64

    def test_absolute_rewards_leave_the_photo_unscored(self):
        batches = []

        def counted(images):
            batches.append(len(images))
            return brightness(images)

        for relative, images, reward in ((True, 6, 0.25), (False, 3, 0.5)):
            ours = task(PAIR, halves, counted, relative=relative, space="encoded", fusion="local")
            states = play(ours, [ours.scene(0, rng())] * 3, 1.0, 1.0)
            outcome = ours.finish(states[-1])
            assert batches.pop() == images and not batches  # one call for all photos
            np.testing.assert_allclose(ours.rewards(*states[1:], np.full(3, True), outcome), [reward] * 3, rtol=1e-6)
            np.testing.assert_array_equal(outcome.input_score, [0.25 if relative else 0] * 3)

    @pytest.mark.parametrize("which", ["fused", "local", "both"])
    def test_which_image_is_scored(self, which):
        def darker(photos, labels, evs, count, *, space):
            return local(photos, labels, evs, count, space=space) * 0.5

        ours = task(PAIR, halves, brightness, relative=False, reward_image=which, fusion=darker, space="encoded")
        states = play(ours, [ours.scene(0, rng())], 1.0, 1.0)
        outcome = ours.finish(states[-1])
        expected = {"fused": 0.25, "local": 0.5, "both": 0.375}[which]
        np.testing.assert_allclose(outcome.score, [expected], rtol=1e-6)
        np.testing.assert_allclose(ours.score(states[-1]), [expected], rtol=1e-6)
        np.testing.assert_allclose(outcome.image, np.full((1, 8, 8, 3), 0.25), rtol=1e-6)  # the result is the blend

    def test_only_finished_episodes_are_rewarded(self):
        ours = task(PAIR, halves, brightness, relative=False, fusion="local", space="encoded")
        two = ours.scene(0, rng())
        one = two._replace(labels=np.zeros_like(two.labels))
        before, after = play(ours, [two, one], 1.0)
        done = np.array([False, True])
        outcome = ours.finish(select(after, done))
        np.testing.assert_allclose(ours.rewards(before, after, done, outcome), [0, 0.5], rtol=1e-6)
        np.testing.assert_array_equal(ours.rewards(before, after, np.array([False, False]), None), [0, 0])

    @pytest.mark.parametrize("gamma", [0.9, 1.0])
    def test_shaping_adds_up_to_minus_the_potential_of_the_photo(self, gamma):
        settings = {"fusion": "local", "gamma": gamma}
        plain, shaped = task(**settings), task(shaping="well_exposedness", **settings)
        states = play(plain, [plain.scene(0, rng())], 1.0, -1.0)
        outcome, total = plain.finish(states[-1]), 0.0
        for t, (before, after) in enumerate(zip(states, states[1:], strict=False)):
            done = np.array([t == 1])
            finished = outcome if done[0] else None
            added = shaped.rewards(before, after, done, finished) - plain.rewards(before, after, done, finished)
            assert added[0] != 0
            total += gamma**t * added[0]
        assert total == pytest.approx(-math.exp(-3 * 0.25**2 / 0.08), rel=1e-5)  # all of the photo is 0.25

    def test_score_is_differentiable_for_torch_and_takes_another_model(self):
        ours = task(fusion="local", space="encoded")
        state = play(ours, [ours.scene(0, rng())])[0]
        state = EpisodeState(*(torch.as_tensor(array) for array in state))
        ev = torch.tensor([0.5], requires_grad=True)
        after = ours.advance(state, ev)
        (gradient,) = torch.autograd.grad(ours.score(after, lambda images, **context: images.mean((1, 2, 3))).sum(), ev)
        # half of the pixels are 0.25 * 2^ev
        assert float(gradient) == pytest.approx(0.5 * 0.25 * math.log(2) * 2**0.5, rel=1e-5)
        assert ours.score(after).requires_grad  # the task's own, PSNR

    @pytest.mark.parametrize(
        "bad, message",
        [(lambda images: np.zeros((len(images), 1)), r"\(2, 1\)"), (lambda images: 0.5, r"\(\)"),
         (lambda images: np.array([0.5, np.nan]), "nan")],
        ids=["shape", "number", "nan"],
    )  # fmt: skip
    def test_a_reward_that_returns_nonsense_is_an_error(self, bad, message):
        ours = task(PAIR, halves, bad)
        state = play(ours, [ours.scene(0, rng())], 0.0, 0.0)[-1]
        with pytest.raises(ValueError, match=message):
            ours.finish(state)


def test_states_are_joined_and_picked_apart():
    ours = task([Photo(str(v), GREY * v, LIGHT) for v in (1, 2, 3)])
    states = [play(ours, [ours.scene(i, rng())], ev)[-1] for i, ev in enumerate((0.1, 0.2, 0.3))]
    joined = concatenate(states)
    np.testing.assert_array_equal(joined.evs[:, 0], np.array([0.1, 0.2, 0.3], np.float32))
    for index in (np.array([2, 0]), np.array([True, False, True])):
        picked = select(joined, index)
        assert len(picked.step) == 2 and picked.targets.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(select(joined, [2, 0]).photos, np.concatenate([states[2].photos, states[0].photos]))
    without = [state._replace(targets=None) for state in states]
    assert concatenate(without).targets is None and select(without[0], [0]).targets is None

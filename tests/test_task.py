import math
import pickle
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from exposure_env.episode import EpisodeState, concatenate, select
from exposure_env.fusion import local, mask_pyramid, mertens
from exposure_env.photos import FolderPhotos, Misexpose, Photo, sample_photos, thumbnail
from exposure_env.settings import TASK_PRESETS, TaskConfig
from exposure_env.task import ExposureTask, resolve_photos

GREY = np.full((8, 8, 3), 0.25, np.float32)
LIGHT = np.full((8, 8, 3), 0.5, np.float32)
PAIR = [Photo("grey", GREY, LIGHT)]  # a gain of two in encoded values


def halves(image):
    """The upper half, then the lower."""
    return np.arange(len(image))[:, None] * 2 // len(image) * np.ones(image.shape[:2], int)


def brightness(images):
    return images.mean((1, 2, 3))


class Large(Sequence):
    """Photos that are made when they are asked for, as a data set on disk makes them."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return Photo(str(index), np.full((200, 300, 3), index / 5, np.float32), np.full((200, 300, 3), 0.5, np.float32))


def rng(seed=0):
    return np.random.default_rng(seed)


def task(photos=PAIR, segmenter=halves, reward_model="psnr", **settings):
    return ExposureTask(photos, segmenter, reward_model, **{"size": 8, "order": "label", **settings})


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


class TestSettings:
    def test_the_paper_preset_is_the_papers_literal_choice(self):
        config = ExposureTask(PAIR, preset="paper").config
        assert (config.relative, config.fusion, config.reward_image, config.space, config.planes, config.max_ev) == (
            False, "mertens", "local", "encoded", "paper", 3.5)  # fmt: skip
        assert ExposureTask(PAIR).config == TaskConfig() == TASK_PRESETS["recommended"]

    def test_settings_take_the_place_of_the_presets(self):
        config = ExposureTask(PAIR, preset="paper", max_ev=2.0, planes="full").config
        assert (config.max_ev, config.planes, config.space) == (2.0, "full", "encoded")
        assert TASK_PRESETS["paper"].max_ev == 3.5

    def test_an_unknown_preset_is_an_error(self):
        with pytest.raises(ValueError, match="'nature'"):
            ExposureTask(PAIR, preset="nature")

    def test_an_unknown_setting_is_an_error_that_names_it_and_the_known_ones(self):
        with pytest.raises(ValueError, match="'maximum_ev'.*max_ev"):
            ExposureTask(PAIR, maximum_ev=2.0)

    @pytest.mark.parametrize(
        "name, value",
        [
            ("thumbnail", "crop"), ("reward_image", "global"), ("space", "gamma"), ("planes", "all"),
            ("order", "size"), ("fusion", "hdr"), ("size", 3), ("size", 64.0), ("max_segments", 0),
            ("max_segments", 2.5), ("max_ev", 0.0), ("max_ev", -1.0), ("max_ev", math.nan), ("max_ev", math.inf),
            ("gamma", -0.1), ("gamma", 1.1), ("gamma", math.nan),
        ],
    )  # fmt: skip
    def test_a_setting_that_makes_no_sense_is_an_error_that_names_it_and_the_value(self, name, value):
        with pytest.raises(ValueError) as error:
            ExposureTask(PAIR, **{name: value})
        assert name in str(error.value) and repr(value) in str(error.value)

    @pytest.mark.parametrize("spec", ["beauty", 3])
    def test_an_unknown_reward_or_potential_is_an_error_that_names_it(self, spec):
        with pytest.raises(ValueError, match=str(spec)):
            ExposureTask(PAIR, reward_model=spec)
        with pytest.raises(ValueError, match=str(spec)):
            ExposureTask(PAIR, shaping=spec)

    def test_an_unknown_segmenter_is_an_error_that_names_it_at_once(self):
        with pytest.raises(ValueError, match="'watershed'"):
            ExposureTask(PAIR, "watershed")


class TestScenes:
    def test_a_photo_of_the_data_set_is_cut_up_once(self):
        calls = []

        def segmenter(image):
            calls.append((image.shape, image.dtype.name, round(float(image.max()), 6)))
            return halves(image)

        ours = task([Photo("large", np.full((30, 20, 3), 0.25, np.float32))], segmenter)
        scene = ours.scene(0, rng())
        assert ours.scene(0, rng()) is scene and ours.scene(np.int64(0), rng()) is scene
        assert calls == [((8, 8, 3), "float32", 0.25)]  # the segmenter sees the thumbnail, not the photo
        assert scene.index == 0 and scene.photo.name == "large" and scene.target is None
        np.testing.assert_array_equal(scene.labels, halves(np.zeros((8, 8))))

    def test_what_is_kept_of_a_photo_is_its_thumbnail(self):
        large = Large()
        ours = task(large, "felzenszwalb", size=16)
        before = len(pickle.dumps(ours))
        for index in range(len(large)):
            assert ours.scene(index, rng()).photo.name == str(index)
        grown = (len(pickle.dumps(ours)) - before) / len(large)
        assert grown < 2 * 16 * 16 * (3 + 3 + 1) * 4 < large[0].image.nbytes / 20  # images, target, labels; twice

    @pytest.mark.parametrize(
        "given, value",
        [(GREY, 1 / 4), (GREY.astype(float), 1 / 4), (np.full((8, 8, 3), 63, np.uint8), 63 / 255), (PAIR[0], 1 / 4)],
        ids=["float32", "float64", "uint8", "photo"],
    )
    def test_a_photo_from_elsewhere_has_index_minus_1(self, given, value):
        scene = task(PAIR).scene(given, rng())
        assert scene.index == -1 and scene.image.dtype == np.float32
        np.testing.assert_array_equal(scene.image, np.full((8, 8, 3), value, np.float32))

    @pytest.mark.parametrize("index", [-1, 1, 7])
    def test_an_index_out_of_range_is_an_error_that_names_it(self, index):
        with pytest.raises(ValueError, match=f"photo {index} is out of range.* 1 photos"):
            task().scene(index, rng())

    @pytest.mark.parametrize(
        "image, message",
        [
            (np.zeros((0, 5, 3), np.float32), r"\(0, 5, 3\)"), (np.full((4, 4, 3), np.nan), "nan"),
            (np.zeros((4, 4, 3), np.int16), "int16"), (np.zeros((4, 4, 4), np.float32), r"\(4, 4, 4\)"),
            (np.zeros((1, 4, 4, 3), np.float32), r"\(1, 4, 4, 3\)"), (np.full((4, 4, 3), 2.0), "2"),
            (np.full((4, 4, 3), -0.5), "-0.5"),
        ],
    )  # fmt: skip
    def test_what_is_no_photo_is_an_error_that_names_the_photo_and_its_trouble(self, image, message):
        with pytest.raises(ValueError, match=f"holiday.*{message}"):
            task([Photo("holiday", image)]).draw(rng())
        with pytest.raises(ValueError, match=f"target of holiday.*{message}"):
            task([Photo("holiday", GREY, image)]).draw(rng())
        with pytest.raises(ValueError, match=message):
            task().scene(image, rng())

    def test_draw_reaches_every_photo_and_follows_the_generator(self):
        photos = [Photo(str(i), GREY) for i in range(5)]
        ours = task(photos)
        drawn = [[ours.draw(generator).index for _ in range(40)] for generator in (rng(3), rng(3))]
        assert drawn[0] == drawn[1] and set(drawn[0]) == set(range(5))

    def test_random_order_is_drawn_afresh_from_the_generator_given(self):
        ours = task(PAIR, lambda image: np.arange(64).reshape(8, 8) // 8, order="random")
        generator = rng(0)
        orders = [tuple(ours.scene(0, generator).labels[:, 0]) for _ in range(6)]
        assert len(set(orders)) > 3 and all(sorted(order) == list(range(8)) for order in orders)
        again = rng(0)
        assert orders == [tuple(ours.scene(0, again).labels[:, 0]) for _ in range(6)]

    def test_transform_is_applied_afresh_to_photos_of_the_data_set_and_from_elsewhere(self):
        good = sample_photos("experts", 1)
        ours = task(good, transform=Misexpose(bits=16), size=16)
        generator = rng(0)
        scenes = [ours.scene(given, generator) for given in (0, 0, good[0])]
        for scene in scenes:
            np.testing.assert_array_equal(scene.target, thumbnail(good[0].image, 16))
        means = [float(scene.image.mean()) for scene in scenes]
        assert len(set(means)) == 3
        again = rng(0)
        assert means == [float(ours.scene(0, again).image.mean()) for _ in range(3)]

    def test_letterbox_keeps_the_aspect_and_repeats_the_border_in_photo_and_target(self):
        wide = np.zeros((4, 8, 3), np.float32)
        wide[0], wide[-1] = 0.25, 0.75
        scene = task([Photo("wide", wide, 1 - wide)], thumbnail="letterbox").scene(0, rng())
        rows = np.array([0.25, 0.25, 0.25, 0, 0, 0.75, 0.75, 0.75], np.float32)
        np.testing.assert_array_equal(scene.image[:, 3, 1], rows)
        np.testing.assert_array_equal(scene.target[:, 3, 1], 1 - rows)
        assert not np.array_equal(task([Photo("wide", wide)]).scene(0, rng()).image[:, 3, 1], rows)

    def test_max_segments_merges_and_1_makes_the_photo_one_segment(self):
        def quarters(image):
            return halves(image) * 2 + halves(image).T

        for most in (1, 3, 4, 9):
            labels = task(PAIR, quarters, max_segments=most).scene(0, rng()).labels
            assert np.unique(labels).tolist() == list(range(min(most, 4)))

    def test_a_segmenter_that_returns_nonsense_is_an_error(self):
        with pytest.raises(ValueError, match=r"\(3, 3\)"):
            task(PAIR, lambda image: np.zeros((3, 3), int)).draw(rng())
        with pytest.raises(ValueError, match="float"):
            task(PAIR, lambda image: np.zeros(image.shape[:2])).draw(rng())

    def test_all_photos_of_a_batch_have_a_target_or_none_has(self):
        ours = task([*PAIR, Photo("alone", GREY)])
        scenes = [ours.scene(i, rng()) for i in (0, 1)]
        with pytest.raises(ValueError, match="1 of 2 photos have a target"):
            ours.start(scenes)
        assert ours.start(scenes[:1]).targets.shape == (1, 8, 8, 3) and ours.start(scenes[1:]).targets is None


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


def test_labels_are_kept_in_a_folder_for_the_next_run(tmp_path):
    task = ExposureTask(labels_folder=str(tmp_path))
    labels = task.scene(3, np.random.default_rng(0)).labels
    (file,) = tmp_path.glob("*.npz")
    with np.load(file) as content:
        assert sorted(np.bincount(content["labels"].ravel())) == sorted(np.bincount(labels.ravel()))
        assert content["labels"].shape == labels.shape

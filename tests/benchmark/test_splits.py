"""Which photos are learned from and which are tested: never the same photograph."""

import numpy as np
import pytest

from agents.benchmark.splits import (
    FEW_CROPS,
    NUM_FOLDS,
    SIZE,
    brackets_protocol,
    crops,
    fivek_protocol,
    folds,
    misexposed_protocol,
    official_protocol,
    parts_protocol,
    scene,
)
from exposure_env.photos import Backlight, Misexpose, PairedPhotos, Photo, sample_photos
from exposure_env.rewards import psnr


def plain(name, level, size=(80, 100), target=None):
    """A photo of one level, so that every crop tells where it came from."""
    target = None if target is None else np.full((*size, 3), target, np.float32)
    return Photo(name, np.full((*size, 3), level, np.float32), target)


def photograph(crop):
    return crop.name.rsplit("_", 1)[0]


def of(photos):
    return {photograph(photo) for photo in photos}


PAIRS = [plain(f"p{i:02}", 0.01 * i, target=0.5 + 0.01 * i) for i in range(15)]
RAW = [plain(f"r{i}", 0.2 + 0.01 * i) for i in range(3)]
EXPERTS = [plain(f"e{i}", 0.8 + 0.01 * i) for i in range(6)]
BRACKETS = [plain(name, 0.01 * i, target=0.5 + 0.01 * i) for i, name in enumerate(
    ["cafe", "museum_1", "museum_2", "sunset1", "sunset12", "a_b", "a_c", "7", "8", "lake-3"])]  # of eight scenes


class TestMisexposed:
    def test_no_photograph_is_in_two_of_the_three(self):
        photos = [plain(f"p{i}", 0.02 * (i + 1)) for i in range(20)]
        protocol = misexposed_protocol(photos)
        names = [of(part) for part in protocol]
        assert [len(part) for part in names] == [8, 8, 4] and len(set.union(*names)) == 20
        assert [len(part) for part in protocol] == [64, 64, 16]

    def test_inputs_are_misexposed_and_know_it(self):
        protocol = misexposed_protocol([plain(f"p{i}", 0.4) for i in range(10)])
        for photo in (*protocol.inputs, *protocol.test):
            assert photo.image.shape == photo.target.shape == (SIZE, SIZE, 3)
            np.testing.assert_allclose(photo.target, 0.4, atol=1e-6)
            assert photo.ev_map.shape == (SIZE, SIZE) and abs(photo.image - 0.4).max() > 0.004
        assert all(photo.target is None and photo.image.shape == (SIZE * 9 // 8,) * 2 + (3,)
                   for photo in protocol.experts)

    def test_the_seed_decides(self):
        photos = [plain(f"p{i}", 0.03 * (i + 1)) for i in range(10)]
        first, again, other = (misexposed_protocol(photos, seed) for seed in (0, 0, 1))
        np.testing.assert_array_equal([p.image for p in first.test], [p.image for p in again.test])
        assert of(first.test) == of(again.test) != of(other.test)

    def test_backlit_it_has_the_same_crops_and_another_wrong_exposure(self):
        photos = [plain(f"p{i}", 0.03 * (i + 1)) for i in range(10)]
        uneven, backlit = misexposed_protocol(photos), misexposed_protocol(photos, degradation=Backlight())
        for ours, theirs in zip(backlit, uneven, strict=True):
            assert [photo.name for photo in ours] == [photo.name for photo in theirs]
        for ours, theirs in zip(backlit.test, uneven.test, strict=True):
            np.testing.assert_array_equal(ours.target, theirs.target)
            assert np.ptp(ours.ev_map) < 1e-5 and np.ptp(theirs.ev_map) > 0.1  # photos of one level have no backlight
            assert -0.5 <= ours.ev_map[0, 0] <= 1
        np.testing.assert_array_equal([p.image for p in backlit.experts], [p.image for p in uneven.experts])

    def test_sample_photos_exposed_otherwise_are_the_same_good_photos(self):
        protocol, samples = misexposed_protocol(degradation=Misexpose((0.0, 0.0), local=0.0)), sample_photos("test")
        assert [len(part) for part in protocol] == [512, 512, 64]
        for ours, theirs in zip(protocol.test, samples, strict=True):
            np.testing.assert_array_equal(ours.target, theirs.target)
            np.testing.assert_allclose(ours.image, ours.target, atol=0.5001 / 255)

    def test_four_photos_are_too_few(self):
        with pytest.raises(ValueError, match="4 photos are too few"):
            misexposed_protocol(PAIRS[:4])

    def test_the_sample_photos_are_the_default(self):
        assert [len(part) for part in misexposed_protocol()] == [512, 512, 64]


class TestOfficial:
    TRAIN, TEST = ([plain(f"{part}{i}", 0.02 * (i + 1)) for i in range(8)] for part in ("train", "test"))

    def test_training_photographs_are_dealt_in_halves_and_the_test_is_the_test(self):
        split = official_protocol(self.TRAIN, self.TEST[:3], numbers={"inputs": 2, "experts": 3, "test": 1})
        assert [len(of(part)) for part in split] == [4, 4, 3] and [len(part) for part in split] == [8, 12, 3]
        assert of(split.inputs) | of(split.experts) == {photo.name for photo in self.TRAIN}
        assert of(split.test) == {"test0", "test1", "test2"}
        assert all(photo.ev_map is not None and photo.target is not None for photo in (*split.inputs, *split.test))
        assert all(photo.target is None for photo in split.experts)

    def test_the_seed_deals_the_halves(self):
        first, again, other = (of(official_protocol(self.TRAIN, self.TEST, seed).inputs) for seed in (0, 0, 3))
        assert first == again != other

    def test_too_few_are_refused(self):
        for train, test in ((self.TRAIN[:1], self.TEST), (self.TRAIN, [])):
            with pytest.raises(ValueError, match=f"{len(train)} photos for training and {len(test)} for testing"):
                official_protocol(train, test)


def test_parts_that_are_given_are_cropped_but_for_the_test():
    experts = [Photo(photo.name, photo.target) for photo in PAIRS[5:8]]
    split = parts_protocol(PAIRS[:5], experts, PAIRS[8:], numbers={"inputs": 2, "experts": 1})
    assert [len(part) for part in split] == [10, 3, 7] and split.test == PAIRS[8:]
    for crop in split.inputs:
        assert crop.image.shape == crop.target.shape == (SIZE, SIZE, 3)
        np.testing.assert_allclose(crop.target - crop.image, 0.5, atol=1e-6)  # as the pairs were made
    assert {crop.image.shape for crop in split.experts} == {(SIZE * 9 // 8,) * 2 + (3,)}


class TestCrops:
    def test_targets_are_cut_alike(self):
        rng = np.random.default_rng(0)
        image = rng.random((90, 120, 3), np.float32)
        for crop in crops(Photo("a", image, image / 2), 20, SIZE, np.random.default_rng(1)):
            np.testing.assert_allclose(crop.target, crop.image / 2, atol=1e-5)

    def test_they_are_square_of_60_to_100_percent_and_half_are_mirrored(self):
        ramp = np.linspace(0, 1, 200, dtype=np.float32)
        image = np.stack([np.tile(ramp, (100, 1)), np.tile(np.linspace(0, 1, 100, dtype=np.float32)[:, None], 200),
                          np.zeros((100, 200), np.float32)], axis=-1)
        cut = crops(Photo("a", image), 200, 50, np.random.default_rng(0))
        assert {crop.image.shape for crop in cut} == {(50, 50, 3)}
        width = np.array([crop.image[0, -1, 0] - crop.image[0, 0, 0] for crop in cut]) * 199
        height = np.array([crop.image[-1, 0, 1] - crop.image[0, 0, 1] for crop in cut]) * 99
        assert 70 < (width < 0).sum() < 130
        np.testing.assert_allclose(abs(width), height, rtol=0.02)
        assert 57 < height.min() < 62 and 96 < height.max() <= 100


class TestFolds:
    @pytest.mark.parametrize("num", [6, 15, 23])
    def test_they_partition_the_photos(self, num):
        dealt = folds(num)
        assert len(dealt) == NUM_FOLDS and sorted(np.concatenate(dealt)) == list(range(num))
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
        assert [part.tolist() for part in dealt] == [part.tolist() for part in folds(num)]

    @pytest.mark.parametrize("num, parts", [(5, 5), (10, 1), (0, 5)])
    def test_too_few_are_refused(self, num, parts):
        with pytest.raises(ValueError, match=f"{num} photos can't be dealt into {parts} folds"):
            folds(num, parts)


class TestFiveK:
    @pytest.mark.parametrize("fold", range(NUM_FOLDS))
    def test_tests_inputs_and_experts_are_different_photographs(self, fold):
        protocol = fivek_protocol(PAIRS, fold, RAW, EXPERTS)
        inputs, experts, test = of(protocol.inputs), of(protocol.experts), {photo.name for photo in protocol.test}
        assert not inputs & experts and not inputs & test and not experts & test
        pairs = {photo.name for photo in PAIRS}
        assert inputs | experts | test == pairs | {"r0", "r1", "r2"} | {photo.name for photo in EXPERTS}
        assert [len(part & pairs) for part in (inputs, experts, test)] == [6, 6, 3]
        assert [len(protocol.inputs), len(protocol.experts)] == [each * FEW_CROPS["pairs"] for each in (15, 12)]

    def test_other_photographs_join_both_sides_and_change_nothing_else(self):
        others = [plain(f"o{i}", 0.3 + 0.05 * i) for i in range(6)]
        plain_protocol, protocol = (fivek_protocol(PAIRS, 0, RAW, EXPERTS, more) for more in ((), others))
        assert [photo.name for photo in protocol.test] == [photo.name for photo in plain_protocol.test]
        for ours, before in ((protocol.inputs, plain_protocol.inputs), (protocol.experts, plain_protocol.experts)):
            assert [photo.name for photo in ours[: len(before)]] == [photo.name for photo in before]
            np.testing.assert_array_equal(ours[len(before) - 1].image, before[-1].image)
            assert len(ours) == len(before) + 3 * FEW_CROPS["others"]
        added = protocol.inputs[len(plain_protocol.inputs) :], protocol.experts[len(plain_protocol.experts) :]
        assert of(added[0]) | of(added[1]) == {photo.name for photo in others} and not of(added[0]) & of(added[1])
        assert all(photo.ev_map is not None for photo in added[0]) and added[1][0].ev_map is None

    @pytest.mark.parametrize("fold", range(NUM_FOLDS))
    def test_untouched_photos_are_as_bright_in_either_half(self, fold):
        level, protocol = {photo.name: photo.image.mean() for photo in PAIRS}, fivek_protocol(PAIRS, fold)
        halves = [[level[name] for name in of(part)] for part in (protocol.inputs, protocol.experts)]
        assert abs(np.mean(halves[0]) - np.mean(halves[1])) < 0.01  # neighbours differ by as much, the extremes by 0.14

    def test_every_pair_is_tested_once_and_whole(self):
        tested = [photo for fold in range(NUM_FOLDS) for photo in fivek_protocol(PAIRS, fold).test]
        assert sorted(photo.name for photo in tested) == [photo.name for photo in PAIRS]
        assert {photo.image.shape for photo in tested} == {(80, 100, 3)}

    def test_what_the_photos_are_made_of(self):
        protocol = fivek_protocol(PAIRS, 0, RAW, EXPERTS)
        source = {photo.name: photo for photo in (*PAIRS, *RAW, *EXPERTS)}
        for photo in protocol.experts:  # the expert's version, not the untouched one
            origin = source[photograph(photo)]
            good = origin.image if origin.target is None else origin.target
            np.testing.assert_allclose(photo.image, good[0, 0, 0], atol=1e-6)
        for photo in protocol.inputs:
            origin = source[photograph(photo)]
            if photo.ev_map is None:
                np.testing.assert_allclose(photo.image, origin.image[0, 0, 0], atol=1e-6)
            else:  # the expert's version misexposed
                assert abs(photo.image - origin.target[0, 0, 0]).max() > 0.004
            assert (photo.target is None) == (origin.target is None)
        assert sum(photo.ev_map is not None for photo in protocol.inputs) == 6 * FEW_CROPS["pairs"]

    def test_what_makes_no_sense_is_refused(self):
        with pytest.raises(ValueError, match=r"fold must lie in 0..4, not 5"):
            fivek_protocol(PAIRS, 5)
        with pytest.raises(ValueError, match=r"not twice: \['p03'\]"):
            fivek_protocol(PAIRS, 0, raw=[plain("p03", 0.1)])
        with pytest.raises(ValueError, match="1 of 16 pairs have no target, such as 'bare'"):
            fivek_protocol([*PAIRS, plain("bare", 0.1)], 0)

    def test_real_pairs_are_dealt(self, real_folder):
        folder = real_folder / "fivek_pairs"
        if not folder.is_dir():
            pytest.skip(f"no folder {folder}")
        pairs = PairedPhotos(folder / "input", folder / "expert_c", max_side=None)
        protocol = fivek_protocol(pairs, 0)
        assert of(protocol.inputs).isdisjoint(of(protocol.experts))
        unspoilt = [photo for photo in protocol.inputs if photo.ev_map is None]
        errors = [psnr(p.image[None], targets=p.target[None])[0] for p in unspoilt]
        assert 15 < np.mean(errors) < 24  # cut elsewhere, a target would be far from its photo


class TestBrackets:
    @pytest.mark.parametrize("name, shown", [("museum_2", "museum"), ("sunset12", "sunset"), ("cafe", "cafe"),
                                             ("lake-3", "lake"), ("a_b", "a_b"), ("17", "17"), ("x2_y", "x2_y"),
                                             ("night2_frame10", "night2_frame")])
    def test_a_scene_is_a_name_without_its_last_number(self, name, shown):
        assert scene(name) == shown

    def test_no_scene_is_both_learned_from_and_tested(self):
        tested = []
        for fold in range(NUM_FOLDS):
            protocol = brackets_protocol(BRACKETS, fold)
            learned = {scene(name) for name in of([*protocol.inputs, *protocol.experts])}
            names = [photo.name for photo in protocol.test]
            assert names and learned.isdisjoint(map(scene, names)) and of(protocol.inputs) == of(protocol.experts)
            assert len(protocol.inputs) == len(protocol.experts) == (len(BRACKETS) - len(names)) * FEW_CROPS["pairs"]
            tested += names
        assert sorted(tested) == sorted(photo.name for photo in BRACKETS)

    def test_dark_frames_are_the_inputs_and_normal_ones_the_experts(self):
        protocol, source = brackets_protocol(BRACKETS, 1), {photo.name: photo for photo in BRACKETS}
        for photo in protocol.inputs:
            np.testing.assert_allclose(photo.image, source[photograph(photo)].image[0, 0, 0], atol=1e-6)
            np.testing.assert_allclose(photo.target, source[photograph(photo)].target[0, 0, 0], atol=1e-6)
            assert photo.image.shape == (SIZE, SIZE, 3) and photo.ev_map is None
        for photo in protocol.experts:
            np.testing.assert_allclose(photo.image, source[photograph(photo)].target[0, 0, 0], atol=1e-6)
            assert photo.image.shape == (SIZE * 9 // 8,) * 2 + (3,) and photo.target is None
        assert {photo.image.shape for photo in protocol.test} == {(80, 100, 3)}

    def test_other_good_photographs_join_the_experts_only(self):
        plain_protocol, protocol = brackets_protocol(BRACKETS, 0), brackets_protocol(BRACKETS, 0, EXPERTS)
        assert of(protocol.experts) == of(plain_protocol.experts) | {photo.name for photo in EXPERTS}
        assert len(protocol.experts) == len(plain_protocol.experts) + 6 * FEW_CROPS["others"]
        assert of(protocol.inputs) == of(plain_protocol.inputs)

    def test_what_makes_no_sense_is_refused(self):
        with pytest.raises(ValueError, match=r"fold must lie in 0..4, not -1"):
            brackets_protocol(BRACKETS, -1)
        with pytest.raises(ValueError, match=r"9 photos of 1 scenes, such as \['IMG'\], can't be dealt into 5 folds"):
            brackets_protocol([plain(f"IMG_{i}", 0.1, target=0.5) for i in range(9)], 0)
        with pytest.raises(ValueError, match="have no target, such as 'bare'"):
            brackets_protocol([*BRACKETS, plain("bare", 0.1)], 0)
        with pytest.raises(ValueError, match=r"not twice: \['cafe'\]"):
            brackets_protocol(BRACKETS, 0, [plain("cafe", 0.5)])

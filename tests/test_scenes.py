import pickle
from collections.abc import Sequence

import numpy as np
import pytest

from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.trainer import DiscriminatorTrainer
from exposure_env.photos import Misexpose, Photo, sample_photos, thumbnail
from exposure_env.scenes import Scenes
from exposure_env.settings import TaskConfig
from exposure_env.task import ExposureTask
from exposure_env.vector import ExposureVectorEnv
from tests.environments import halves
from tests.kernels.small import PHOTOS, noise
from tests.tasks import GREY, PAIR, rng, task


class Large(Sequence):
    """Photos that are made when they are asked for, as a data set on disk makes them."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return Photo(str(index), np.full((200, 300, 3), index / 5, np.float32), np.full((200, 300, 3), 0.5, np.float32))


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


def test_labels_are_kept_in_a_folder_for_the_next_run(tmp_path):
    task = ExposureTask(labels_folder=str(tmp_path))
    labels = task.scene(3, np.random.default_rng(0)).labels
    (file,) = tmp_path.glob("*.npz")
    with np.load(file) as content:
        assert sorted(np.bincount(content["labels"].ravel())) == sorted(np.bincount(labels.ravel()))
        assert content["labels"].shape == labels.shape


class TestManyPhotos:
    @pytest.mark.parametrize("settings", [{}, {"order": "random"}, {"thumbnail": "letterbox"}, {"order": "luminance"}],
                             ids=str)
    def test_made_ready_together_are_what_they_are_one_by_one(self, settings):
        generators = [[np.random.default_rng(seed) for seed in range(6)] for _ in range(2)]
        given = [2, None, PHOTOS[5], None, 2, PHOTOS[0].image]
        together = ExposureTask(PHOTOS, **settings).scenes(given, generators[0])
        single = ExposureTask(PHOTOS, **settings)
        for scene, photo, generator in zip(together, given, generators[1], strict=True):
            other = single.draw(generator) if photo is None else single.scene(photo, generator)
            assert (scene.index, scene.num_segments) == (other.index, other.num_segments)
            np.testing.assert_array_equal(scene.labels, other.labels)
            np.testing.assert_array_equal(scene.image, other.image)
            assert scene.num_segments == scene.labels.max() + 1

    def test_prepare_makes_all_ready(self, tmp_path):
        calls = []

        def segmenter(image):
            calls.append(image.shape)
            return (image[..., 0] > 0.3).astype(int)

        task = ExposureTask(PHOTOS, segmenter, order="random")
        assert task.prepare() == 8 and len(calls) == 8
        for seed in range(20):
            task.draw(np.random.default_rng(seed))
        assert task.prepare() == 8 and len(calls) == 8
        assert ExposureTask(PHOTOS, transform=Misexpose()).prepare() == 0
        named = ExposureTask(PHOTOS[:3], labels_folder=str(tmp_path), size=32)
        assert named.prepare() == 3 and len(list(tmp_path.glob("*.npz"))) == 3
        with pytest.raises(ValueError, match="third"):
            ExposureTask([*PHOTOS[:2], Photo("third", np.full((4, 4, 3), 2.0))]).prepare()

    def test_of_a_large_data_set_few_are_held_at_once(self, monkeypatch):
        monkeypatch.setattr("exposure_env.scenes.TOGETHER", 3)
        scenes = Scenes(PHOTOS, "luminance_bands", TaskConfig())
        assert scenes.prepare() == 8 and sorted(scenes.known) == list(range(8))


class TestScoresOfUntouchedPhotos:
    def rewards(self, model, **settings):
        envs = ExposureVectorEnv(4, PHOTOS, reward_model=model, autoreset_mode="SameStep", **settings)
        envs.reset(seed=0)
        steps = [envs.step(np.full((4, 1), 0.2))[1] for _ in range(20)]
        return np.array(steps), envs

    def model(self, version):
        class Counted:
            differentiable = False

            def __init__(self):
                self.scored, self.offset = 0, 0.0
                if version:
                    self.version = 0

            def __call__(self, images, **context):
                self.scored += len(images)
                return images.mean((1, 2, 3), dtype=np.float64) * (1 + self.offset)

        return Counted()

    def test_are_remembered_while_the_model_says_that_it_is_the_same(self):
        silent, known = self.model(False), self.model(True)
        (expected, without), (rewards, envs) = self.rewards(silent), self.rewards(known)
        np.testing.assert_allclose(rewards, expected, rtol=0, atol=1e-12)
        assert without.task.photo_scores == {} and set(envs.task.photo_scores) <= set(range(8))
        ended = int((expected != 0).sum())
        assert silent.scored == 2 * ended
        assert ended + len(envs.task.photo_scores) <= known.scored < 2 * ended

    def test_are_forgotten_with_the_version_or_with_the_model(self):
        model = self.model(True)
        _, envs = self.rewards(model)
        before = dict(envs.task.photo_scores)
        model.offset, model.version = 1.0, 1
        assert before and envs.task.photo_scores == {}
        envs.task.photo_scores = before
        assert envs.task.photo_scores == before
        envs.task.reward_model = self.model(True)
        assert envs.task.photo_scores == {}

    def test_are_not_those_of_a_photo_that_a_transform_made(self):
        model = self.model(True)
        rewards, envs = self.rewards(model, transform=Misexpose())
        assert model.scored == 2 * (rewards != 0).sum() and envs.task.photo_scores == {}

    def test_go_with_the_state(self):
        model = self.model(True)
        _, envs = self.rewards(model)
        other = ExposureVectorEnv(4, PHOTOS, reward_model=self.model(True), autoreset_mode="SameStep")
        other.load_state_dict(envs.state_dict())
        assert other.task.photo_scores == envs.task.photo_scores != {}

    def test_a_discriminator_has_another_version_when_its_weights_are_others(self):
        reward = DiscriminatorReward(size=16, width=4)
        trainer = DiscriminatorTrainer(reward)
        versions = [reward.version, reward.version]
        images = noise(4, 16, 16)
        trainer.update(images, images[::-1].copy())
        versions += [reward.version, reward.version]
        next(reward.network.parameters()).data.mul_(1.5)  # behind autograd's back
        assert [*versions, reward.version, reward.version] == [1, 1, 2, 2, 3, 3]

"""The compiled steps of the episode against their definitions."""

import inspect

import numpy as np
import pytest
import torch

from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.trainer import DiscriminatorTrainer
from exposure_env import kernels
from exposure_env.env import ExposureEnv
from exposure_env.episode import advance, is_done, local_image, observe, start
from exposure_env.kernels.canvas import Recycled
from exposure_env.observations import Canvas, encode
from exposure_env.photos import Misexpose, Photo
from exposure_env.photos import sample_photos as crops
from exposure_env.rewards import negative_mse
from exposure_env.scenes import Scenes
from exposure_env.settings import TaskConfig
from exposure_env.task import ExposureTask
from exposure_env.vector import ExposureVectorEnv

pytestmark = pytest.mark.skipif(not kernels.available(), reason="numba is not installed")
ERROR = 3e-7  # of float32 images in [0, 1]; against float64, half as much as the definition's own
FLIPS = 3e-5  # share of 8-bit values that may be one level off, being on the edge; 3e-6 to 14e-6 measured
PHOTOS = crops("inputs", 8)
spaces = pytest.mark.parametrize("space", ["linear", "encoded"])
obs_types = pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
all_planes = pytest.mark.parametrize("planes", ["full", "paper"])


definition = inspect.unwrap(local_image)


def kernel():
    return kernels.load("episode")


def episodes(photos, segments=8, seed=0, targets=None):
    """Episodes on (N, H, W, 3) photos, cut into random blots; the last photo into one segment."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(segments, size=(len(photos), *[-(-side // 5) for side in photos.shape[1:3]]))
    labels = labels.repeat(5, 1).repeat(5, 2)[:, : photos.shape[1], : photos.shape[2]].astype(np.int32)
    labels[-1] = 0
    return start(photos, labels, segments, targets)


def noise(num=5, height=64, width=64, seed=1):
    """Photos of noise: over all tones, dark, about the knee of the curve, grey, and black or white."""
    rng = np.random.default_rng(seed)
    photos = rng.random((num, height, width, 3), np.float32)
    photos[1::5] *= 0.04
    photos[2::5] = 0.0395 + 0.002 * photos[2::5]
    photos[3::5] = photos[3::5, :, :, :1]
    photos[4::5] = photos[4::5] > 0.5
    return photos


def evs_of(state, most, seed=2):
    evs = np.random.default_rng(seed).uniform(-most, most, state.evs.shape).astype(np.float32)
    evs[0, 0] = 0
    return state._replace(evs=evs)


class TestLocalImage:
    @spaces
    @pytest.mark.parametrize("most", [1e-5, 0.1, 1, 3, 8])
    @pytest.mark.parametrize("size", [(64, 64), (1, 1), (1, 70), (31, 17), (4, 4)], ids=str)
    def test_is_that_of_the_definition(self, space, most, size):
        state = evs_of(episodes(noise(5, *size)), most)
        np.testing.assert_allclose(kernel().local_image(state, space), definition(state, space), rtol=0, atol=ERROR)

    @spaces
    @pytest.mark.parametrize("photos", ["sample_photos", "real_photos"])
    def test_is_as_near_to_the_definition_in_float64_as_that_in_float32(self, space, photos, request):
        state = evs_of(episodes(np.stack(request.getfixturevalue(photos)[:12])), 3)
        exact = definition(state._replace(photos=state.photos.astype(float), evs=state.evs.astype(float)), space)
        ours, theirs = kernel().local_image(state, space), definition(state, space)
        assert np.abs(ours - exact).max() <= 1.5e-7 and np.abs(ours - exact).mean() <= np.abs(theirs - exact).mean()
        assert (np.rint(255 * ours) != np.rint(255 * theirs)).mean() < FLIPS

    @spaces
    def test_ev_0_leaves_the_photo_and_every_value_stays_in_its_range(self, space):
        photos = noise(10)
        state = episodes(photos)
        np.testing.assert_array_equal(kernel().local_image(state, space), photos)
        for ev in (-120, -20, 20, 120):
            image = kernel().local_image(state._replace(evs=np.full_like(state.evs, ev)), space)
            assert image.min() >= 0 and image.max() <= 1
            assert (image[photos > 0] == 1).all() if ev == 120 else ev > 0 or (image <= 13 * 2.0**ev).all()

    @spaces
    def test_more_exposure_is_never_darker(self, space):
        photo = np.linspace(0, 1, 64 * 64 * 3, dtype=np.float32).reshape(1, 64, 64, 3)
        state, last = episodes(photo), None
        for ev in np.linspace(-4, 4, 60, dtype=np.float32):
            image = kernel().local_image(state._replace(evs=np.full_like(state.evs, ev)), space)
            assert (np.diff(image.ravel()) >= -ERROR).all()  # nor has it seams at the knee
            assert last is None or (image - last >= -ERROR).all()
            last = image

    @spaces
    def test_exposing_step_by_step_gives_the_same_bits_as_all_at_once(self, space):
        state = episodes(noise(7, 20, 23), segments=5)
        images, nowhere = state.photos.copy(), np.empty((0, 20, 23), np.uint32)
        rng = np.random.default_rng(0)
        for _ in range(6):  # one step beyond the end
            before = state
            state = advance(before, rng.uniform(-3, 3, 7).astype(np.float32))
            kernel().expose(before, state, space, images, nowhere)
            np.testing.assert_array_equal(images, kernel().local_image(state, space))
        assert is_done(state).all() and np.abs(images - state.photos).max() > 0.5

    @spaces
    def test_a_step_that_is_taken_again_with_ev_0_brings_the_photo_back(self, space):
        state = episodes(noise(7))
        images, words = state.photos.copy(), np.zeros((7, 64, 64), np.uint32)
        for ev in (2.0, 0.0):
            after = advance(state, np.full(7, ev, np.float32))
            kernel().expose(state, after, space, images, words)
            assert np.array_equal(images, state.photos) == (ev == 0)

    def test_the_task_takes_it_for_numpy_arrays_only(self):
        task = ExposureTask(PHOTOS)
        state = evs_of(task.start(task.scenes(range(8), [None] * 8)), 3)
        np.testing.assert_array_equal(task.local(state), kernel().local_image(state, "linear"))
        with kernels.disabled():
            np.testing.assert_array_equal(task.local(state), definition(state))
        tensors = type(state)(*(torch.as_tensor(array) for array in state))
        assert isinstance(task.local(tensors), torch.Tensor)
        double = state._replace(photos=state.photos.astype(float))
        np.testing.assert_array_equal(task.local(double), definition(double))
        mirrored = state._replace(photos=state.photos[:, ::-1], labels=state.labels[:, ::-1])
        np.testing.assert_array_equal(task.local(mirrored), task.local(state)[:, ::-1])


class TestObservations:
    @obs_types
    @all_planes
    @pytest.mark.parametrize("size", [64, 31, 5])
    def test_are_those_of_the_definition_for_the_same_images(self, obs_type, planes, size):
        task = ExposureTask(PHOTOS, planes=planes, size=size)
        canvas, state = Canvas(task.config, obs_type), task.start(task.scenes([*range(8)] * 3, [None] * 24))
        canvas.begin(state)
        rng = np.random.default_rng(0)
        for step in range(9):
            if step:
                before, state = state, advance(state, rng.uniform(-3, 3, 24).astype(np.float32))
                canvas.expose(before, state)
            if step == 3:
                canvas.show(state, final := 1.3 * rng.random((2, size, size, 3)), np.array([4, 11]))
                np.testing.assert_array_equal(canvas.images[[4, 11]], final.astype(np.float32))
            expected = encode(observe(state, canvas.images, planes), obs_type)
            for rows in (None, np.array([3, 4, 20])):
                ours = canvas.observe(state, rows)
                for name in ours if obs_type == "dict" else [...]:
                    right = expected[name] if rows is None else expected[name][rows]
                    assert ours[name].dtype == right.dtype
                    np.testing.assert_array_equal(ours[name], right)
        assert is_done(state).all()

    @obs_types
    @pytest.mark.parametrize("begun_with", [True, False], ids=["on", "off"])
    def test_kernels_may_be_switched_within_an_episode(self, obs_type, begun_with):
        def play(switch):
            envs = ExposureVectorEnv(6, PHOTOS, obs_type=obs_type, autoreset_mode="SameStep")
            rng = np.random.default_rng(4)
            for step in range(14):
                def act(step=step):
                    return envs.step(rng.uniform(-1, 1, (6, 1))) if step else envs.reset(seed=0)

                if switch(step):
                    observations = act()[0]
                else:
                    with kernels.disabled():
                        observations = act()[0]
                yield observations["local"] if obs_type == "dict" else observations[..., 6:9]

        always, mixed = play(lambda step: True), play(lambda step: (step % 3 == 0) == begun_with)
        for ours, theirs in zip(always, mixed, strict=True):
            # mask_pyramid, in float32, of two implementations
            np.testing.assert_allclose(ours.astype(float), theirs, rtol=0, atol=2e-6 if obs_type == "float32" else 1)

    @spaces
    def test_of_whole_episodes_differ_from_the_definitions_by_a_level_in_few_values(self, space):
        envs, flips, values = ExposureVectorEnv(8, PHOTOS, space=space, autoreset_mode="SameStep"), 0, 0
        twin = ExposureVectorEnv(8, PHOTOS, space=space, autoreset_mode="SameStep")
        ours = envs.reset(seed=0)[0]
        with kernels.disabled():
            np.testing.assert_array_equal(ours, twin.reset(seed=0)[0])
        for _ in range(12):
            actions = envs.np_random.uniform(-1, 1, (8, 1)).astype(np.float32)
            ours, rewards, *_ = envs.step(actions)
            with kernels.disabled():
                theirs, expected, *_ = twin.step(actions)
            np.testing.assert_allclose(rewards, expected, atol=1e-4)  # [dB]
            difference = ours.astype(int) - theirs
            assert np.abs(difference).max() <= 1
            flips, values = flips + (difference != 0).sum(), values + difference.size
        assert flips < FLIPS * values

    @obs_types
    @pytest.mark.parametrize("threads", ["1", "2", "5"])
    def test_are_the_same_however_many_threads_and_environments_there_are(self, obs_type, threads, monkeypatch):
        monkeypatch.setenv("EXPOSURE_THREADS", threads)
        many = ExposureVectorEnv(100, PHOTOS, obs_type=obs_type)
        observations = [many.reset(options={"photo": [i % 8 for i in range(100)]})[0]]
        observations += [many.step(np.full((100, 1), action))[0] for action in (0.4, -0.9, 0.7)]
        one = ExposureEnv(PHOTOS, obs_type=obs_type)
        for i in (0, 33, 66, 99):
            single = [one.reset(options={"photo": i % 8})[0]]
            terminated = False
            for action in (0.4, -0.9, 0.7):
                if not terminated:
                    observation, _, terminated, *_ = one.step([action])
                    single.append(observation)
            for ours, theirs in zip(observations, single, strict=False):
                for name in theirs if obs_type == "dict" else [...]:
                    np.testing.assert_array_equal(ours[name][i], theirs[name])


class TestRecycled:
    def test_memory_is_used_again_when_nobody_holds_it_and_not_before(self):
        memory, shape = Recycled(), (3, 1000, 1000)
        first = memory.empty(shape, np.dtype(np.float32))
        first[:] = 1
        address = first.ctypes.data
        second = memory.empty(shape, np.dtype(np.float32))
        assert not np.shares_memory(first, second)
        for hold in (lambda a: a[1, ::2], lambda a: torch.from_numpy(a)[2], memoryview, lambda a: [a], lambda a: a.T):
            kept, first = hold(first), None
            third = memory.empty(shape, np.dtype(np.float32))
            assert address not in (third.ctypes.data, second.ctypes.data)
            kept = third = None
            first = memory.empty(shape, np.dtype(np.float32))
            assert first.ctypes.data == address and kept is third

    def test_no_observation_that_is_kept_changes(self):
        envs = ExposureVectorEnv(64, PHOTOS, obs_type="float32")  # 12 MB each
        kept = [envs.reset(seed=0)[0][:, ::7]]
        copies = [kept[0].copy()]
        for _ in range(8):
            observations = envs.step(envs.np_random.uniform(-1, 1, (64, 1)))[0]
            kept.append(torch.from_numpy(observations)[:, ::7])
            copies.append(observations[:, ::7].copy())
        for one, copy in zip(kept, copies, strict=True):
            np.testing.assert_array_equal(np.asarray(one), copy)


class TestSquaredErrors:
    @pytest.mark.parametrize("shape", [(3, 64, 64, 3), (1, 1, 1, 3), (20, 5, 7, 3), (2, 100, 131, 3)], ids=str)
    def test_are_those_of_the_definition(self, shape):
        images, targets = np.random.default_rng(0).random((2, *shape), np.float32)
        ours = negative_mse(images, targets=targets)
        exact = -((images.astype(float) - targets) ** 2).mean((1, 2, 3))
        assert ours.dtype == np.float32 and ours.shape == shape[:1]
        np.testing.assert_allclose(ours, exact, rtol=1e-6)
        with kernels.disabled():
            np.testing.assert_allclose(ours, negative_mse(images, targets=targets), rtol=1e-6)
        np.testing.assert_array_equal(negative_mse(images[1:], targets=targets[1:]), ours[1:])  # whatever the batch
        np.testing.assert_array_equal(negative_mse(images[:, ::-1], targets=targets[:, ::-1].copy()),
                                      negative_mse(images[:, ::-1].copy(), targets=targets[:, ::-1].copy()))

    def test_is_0_where_images_are_equal(self):
        images = noise(4, 9, 9)
        np.testing.assert_array_equal(negative_mse(images, targets=images), np.zeros(4))


class TestManyPhotos:
    @pytest.mark.parametrize("settings", [{}, {"order": "random"}, {"thumbnail": "letterbox"}, {"order": "luminance"}],
                             ids=str)
    def test_made_ready_together_are_what_they_are_one_by_one(self, settings):
        generators = [[np.random.default_rng(seed) for seed in range(6)] for _ in range(2)]
        given = [2, None, PHOTOS[5], None, 2, PHOTOS[0].image]
        together = ExposureTask(PHOTOS, **settings).scenes(given, generators[0])
        single = ExposureTask(PHOTOS, **settings)
        for scene, photo, rng in zip(together, given, generators[1], strict=True):
            other = single.draw(rng) if photo is None else single.scene(photo, rng)
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

"""The compiled local image and squared error against their definitions."""

import inspect

import numpy as np
import pytest
import torch

from exposure_env import kernels
from exposure_env.episode import advance, is_done, local_image, start
from exposure_env.rewards import negative_mse
from exposure_env.task import ExposureTask
from tests.kernels.small import FLIPS, PHOTOS, noise, spaces

pytestmark = pytest.mark.skipif(not kernels.available(), reason="numba is not installed")
ERROR = 3e-7  # of float32 images in [0, 1]; against float64, half as much as the definition's own

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

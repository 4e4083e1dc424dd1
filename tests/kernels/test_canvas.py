"""The compiled observations against their definitions, and the memory they are written to."""

import numpy as np
import pytest
import torch

from exposure_env import kernels
from exposure_env.env import ExposureEnv
from exposure_env.episode import advance, is_done, observe
from exposure_env.kernels.canvas import Recycled
from exposure_env.observations import Canvas, encode
from exposure_env.task import ExposureTask
from exposure_env.vector import ExposureVectorEnv
from tests.kernels.small import FLIPS, PHOTOS, spaces

pytestmark = pytest.mark.skipif(not kernels.available(), reason="numba is not installed")
obs_types = pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
all_planes = pytest.mark.parametrize("planes", ["full", "paper"])


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

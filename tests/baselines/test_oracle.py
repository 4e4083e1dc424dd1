"""The best exposures that there are, found by knowing the answer."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecTransposeImage

from agents.baselines.untrained import Identity, Oracle
from agents.vec_env import ExposureVecEnv
from exposure_env.image import composite, expose
from exposure_env.photos import Photo, sample_photos
from exposure_env.rewards import psnr
from exposure_env.task import ExposureTask
from tests.baselines.photos import PHOTOS, begin, darkened, grey, observations, scores_of


def halves(image):
    """The upper half, then the lower."""
    return np.arange(len(image))[:, None] * 2 // len(image) * np.ones(image.shape[:2], int)


def best_constant(task, state):
    """PSNR (N,) of each photo under the best of 241 constant exposures, and these exposures, by brute force."""
    grid = np.linspace(-task.config.max_ev, task.config.max_ev, 241, dtype=np.float32)
    scores = [scores_of(task, state._replace(evs=np.full_like(state.evs, ev))) for ev in grid]
    return np.max(scores, axis=0), grid[np.argmax(scores, axis=0)]


class TestOracle:
    @pytest.mark.parametrize("max_segments", [1, 8])
    def test_it_recovers_one_exposure(self, max_segments):
        evs = np.array([-1.7, -0.6, 0.4, -2.3])
        task, state = begin(darkened(evs), max_segments=max_segments)
        plan = Oracle(task, steps=50).plan(state)
        mean_evs = composite(plan.evs, state.labels).mean((1, 2))
        np.testing.assert_allclose(mean_evs, -evs, atol=0.05)
        assert not plan.evs[np.arange(max_segments) >= state.num_segments[:, None]].any()
        assert scores_of(task, plan).min() > 32

    def test_it_recovers_an_exposure_for_each_segment(self):
        true = np.where(halves(grey(0, 32)), -0.5, 1.5).astype(np.float32)
        good = [photo.image[:32, :32] * 0.7 + 0.05 for photo in sample_photos("experts", 3)]
        task, state = begin([Photo("", expose(image, -true), image) for image in good], halves, order="label",
                            fusion="local")
        plan = Oracle(task).plan(state)
        np.testing.assert_allclose(plan.evs[:, :2], [[1.5, -0.5]] * 3, atol=0.02)
        assert scores_of(task, plan).min() > 50

    @pytest.mark.parametrize("settings", [{}, *[{"fusion": name} for name in ("local", "mertens", "mertens_masked")],
                                          {"preset": "paper"}, {"max_ev": 0.7}, {"max_segments": 1}], ids=str)
    def test_never_worse_than_any_constant(self, settings):
        task, state = begin(PHOTOS[:4], **settings)
        plan = Oracle(task, steps=25).plan(state)
        constant, _ = best_constant(task, state)
        assert (scores_of(task, plan) >= constant - 0.01).all()
        assert abs(plan.evs).max() <= task.config.max_ev

    def test_without_a_step_it_is_the_best_constant(self):
        task, state = begin()
        plan = Oracle(task, steps=0).plan(state)
        _, constant = best_constant(task, state)
        np.testing.assert_allclose(plan.evs[:, 0], constant, atol=0.03)

    def test_segments_are_worth_more_than_the_best_constant(self):
        task, state = begin()
        gain = scores_of(task, Oracle(task, steps=40).plan(state)) - best_constant(task, state)[0]
        assert gain.min() > 0.1 and gain.mean() > 1

    def test_the_plan_is_the_same_in_any_batch(self):
        task, state = begin()
        plan = Oracle(task, steps=15).plan(state)
        np.testing.assert_array_equal(plan.evs, Oracle(task, steps=15).plan(state).evs)
        np.testing.assert_array_equal(plan.step, state.num_segments)
        alone = Oracle(task, steps=15, batch_size=1).plan(state)
        np.testing.assert_allclose(scores_of(task, alone), scores_of(task, plan), atol=0.05)

    def test_it_plays_in_an_environment_as_planned(self):
        env = ExposureVecEnv(num_envs=2, photos=PHOTOS, size=32, max_segments=4)
        task, state = begin(max_segments=4)
        oracle = Oracle(task, steps=10)
        best = scores_of(task, oracle.plan(state)) - psnr(state.photos, targets=state.targets)
        for wrapped in (env, VecTransposeImage(env)):
            oracle.set_env(wrapped)
            observed, gained = wrapped.reset(), {}
            while len(gained) < 4:
                playing = [env.envs.scenes[i].index for i in range(2)]
                with torch.no_grad():
                    actions, _ = oracle.predict(observed)
                observed, rewards, dones, _ = wrapped.step(actions)
                gained |= {playing[i]: rewards[i] for i in np.flatnonzero(dones)}
            np.testing.assert_allclose(list(gained.values()), best[list(gained)], atol=0.05)

    def test_evaluate_policy_plays_it(self):
        env = ExposureVecEnv(num_envs=1, photos=darkened([-2.0]), size=16, max_segments=1)
        oracle = Oracle(env.task, steps=30)
        oracle.set_env(env)
        assert evaluate_policy(oracle, env, n_eval_episodes=2)[0] > 15 > evaluate_policy(Identity(), env, 2)[0] == 0

    def test_it_needs_targets_and_an_environment(self):
        task = ExposureTask([Photo("bare", grey(0.2))], size=16)
        with pytest.raises(ValueError, match="targets"):
            Oracle(task).plan(task.start([task.scene(0, None)]))
        with pytest.raises(ValueError, match="set_env"):
            Oracle(task).predict(observations("uint8")[0])

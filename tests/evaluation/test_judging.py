"""Policies judged: photo by photo, and in all."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from stable_baselines3 import PPO

from agents.baselines.untrained import FixedBracket, Identity, Oracle
from agents.evaluation.judging import Evaluation, evaluate
from agents.playing import paired_scenes
from agents.vec_env import ExposureVecEnv
from exposure_env.env import ExposureEnv
from exposure_env.fusion import mertens
from exposure_env.photos import Misexpose, Photo
from exposure_env.rewards import psnr
from exposure_env.task import ExposureTask
from tests.evaluation.small import GREY, PHOTOS, Record, halves, record


def quarter(image):
    """The lower three quarters, then the uppermost."""
    return (np.arange(len(image))[:, None] * 4 // len(image) == 0) * np.ones(image.shape[:2], int)


def ppo(obs_type, **settings):
    """An untrained agent whose actions differ from photo to photo and from step to step."""
    env = ExposureVecEnv(num_envs=1, photos=PHOTOS, obs_type=obs_type, **settings)
    name = {"uint8": "CnnPolicy", "float32": "MlpPolicy", "dict": "MultiInputPolicy"}[obs_type]
    agent = PPO(name, env, n_steps=2, batch_size=2, seed=0, device="cpu")
    torch.nn.init.normal_(agent.policy.action_net.weight, std=1.0)
    with torch.no_grad():  # 0 for the first observation, so that not all others are beyond -1 or 1
        first = agent.policy.obs_to_tensor(env.reset())[0]
        agent.policy.action_net.bias -= agent.policy.get_distribution(first).mode()[0]
    return agent


class TestEvaluate:
    @pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
    @pytest.mark.parametrize("settings", [{}, {"planes": "paper", "fusion": "local", "max_segments": 3}], ids=str)
    def test_it_equals_playing_the_environment_step_by_step(self, obs_type, settings):
        agent = ppo(obs_type, **settings)
        evaluation = evaluate(agent, ExposureTask(PHOTOS, **settings))
        env = ExposureEnv(PHOTOS, obs_type=obs_type, **settings)
        for i, ours in enumerate(evaluation.records):
            observation, info = env.reset(options={"photo": i})
            evs, done = [], False
            while not done:
                action, _ = agent.predict(observation, deterministic=True)
                observation, reward, done, _, step = env.step(action)
                evs.append(step["ev"])
            assert (ours.name, ours.num_segments) == (PHOTOS[i].name, info["num_segments"])
            np.testing.assert_allclose(ours.evs, evs, atol=2e-3)
            np.testing.assert_allclose(ours.image, env.result(), atol=2e-3)
            assert ours.psnr == pytest.approx(step["score"], abs=0.02)
        evs = np.concatenate([ours.evs for ours in evaluation.records])
        assert evs.std() > 0.1 and ours.image.dtype == np.float32

    def test_the_batch_plays_no_part(self):
        agent, task = ppo("uint8"), ExposureTask(PHOTOS)
        once, twice = evaluate(agent, task), evaluate(agent, task, batch_size=4)
        for ours, theirs in zip(once.records, twice.records, strict=True):
            np.testing.assert_allclose(ours.evs, theirs.evs, atol=2e-3)
            np.testing.assert_allclose([ours.mse, ours.ssim], [theirs.mse, theirs.ssim], rtol=2e-3)

    def test_photos_may_come_from_elsewhere_or_by_position(self):
        task = ExposureTask(PHOTOS[:2], size=16)
        assert [r.name for r in evaluate(Identity(), task, PHOTOS[3:5]).records] == [p.name for p in PHOTOS[3:5]]
        assert [r.name for r in evaluate(Identity(), task, [1]).records] == [PHOTOS[1].name]

    def test_identity_leaves_photos_alone(self):
        task = ExposureTask(PHOTOS, size=32)
        evaluation = evaluate(Identity(), task)
        state = task.start(paired_scenes(task))
        np.testing.assert_allclose([r.image for r in evaluation.records], state.photos, atol=1e-6)
        np.testing.assert_allclose(evaluation.values("psnr"), psnr(state.photos, targets=state.targets), atol=1e-3)
        np.testing.assert_allclose(evaluation.values("mse"), 255**2 / 10 ** (evaluation.values("psnr") / 10))

    def test_a_policy_is_asked_as_stable_baselines_asks(self):
        policy = Record(0.5)
        evaluation = evaluate(policy, ExposureTask([Photo("", GREY, GREY)] * 2, halves, size=16))
        assert [state for _, state, _, _ in policy.asked] == [None, 1]
        assert [start.tolist() for _, _, start, _ in policy.asked] == [[True] * 2, [False] * 2]
        assert all(deterministic for *_, deterministic in policy.asked)
        assert [r.evs for r in evaluation.records] == [[1.5, 1.5]] * 2

    @pytest.mark.parametrize("obs_type, dtype", [(None, np.uint8), ("float32", np.float32)])
    def test_the_type_of_observation_can_be_chosen(self, obs_type, dtype):
        policy = Record()
        evaluate(policy, ExposureTask(PHOTOS, size=16), obs_type=obs_type)
        assert {observation.dtype for observation, *_ in policy.asked} == {np.dtype(dtype)}

    def test_its_own_fusion_counts_and_the_task_is_left_alone(self):
        task = ExposureTask(PHOTOS, size=32, max_segments=3)
        evaluation = evaluate(FixedBracket(), task)
        state = task.start(paired_scenes(task))
        expected = mertens(state.photos, state.labels, np.tile(np.float32([-2, -1, 0, 1, 2]), (6, 1)))
        np.testing.assert_allclose([r.image for r in evaluation.records], expected, atol=1e-5)
        assert [r.num_segments for r in evaluation.records] == state.num_segments.tolist()
        assert task.config.fusion == "mask_pyramid" and task.fusion is not mertens

    def test_a_plan_is_taken_as_it_is(self):
        task = ExposureTask(PHOTOS, size=32)
        oracle = Oracle(task, steps=10)
        plan = oracle.plan(task.start(paired_scenes(task)))
        ours = evaluate(oracle, task)
        np.testing.assert_allclose([r.image for r in ours.records], task.fused(plan), atol=1e-6)

    def test_chance_falls_alike_for_every_policy(self):
        task = ExposureTask(PHOTOS, size=16, order="random", transform=Misexpose())
        first, again = (evaluate(Identity(), task) for _ in range(2))
        np.testing.assert_array_equal(first.values("psnr"), again.values("psnr"))
        assert (first.values("psnr") != evaluate(Identity(), ExposureTask(PHOTOS, size=16)).values("psnr")).all()

    def test_what_cannot_be_evaluated_is_refused(self):
        task = ExposureTask([*PHOTOS[:1], Photo("bare", GREY)], size=16)
        with pytest.raises(ValueError, match="bare"):
            evaluate(Identity(), task)
        with pytest.raises(ValueError, match="finite"):
            evaluate(Record(math.nan), task, [0])
        policy = Record()
        policy.predict = lambda observation, **_: (np.zeros((len(observation), 2)), None)
        with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
            evaluate(policy, task, [0])


class TestRecords:
    @pytest.mark.parametrize("shape, size", [((16, 16), 16), ((64, 64), 32), ((32, 16), 16)])
    @pytest.mark.parametrize("mode", ["squeeze", "letterbox"])
    def test_true_evs_are_the_means_within_each_segment(self, shape, size, mode):
        ev_map = np.repeat(np.linspace(-1, 2, 4, dtype=np.float32), shape[0] // 4)[:, None] * np.ones(shape, np.float32)
        image = np.full((*shape, 3), 0.25, np.float32)
        task = ExposureTask([Photo("", image, image, ev_map)], quarter, size=size, thumbnail=mode)
        (ours,) = evaluate(Identity(), task).records
        np.testing.assert_allclose(ours.true_evs, [1, -1], atol=1e-6)  # of 0, 1, 2 below; of -1 above
        assert ours.areas == [0.75, 0.25]

    def test_unknown_truth_is_none(self):
        (ours,) = evaluate(Identity(), ExposureTask([Photo("", GREY, GREY)], size=16)).records
        assert ours.true_evs is None and ours.psnr == 100 and ours.mse == 0 and ours.ssim == pytest.approx(1)

    def test_exposures_beyond_the_segments_have_no_truth(self):
        photo = Photo("", GREY, GREY, np.full((16, 16), 0.7, np.float32))
        (ours,) = evaluate(FixedBracket(), ExposureTask([photo], halves, size=16)).records
        assert (ours.num_segments, ours.evs, ours.areas) == (2, [0, -1, 1, -2, 2], [1, 0, 0, 0, 0])
        np.testing.assert_allclose(ours.true_evs, [0.7, *[math.nan] * 4], atol=1e-6)


class TestSummary:
    def test_by_hand(self):
        records = [record([3, -1], [2, -2], [0.25, 0.75], psnr=30), record([-2.98], [-1], psnr=10), record([0.5])]
        summary = Evaluation(records, 3.0).summary()
        assert (summary["mse"], summary["psnr"], summary["ssim"]) == (10, 20, 0.5)
        assert summary["mean_abs_ev"] == pytest.approx((3 + 1 + 2.98 + 0.5) / 4)
        assert summary["saturated"] == 0.5
        assert summary["ev_correlation"] == pytest.approx(np.corrcoef([3, -1, -2.98], [2, -2, -1])[0, 1])
        assert math.isnan(summary["per_photo_ev_correlation"])  # true means of -1 both
        assert all(isinstance(value, float) for value in summary.values())

    def test_photo_means_are_weighted_by_area(self):
        records = [record([a, -a], [a, 9 * a], [0.9, 0.1]) for a in (1, 2, -3)]
        assert Evaluation(records, 3.0).summary()["per_photo_ev_correlation"] == pytest.approx(1)
        flipped = [record([a, -a], [a, 9 * a], [0.1, 0.9]) for a in (1, 2, -3)]
        assert Evaluation(flipped, 3.0).summary()["per_photo_ev_correlation"] == pytest.approx(-1)

    @pytest.mark.parametrize("records", [[record([1]), record([2])], [record([1], [1]), record([1], [2])]])
    def test_correlations_may_be_unknown(self, records):
        summary = Evaluation(records, 3.0).summary()
        assert math.isnan(summary["ev_correlation"]) and math.isnan(summary["per_photo_ev_correlation"])

    def test_correlation_within_a_photo_is_weighted_by_area_by_hand(self):
        evs, true_evs = [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]  # weighted means 1/2 and 3/4, covariance 1/8, 1/4 and 3/16
        ours = record(evs, true_evs, [0.5, 0.25, 0.25])
        assert ours.ev_correlation == pytest.approx(0.125 / math.sqrt(0.25 * 0.1875))
        assert record(evs, true_evs).ev_correlation == pytest.approx(0.5)  # of equal areas

    def test_correlation_with_the_step_is_spearmans_by_hand(self):
        assert record([2.0, 1.9, -3.0]).step_correlation == pytest.approx(-1)
        assert record([0.0, 2.0, 1.0]).step_correlation == pytest.approx(0.5)  # ranks 0 2 1: 1 - 6 * 2 / (3 * 8)
        assert record([1.0, 1.0, 2.0]).step_correlation == pytest.approx(spearmanr([0, 1, 2], [1, 1, 2]).statistic)
        assert record([0.0, 2.0, 1.0], areas=[0.5, 0.0, 0.5]).step_correlation == pytest.approx(1)  # one is empty

    def test_correlations_within_photos_are_averaged_over_those_that_have_one(self):
        records = [record([1, 2], [5, 6]), record([1, 2, 3], [3, 2, 1]), record([1, 1.0004], [1, 2]), record([1], [1])]
        summary = Evaluation(records, 3.0).summary()
        assert summary["within_photo_ev_correlation"] == pytest.approx(0)
        assert summary["ev_step_correlation"] == pytest.approx(1)
        unknown = Evaluation([record([1, 2]), record([1, 1], [1, 2])], 3.0).summary()
        assert math.isnan(unknown["within_photo_ev_correlation"]) and unknown["ev_step_correlation"] == 1
        assert math.isnan(Evaluation([record([1, 1])], 3.0).summary()["ev_step_correlation"])

    def test_the_true_evs_themselves_correlate_fully(self):
        class Truth:
            def plan(self, state):
                evs = np.zeros_like(state.evs)
                for i, ours in enumerate(evaluate(Identity(), task).records):
                    evs[i, : ours.num_segments] = ours.true_evs
                return state._replace(evs=evs, step=state.num_segments)

        task = ExposureTask(PHOTOS, size=32)
        summary = evaluate(Truth(), task).summary()
        kinds = ("", "per_photo_", "within_photo_")
        assert [summary[f"{kind}ev_correlation"] for kind in kinds] == pytest.approx([1, 1, 1])
        assert summary["psnr"] > evaluate(Identity(), task).summary()["psnr"] + 2

"""Baselines that learn nothing."""

import numpy as np
import pytest

from agents.baselines.untrained import AutoExposure, ConstantEV, FixedBracket, Identity, photos_in
from agents.planes import observed_planes
from agents.policy import ExposurePolicy
from agents.vec_env import ExposureVecEnv
from exposure_env.fusion import mertens
from exposure_env.image import clip, expose, luminance, srgb_to_linear
from exposure_env.observations import observation_space
from exposure_env.photos import Photo
from tests.baselines.photos import PHOTOS, begin, darkened, grey, observations, scores_of

BRACKET = [0, -1, 1, -2, 2]
kinds = pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
sides = pytest.mark.parametrize("first", [False, True], ids=["last", "first"])


def one_of(observation, index):
    return {k: v[index] for k, v in observation.items()} if isinstance(observation, dict) else observation[index]


class TestObservations:
    @kinds
    @sides
    @pytest.mark.parametrize("planes", ["paper", "full"])
    def test_the_photos_are_read_from_observations_of_any_type(self, obs_type, first, planes):
        observed, photos = observations(obs_type, first, planes)
        read = photos_in(observed)
        assert read.dtype == np.float32
        np.testing.assert_allclose(read, photos, atol=0 if obs_type == "float32" else 0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(photos_in(one_of(observed, 2)), read[2])

    @kinds
    def test_they_are_those_that_the_actor_sees(self, obs_type):
        observed, _ = observations(obs_type)
        space = observation_space(begin()[0].config, obs_type)
        policy = ExposurePolicy(space, ExposureVecEnv(photos=PHOTOS).action_space)
        seen = observed_planes(policy.obs_to_tensor(observed)[0])[:, :3]
        np.testing.assert_allclose(photos_in(observed), seen.permute(0, 2, 3, 1), atol=1e-6)

    @kinds
    @sides
    @pytest.mark.parametrize(
        "policy", [Identity(), ConstantEV(0.7), AutoExposure(0.2), FixedBracket()], ids=lambda p: type(p).__name__
    )
    def test_every_baseline_acts_on_every_type(self, policy, obs_type, first):
        observed, photos = observations(obs_type, first)
        actions, _ = policy.predict(observed)
        assert actions.shape == (6, 1) and actions.dtype == np.float32
        expected, _ = policy.predict(observations("float32")[0])
        np.testing.assert_allclose(actions, expected, atol=0.01)
        alone, _ = policy.predict(one_of(observed, 3), deterministic=True)
        assert alone.shape == (1,)
        np.testing.assert_allclose(alone, actions[3], atol=1e-6)

    @pytest.mark.parametrize("observed", [np.zeros((2, 8, 8, 3)), np.zeros((2, 72)), {"photo": np.zeros((2, 8, 8, 3))},
                                          dict.fromkeys(("photo", "segment", "local"), np.zeros((2, 8, 8, 9)))])
    def test_what_is_no_observation_is_refused(self, observed):
        with pytest.raises(ValueError, match="want (planes|observations) with"):
            photos_in(observed)


class TestConstants:
    def test_identity_does_nothing(self):
        actions, state = Identity().predict(observations("uint8")[0], state=("kept",))
        np.testing.assert_array_equal(actions, np.zeros((6, 1)))
        assert state == ("kept",)

    def test_the_action_is_the_ev_over_its_range(self):
        np.testing.assert_allclose(ConstantEV(-1.5, max_ev=2).predict(observations("uint8")[0])[0], [[-0.75]] * 6)
        with pytest.raises(ValueError, match="3.1"):
            ConstantEV(3.1)

    @pytest.mark.parametrize("ev", [-1.3, 0.0, 0.9])
    @pytest.mark.parametrize("fusion", ["local", "mask_pyramid"])
    def test_fit_finds_the_constant_that_darkened_the_photos(self, ev, fusion):
        task, _ = begin(darkened([ev] * 5), fusion=fusion)
        assert ConstantEV.fit(task).ev == pytest.approx(-ev, abs=0.02)

    @pytest.mark.parametrize("fusion", ["mask_pyramid", "mertens"])
    def test_no_other_constant_has_a_better_mean_psnr(self, fusion):
        task, state = begin(fusion=fusion)

        def mean_psnr(ev):
            return scores_of(task, state._replace(evs=np.full_like(state.evs, ev))).mean()

        fitted = ConstantEV.fit(task, batch_size=4)
        assert fitted.max_ev == 3
        assert mean_psnr(fitted.ev) >= max(mean_psnr(ev) for ev in np.linspace(-3, 3, 61)) - 0.005

    def test_fit_takes_photos_from_elsewhere_or_positions(self):
        task, _ = begin(darkened([-1.0, -1.0, 0.5, 0.5]))
        assert ConstantEV.fit(task, range(2)).ev == pytest.approx(1.0, abs=0.02)
        assert ConstantEV.fit(task, task.photos[2:]).ev == pytest.approx(-0.5, abs=0.02)

    def test_fit_needs_targets_and_photos(self):
        task, _ = begin(PHOTOS[:1])
        with pytest.raises(ValueError, match="1 of 2 photos have no target, such as 'bare'"):
            ConstantEV.fit(task, [PHOTOS[0], Photo("bare", grey(0.2))])
        with pytest.raises(ValueError, match="no photos"):
            ConstantEV.fit(task, [])


class TestAutoExposure:
    def test_by_hand(self):
        photos = np.stack([grey(0.05), grey(0.2), grey(0.8), grey(0), grey(1)])
        np.testing.assert_allclose(AutoExposure(0.2).evs(photos), [2, 0, -2, 3, np.log2(0.2)], atol=1e-3)

    def test_what_is_clipped_counts_as_clipped(self):
        photos = np.stack([grey(0.1), grey(0.1)])
        photos[0, :8] = 1  # white above: its mean is 0.5 and half of the grey value
        photos[1, :8] = 0  # black above
        np.testing.assert_allclose(AutoExposure(0.6).evs(photos), [1, 3], atol=1e-3)  # 0.5 + 0.2 / 2; out of reach
        np.testing.assert_allclose(AutoExposure(0.2).evs(photos)[1], 2, atol=1e-3)

    @pytest.mark.parametrize("space", ["linear", "encoded"])
    def test_photos_come_to_the_target(self, space):
        policy = AutoExposure(0.21, max_ev=4, space=space)
        photos = np.stack([photo.image[:60, :60] for photo in PHOTOS])
        evs = policy.evs(photos).astype(np.float32)
        reached = luminance(srgb_to_linear(clip(expose(photos, evs[:, None, None], space)))).mean((1, 2))
        assert abs(evs).max() < 4
        np.testing.assert_allclose(reached, 0.21, atol=1e-4)

    def test_fit_averages_the_experts_means(self):
        experts = [Photo("small", grey(0.1, 8)), Photo("large", grey(0.5, 32))]
        assert AutoExposure.fit(experts).target == pytest.approx(0.3, abs=1e-5)

    @pytest.mark.parametrize("target", [0, 1, np.nan])
    def test_no_such_luminance(self, target):
        with pytest.raises(ValueError, match="luminance"):
            AutoExposure(target)


class TestFixedBracket:
    @pytest.mark.parametrize("max_segments", [1, 8])
    def test_the_plan_is_five_exposures_of_the_whole_photo(self, max_segments):
        task, state = begin(max_segments=max_segments, fusion="mertens")
        plan = FixedBracket().plan(state)
        fused = task.fused(plan)
        evs = np.tile(np.float32([2, 1, 0, -1, -2]), (6, 1))  # in whatever order
        np.testing.assert_allclose(fused, mertens(state.photos, state.labels, evs), atol=1e-5)
        assert abs(fused - state.photos).max() > 0.1

    def test_predict_goes_through_the_bracket_and_starts_over(self):
        policy, (observed, _) = FixedBracket(max_ev=4), observations("uint8")
        starts, state, evs = np.ones(6, bool), None, []
        for step in range(7):
            actions, state = policy.predict(observed, state=state, episode_start=starts)
            evs.append(actions[:, 0] * 4)
            starts = np.array([False] * 5 + [step == 2])  # the last photo begins anew at the fourth step
        np.testing.assert_allclose(np.array(evs)[:, 0], [*BRACKET, *BRACKET[:2]])
        np.testing.assert_allclose(np.array(evs)[:, 5], [*BRACKET[:3], *BRACKET[:4]])

    def test_predict_stays_within_the_range_of_actions(self):
        observed, _ = observations("uint8")
        actions = [FixedBracket(max_ev=1.5).predict(observed, np.full(6, step))[0][0, 0] for step in range(5)]
        np.testing.assert_allclose(actions, [0, -2 / 3, 2 / 3, -1, 1])

    def test_it_plays_in_an_environment(self):
        env = ExposureVecEnv(num_envs=1, photos=PHOTOS[:1], size=32)
        observed, state, start, evs = env.reset(), None, np.ones(1, bool), []
        for _ in range(2):
            done = False
            while not done:
                action, state = FixedBracket().predict(observed, state, start)
                observed, _, (done,), (info,) = env.step(action)
                start = np.array([done])
                evs.append(info["ev"])
        num = env.envs.state.num_segments[0]
        assert evs == [BRACKET[k % 5] for k in range(num)] * 2

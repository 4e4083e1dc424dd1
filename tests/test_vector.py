import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from exposure_env.env import ExposureEnv
from exposure_env.photos import Misexpose, Photo
from exposure_env.vector import ExposureVectorEnv
from tests.environments import EXPERTS, GLOBAL, LOCAL, brightness, halves, obs_types
from tests.vectors import PHOTOS, assert_same, modes, pair, rollout

GREY = Photo("grey", np.full((64, 64, 3), 0.25, np.float32), np.full((64, 64, 3), 0.5, np.float32))


class TestEqualsSingleEnvironments:
    def compare(self, mode, steps=18, **kwargs):
        ours, theirs = pair(mode, **kwargs)
        assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
        assert ours.single_observation_space == theirs.single_observation_space
        assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"] is mode
        ends = []
        for our, their in zip(rollout(ours, steps), rollout(theirs, steps), strict=True):
            assert_same(our, their)
            assert our[0] in ours.observation_space
            if len(our) == 5:
                ends.append(our[2])
        return np.array(ends)

    @modes
    @obs_types
    def test_step_by_step(self, mode, obs_type):
        ends = self.compare(mode, obs_type=obs_type)
        assert ends.sum(0).min() >= 2  # each environment went through some episodes
        assert any(row.any() and not row.all() for row in ends)  # which were of different lengths

    @modes
    @pytest.mark.parametrize(
        "settings",
        [
            {"preset": "paper"},
            {"planes": "paper", "thumbnail": "letterbox", "reward_image": "both", "fusion": "mertens_masked"},
            {"photos": EXPERTS, "order": "random", "transform": Misexpose()},
            {"shaping": "well_exposedness", "reward_model": brightness, "photos": EXPERTS, "size": 32},
        ],
        ids=["paper", "letterbox", "random", "shaping"],
    )
    def test_with_other_settings(self, mode, settings):
        assert self.compare(mode, steps=10, obs_type="float32", **settings).any()

    @modes
    def test_global(self, mode):
        ends = self.compare(mode, id=GLOBAL, steps=4)
        assert ends[0].all() and ends[1].any() == (mode is not AutoresetMode.NEXT_STEP)

    def test_one_environment(self):
        assert self.compare(AutoresetMode.SAME_STEP, num_envs=1).any()

    def test_the_generators_go_on_after_another_reset(self):
        ours, theirs = pair(AutoresetMode.NEXT_STEP)
        for seed in (5, None, None, [1, None, 3, None], None):
            assert_same(ours.reset(seed=seed), theirs.reset(seed=seed))

    @pytest.mark.parametrize("seed", [None, 8, [None, 8, 9, None]], ids=str)
    def test_a_mask_with_seeds(self, seed):
        ours, theirs = pair(AutoresetMode.DISABLED)
        assert_same(ours.reset(seed=0), theirs.reset(seed=0))
        for mask in ([True, False, True, False], [False, True, True, False]):
            both = [envs.reset(seed=seed, options={"reset_mask": np.array(mask)}) for envs in (ours, theirs)]
            assert_same(*both)

    def test_a_photo_for_all_and_a_pickled_copy(self):
        ours, theirs = pair(AutoresetMode.SAME_STEP)
        assert_same(ours.reset(seed=1, options={"photo": 3}), theirs.reset(seed=1, options={"photo": 3}))
        action = np.full((4, 1), 0.3, np.float32)
        twin = pickle.loads(pickle.dumps(ours))
        for _ in range(10):
            out = ours.step(action)
            assert_same(out, theirs.step(action))
            assert_same(out, twin.step(action))

    @modes
    @pytest.mark.parametrize("preset", ["recommended", "paper"])
    def test_panels_are_those_of_the_single_environments(self, mode, preset):
        settings = {"num_envs": 2, "segmenter": halves, "render_mode": "rgb_array", "preset": preset}
        ours, theirs = pair(mode, **settings)
        for _ in zip(rollout(ours, 3), rollout(theirs, 3), strict=True):
            panels = ours.render()
            assert type(panels) is tuple and len(panels) == 2 and len({panel.shape for panel in panels}) == 1
            assert_same(panels, theirs.render())
        assert ExposureVectorEnv(2, PHOTOS).render() is None


class TestAutoreset:
    def test_next_step_resets_in_the_step_after_the_end_and_ignores_its_action(self):
        envs = ExposureVectorEnv(2, PHOTOS, halves)
        envs.reset(seed=0)
        actions = np.zeros((2, 1), np.float32)
        assert envs.step(actions)[2].tolist() == [False, False]
        assert envs.step(actions)[2].tolist() == [True, True]
        _, rewards, terminations, _, info = envs.step(np.ones((2, 1), np.float32))
        assert rewards.tolist() == [0, 0] and not terminations.any() and info["segment_index"].tolist() == [-1, -1]
        assert not envs.state.evs.any()

    def test_same_step_gives_the_next_episode_and_the_last_observation_apart(self):
        envs = ExposureVectorEnv(2, [GREY], halves, obs_type="float32", autoreset_mode="SameStep", fusion="local",
                                 space="encoded", max_ev=1.0)  # fmt: skip
        first, _ = envs.reset(seed=0)
        envs.step(np.ones((2, 1)))
        observations, rewards, terminations, _, info = envs.step(np.ones((2, 1)))
        np.testing.assert_array_equal(observations, first)
        assert terminations.all() and rewards.dtype == np.float64
        np.testing.assert_allclose(rewards, 100 - 20 * np.log10(4), atol=1e-3)
        for last in info["final_obs"]:
            np.testing.assert_allclose(last[..., 6:9], 0.5, atol=1e-6)
        np.testing.assert_array_equal(info["final_info"]["evs"][:, :2], np.ones((2, 2)))

    def test_disabled_waits_for_the_caller(self):
        envs = ExposureVectorEnv(3, PHOTOS, autoreset_mode=AutoresetMode.DISABLED, obs_type="float32")
        observations, info = envs.reset(seed=3)
        assert len(set(info["num_segments"])) > 1
        terminations = np.zeros(3, bool)
        while not terminations.any():
            observations, _, terminations, *_ = envs.step(np.full((3, 1), 0.2))
        with pytest.raises(ValueError, match=rf"\[{np.flatnonzero(terminations)[0]}"):
            envs.step(np.zeros((3, 1)))
        fresh, info = envs.reset(options={"reset_mask": terminations})
        np.testing.assert_array_equal(info["_photo_index"], terminations)
        np.testing.assert_array_equal(fresh[~terminations], observations[~terminations])
        assert not fresh[terminations][..., 11].any()  # no step taken
        envs.step(np.zeros((3, 1)))

    def test_a_mask_restarts_episodes_in_the_middle_too_with_their_own_seed_and_photo(self):
        envs = ExposureVectorEnv(3, PHOTOS, halves, obs_type="float32")
        envs.reset(seed=0)
        before = envs.step(np.full((3, 1), 0.5))[0]
        mask = np.array([False, True, False])
        after, info = envs.reset(seed=[None, 9, None], options={"reset_mask": mask, "photo": [0, 5, 0]})
        assert info["photo_index"][1] == 5 and info["_photo_index"].tolist() == mask.tolist()
        np.testing.assert_array_equal(after[~mask], before[~mask])
        expected = ExposureEnv(PHOTOS, halves, obs_type="float32").reset(options={"photo": 5})[0]
        np.testing.assert_array_equal(after[1], expected)
        assert envs.step(np.zeros((3, 1)))[2].tolist() == [True, False, True]

    def test_the_mode_may_be_given_by_its_value_and_the_class_keeps_its_own(self):
        for mode in AutoresetMode:
            assert ExposureVectorEnv(1, PHOTOS, autoreset_mode=mode.value).metadata["autoreset_mode"] is mode
        assert ExposureVectorEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP

    def test_the_default_is_next_step_and_needs_no_argument(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            envs = gym.make_vec(LOCAL, num_envs=2)
            assert len(list(rollout(envs, 12))) == 13
            envs.close()
            envs.close()
        assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP


class TestReward:
    def test_one_call_for_all_episodes_that_end_in_a_step_and_none_before(self):
        for settings, expected in (({}, [10]), ({"relative": False}, [5]), ({"reward_image": "both"}, [10, 10])):
            batches = []

            def counted(images, batches=batches):
                batches.append(len(images))
                return brightness(images)

            envs = ExposureVectorEnv(5, PHOTOS, halves, counted, **settings)
            envs.reset(seed=0)
            envs.step(np.zeros((5, 1)))
            assert batches == []
            envs.step(np.zeros((5, 1)))
            assert batches == expected

    def test_only_those_that_ended_are_scored(self):
        batches = []

        def counted(images):
            batches.append(len(images))
            return brightness(images)

        envs = gym.make_vec(LOCAL, num_envs=4, photos=PHOTOS, reward_model=counted, relative=False)
        ended = [int(out[2].sum()) for out in list(rollout(envs, 12))[1:]]
        assert batches == [number for number in ended if number] and len(set(batches)) > 1

    def test_no_photo_is_scored_by_anothers_target(self):
        photos = [Photo(str(i), np.full((64, 64, 3), v, np.float32), np.full((64, 64, 3), 1.5 * v, np.float32))
                  for i, v in enumerate((0.1, 0.2, 0.3, 0.4))]  # fmt: skip
        envs = ExposureVectorEnv(4, photos, halves, "negative_mse", relative=False, space="encoded",
                                  autoreset_mode="SameStep")
        envs.reset(options={"photo": [3, 1, 0, 2]})
        envs.step(np.zeros((4, 1)))
        rewards = envs.step(np.zeros((4, 1)))[1]
        np.testing.assert_allclose(rewards, [-0.04, -0.01, -0.0025, -0.0225], rtol=1e-4)

    @pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
    def test_record_episode_statistics_adds_up_the_rewards(self, mode):
        envs, plain = (ExposureVectorEnv(3, PHOTOS, autoreset_mode=mode) for _ in range(2))
        episodes, returns, lengths, stale = 0, np.zeros(3), np.zeros(3, int), np.zeros(3, bool)
        for recorded, out in zip(rollout(RecordEpisodeStatistics(envs), 16), rollout(plain, 16), strict=True):
            if len(out) == 2:  # of a reset
                continue
            _, rewards, terminations, _, _ = out
            returns, lengths = returns + rewards, lengths + ~stale
            for i in np.flatnonzero(terminations):
                assert recorded[4]["_episode"][i] and recorded[4]["episode"]["l"][i] == lengths[i]
                assert recorded[4]["episode"]["r"][i] == pytest.approx(returns[i], abs=1e-5)
                episodes += 1
            returns, lengths = np.where(terminations, 0, returns), np.where(terminations, 0, lengths)
            stale = terminations if mode is AutoresetMode.NEXT_STEP else stale
        assert episodes >= 6

    @pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
    def test_record_episode_statistics_records_what_it_does_of_single_environments(self, mode):
        ours, theirs = (rollout(RecordEpisodeStatistics(envs), 16) for envs in pair(mode))
        episodes = 0
        for our, their in zip(ours, theirs, strict=True):
            assert ("episode" in our[-1]) == ("episode" in their[-1])
            if "episode" in our[-1]:
                for key in ("r", "l"):  # not "t", the time it took
                    assert_same(our[-1]["episode"][key], their[-1]["episode"][key])
                episodes += int(our[2].sum())
        assert episodes >= 6


class TestPhotosGiven:
    def test_one_for_each(self):
        envs = ExposureVectorEnv(3, PHOTOS, obs_type="float32")
        observations, info = envs.reset(options={"photo": [4, PHOTOS[0], np.int64(2)]})
        assert info["photo_index"].tolist() == [4, -1, 2]
        single = ExposureEnv(PHOTOS, obs_type="float32")
        for observation, index in zip(observations, (4, 0, 2), strict=True):
            np.testing.assert_array_equal(observation, single.reset(options={"photo": index})[0])

    def test_arrays_where_no_photo_has_a_target(self):
        envs = ExposureVectorEnv(2, EXPERTS, reward_model=brightness)
        observations, info = envs.reset(options={"photo": [EXPERTS[0].image, np.full((3, 5, 3), 51, np.uint8)]})
        assert info["photo_index"].tolist() == [-1, -1] and (observations[1, ..., :3] == 51).all()

    def test_none_in_the_list_draws_one(self):
        envs, drawn = (ExposureVectorEnv(3, PHOTOS) for _ in range(2))
        first, _, last = drawn.reset(seed=4)[1]["photo_index"]
        assert envs.reset(seed=4, options={"photo": [None, 7, None]})[1]["photo_index"].tolist() == [first, 7, last]

    def test_with_and_without_target_do_not_mix(self):
        with pytest.raises(ValueError, match="target"):
            ExposureVectorEnv(2, PHOTOS).reset(options={"photo": [0, PHOTOS[0].image]})
        envs = ExposureVectorEnv(2, PHOTOS)
        envs.reset(seed=0)
        with pytest.raises(ValueError, match="target"):
            envs.reset(options={"reset_mask": np.array([True, False]), "photo": [PHOTOS[0].image, None]})

import copy
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from exposure_env.env import ExposureEnv
from exposure_env.photos import Misexpose, Photo, sample_photos
from exposure_env.vector import ExposureVectorEnv

LOCAL, GLOBAL = "exposure_env:Exposure/Local-v0", "exposure_env:Exposure/Global-v0"
PHOTOS = sample_photos("inputs", 8)
EXPERTS = sample_photos("experts", 4)
GREY = Photo("grey", np.full((64, 64, 3), 0.25, np.float32), np.full((64, 64, 3), 0.5, np.float32))
modes = pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name.lower())
obs_types = pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])


def halves(image):
    """The upper half, then the lower."""
    return np.arange(len(image))[:, None] * 2 // len(image) * np.ones(image.shape[:2], int)


def brightness(images):
    return images.mean((1, 2, 3))


def assert_same(ours, theirs, path=""):
    """Equal in structure, types, shapes and values."""
    assert type(ours) is type(theirs), f"{path}: {type(ours)}, {type(theirs)}"
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), path
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(theirs, tuple | list) or (isinstance(theirs, np.ndarray) and theirs.dtype.kind == "O"):
        assert len(ours) == len(theirs), path
        for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(our, their, f"{path}[{i}]")
    elif isinstance(theirs, np.ndarray):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), path
        np.testing.assert_array_equal(ours, theirs, err_msg=path)
    else:
        assert ours == theirs, path


def pair(mode, num_envs=4, id=LOCAL, **kwargs):
    """Our vector environment, and Gymnasium's of as many single environments."""
    kwargs = {"photos": PHOTOS, **kwargs}
    ours = gym.make_vec(id, num_envs=num_envs, autoreset_mode=mode, **kwargs)
    how = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
    theirs = gym.make_vec(id, num_envs=num_envs, **how, **kwargs)
    assert isinstance(ours.unwrapped, ExposureVectorEnv) and isinstance(theirs, SyncVectorEnv)
    return ours, theirs


def rollout(envs, steps, seed=11):
    """Resets and steps with random actions; what every call returns. Where the caller must reset, it does."""
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, envs.num_envs, 1)).astype(np.float32)
    yield envs.reset(seed=seed)
    for action in actions:
        out = envs.step(action)
        yield out
        if envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED and out[2].any():
            yield envs.reset(options={"reset_mask": out[2]})


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
        assert rewards.tolist() == [0, 0] and not terminations.any() and set(info) == {
            "photo", "_photo", "num_segments", "_num_segments"}  # fmt: skip
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
        np.testing.assert_array_equal(info["_photo"], terminations)
        np.testing.assert_array_equal(fresh[~terminations], observations[~terminations])
        assert not fresh[terminations][..., 11].any()  # no step taken
        envs.step(np.zeros((3, 1)))

    def test_a_mask_restarts_episodes_in_the_middle_too_with_their_own_seed_and_photo(self):
        envs = ExposureVectorEnv(3, PHOTOS, halves, obs_type="float32")
        envs.reset(seed=0)
        before = envs.step(np.full((3, 1), 0.5))[0]
        mask = np.array([False, True, False])
        after, info = envs.reset(seed=[None, 9, None], options={"reset_mask": mask, "photo": [0, 5, 0]})
        assert info["photo"][1] == 5 and info["_photo"].tolist() == mask.tolist()
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


class TestDataIsNotShared:
    @modes
    @obs_types
    def test_what_was_returned_does_not_change_later(self, mode, obs_type):
        envs = ExposureVectorEnv(3, PHOTOS, obs_type=obs_type, autoreset_mode=mode)
        returned = []
        for out in rollout(envs, 14):
            returned.append((out, copy.deepcopy(out)))
        for out, at_once in returned:
            assert_same(out, at_once)

    @modes
    @obs_types
    def test_writing_on_what_was_returned_changes_nothing(self, mode, obs_type):
        def scribble(value):
            if isinstance(value, dict):
                for part in value.values():
                    scribble(part)
            elif isinstance(value, np.ndarray) and value.dtype == object:
                for part in value:
                    scribble(part)
            elif isinstance(value, np.ndarray):
                value[...] = 1 if value.dtype == bool else 77

        envs, twin = (ExposureVectorEnv(3, PHOTOS, obs_type=obs_type, autoreset_mode=mode) for _ in range(2))
        actions = np.random.default_rng(0).uniform(-1, 1, (14, 3, 1)).astype(np.float32)
        for each in (envs, twin):
            each.reset(seed=11)
        out = envs.reset(seed=11)
        for part in out:
            scribble(part)
        twin.reset(seed=11)
        for action in actions:
            out, expected = envs.step(action.copy()), twin.step(action)
            assert_same(out, expected)
            over = out[2].copy()
            for part in out:
                scribble(part)
            if mode is AutoresetMode.DISABLED and over.any():
                mask = over.copy()
                out, expected = envs.reset(options={"reset_mask": mask}), twin.reset(options={"reset_mask": over})
                assert_same(out, expected)
                scribble(mask)

    def test_photos_of_the_data_set_stay_untouched(self):
        photos = [Photo(photo.name, photo.image.copy(), photo.target.copy()) for photo in PHOTOS]
        envs = ExposureVectorEnv(3, photos, size=64, autoreset_mode="SameStep")
        list(rollout(envs, 10))
        for photo, original in zip(photos, PHOTOS, strict=True):
            np.testing.assert_array_equal(photo.image, original.image)
            np.testing.assert_array_equal(photo.target, original.target)

    def test_options_and_actions_are_the_callers(self):
        envs = ExposureVectorEnv(2, PHOTOS)
        options = {"reset_mask": np.array([True, True]), "photo": [0, 1]}
        envs.reset(options=options)
        assert set(options) == {"reset_mask", "photo"} and options["photo"] == [0, 1] and options["reset_mask"].all()
        actions = np.full((2, 1), 5.0, np.float32)
        envs.step(actions)
        assert (actions == 5).all()

    def test_the_outcome_of_the_last_step_stays(self):
        envs = ExposureVectorEnv(3, PHOTOS, halves, autoreset_mode="SameStep")
        outcomes = []
        for _ in rollout(envs, 6):
            outcomes.append((envs.finished, copy.deepcopy(envs.finished)))
        assert [outcome is None for outcome, _ in outcomes] == [True, True, False, True, False, True, False]
        for outcome, at_once in outcomes[2::2]:
            np.testing.assert_array_equal(outcome.state.photos, at_once.state.photos)
            np.testing.assert_array_equal(outcome.state.evs, at_once.state.evs)
            np.testing.assert_array_equal(outcome.image, at_once.image)


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
        assert info["photo"].tolist() == [4, -1, 2]
        single = ExposureEnv(PHOTOS, obs_type="float32")
        for observation, index in zip(observations, (4, 0, 2), strict=True):
            np.testing.assert_array_equal(observation, single.reset(options={"photo": index})[0])

    def test_arrays_where_no_photo_has_a_target(self):
        envs = ExposureVectorEnv(2, EXPERTS, reward_model=brightness)
        observations, info = envs.reset(options={"photo": [EXPERTS[0].image, np.full((3, 5, 3), 51, np.uint8)]})
        assert info["photo"].tolist() == [-1, -1] and (observations[1, ..., :3] == 51).all()

    def test_none_in_the_list_draws_one(self):
        envs, drawn = (ExposureVectorEnv(3, PHOTOS) for _ in range(2))
        first, _, last = drawn.reset(seed=4)[1]["photo"]
        assert envs.reset(seed=4, options={"photo": [None, 7, None]})[1]["photo"].tolist() == [first, 7, last]

    def test_with_and_without_target_do_not_mix(self):
        with pytest.raises(ValueError, match="target"):
            ExposureVectorEnv(2, PHOTOS).reset(options={"photo": [0, PHOTOS[0].image]})
        envs = ExposureVectorEnv(2, PHOTOS)
        envs.reset(seed=0)
        with pytest.raises(ValueError, match="target"):
            envs.reset(options={"reset_mask": np.array([True, False]), "photo": [PHOTOS[0].image, None]})


class TestBadInput:
    @pytest.mark.parametrize("actions, message", [
        (np.zeros((2,)), r"\(2,\)"), (np.zeros((3, 1)), r"\(3, 1\)"), (np.array([[0.0], [np.nan]]), "nan"),
        (np.array([[0.0], [np.inf]]), "inf"),
    ])  # fmt: skip
    def test_actions(self, actions, message):
        envs, twin = ExposureVectorEnv(2, PHOTOS), ExposureVectorEnv(2, PHOTOS)
        envs.reset(seed=0)
        twin.reset(seed=0)
        with pytest.raises(ValueError, match=message):
            envs.step(actions)
        assert_same(envs.step(np.zeros((2, 1))), twin.step(np.zeros((2, 1))))

    def test_step_before_reset(self):
        with pytest.raises(ValueError, match="reset"):
            ExposureVectorEnv(2, PHOTOS).step(np.zeros((2, 1)))

    def test_a_first_reset_of_some(self):
        with pytest.raises(ValueError, match="first reset"):
            ExposureVectorEnv(2, PHOTOS).reset(options={"reset_mask": np.array([True, False])})

    @pytest.mark.parametrize("mask", [[True, False], np.array([1, 0]), np.array([True]), np.array([False, False])])
    def test_masks(self, mask):
        envs = ExposureVectorEnv(2, PHOTOS)
        envs.reset(seed=0)
        with pytest.raises(ValueError, match=r"reset_mask.*\(2,\)"):
            envs.reset(options={"reset_mask": mask})

    @pytest.mark.parametrize("arguments", [{"seed": [1, 2, 3]}, {"options": {"photo": [0]}}])
    def test_numbers_of_seeds_and_photos(self, arguments):
        with pytest.raises(ValueError, match="[13] entries in .* for 2 environments"):
            ExposureVectorEnv(2, PHOTOS).reset(**arguments)

    @pytest.mark.parametrize(
        "settings, message",
        [({"num_envs": 0}, "0"), ({"num_envs": 2.0}, r"2\.0"), ({"photos": []}, "photos is empty"),
         ({"obs_type": "float64"}, "'float64'"), ({"render_mode": "ansi"}, "'ansi'"),
         ({"preset": "nature"}, "'nature'"), ({"autoreset_mode": "Sometimes"}, "Sometimes"),
         ({"maximum_ev": 2}, "'maximum_ev'")],
    )  # fmt: skip
    def test_settings(self, settings, message):
        with pytest.raises(ValueError, match=message):
            ExposureVectorEnv(**{"num_envs": 2, "photos": PHOTOS, **settings})

    def test_a_photo_that_is_none(self):
        bad = [Photo("bad", np.full((4, 4, 3), np.nan))]
        with pytest.raises(ValueError, match="bad.*nan"):
            ExposureVectorEnv(2, bad).reset(seed=0)

    @pytest.mark.parametrize("bad", [lambda images: images.mean(), lambda images: np.full(len(images), np.nan)])
    def test_a_reward_that_returns_nonsense(self, bad):
        envs = ExposureVectorEnv(2, PHOTOS, halves, bad)
        envs.reset(seed=0)
        envs.step(np.zeros((2, 1)))
        with pytest.raises(ValueError, match="reward model"):
            envs.step(np.zeros((2, 1)))

    def test_an_action_that_is_ignored_may_be_anything_of_its_shape(self):
        ours, theirs = pair(AutoresetMode.NEXT_STEP, num_envs=2, segmenter=halves)
        for envs in (ours, theirs):
            envs.reset(seed=0)
            for _ in range(2):
                envs.step(np.zeros((2, 1), np.float32))
        assert_same(ours.step(np.full((2, 1), np.nan, np.float32)), theirs.step(np.full((2, 1), np.nan, np.float32)))


class TestState:
    """An environment that is given another's state goes on as the other does."""

    def go_on(self, mode, obs_type="uint8", **kwargs):
        kwargs = {"photos": PHOTOS, "obs_type": obs_type, "autoreset_mode": mode, **kwargs}
        envs = ExposureVectorEnv(4, **kwargs)
        actions = np.random.default_rng(3).uniform(-1, 1, (24, 4, 1)).astype(np.float32)
        envs.reset(seed=5)

        def step(envs, action):
            out = envs.step(action)
            if mode is AutoresetMode.DISABLED and out[2].any():
                return out, envs.reset(options={"reset_mask": out[2]})
            return out

        for begun, action in enumerate(actions, start=1):
            ended = step(envs, action)
            if begun >= 5 and (mode is not AutoresetMode.NEXT_STEP or ended[2].any()):
                break
        state = envs.state_dict()
        kept = copy.deepcopy(state)
        expected = [step(envs, action) for action in actions[begun:]]
        assert_same(state, kept)  # a copy: nothing that happened since is in it
        other = ExposureVectorEnv(4, **kwargs)
        other.load_state_dict(state)
        assert_same([step(other, action) for action in actions[begun:]], expected)
        assert len(expected) > 8
        assert_same(state, kept)
        return state

    @modes
    @obs_types
    def test_in_the_midst_of_episodes(self, mode, obs_type):
        state = self.go_on(mode, obs_type)
        assert len(set(state["episodes"]["step"].tolist())) > 1
        if mode is AutoresetMode.NEXT_STEP:
            assert state["over"].any()

    def test_of_photos_that_nobody_could_draw_again(self):
        state = self.go_on(AutoresetMode.SAME_STEP, photos=EXPERTS, transform=Misexpose(), order="random")
        assert all(np.abs(scene["ev_map"]).max() > 0.01 for scene in state["scenes"])

    def test_what_it_is_made_of(self):
        def leaves(tree):
            if isinstance(tree, dict | list):
                return [leaf for each in (tree.values() if isinstance(tree, dict) else tree) for leaf in leaves(each)]
            return [tree]

        envs = ExposureVectorEnv(2, PHOTOS)
        envs.reset(seed=0)
        envs.step(np.zeros((2, 1), np.float32))
        kinds = {type(leaf) for leaf in leaves(envs.state_dict())}
        assert kinds <= {np.ndarray, str, int, float, bool, type(None)} and np.ndarray in kinds

    def test_the_scenes_and_the_last_step_are_drawn_alike(self):
        envs = ExposureVectorEnv(2, PHOTOS, render_mode="rgb_array")
        envs.reset(seed=1)
        envs.step(np.array([[0.3], [-0.2]], np.float32))
        other = ExposureVectorEnv(2, PHOTOS, render_mode="rgb_array")
        other.load_state_dict(envs.state_dict())
        assert_same(other.render(), envs.render())
        for ours, theirs in zip(other.scenes, envs.scenes, strict=True):
            assert (ours.index, ours.photo.name) == (theirs.index, theirs.photo.name)
            assert_same([*ours.photo[1:], *ours[2:]], [*theirs.photo[1:], *theirs[2:]])
        assert other.finished is None

    def test_what_is_refused(self):
        envs = ExposureVectorEnv(3, PHOTOS)
        with pytest.raises(ValueError, match="reset"):
            envs.state_dict()
        envs.reset(seed=0)
        state = envs.state_dict()
        for num_envs, settings in ((2, {}), (3, {"size": 32}), (3, {"max_segments": 5})):
            other = ExposureVectorEnv(num_envs, PHOTOS, **settings)
            with pytest.raises(ValueError, match=r"\(3, 64, 8\)"):
                other.load_state_dict(state)
            assert other.state is None
        for broken in ({}, {**state, "episodes": {}}, {**state, "scenes": [{}] * 3}, {**state, "rngs": [1, 2, 3]}):
            with pytest.raises(ValueError, match="not the state"):
                envs.load_state_dict(broken)

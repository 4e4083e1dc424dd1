"""The environment as a vector of SB3's: its episodes, options, state, and what it adapts."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecTransposeImage

from agents.vec_env import ExposureVecEnv, adapted
from exposure_env.photos import Photo, sample_photos
from exposure_env.vector import ExposureVectorEnv

LOCAL, GLOBAL = "exposure_env:Exposure/Local-v0", "exposure_env:Exposure/Global-v0"
PHOTOS = sample_photos("inputs", 6)
GREY = Photo("grey", np.full((64, 64, 3), 0.25, np.float32), np.full((64, 64, 3), 0.5, np.float32))

pytestmark = pytest.mark.usefixtures("one_thread")


def halves(image):
    """The upper half, then the lower."""
    return np.arange(len(image))[:, None] * 2 // len(image) * np.ones(image.shape[:2], int)


def brightness(images):
    return images.mean((1, 2, 3))


def actions(steps, num_envs=3):
    return np.random.default_rng(0).uniform(-1, 1, (steps, num_envs, 1)).astype(np.float32)


@pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
def test_equals_sb3s_own_vectors_of_single_environments(obs_type):
    ours = ExposureVecEnv(LOCAL, num_envs=3, photos=PHOTOS, obs_type=obs_type)
    theirs = make_vec_env(LOCAL, n_envs=3, env_kwargs={"photos": PHOTOS, "obs_type": obs_type})
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space

    def assert_same_observation(our, their):
        assert type(our) is dict if obs_type == "dict" else type(our) is np.ndarray
        parts = [(our[key], their[key]) for key in their] if obs_type == "dict" else [(our, their)]
        for one, other in parts:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)

    for envs in (ours, theirs):
        assert envs.seed(7) == [7, 8, 9]
    assert_same_observation(ours.reset(), theirs.reset())
    assert data_equivalence(ours.reset_infos, theirs.reset_infos)
    ended = 0
    for action in actions(18):
        (our, our_rewards, our_dones, our_infos) = ours.step(action)
        (their, their_rewards, their_dones, their_infos) = theirs.step(action)
        assert_same_observation(our, their)
        assert our_rewards.dtype == their_rewards.dtype == np.float32 and our_dones.dtype == their_dones.dtype == bool
        np.testing.assert_array_equal(our_rewards, their_rewards)
        np.testing.assert_array_equal(our_dones, their_dones)
        assert data_equivalence(ours.reset_infos, theirs.reset_infos)
        for one, other, done in zip(our_infos, their_infos, our_dones, strict=True):
            if done:
                assert_same_observation(one.pop("terminal_observation"), other.pop("terminal_observation"))
                episode, expected = one.pop("episode"), other.pop("episode")
                assert episode["l"] == expected["l"] and episode["r"] == pytest.approx(expected["r"], abs=1e-5)
                ended += 1
            else:
                other.pop("TimeLimit.truncated")  # SB3 says it always, we where an episode ends
            assert data_equivalence(one, other)
    assert ended >= 6


def test_terminal_observation_is_the_finished_image_and_the_observation_the_next_photo():
    envs = ExposureVecEnv(num_envs=2, photos=[GREY], segmenter=halves, obs_type="float32", space="encoded",
                          fusion="local", max_ev=1.0)  # fmt: skip
    first = envs.reset()
    ones = np.ones((2, 1), np.float32)
    envs.step(ones)
    observations, rewards, dones, infos = envs.step(ones)
    np.testing.assert_array_equal(observations, first)
    assert dones.all() and rewards == pytest.approx(100 - 20 * np.log10(4), abs=1e-3)
    for info in infos:
        np.testing.assert_allclose(info["terminal_observation"][..., 6:9], 0.5, atol=1e-6)
        assert info["TimeLimit.truncated"] is False
        assert info["episode"] == {"r": pytest.approx(float(rewards[0]), abs=1e-4), "l": 2}
        assert {type(value) for value in info["episode"].values()} == {float, int}
        assert set(info) == {"photo_index", "num_segments", "segment_index", "ev", "evs", "score", "input_score",
                             "reward_version", "terminal_observation", "TimeLimit.truncated", "episode"}  # fmt: skip


def test_return_and_length_of_an_episode_are_those_of_its_steps():
    envs = ExposureVecEnv(num_envs=3, photos=PHOTOS, reward_model=brightness, shaping="well_exposedness")
    envs.seed(1)
    envs.reset()
    rewards_so_far, episodes = [[], [], []], 0
    for action in actions(20):
        _, rewards, dones, infos = envs.step(action)
        for i in range(3):
            rewards_so_far[i].append(float(rewards[i]))
            if dones[i]:
                assert infos[i]["episode"]["l"] == len(rewards_so_far[i])
                assert infos[i]["episode"]["r"] == pytest.approx(sum(rewards_so_far[i]), abs=1e-5)
                rewards_so_far[i], episodes = [], episodes + 1
            else:
                assert "episode" not in infos[i] and "terminal_observation" not in infos[i]
    assert episodes >= 6


def test_seeds_hold_for_the_next_reset_only():
    envs, twin = (ExposureVecEnv(num_envs=4, photos=PHOTOS) for _ in range(2))

    def photos(envs):
        envs.reset()
        return [info["photo_index"] for info in envs.reset_infos]

    for each in (envs, twin):
        each.seed(3)
    same = [(photos(envs), photos(twin)) for _ in range(6)]  # the generators go on by themselves
    assert all(one == other for one, other in same) and len({tuple(one) for one, _ in same}) > 1
    envs.seed(3)
    assert photos(envs) == same[0][0]
    assert all(type(number) is int or isinstance(number, np.integer) for number in same[0][0])


class TestOptions:
    def envs(self, **settings):
        return ExposureVecEnv(num_envs=3, photos=PHOTOS, reward_model=brightness, **settings)

    def photos(self, envs):
        observations = envs.reset()
        return [info["photo_index"] for info in envs.reset_infos], observations

    def test_one_photo_for_all_once(self):
        envs = self.envs()
        envs.set_options({"photo": 5})
        assert self.photos(envs)[0] == [5, 5, 5]
        assert len({tuple(self.photos(envs)[0]) for _ in range(8)}) > 1  # drawn again

    def test_one_photo_for_each(self):
        envs = self.envs()
        envs.set_options([{"photo": 5}, {"photo": 0}, {"photo": 3}])
        assert self.photos(envs)[0] == [5, 0, 3]

    def test_some_given_and_others_drawn(self):
        envs, drawn = self.envs(), self.envs()
        for each in (envs, drawn):
            each.seed(0)
        envs.set_options([{}, {"photo": 4}, {}])
        expected = self.photos(drawn)[0]
        assert self.photos(envs)[0] == [expected[0], 4, expected[2]]

    def test_photos_and_arrays(self):
        envs = self.envs()
        envs.set_options({"photo": PHOTOS[2]})
        given, observations = self.photos(envs)
        envs.set_options({"photo": 2})
        assert given == [-1] * 3
        np.testing.assert_array_equal(observations, self.photos(envs)[1])

    def test_another_array_for_each(self):
        envs = self.envs()
        arrays = [np.full((8, 9, 3), value, np.uint8) for value in (10, 20, 30)]
        envs.set_options([{"photo": array} for array in arrays])
        given, observations = self.photos(envs)
        assert given == [-1] * 3 and observations[:, 0, 0, 0].tolist() == [10, 20, 30]
        envs.set_options([{"photo": Photo("photo", array)} for array in arrays])  # of one name
        assert self.photos(envs)[1][:, 0, 0, 0].tolist() == [10, 20, 30]


class TestAttributes:
    def test_of_the_one_environment_underneath(self):
        envs = ExposureVecEnv(num_envs=3, photos=PHOTOS)
        assert envs.get_attr("obs_type") == ["uint8"] * 3 and envs.get_attr("num_envs", [0, 2]) == [3, 3]
        assert envs.task is envs.envs.task and envs.finished is None and envs.unwrapped is envs
        envs.set_attr("marked", 5)
        assert envs.envs.marked == 5 and envs.get_attr("marked", 1) == [5]
        assert envs.has_attr("task") and not envs.has_attr("colour")

    def test_methods_are_called_once(self):
        calls = []
        envs = ExposureVecEnv(num_envs=3, photos=PHOTOS)
        envs.envs.count = lambda *args, **kwargs: calls.append((args, kwargs)) or len(calls)
        assert envs.env_method("count", 1, indices=[0, 1], b=2) == [1, 1] and calls == [((1,), {"b": 2})]

    def test_only_a_monitor_is_said_to_wrap_it(self):
        envs = ExposureVecEnv(num_envs=3, photos=PHOTOS)
        assert envs.env_is_wrapped(Monitor) == [True] * 3
        assert envs.env_is_wrapped(gym.wrappers.TimeLimit, [1]) == [False]

    def test_finished_is_what_the_last_step_ended(self):
        envs = ExposureVecEnv(num_envs=2, photos=PHOTOS, segmenter=halves)
        envs.reset()
        zeros = np.zeros((2, 1), np.float32)
        envs.step(zeros)
        assert envs.finished is None
        *_, infos = envs.step(zeros)
        np.testing.assert_array_equal(envs.finished.score, [info["score"] for info in infos])


class TestWhatItAdapts:
    def test_ids_and_environments(self):
        assert ExposureVecEnv(photos=PHOTOS).num_envs == 8
        assert ExposureVecEnv(GLOBAL, num_envs=2, photos=PHOTOS).task.config.max_segments == 1
        made = gym.make_vec(LOCAL, num_envs=3, photos=PHOTOS, autoreset_mode=AutoresetMode.SAME_STEP)
        for given in (made, made.unwrapped, ExposureVectorEnv(3, PHOTOS, autoreset_mode="SameStep")):
            assert ExposureVecEnv(given).num_envs == 3

    @pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
    @pytest.mark.parametrize("wrap", [lambda envs: envs, RecordEpisodeStatistics], ids=["plain", "wrapped"])
    def test_another_autoreset_mode_is_an_error(self, mode, wrap):
        with pytest.raises(ValueError, match=f"SAME_STEP.*{mode}"):
            ExposureVecEnv(wrap(ExposureVectorEnv(2, PHOTOS, autoreset_mode=mode)))

    def test_another_environment_is_an_error_that_names_it(self):
        with pytest.raises(ValueError, match="SyncVectorEnv"):
            ExposureVecEnv(SyncVectorEnv([lambda: gym.make(LOCAL, photos=PHOTOS)], autoreset_mode="SameStep"))
        with pytest.raises(ValueError, match="OrderEnforcing"):
            ExposureVecEnv(gym.make(LOCAL, photos=PHOTOS))


class TestState:
    @pytest.mark.parametrize("obs_type", ["uint8", "dict"])
    def test_another_one_goes_on_alike(self, obs_type):
        envs, other = (ExposureVecEnv(num_envs=3, photos=PHOTOS, obs_type=obs_type) for _ in range(2))
        envs.seed(4)
        envs.reset()
        for action in actions(5):
            envs.step(action)
        state = envs.state_dict()
        assert (state["lengths"] > 0).any() and len(set(state["lengths"].tolist())) > 1
        expected = [envs.step(action) for action in actions(12)]
        other.seed(99)
        other.set_options({"photo": 0})
        other.load_state_dict(state)
        ended = 0
        for action, (observations, rewards, dones, infos) in zip(actions(12), expected, strict=True):
            ours = other.step(action)
            for part in observations if obs_type == "dict" else [...]:
                np.testing.assert_array_equal(ours[0][part], observations[part])
            np.testing.assert_array_equal(ours[1], rewards)
            np.testing.assert_array_equal(ours[2], dones)
            for one, another in zip(ours[3], infos, strict=True):
                assert one.keys() == another.keys() and one.get("episode") == another.get("episode")
                ended += "episode" in one
        assert ended > 3 and data_equivalence(other.reset_infos, envs.reset_infos)
        np.testing.assert_array_equal(other.state_dict()["returns"], envs.state_dict()["returns"])

    def test_reset_infos_are_those_of_the_episodes(self):
        envs, other = (ExposureVecEnv(num_envs=3, photos=PHOTOS) for _ in range(2))
        envs.seed(4)
        envs.reset()
        other.load_state_dict(envs.state_dict())
        assert data_equivalence(other.reset_infos, envs.reset_infos)

    def test_seeds_and_options_that_wait_for_a_reset_are_dropped(self):
        envs = ExposureVecEnv(num_envs=3, photos=PHOTOS)
        envs.seed(4)
        envs.reset()
        state = envs.state_dict()
        drawn = envs.reset()
        envs.seed(7)
        envs.set_options({"photo": 0})
        envs.load_state_dict(state)
        np.testing.assert_array_equal(envs.reset(), drawn)

    def test_the_state_of_something_else_is_refused(self):
        envs = ExposureVecEnv(num_envs=3, photos=PHOTOS)
        envs.reset()
        with pytest.raises(ValueError, match="returns"):
            envs.load_state_dict({"envs": envs.envs.state_dict(), "lengths": np.zeros(3)})
        with pytest.raises(ValueError, match="(2, 64, 8)"):
            ExposureVecEnv(num_envs=2, photos=PHOTOS).load_state_dict(envs.state_dict())


class TestAdapted:
    def test_takes_environments_in_their_wrappers_and_ids(self):
        envs = ExposureVecEnv(num_envs=2, photos=PHOTOS)
        wrapped = VecTransposeImage(envs)
        assert adapted(None) is None and adapted(envs) is envs and adapted(wrapped) is wrapped
        assert isinstance(adapted(GLOBAL), ExposureVecEnv)
        made = ExposureVectorEnv(2, PHOTOS, autoreset_mode="SameStep")
        assert adapted(made).envs is made

    def test_refuses_another_environment_by_name(self):
        with pytest.raises(ValueError, match="OrderEnforcing"):
            adapted(gym.make(LOCAL, photos=PHOTOS))

"""What Gymnasium asks of an environment: registration, its checker, the spec and the panels."""

import importlib
import json
import math
import pickle
import re
import warnings

import cv2
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

import exposure_env
from exposure_env.drawing import GAP
from exposure_env.env import ExposureEnv
from exposure_env.episode import untouched
from exposure_env.photos import Misexpose, Photo
from exposure_env.render import storyboard_panel
from exposure_env.task import ExposureTask
from tests.environments import GLOBAL, LOCAL, PHOTOS, Contrast, halves, obs_types, play

ids = pytest.mark.parametrize("id", [LOCAL, GLOBAL], ids=["local", "global"])


def test_registering_again_changes_nothing():
    specs = {id: gym.spec(id) for id in gym.registry if id.startswith("Exposure/")}
    assert set(specs) == {"Exposure/Local-v0", "Exposure/Global-v0", "Exposure/WhiteBox-v0"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Gymnasium warns of an id that is overwritten
        importlib.reload(exposure_env)
        gym.register_envs(exposure_env)
    assert all(gym.spec(id) is spec for id, spec in specs.items())


@ids
@obs_types
@pytest.mark.parametrize("settings", [{}, {"planes": "paper"}, {"preset": "paper"}], ids=str)
def test_gymnasiums_checker_has_nothing_to_complain_about(id, obs_type, settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(id, photos=PHOTOS, obs_type=obs_type, render_mode="rgb_array", **settings)
        check_env(env.unwrapped)
        for seed in range(2):  # the wrappers of `make` check what every step returns
            play(env, 0.4, -0.3, seed=seed)
        env.close()
        env.close()


@ids
def test_the_defaults_need_no_argument(id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(id)
        *_, (observation, reward, terminated, truncated, info) = play(env, 0.1, seed=0)
    assert observation in env.observation_space and math.isfinite(reward) and (terminated, truncated) == (True, False)
    assert env.spec.max_episode_steps is None


class TestSpec:
    @ids
    def test_the_spec_rebuilds_the_environment(self, id):
        env = gym.make(id, photos=PHOTOS, obs_type="float32", max_ev=1.5, render_mode="rgb_array")
        again = gym.make(env.spec)
        assert again.unwrapped.task.config == env.unwrapped.task.config and again.render_mode == "rgb_array"
        assert data_equivalence(play(env, 0.5, seed=3), play(again, 0.5, seed=3), exact=True)

    @ids
    def test_the_spec_survives_json(self, id):
        env = gym.make(id, reward_model="negative_mse", max_ev=2.0, obs_type="dict")
        text = env.spec.to_json()
        assert json.loads(text)["kwargs"]["reward_model"] == "negative_mse"
        again = gym.make(gym.envs.registration.EnvSpec.from_json(text))
        assert data_equivalence(play(env, 0.5, seed=3), play(again, 0.5, seed=3), exact=True)

    @pytest.mark.parametrize(
        "settings",
        [{}, {"order": "random", "transform": Misexpose(), "shaping": "well_exposedness"}],
        ids=["plain", "random"],
    )
    def test_a_pickled_environment_goes_on_where_it_was(self, settings):
        env = gym.make(LOCAL, photos=PHOTOS, segmenter=halves, reward_model=Contrast(), **settings)
        env.reset(seed=4)
        env.step(np.array([0.7], np.float32))
        twin = pickle.loads(pickle.dumps(env))
        last = [e.step(np.array([-0.2], np.float32)) for e in (env, twin)]
        assert last[0][2] and data_equivalence(*last, exact=True)
        assert data_equivalence(play(env, 0.3), play(twin, 0.3), exact=True)  # draws the same photo


class TestRendering:
    @ids
    def test_panels_have_one_size_and_change_with_every_step(self, id):
        env = gym.make(id, photos=PHOTOS, render_mode="rgb_array")
        for index in range(3):
            env.reset(options={"photo": index})
            panels, terminated = [env.render()], False
            while not terminated:
                terminated = env.step(np.array([0.4], np.float32))[2]
                panels.append(env.render())
            assert {(panel.shape, panel.dtype.name) for panel in panels} == {(panels[0].shape, "uint8")}
            assert panels[0].ndim == 3 and panels[0].shape[2] == 3
            assert not any(side % 2 for side in panels[0].shape[:2])  # or common players won't show the video
            assert all((a != b).any() for a, b in zip(panels, panels[1:], strict=False))

    @pytest.mark.parametrize("preset, space", [("recommended", "linear"), ("paper", "encoded")])
    def test_the_panel_shows_the_local_image_of_the_tasks_space(self, preset, space):
        env = ExposureEnv(PHOTOS, preset=preset, render_mode="rgb_array")
        env.reset(seed=0)
        _, reward, _, _, info = env.step([0.4])
        shown, config = (env.state, env.result(), info["ev"], reward), env.task.config
        scores = {"score": env.task.score(env.state)[0], "input_score": env.task.score(untouched(env.state))[0]}
        told = scores | {"scored": config.reward_image, "max_ev": config.max_ev}
        panels = {each: storyboard_panel(*shown, **told, space=each) for each in ("linear", "encoded")}
        assert (panels["linear"] != panels["encoded"]).any()
        np.testing.assert_array_equal(env.render(), panels[space])

    @ids
    def test_there_is_room_for_a_target_where_the_photos_have_one(self, id):
        bare = [photo._replace(target=None) for photo in PHOTOS]
        reward = {"reward_model": "well_exposedness", "render_mode": "rgb_array"}
        shapes = {}
        for name, photos in {"bare": bare, "paired": PHOTOS}.items():
            env = gym.make(id, photos=photos, **reward)
            for photo in (bare[0], PHOTOS[0]):  # from elsewhere: whatever they have, the size stays
                env.reset(options={"photo": photo})
                shapes.setdefault(name, set()).add(env.render().shape)
        (narrow,), (wide,) = shapes["bare"], shapes["paired"]
        assert wide[0] == narrow[0] and wide[1] == narrow[1] + 192 + GAP

    def test_a_transform_that_makes_targets_counts(self):
        good = [Photo(photo.name, photo.target) for photo in PHOTOS]
        assert not ExposureTask(good, reward_model="entropy").paired
        assert ExposureTask(good, transform=Misexpose()).paired

    def test_without_a_render_mode_there_is_no_panel(self):
        env = ExposureEnv(PHOTOS)
        env.reset(seed=0)
        assert env.render() is None

    def test_rendering_changes_nothing(self):
        env, twin = (gym.make(LOCAL, photos=PHOTOS, render_mode="rgb_array") for _ in range(2))
        env.reset(seed=1)
        twin.reset(seed=1)
        before = env.render()
        np.testing.assert_array_equal(env.render(), before)
        action = np.array([0.5], np.float32)
        assert data_equivalence(env.step(action), twin.step(action), exact=True)

    def test_list_of_panels_is_gymnasiums_doing(self):
        env = gym.make(LOCAL, photos=PHOTOS, render_mode="rgb_array_list")
        frames = len(play(env, 0.2, seed=0))
        assert len(env.render()) == frames

    def test_record_video_writes_an_mp4(self, tmp_path):
        pytest.importorskip("moviepy", reason="moviepy writes the video: pip install '.[video]'")
        env = gym.make(LOCAL, photos=PHOTOS, render_mode="rgb_array")
        env = gym.wrappers.RecordVideo(env, str(tmp_path / "video"), episode_trigger=lambda episode: episode == 0)
        frames = len(play(env, 0.4, -0.4, seed=0))
        env.close()
        (file,) = tmp_path.glob("video/*.mp4")
        video = cv2.VideoCapture(str(file))
        assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == frames
        height, width = env.unwrapped.render().shape[:2]
        assert video.read()[1].shape[:2] in {(height, width), (height // 2 * 2, width // 2 * 2)}


def test_infos_are_as_the_docstring_says():
    told = dict(re.findall(r'^    - "(\w+)" \((.+?)\):', ExposureEnv.__doc__, re.MULTILINE))
    assert told.pop("photo") == "int, `Photo` or image array"  # the option of `reset`
    env = ExposureEnv(PHOTOS, reward_model={"psnr": 1.0, "entropy": 0.5})
    kinds = {"int": int, "float": float, "(max_segments,) float32 array": np.ndarray, "dict of str to float": dict}
    for info in (env.reset(seed=0)[1], env.step([0.5])[4]):
        assert {name: type(value) for name, value in info.items()} == {
            name: kinds[kind] for name, kind in told.items() if name in info}
        assert told.keys() - info.keys() <= {"reward_version"}
        assert info["evs"].dtype == np.float32 and info["evs"].shape == (env.task.config.max_segments,)
        assert {type(value) for value in info["rewards"].values()} == {float}

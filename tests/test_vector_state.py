"""What a vector environment holds: shared with nobody, and given to another."""

import copy

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from exposure_env.photos import Misexpose, Photo
from exposure_env.vector import ExposureVectorEnv
from tests.environments import EXPERTS, halves, obs_types
from tests.vectors import PHOTOS, assert_same, modes, rollout


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

"""The episodes of an environment."""

import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from skimage.metrics import peak_signal_noise_ratio

from exposure_env.env import ExposureEnv
from exposure_env.fusion import mask_pyramid, mertens
from exposure_env.photos import Misexpose, Photo, thumbnail
from tests.environments import EXPERTS, GLOBAL, GREY, LOCAL, PHOTOS, Contrast, brightness, halves, obs_types, play


class TestEpisode:
    def test_one_step_a_segment_and_no_reward_before_the_last(self):
        lengths = set()
        env = gym.make(LOCAL, photos=PHOTOS)
        for index in range(len(PHOTOS)):
            (_, info), *steps = play(env, 0.3, -0.2, options={"photo": index})
            length = info["num_segments"]
            lengths.add(length)
            assert (info["photo_index"], info["segment_index"], len(steps)) == (index, -1, length)
            assert [out[2] for out in steps] == [False] * (length - 1) + [True]
            assert [out[3] for out in steps] == [False] * length
            assert [out[1] for out in steps[:-1]] == [0.0] * (length - 1) and steps[-1][1] != 0
            assert {type(out[1]) for out in steps} == {float}
            assert [out[4]["segment_index"] for out in steps] == list(range(length))
            assert {(type(out[4]["segment_index"]), type(out[4]["ev"])) for out in steps} == {(int, float)}
            evs = [0.9 if t % 2 == 0 else -0.6 for t in range(length)]
            np.testing.assert_allclose([out[4]["ev"] for out in steps], evs, rtol=1e-6)
            last = steps[-1][4]
            for told in (info, *(out[4] for out in steps)):  # the same keys and kinds from the reset to the end
                assert {name: type(value) for name, value in told.items()} == {
                    "photo_index": int, "num_segments": int, "segment_index": int, "ev": float,
                    "evs": np.ndarray, "score": float, "input_score": float, "reward_version": int}  # fmt: skip
                assert told["evs"].shape == (8,) and told["evs"].dtype == np.float32
                assert (told["score"], told["input_score"]) == (0, 0) or told is last
            np.testing.assert_allclose(last["evs"], np.pad(np.array(evs, np.float32), (0, 8 - length)), rtol=1e-6)
            assert steps[-1][1] == last["score"] - last["input_score"]
        assert len(lengths) > 1 and max(lengths) <= 8

    def test_global_has_one_step_for_the_whole_photo(self):
        env = gym.make(GLOBAL, photos=PHOTOS, obs_type="float32", max_ev=2.0)
        (first, info), (last, _, terminated, truncated, final) = play(env, 0.5, seed=0)
        assert info["num_segments"] == 1 and (terminated, truncated) == (True, False)
        np.testing.assert_array_equal(first[..., :3], first[..., 3:6])  # the next segment is all of it
        np.testing.assert_allclose(final["evs"], [1.0])
        bright, photo = ((np.clip(x, 0.04045, 1) + 0.055) / 1.055 for x in (last[..., 6:9], first[..., :3]))
        inside = (first[..., :3] > 0.1) & (last[..., 6:9] < 0.95)
        np.testing.assert_allclose((bright / photo)[inside] ** 2.4, 2, rtol=1e-3)  # one stop: twice the light

    def test_planes_of_an_episode_by_hand(self):
        env = ExposureEnv([Photo("grey", GREY)], halves, brightness, obs_type="float32", space="encoded", order="label",
                          fusion="local", max_ev=1.0)  # fmt: skip
        seen = [out[0][[0, 63], 5] for out in play(env, 1.0, -1.0)]  # one pixel of the upper half, one of the lower
        g, z = [0.25] * 3, [0.0] * 3
        np.testing.assert_allclose(seen[0], [[*g, *g, *g, 1, 0, 0], [*g, *z, *g, 0, 0, 0]], atol=1e-6)
        np.testing.assert_allclose(seen[1], [[*g, *z, *[0.5] * 3, 0, 1, 0.5], [*g, *g, *g, 1, 0, 0.5]], atol=1e-6)
        np.testing.assert_allclose(seen[2], [[*g, *z, *[0.5] * 3, 0, 1, 1], [*g, *z, *[0.125] * 3, 0, 1, 1]], atol=1e-6)

    @obs_types
    def test_the_last_observation_holds_the_final_image_and_earlier_ones_the_local(self, obs_type):
        photo = PHOTOS[1]
        env = gym.make(LOCAL, photos=[photo], segmenter=halves, order="label", obs_type=obs_type)
        *_, (middle, *_), (last, *_) = play(env, 1.0, -1.0)
        image, labels = thumbnail(photo.image)[None], halves(np.zeros((64, 64, 3)))[None].astype(np.int32)
        fused = mask_pyramid(image, labels, np.array([[3.0, -3.0, 0, 0, 0, 0, 0, 0]], np.float32))[0]

        def shown(observation):
            images = observation["local"] if obs_type == "dict" else observation[..., 6:9]
            return images if obs_type == "float32" else images / 255

        tolerance = 1e-6 if obs_type == "float32" else 0.5 / 255 + 1e-6
        np.testing.assert_allclose(shown(last), fused, atol=tolerance)
        np.testing.assert_allclose(shown(last), env.unwrapped.result(), atol=tolerance)
        np.testing.assert_allclose(shown(middle)[32:], image[0, 32:], atol=tolerance)  # hard border
        assert np.abs(fused[32:] - image[0, 32:]).max() > 0.1  # where the blend is dark, which the middle one was not

    def test_default_reward_is_the_gain_in_psnr_of_what_the_last_observation_shows(self):
        env = gym.make(LOCAL, photos=PHOTOS, obs_type="float32")
        for index, photo in enumerate(PHOTOS):
            (first, _), *_, (last, reward, *_, info) = play(env, 0.3, 0.1, options={"photo": index})
            target = thumbnail(photo.target)
            score, untouched = (peak_signal_noise_ratio(target, o[..., 6:9], data_range=1) for o in (last, first))
            assert reward == pytest.approx(score - untouched, abs=1e-3)
            assert (info["score"], info["input_score"]) == pytest.approx((score, untouched), abs=1e-3)

    def test_paper_preset_scores_the_local_image_itself_in_encoded_values(self):
        photo = PHOTOS[2]
        env = gym.make(LOCAL, photos=[photo], segmenter=halves, preset="paper", obs_type="float32", order="label")
        (first, _), _, (last, reward, *_, info) = play(env, 0.2, -0.1)
        gains = np.repeat([2**0.7, 2**-0.35], 32)[:, None, None]  # max_ev is 3.5
        local = np.clip(first[..., :3] * gains, 0, 1)
        assert reward == pytest.approx(peak_signal_noise_ratio(thumbnail(photo.target), local, data_range=1), abs=1e-3)
        assert (info["score"], info["input_score"]) == (reward, 0.0)
        evs = np.array([[0.7, -0.35, 0, 0, 0, 0, 0, 0]], np.float32)
        fused = mertens(first[None, ..., :3], np.zeros((1, 64, 64), int), evs, np.array([2]), space="encoded")
        np.testing.assert_allclose(last[..., 6:9], fused[0], atol=1e-5)
        assert np.abs(fused[0] - local).mean() > 0.01

    @obs_types
    def test_writing_on_what_was_returned_changes_nothing(self, obs_type):
        env, twin = (ExposureEnv(PHOTOS, obs_type=obs_type) for _ in range(2))
        for _ in range(2):  # two episodes on one photo
            for out, expected in zip(*(play(each, 0.3, options={"photo": 2}) for each in (env, twin)), strict=True):
                assert data_equivalence(out, expected, exact=True)
                for array in (out[0].values() if obs_type == "dict" else [out[0]]):
                    array[...] = 1
            out[4]["evs"][:] = 9
            np.testing.assert_array_equal(env.result(), twin.result())
            env.result()[:] = 0.5

    def test_doing_nothing_gains_nothing_by_any_rendering_that_knows_the_segments(self):
        for fusion in ("local", "mask_pyramid", "mertens_masked"):
            env = gym.make(LOCAL, photos=PHOTOS, fusion=fusion)
            assert play(env, 0.0, seed=0)[-1][1] == pytest.approx(0, abs=1e-3)

    def test_a_known_exposure_is_recovered_by_its_opposite(self):
        dark = Photo("dark", GREY * 0.5, GREY)
        env = gym.make(GLOBAL, photos=[dark], space="encoded", max_ev=2.0)
        returns = {action: play(env, action)[-1][1] for action in (-0.5, 0.0, 0.25, 0.5, 0.75)}
        assert max(returns, key=returns.get) == 0.5
        assert returns[0.5] == pytest.approx(100 - 20 * math.log10(8), abs=1e-3) and returns[0.0] == 0

    @pytest.mark.parametrize(
        "spec, expected",
        [(brightness, lambda x: x.mean()), (Contrast(), lambda x: x.std()), ("module:attr", lambda x: x.max()),
         ("module:Class", lambda x: x.min()),
         ("well_exposedness", lambda x: np.exp(-12.5 * ((x - 0.5) ** 2).sum(-1)).mean())],
        ids=["function", "object", "module-function", "module-class", "name"],
    )  # fmt: skip
    def test_a_reward_of_any_form(self, spec, expected, tmp_path, monkeypatch):
        (tmp_path / "my_rewards.py").write_text(
            "def attr(images):\n    return images.max((1, 2, 3))\n\n\n"
            "class Class:\n    def __call__(self, images, **context):\n        return images.min((1, 2, 3))\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        spec = spec.replace("module:", "my_rewards:") if isinstance(spec, str) else spec
        env = gym.make(LOCAL, photos=PHOTOS, reward_model=spec, relative=False, obs_type="float32")
        last, reward, *_ = play(env, 0.1, 0.2, seed=0)[-1]
        assert reward == pytest.approx(expected(last[..., 6:9].astype(np.float64)), rel=1e-5)

    def test_shaping_adds_up_to_minus_the_potential_of_the_photo(self):
        plain, shaped = (gym.make(LOCAL, photos=PHOTOS, reward_model=brightness, gamma=0.8, shaping=potential)
                         for potential in (None, brightness))  # fmt: skip
        for seed in range(3):
            one, other = (play(env, 0.3, -0.4, seed=seed) for env in (plain, shaped))
            added = [b[1] - a[1] for a, b in zip(one[1:], other[1:], strict=True)]
            photo = float(plain.unwrapped.state.photos.mean())
            assert sum(0.8**t * value for t, value in enumerate(added)) == pytest.approx(-photo, abs=1e-5)
            assert all(added)

    def test_the_length_is_the_number_of_labels_a_callable_segmenter_gives(self):
        def stripes(image):
            return np.broadcast_to(np.arange(64) // 13, (64, 64))

        env = gym.make(LOCAL, photos=PHOTOS, segmenter=stripes)
        assert len(play(env, 0.1, seed=0)) == 1 + 5

    @pytest.mark.parametrize("mode, border", [("squeeze", 16), ("letterbox", 24)])
    def test_letterbox_keeps_the_aspect_of_a_wide_photo(self, mode, border):
        wide = np.full((20, 40, 3), 180, np.uint8)
        wide[:5] = 60  # of 64 rows the upper 16; in a letterbox of the middle 32 rows the first 8
        for image, transpose in ((wide, False), (wide.transpose(1, 0, 2), True)):
            env = gym.make(GLOBAL, photos=[Photo("wide", image)], reward_model=brightness, thumbnail=mode)
            seen = env.reset()[0][..., 0]
            seen = seen.T if transpose else seen
            assert (seen[: border - 2] == 60).all() and (seen[border + 2 :] == 180).all()


class TestSeeds:
    SETTINGS = {
        "plain": {"photos": PHOTOS},
        "random": {"photos": EXPERTS, "order": "random", "transform": Misexpose()},
    }

    @obs_types
    @pytest.mark.parametrize("which", SETTINGS)
    def test_same_seed_same_episodes(self, which, obs_type):
        def episodes(seed):
            env = gym.make(LOCAL, obs_type=obs_type, **self.SETTINGS[which])
            return [play(env, 0.2, -0.1, seed=seed), play(env, 0.2, -0.1), play(env, 0.3)]

        assert data_equivalence(episodes(5), episodes(5), exact=True)
        assert not data_equivalence(episodes(5), episodes(6))

    def test_all_photos_are_drawn(self):
        env = gym.make(LOCAL, photos=PHOTOS)
        env.reset(seed=0)
        assert {env.reset()[1]["photo_index"] for _ in range(60)} == set(range(len(PHOTOS)))

    def test_random_order_shows_the_segments_in_another_order_in_each_episode(self):
        env = gym.make(LOCAL, photos=PHOTOS, order="random", obs_type="float32")
        areas = [[out[0][..., 9].sum() for out in play(env, 0.0, options={"photo": 0})[:-1]] for _ in range(4)]
        assert len({tuple(sorted(order)) for order in areas}) == 1 and len({tuple(order) for order in areas}) > 1

    def test_transform_is_applied_afresh_in_every_episode(self):
        env = gym.make(LOCAL, photos=EXPERTS, transform=Misexpose())
        first, second = (env.reset(seed=seed, options={"photo": 0})[0][..., :3].astype(int) for seed in (0, None))
        assert np.abs(first - second).mean() > 1


class TestResetOptions:
    def test_an_index_a_photo_and_an_array(self):
        env = gym.make(LOCAL, photos=PHOTOS, reward_model=brightness)
        plain = thumbnail(PHOTOS[3].image)
        as_uint8 = np.rint(PHOTOS[3].image * 255).astype(np.uint8)
        for given, index in ((3, 3), (np.int64(3), 3), (PHOTOS[3], -1), (PHOTOS[3].image, -1), (as_uint8, -1)):
            observation, info = env.reset(options={"photo": given})
            assert info["photo_index"] == index and type(info["photo_index"]) is int
            np.testing.assert_allclose(observation[..., :3], plain * 255, atol=0.51)

    def test_a_photo_given_brings_its_target_and_an_array_has_none(self):
        env = gym.make(LOCAL, photos=PHOTOS)
        given, taken = (play(env, 0.2, options={"photo": photo})[-1][1] for photo in (PHOTOS[2], 2))
        assert given == taken
        with pytest.raises(ValueError, match="targets"):
            play(env, 0.2, options={"photo": PHOTOS[2].image})

    def test_without_a_photo_one_is_drawn(self):
        env = gym.make(LOCAL, photos=PHOTOS)
        expected = env.reset(seed=2)[1]
        for options in (None, {}, {"photo": None}, {"something": "else"}):
            assert data_equivalence(env.reset(seed=2, options=options)[1], expected)

    @pytest.mark.parametrize("index", [-1, 6])
    def test_an_index_out_of_range_is_an_error(self, index):
        with pytest.raises(ValueError, match=f"photo {index}"):
            gym.make(LOCAL, photos=PHOTOS).reset(options={"photo": index})

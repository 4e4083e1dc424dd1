import json
import subprocess
import sys
import textwrap

import gymnasium as gym
import numpy as np
import pytest
import torch
from skimage import color, metrics

from exposure_env import ExposureEnv, ExposureVectorEnv, sample_photos
from exposure_env.photos import Photo
from exposure_env.rewards import (
    Anchored,
    MeanLuminance,
    SlicedWasserstein,
    WeightedReward,
    resolve_reward,
    reward_names,
    score,
    scored,
)
from exposure_env.rewards.compared import lab

kinds = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])


def photos(num=3, side=16, seed=0):
    return np.random.default_rng(seed).random((num, side, side, 3)).astype(np.float32)


def of(name, images, targets=None):
    return score(resolve_reward(name), images, images, targets)


class TestValues:
    def test_ssim_is_scikit_images(self):
        images, targets = photos(), photos(seed=1) * 0.3 + photos() * 0.7
        expected = [metrics.structural_similarity(*pair, channel_axis=-1, data_range=1.0)
                    for pair in zip(images.astype(float), targets.astype(float), strict=True)]
        np.testing.assert_allclose(of("ssim", images, targets), expected, atol=2e-5)

    def test_lab_and_ciede2000_are_scikit_images(self):
        images, targets = photos().astype(float), photos(seed=1).astype(float)
        np.testing.assert_allclose(lab(images), color.rgb2lab(images), atol=1e-2)  # its matrix has six digits
        expected = color.deltaE_ciede2000(color.rgb2lab(images), color.rgb2lab(targets)).mean((1, 2))
        np.testing.assert_allclose(of("ciede2000", images, targets), -expected, rtol=1e-3)  # lower is better

    def test_ciede2000_of_near_greys_and_opposite_hues(self):
        ours = np.array([[0.5, 0.5, 0.5], [0.9, 0.1, 0.1], [0.2, 0.2, 0.9], [0.1, 0.8, 0.3]]).reshape(4, 1, 1, 3)
        theirs = np.array([[0.5, 0.501, 0.5], [0.1, 0.9, 0.9], [0.9, 0.9, 0.1], [0.11, 0.8, 0.3]]).reshape(4, 1, 1, 3)
        expected = color.deltaE_ciede2000(color.rgb2lab(ours), color.rgb2lab(theirs)).mean((1, 2))
        np.testing.assert_allclose(of("ciede2000", ours, theirs), -expected, rtol=2e-3)

    @kinds
    def test_entropy_of_half_black_half_white_is_one_bit(self, kind):
        images = np.zeros((2, 4, 4, 3), np.float32)
        images[1, :2] = 1
        np.testing.assert_allclose(of("entropy", kind(images)), [0, 1], atol=1e-4)

    @kinds
    def test_unclipped_by_hand(self, kind):
        images = np.zeros((1, 4, 4, 3), np.float32)
        images[0, 0], images[0, 1], images[0, 2] = 0.5, 1.0, 2 / 255  # a quarter is well inside, a quarter half-way
        np.testing.assert_allclose(of("unclipped", kind(images)), [1 / 4 + 1 / 8], rtol=1e-5)

    @kinds
    def test_colourfulness_by_hand(self, kind):
        images = np.full((2, 4, 4, 3), 0.5, np.float32)
        images[1, ..., 0] = 0.8  # red - green 0.3, (red + green) / 2 - blue 0.15, no variance
        np.testing.assert_allclose(of("colourfulness", kind(images)), [0, 0.3 * np.hypot(0.3, 0.15)], atol=1e-5)

    @kinds
    def test_mean_luminance_is_best_at_its_target(self, kind):
        images = np.stack([np.full((4, 4, 3), level, np.float32) for level in (0.2, 0.4, 0.7)])
        np.testing.assert_allclose(score(MeanLuminance(0.4), kind(images), None or kind(images), None),
                                   [-0.2, 0, -0.3], atol=1e-6)

    @kinds
    def test_sliced_wasserstein_is_0_at_the_reference_and_the_shift_of_a_grey_shift(self, kind):
        reference = photos(1, 16)[0]
        model = SlicedWasserstein([Photo("reference", reference)], directions=0, size=16)
        images = np.stack([reference, reference + np.float32(0.1)])
        exact, shifted = np.asarray(score(model, kind(images), kind(images), None))
        assert exact == pytest.approx(0, abs=1e-6)
        assert shifted == pytest.approx(-(0.1 * 3 + 0.1 * np.sqrt(3)) / 4, rel=1e-4)  # three channels, and grey

    def test_an_empty_folder_of_references_is_named(self, tmp_path):
        with pytest.raises(ValueError, match=str(tmp_path)):
            SlicedWasserstein(tmp_path)

    @pytest.mark.parametrize("target", [-0.1, 1.1, float("nan")])
    def test_a_mean_luminance_beyond_black_and_white_is_refused(self, target):
        with pytest.raises(ValueError, match=str(target)):
            MeanLuminance(target)


class TestWeighted:
    def test_a_dict_of_names_is_their_weighted_sum_and_its_parts_are_reported(self):
        images, targets = photos(), photos(seed=1)
        model = resolve_reward({"psnr": 0.5, "entropy": 2})
        told = scored(model, images, images, targets)
        np.testing.assert_allclose(told.parts["psnr"], of("psnr", images, targets))
        np.testing.assert_allclose(told.scores, 0.5 * told.parts["psnr"] + 2 * told.parts["entropy"], rtol=1e-6)
        assert model.differentiable and model.version == (0, 0) and repr(model) == "0.5 psnr + 2 entropy"

    def test_a_part_without_a_gradient_makes_it_undifferentiable_unless_it_has_no_weight(self):
        models = {"a": resolve_reward("psnr"), "b": resolve_reward(lambda images: images.mean((1, 2, 3)))}
        assert not WeightedReward(models, {"a": 1, "b": 0.1}).differentiable
        assert WeightedReward(models, {"a": 1, "b": 0.0}).differentiable
        assert WeightedReward(models, {"a": 1, "b": 0.1}).version is None

    @pytest.mark.parametrize("weights, named", [({}, "at least one"), ({"psnr": float("nan")}, "nan"),
                                                ({"psnr": "half"}, "half"), ({"psnr": True}, "True"),
                                                ({"beauty": 1.0}, "beauty"), ({3: 1.0}, "3")])
    def test_weights_that_make_no_sense_are_named(self, weights, named):
        with pytest.raises(ValueError, match=named):
            resolve_reward(weights)

    def test_parts_are_in_the_infos_from_the_reset_on(self):
        env = ExposureEnv(sample_photos("inputs", 4), reward_model={"psnr": 1.0, "entropy": 0.5}, max_segments=2)
        _, info = env.reset(seed=0)
        assert info["rewards"] == {"psnr": 0, "entropy": 0}
        done = False
        while not done:
            _, _, done, _, info = env.step([0.1])
        assert info["score"] == pytest.approx(info["rewards"]["psnr"] + 0.5 * info["rewards"]["entropy"], rel=1e-5)

    @pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
    def test_parts_of_a_vector_are_those_of_single_environments(self, mode):
        settings = {"photos": sample_photos("inputs", 4), "reward_model": {"psnr": 1.0, "entropy": 0.5},
                    "max_segments": 2}
        ours = ExposureVectorEnv(3, autoreset_mode=mode, **settings)
        theirs = gym.vector.SyncVectorEnv([lambda: ExposureEnv(**settings)] * 3, autoreset_mode=mode)
        for envs in (ours, theirs):
            envs.reset(seed=1)
        for _ in range(6):
            infos = [envs.step(np.full((3, 1), 0.2, np.float32))[4] for envs in (ours, theirs)]
            for key in ("rewards", "final_info"):
                for one, other in [infos, infos[::-1]]:
                    assert (key in one) == (key in other)
            told = [info.get("final_info", info)["rewards"] for info in infos]
            for name in ("psnr", "entropy"):
                np.testing.assert_allclose(told[0][name], told[1][name], rtol=1e-5)


class TestParts:
    def test_a_function_may_return_parts_beside_its_scores(self):
        def bright(images):
            level = images.mean((1, 2, 3))
            return level, {"half": level / 2}

        bright.parts = ("half",)
        told = scored(resolve_reward(bright), photos(), photos(), None)
        np.testing.assert_allclose(told.parts["half"] * 2, told.scores)
        env = ExposureEnv(sample_photos("inputs", 2), reward_model=bright, max_segments=1)
        assert env.reset(seed=0)[1]["rewards"] == {"half": 0}
        assert env.step([0.0])[4]["rewards"]["half"] > 0

    def test_a_part_of_the_wrong_shape_is_named(self):
        with pytest.raises(ValueError, match="part 'odd' of reward model .*shape"):
            scored(resolve_reward(lambda images: (images.mean((1, 2, 3)), {"odd": np.zeros(1)})), photos(), photos(),
                   None)

    def test_lower_better_turns_the_sign(self):
        def distance(images):
            return images.mean((1, 2, 3))

        distance.lower_better = True
        np.testing.assert_allclose(of(distance, photos()), -photos().mean((1, 2, 3)), rtol=1e-6)

    def test_what_a_model_writes_into_its_arguments_changes_nothing_here(self):
        def vandal(images, inputs):
            images[:], inputs[:] = 0, 1
            return np.zeros(len(images))

        images, inputs = photos(), photos(seed=1)
        score(resolve_reward(vandal), images, inputs, None)
        np.testing.assert_array_equal(images, photos())
        np.testing.assert_array_equal(inputs, photos(seed=1))

    def test_a_misspelt_context_is_named(self):
        with pytest.raises(ValueError, match="'target', which no reward model is given.*inputs and targets"):
            resolve_reward(lambda images, target: images.mean((1, 2, 3)))

    @pytest.mark.parametrize("scores, named", [(np.array([1j, 2j, 3j]), "complex"),
                                               (np.array(["a", "b", "c"], object), "object")])
    def test_scores_of_another_kind_are_named(self, scores, named):
        with pytest.raises(ValueError, match=named):
            score(resolve_reward(lambda images: scores), photos(), photos(), None)

    def test_a_class_in_place_of_an_object_is_explained(self):
        with pytest.raises(ValueError, match=r"MeanLuminance\(\)"):
            resolve_reward(MeanLuminance)


def test_anchored_scores_are_0_for_the_untouched_and_1_for_the_good():
    inputs, good = photos() * 0.3, photos()
    model = Anchored(resolve_reward("psnr"), inputs, good * 0.9, good)
    zero, one = (np.mean(score(model, images, inputs, good)) for images in (inputs, good * 0.9))
    assert (zero, one) == pytest.approx((0, 1), abs=1e-5) and model.differentiable and model.version == 0


def test_anchoring_where_the_good_are_not_better_is_refused():
    with pytest.raises(ValueError, match="no scale"):
        Anchored(resolve_reward("psnr"), photos(), photos(seed=1), photos())


def test_names_of_installed_packages_are_known():
    assert {"psnr", "ssim", "discriminator"} <= set(reward_names())


class TestProcess:
    SCORER = """
        import os, sys, time
        import numpy as np
        print("this must not disturb the pipe")

        def bright(images):
            print("nor this")
            return images.mean((1, 2, 3))

        def nearer(images, targets):
            return -((images - targets) ** 2).mean((1, 2, 3))

        class Distance:
            lower_better, version = True, 7

            def __call__(self, images, *, inputs, targets):
                return images.mean((1, 2, 3)) - inputs.mean((1, 2, 3))

        def fails(images):
            raise RuntimeError("no such beauty")

        def hangs(images):
            time.sleep(60)

        def dies(images):
            os._exit(3)

        def words(images):
            return ["good"] * len(images)
        """

    @pytest.fixture
    def scorer(self, tmp_path, monkeypatch):
        (tmp_path / "their_scores.py").write_text(textwrap.dedent(self.SCORER))
        monkeypatch.chdir(tmp_path)
        made = []

        def make(attribute, **settings):
            from exposure_env.rewards import ProcessReward

            made.append(ProcessReward(sys.executable, f"their_scores:{attribute}", **settings))
            return made[-1]

        yield make
        for each in made:
            each.close()

    def test_scores_are_those_of_the_function_and_what_it_prints_does_no_harm(self, scorer):
        images = photos(5)
        np.testing.assert_allclose(score(scorer("bright"), images, images, None), images.mean((1, 2, 3)), rtol=1e-6)

    def test_it_gets_the_context_that_it_asks_for_and_tensors_come_back_as_tensors(self, scorer):
        images, targets = photos(), photos(seed=1)
        told = score(scorer("nearer"), torch.from_numpy(images), torch.from_numpy(images), torch.from_numpy(targets))
        assert isinstance(told, torch.Tensor)
        np.testing.assert_allclose(told, of("negative_mse", images, targets), rtol=1e-5)

    def test_lower_better_and_version_are_the_scorers(self, scorer):
        model, images = scorer("Distance"), photos()
        np.testing.assert_allclose(score(model, images, images * 0, None), -images.mean((1, 2, 3)), rtol=1e-6)
        assert model.version == "7"

    def test_a_name_makes_one_and_an_environment_takes_it(self, scorer):
        env = ExposureEnv(sample_photos("inputs", 2), max_segments=1,
                          reward_model=f"process:{sys.executable} their_scores:bright")
        env.reset(seed=0)
        assert env.step([0.3])[1] > 0
        env.task.reward_model.close()

    @pytest.mark.parametrize("attribute, named", [("fails", "RuntimeError: no such beauty"), ("dies", "code 3"),
                                                  ("nothing", "nothing"), ("words", "real numbers")])
    def test_an_error_there_is_an_error_here(self, scorer, attribute, named):
        with pytest.raises(ValueError, match=named):
            score(scorer(attribute), photos(), photos(), None)

    def test_after_an_error_the_next_call_works(self, scorer):
        model = scorer("nearer")
        with pytest.raises(ValueError, match="their_scores:nearer failed"):
            score(model, photos(), photos(), None)  # no targets
        np.testing.assert_allclose(score(model, photos(), photos(), photos()), 0, atol=1e-7)

    def test_a_scorer_that_hangs_is_stopped_and_named(self, scorer):
        with pytest.raises(TimeoutError, match="hangs.*within 2 s"):
            score(scorer("hangs", timeout=2), photos(), photos(), None)

    @pytest.mark.parametrize("text", ["process:", "process:python", "process:/no/such/python module:score"])
    def test_a_process_that_cannot_be_is_refused(self, text):
        with pytest.raises(ValueError, match="interpreter|want"):
            resolve_reward(text)

    def test_the_program_needs_nothing_of_ours(self, tmp_path):
        from exposure_env.rewards import scorer as program

        (tmp_path / "alone.py").write_text("def score(images):\n    return images.sum((1, 2, 3))\n")
        request = json.dumps({"arrays": {"images": [1, 1, 1, 3]}}).encode()
        message = len(request).to_bytes(8, "little") + request + np.array([1, 2, 3], np.float32).tobytes()
        done = subprocess.run([sys.executable, "-I", program.__file__, "alone:score"], input=message, cwd=tmp_path,
                              capture_output=True, timeout=60)
        assert done.returncode == 0 and done.stdout.endswith(np.array([6], np.float32).tobytes())

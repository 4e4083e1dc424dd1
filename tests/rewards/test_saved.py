import pickle
import sys
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from agents.networks import Discriminator
from agents.rewards import FrozenReward, load_ensemble, load_reward, save_reward
from exposure_env import ExposureEnv, ExposureVectorEnv, sample_photos
from exposure_env.rewards import ProcessReward, resolve_reward, score, scored
from tests.rewards.small import images


def networks(num=1, size=16, **settings):
    made = []
    for seed in range(num):
        torch.manual_seed(seed)
        made.append(Discriminator(size, 4, 0, "std", **settings).eval())
    return made


@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize("spectral", [False, True])
def test_what_is_saved_scores_alike(tmp_path, num, spectral):
    made, photos = networks(num, spectral_norm=spectral), images(5, size=16)
    save_reward(tmp_path / "reward.safetensors", made)
    expected = np.mean([network(torch.from_numpy(photos)).detach().numpy() for network in made], axis=0)
    for spec in (tmp_path, str(tmp_path), tmp_path / "reward.safetensors"):
        np.testing.assert_allclose(score(resolve_reward(spec), photos, photos, None), expected, rtol=1e-5, atol=1e-6)


def test_an_ensemble_reports_its_disagreement_and_caution_subtracts_it():
    made, photos = networks(3), images(4, size=16)
    plain, careful = FrozenReward(made), FrozenReward(made, caution=2.0)
    told = scored(plain, photos, photos, None)
    spread = np.std([network(torch.from_numpy(photos)).detach().numpy() for network in made], axis=0)
    np.testing.assert_allclose(told.parts["disagreement"], spread, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(score(careful, photos, photos, None), told.scores - 2 * spread, rtol=1e-3, atol=1e-5)
    tensors = torch.from_numpy(photos)
    np.testing.assert_allclose(scored(careful, tensors, tensors, None).scores, score(careful, photos, photos, None),
                               rtol=1e-4, atol=1e-5)
    env = ExposureEnv(sample_photos("inputs", 2), reward_model=FrozenReward(networks(2, 64)), max_segments=1)
    assert "disagreement" in env.reset(seed=0)[1]["rewards"]


def test_several_files_judge_together(tmp_path):
    for i, network in enumerate(networks(2)):
        save_reward(tmp_path / f"{i}.safetensors", [network])
    together, photos = load_ensemble([tmp_path / "0.safetensors", tmp_path / "1.safetensors"]), images(3, size=16)
    np.testing.assert_allclose(score(together, photos, photos, None),
                               score(FrozenReward(networks(2)), photos, photos, None), rtol=1e-5)
    with pytest.raises(ValueError, match="an ensemble needs networks"):
        load_ensemble([])


def test_it_scores_alike_everywhere(tmp_path, monkeypatch):
    save_reward(tmp_path / "reward.safetensors", networks(1, 64))
    spec, photos = str(tmp_path), sample_photos("inputs", 3)
    settings = {"photos": photos, "reward_model": spec, "max_segments": 2, "relative": False}

    def last(env):
        env.reset(seed=0, options={"photo": 1})
        done = False
        while not done:
            _, reward, done, _, info = env.step(np.array([0.2], np.float32))
        return info["score"]

    single = last(ExposureEnv(**settings))
    for envs in (ExposureVectorEnv(2, **settings), gym.vector.AsyncVectorEnv([lambda: ExposureEnv(**settings)] * 2)):
        with closing(envs):
            envs.reset(seed=0, options={"photo": 1})
            done = np.zeros(2, bool)
            while not done.all():
                _, _, done, _, info = envs.step(np.full((2, 1), 0.2, np.float32))
            np.testing.assert_allclose(info["score"], single, rtol=1e-5)
    again = pickle.loads(pickle.dumps(load_reward(tmp_path)))
    assert last(ExposureEnv(**{**settings, "reward_model": again})) == pytest.approx(single, rel=1e-5)
    (tmp_path / "frozen.py").write_text(
        f"from agents.rewards import load_reward\n\nmodel = load_reward({str(tmp_path)!r})\n\n\n"
        "def frozen(images):\n    return model(images)\n")
    monkeypatch.chdir(tmp_path)
    elsewhere = ProcessReward(sys.executable, "frozen:frozen")
    try:
        assert last(ExposureEnv(**{**settings, "reward_model": elsewhere})) == pytest.approx(single, rel=1e-5)
    finally:
        elsewhere.close()


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="16 px, not \\(8, 8\\)"):
        score(FrozenReward(networks()), images(2), images(2), None)


class TestBadFiles:
    def test_there_is_none(self, tmp_path):
        with pytest.raises(ValueError, match="no reward model at"):
            load_reward(tmp_path)

    def test_another_kind_of_file(self, tmp_path):
        (tmp_path / "reward.safetensors").write_bytes(b"not a safetensors file")
        with pytest.raises(ValueError, match="not a safetensors file"):
            resolve_reward(str(tmp_path))

    @pytest.mark.parametrize("wrong, message", [
        ({"format": "something else"}, "something else"), ({"members": "0"}, "members"), ({"kind": "taste"}, "taste"),
        ({"members": "99999"}, "99999"), ({"network": "[]"}, "JSON object"),
        ({"network": '{"size": 99999, "width": 4, "halvings": 0}'}, "99999"),
        ({"network": '{"size": 16, "width": 8, "halvings": 0, "contrast": "std"}'}, "don't fit"),
    ])
    def test_settings_that_are_not_those_of_a_reward(self, tmp_path, wrong, message):
        path = tmp_path / "reward.safetensors"
        save_reward(path, networks())
        meta = {"format": "deepexposure-gym reward, version 1", "kind": "discriminator", "members": "1",
                "network": '{"size": 16, "width": 4, "halvings": 0, "contrast": "std"}'}
        save_file(load_file(path), path, meta | wrong)
        with pytest.raises(ValueError, match=message):
            load_reward(path)

    def test_weights_that_are_not_finite(self, tmp_path):
        made = networks()
        next(made[0].parameters()).data[0] = float("nan")
        save_reward(tmp_path / "reward.safetensors", made)
        with pytest.raises(ValueError, match="finite"):
            load_reward(tmp_path)

    def test_networks_of_two_shapes(self, tmp_path):
        with pytest.raises(ValueError, match="one shape"):
            save_reward(tmp_path / "reward.safetensors", [*networks(), *networks(size=32)])

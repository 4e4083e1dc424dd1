"""Odd values at every door: a ValueError that names them, or Python's own words for a setting that doesn't exist."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from agents.saved_agent import FORMAT, SHIPPED, load_agent, save_agent
from exposure_env import ExposureEnv, ExposureVectorEnv, Photo, RetouchPlan
from exposure_env.errors import NotFinite
from exposure_env.photos import sample_photos
from exposure_env.rewards import resolve_reward, score
from tests.memory import at_most

PHOTOS = sample_photos("test", 2)
LABELS = np.zeros((8, 8), int)
BEYOND = 10**400


# Plans


@pytest.mark.parametrize("fusion, name, value", [
    ("mertens", "epsilon", 1e308), ("mertens", "epsilon", 0), ("mertens_masked", "epsilon", 1e300),
    ("mertens", "contrast", 1e308), ("mertens", "saturation", BEYOND), ("mask_pyramid", "levels", 10**9),
    ("mask_pyramid", "feather", 10**9), ("mertens", "exposedness", -1),
])
def test_options_that_would_make_the_image_black_or_take_for_ever(fusion, name, value):
    with pytest.raises(ValueError, match=name):
        RetouchPlan(LABELS, [0.5], fusion, {name: value})


@pytest.mark.parametrize("fusion, options", [
    ("mertens", {"epsilon": 1e-20, "contrast": 100, "saturation": 100, "exposedness": 100}),
    ("mertens", {"epsilon": 1}),
    ("mertens_masked", {"epsilon": 1e-20, "contrast": 0}), ("mask_pyramid", {"levels": 32, "feather": 256}),
])
def test_the_most_extreme_options_render(fusion, options):
    labels = np.arange(2).repeat(32).reshape(8, 8)
    image = RetouchPlan(labels, [32.0, -32.0], fusion, options).render(np.full((8, 8, 3), 0.5, np.float32))
    assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' + "{" * 100_000, "1" * 5000, "nul", b"\xff\xfe"])
def test_text_that_is_no_plan(text):
    with pytest.raises(ValueError, match="not a retouch plan"):
        RetouchPlan.from_json(text)


# Agents


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_agent_with_weights_that_are_not_finite(tmp_path, value):
    agent = load_agent()
    name, tensor = list(agent.policy.actor.named_parameters())[2]
    with torch.no_grad():
        tensor.view(-1)[3] = value
    path = tmp_path / "agent.safetensors"
    save_agent(path, agent.policy, agent.task(PHOTOS))
    with pytest.raises(ValueError, match=f"{path}.*finite.*{name}"):
        load_agent(path)


@pytest.mark.parametrize("part, changes", [
    ("settings", {"size": 20_000}), ("settings", {"size": BEYOND}), ("settings", {"max_segments": 10**9}),
    ("settings", {"max_ev": 1e300}), ("settings", {"max_ev": BEYOND}), ("policy", {"width": 100_000}),
    ("policy", {"width": 1e9}), ("policy", {"halvings": 10**9}), ("policy", {"width": None}),
    ("settings", {"gamma": BEYOND}), ("settings", {"size": [64]}), ("settings", {"fusion": {"a": 1}}),
])
def test_an_agent_of_an_absurd_size(tmp_path, part, changes):
    with safe_open(SHIPPED, "pt") as file:
        meta, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(weights, path := tmp_path / "agent.safetensors",
              {**meta, part: json.dumps(json.loads(meta[part]) | changes)})
    with at_most(100), pytest.raises(ValueError, match="agent.safetensors"):
        load_agent(path)


@pytest.mark.parametrize("part", ["settings", "policy"])
@pytest.mark.parametrize("text", ["[" * 100_000, "5", "null", "[]", "{"])
def test_an_agent_whose_settings_are_no_settings(tmp_path, part, text):
    meta = {"format": FORMAT, "settings": "{}", "policy": "{}", "segmenter": "felzenszwalb"} | {part: text}
    save_file({"weights": torch.zeros(3)}, path := tmp_path / "agent.safetensors", meta)
    with pytest.raises(ValueError, match="agent.safetensors"):
        load_agent(path)


# Environments


@pytest.mark.parametrize("action", [[BEYOND], [1j], np.array([0.5 + 0j]), ["0.5"], [None], [object()], {"a": 1}],
                         ids=lambda action: str(action)[:20])
def test_actions_that_are_no_real_numbers(action):
    env, envs = ExposureEnv(PHOTOS), ExposureVectorEnv(1, PHOTOS)
    env.reset(seed=0)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(action)
    with pytest.raises(ValueError, match="action"):
        envs.step([action] if isinstance(action, list) else action)


def test_an_action_too_large_for_32_bits_is_not_finite():
    env = ExposureEnv(PHOTOS)
    env.reset(seed=0)
    with pytest.raises(NotFinite, match="finite"):
        env.step([1e300])


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32, lambda seed: np.array(seed)])
def test_seeds_may_be_of_any_kind_of_integer(kind):
    env, envs = ExposureEnv(PHOTOS), ExposureVectorEnv(2, PHOTOS)
    first, again = env.reset(seed=5)[0], env.reset(seed=kind(5))[0]
    np.testing.assert_array_equal(first, again)
    first, again = envs.reset(seed=5)[0], envs.reset(seed=kind(5))[0]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, envs.reset(seed=[kind(5), kind(6)])[0])
    np.testing.assert_array_equal(first, envs.reset(seed=np.array([5, 6]))[0])


@pytest.mark.parametrize("seed", [-1, 1.0, "x", np.float64(2), np.int64(-3), object(), [3]])
def test_seeds_that_are_none(seed):
    with pytest.raises(ValueError, match="seed"):
        ExposureEnv(PHOTOS).reset(seed=seed)
    with pytest.raises(ValueError, match="seed"):
        ExposureVectorEnv(2, PHOTOS).reset(seed=[0, seed])


@pytest.mark.parametrize("returned", [None, 5, "photo", PHOTOS[0].image])
def test_a_transform_that_returns_something_else(returned):
    env = ExposureEnv(PHOTOS, transform=lambda photo, rng: returned)
    with pytest.raises(ValueError, match=f"transform must return a Photo.*{PHOTOS[0].name[:5]}"):
        env.reset(seed=0, options={"photo": 0})


@pytest.mark.parametrize("env", ["Exposure/Local-v0", "Exposure/Global-v0"])
def test_an_unknown_setting_is_an_unexpected_keyword_argument(env):
    """What clients look for that try an argument, such as TorchRL's `GymEnv`."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'from_pixels'"):
        gym.make(env, photos=PHOTOS, from_pixels=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'from_pixels'"):
        gym.make_vec(env, 2, photos=PHOTOS, from_pixels=True)


# Rewards


@pytest.mark.parametrize("scores", [np.array([1j, 2]), torch.tensor([1j, 2]), [1j, 2.0], [BEYOND, 1], [None, None]],
                         ids=lambda scores: type(scores).__name__)
def test_scores_that_are_no_real_numbers(scores):
    images = np.zeros((2, 4, 4, 3), np.float32)
    with pytest.raises(ValueError, match="real numbers"):
        score(lambda images, **context: scores, images, images, None)


@pytest.mark.parametrize("content", [
    "raise OSError(28, 'no space')", "raise SystemError('odd')", "1 / 0", "def broken(:", "import no_such_module",
    "class Judge:\n    def __init__(self):\n        raise RuntimeError('no weights')",
    "class Judge:\n    def __init__(self, path):\n        self.path = path",
])
def test_a_reward_module_that_fails(tmp_path, monkeypatch, content):
    (tmp_path / "failing_judge.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "failing_judge", raising=False)
    with pytest.raises(ValueError, match="'failing_judge:Judge'") as caught:
        resolve_reward("failing_judge:Judge")
    assert caught.value.__cause__ is not None


def test_photos_of_images_that_are_none():
    with pytest.raises(ValueError, match="odd"):
        ExposureEnv([Photo("odd", None)]).reset(seed=0)

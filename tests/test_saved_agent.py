"""The agent's file: what is kept, and what is refused."""

import json
import os
import pickle
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from agents.policy import ExposurePolicy
from agents.saved_agent import ACTION_SPACE, FILE_NAME, FORMAT, SHIPPED, load_agent, save_agent
from exposure_env.env import observation_space
from exposure_env.episode import observe
from exposure_env.fusion import local
from exposure_env.image import expose
from exposure_env.observations import encode
from exposure_env.photos import Photo, thumbnail
from exposure_env.retouch import RetouchPlan
from exposure_env.task import ExposureTask


def made_up_policy(task: ExposureTask, width: int = 8, halvings: int = 1) -> ExposurePolicy:
    """An actor with random weights, scaled so that its exposures differ widely from photo to photo."""
    torch.manual_seed(3)
    policy = ExposurePolicy(observation_space(task.config, "uint8"), ACTION_SPACE, width=width, halvings=halvings)
    policy.set_training_mode(False)
    last = [layer for layer in policy.actor.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.normal_(0, 1e-3)
        raw = np.arctanh(policy.predict(first_observations(task), deterministic=True)[0])
        last.weight /= raw.std()
        last.bias.copy_((last.bias - raw.mean()) / raw.std())
    return policy


def first_observations(task: ExposureTask) -> np.ndarray:
    state = task.start([task.scene(i, np.random.default_rng(0)) for i in range(len(task.photos))])
    return encode(observe(state, task.local(state), task.config.planes), "uint8")


@pytest.fixture(scope="module")
def photos(sample_photos):
    return [Photo(f"photo {i}", image) for i, image in enumerate(sample_photos)]


@pytest.fixture
def saved(tmp_path, photos):
    """A file, and the policy and the task that it was written from."""
    task = ExposureTask(photos, "slic", max_segments=4, max_ev=2.5, thumbnail="letterbox", fusion="local")
    policy = made_up_policy(task)
    path = tmp_path / "deep" / "folder" / FILE_NAME
    save_agent(path, policy, task)
    return path, policy, task


def rewritten(path: Path, **changes) -> Path:
    """The same weights with other metadata; None drops an entry."""
    with safe_open(path, "pt") as file:
        meta = file.metadata() | changes
    save_file(load_file(path), path, {name: value for name, value in meta.items() if value is not None})
    return path


def test_a_loaded_agent_acts_exactly_as_the_saved_one(saved, photos):
    path, policy, task = saved
    agent = load_agent(path)
    observations = first_observations(task)
    actions, _ = policy.predict(observations, deterministic=True)
    np.testing.assert_array_equal(agent.policy.predict(observations, deterministic=True)[0], actions)
    assert np.ptp(actions) > 0.5, "a constant policy would prove nothing"
    for name, weights in policy.actor.state_dict().items():
        assert torch.equal(agent.policy.actor.state_dict()[name], weights), name
    plans = [load_agent(path).plan(photo.image) for photo in photos[:4]]
    for plan, photo in zip(plans, photos, strict=False):
        assert plan.to_json() == agent.plan(photo.image).to_json()


def test_metadata_and_settings_are_complete(saved):
    path, _, task = saved
    with safe_open(path, "pt") as file:
        meta = file.metadata()
    assert meta["format"] == FORMAT and meta["segmenter"] == "slic"
    assert json.loads(meta["policy"]) == {"width": 8, "halvings": 1, "actor": "planes"}
    agent = load_agent(path)
    assert agent.task([Photo("grey", np.full((8, 8, 3), 0.5, np.float32))]).config == task.config
    assert agent.segmenter == "slic" and agent.task().segmenter == "slic"
    plan = agent.plan(np.full((9, 30, 3), 0.3, np.float32))
    assert (plan.fusion, plan.space, plan.thumbnail) == ("local", "linear", "letterbox")


def test_what_belongs_to_the_training_is_not_kept(tmp_path, photos):
    task = ExposureTask(photos, max_segments=3, transform=lambda photo, rng: photo, shaping="psnr")
    save_agent(tmp_path / FILE_NAME, made_up_policy(task), task)
    config = load_agent(tmp_path).task(photos).config
    assert config.transform is None and config.shaping is None and config.max_segments == 3


def test_a_run_folder_is_as_good_as_its_file(saved):
    path, _, _ = saved
    image = np.random.default_rng(1).random((40, 50, 3), np.float32)
    assert load_agent(path.parent).plan(image).to_json() == load_agent(str(path)).plan(image).to_json()


def test_saving_replaces_at_once_and_leaves_nothing_else(saved, photos):
    path, _, _ = saved
    task = ExposureTask(photos, max_segments=2)
    save_agent(path, made_up_policy(task, width=4), task)
    assert [file.name for file in path.parent.iterdir()] == [FILE_NAME]
    assert load_agent(path).policy.width == 4


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_the_same_agent_makes_the_same_file(saved, tmp_path):
    path, policy, task = saved
    for _ in range(8):
        save_agent(tmp_path / FILE_NAME, policy, task)
        assert (tmp_path / FILE_NAME).read_bytes() == path.read_bytes()


def test_the_file_has_the_permissions_of_any_new_file(saved):
    path, _, _ = saved
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_planes_of_the_paper_survive(tmp_path, photos):
    task = ExposureTask(photos, preset="paper", max_segments=3)
    save_agent(tmp_path / FILE_NAME, made_up_policy(task, width=4), task)
    agent = load_agent(tmp_path)
    assert agent.task(photos).config == task.config and agent.policy.observation_space.shape[-1] == 9
    plan = agent.plan(photos[0].image)
    assert (plan.fusion, plan.space) == ("mertens", "encoded")


@pytest.mark.parametrize("what", ["segmenter", "fusion"])
def test_a_task_with_a_callable_cannot_be_saved(tmp_path, photos, what):
    value = {"segmenter": lambda image: np.zeros((64, 64), int), "fusion": local}[what]
    task = ExposureTask(photos, **{what: value})
    with pytest.raises(ValueError, match=f"agent's {what} must be a name"):
        save_agent(tmp_path / FILE_NAME, made_up_policy(task, width=4), task)
    assert not list(tmp_path.iterdir())


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("kind", ["pickle", "torch", "malicious pickle", "malicious torch", "text", "empty", "png"])
def test_other_files_are_refused_and_never_run(tmp_path, kind):
    path, proof = tmp_path / FILE_NAME, tmp_path / "executed"
    weights = {"weights": torch.zeros(3)}
    match kind:
        case "pickle":
            path.write_bytes(pickle.dumps({"weights": [1.0]}))
        case "torch":
            torch.save(weights, path)
        case "malicious pickle":
            path.write_bytes(pickle.dumps(Payload(proof)))
        case "malicious torch":
            torch.save(weights | {"payload": Payload(proof)}, path)
        case "text":
            path.write_text("not an agent\n" * 50)
        case "empty":
            path.touch()
        case "png":
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    with pytest.raises(ValueError, match="not a safetensors file") as caught:
        load_agent(path)
    assert str(path) in str(caught.value) and not proof.exists()
    if kind == "malicious pickle":  # the payload is a real one
        pickle.loads(path.read_bytes())
        assert proof.exists()


@pytest.mark.parametrize("kept", [4, 8, 100, -1])
def test_a_truncated_file_is_refused(saved, kept):
    path, _, _ = saved
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="not a safetensors file") as caught:
        load_agent(path)
    assert str(path) in str(caught.value)


def test_missing_files_are_named(tmp_path):
    for path in (tmp_path / "nothing", tmp_path / "nothing.safetensors", tmp_path):
        with pytest.raises(ValueError, match="no agent at") as caught:
            load_agent(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("found", [None, "deepexposure-gym agent, version 2", ""])
def test_another_format_is_refused(saved, found):
    path = rewritten(saved[0], format=found)
    with pytest.raises(ValueError, match="must be of format") as caught:
        load_agent(path)
    assert str(path) in str(caught.value) and repr(found) in str(caught.value)


def test_safetensors_of_somebody_else_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weights": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="model.safetensors must be of format"):
        load_agent(path)


@pytest.mark.parametrize("changes", [
    {"policy": '{"width": 16, "halvings": 1}'},
    {"policy": '{"width": 8, "halvings": 0}'},
    {"settings": {"planes": "paper"}},
    {"settings": {"size": 128}},
])
def test_weights_of_another_configuration_are_refused(saved, changes):
    path, _, task = saved
    if "settings" in changes:
        changes = {"settings": json.dumps(load_agent(path).settings | changes["settings"])}
    with pytest.raises(ValueError, match="don't fit its settings") as caught:
        load_agent(rewritten(path, **changes))
    assert str(path) in str(caught.value)


def test_a_wide_agent_does_not_pass_for_a_narrow_one(tmp_path, photos):
    task = ExposureTask(photos)
    save_agent(tmp_path / FILE_NAME, made_up_policy(task, width=32), task)
    with pytest.raises(ValueError, match="don't fit its settings"):
        load_agent(rewritten(tmp_path / FILE_NAME, policy='{"width": 16, "halvings": 1}'))


def test_missing_and_renamed_weights_are_refused(saved):
    path, _, _ = saved
    with safe_open(path, "pt") as file:
        meta = file.metadata()
    weights = load_file(path)
    first = sorted(weights)[0]
    for broken in ({k: v for k, v in weights.items() if k != first}, weights | {"extra": torch.zeros(1)}):
        save_file(broken, path, meta)
        with pytest.raises(ValueError, match="don't fit its settings"):
            load_agent(path)


@pytest.mark.parametrize("name", ["settings", "policy", "segmenter"])
@pytest.mark.parametrize("value", [None, "", "[1, 2]", '{"unknown": 1}', '{"max_ev": -1, "width": "x"}', "null"])
def test_broken_metadata_are_refused(saved, name, value):
    path = rewritten(saved[0], **{name: value})
    with pytest.raises(ValueError, match="settings in .* are not those of an agent") as caught:
        load_agent(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("policy", ['{"width": 0, "halvings": 1}', '{"width": -4, "halvings": 1}',
                                    '{"width": 8, "halvings": 9}', '{"width": 8, "halvings": -1}',
                                    '{"width": 1000000000, "halvings": 1}'])
def test_impossible_networks_are_refused(saved, policy):
    path = rewritten(saved[0], policy=policy)
    with pytest.raises(ValueError, match=r"agent\.safetensors"):
        load_agent(path)


@pytest.mark.parametrize("settings", [{"transform": "x"}, {"shaping": "psnr"}])
def test_settings_of_a_training_in_the_file_are_refused_or_ignored(saved, settings):
    path = saved[0]
    settings = json.dumps(load_agent(path).settings | settings)
    try:
        agent = load_agent(rewritten(path, settings=settings))
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert np.isfinite(agent.plan(np.full((8, 8, 3), 0.5, np.float32)).evs).all()


def test_weights_that_are_not_numbers_give_a_clear_error(saved, photos):
    path, policy, task = saved
    with torch.no_grad():
        next(policy.actor.parameters()).fill_(float("nan"))
    save_agent(path, policy, task)
    with pytest.raises(ValueError, match="finite"):
        load_agent(path).plan(photos[0].image)


def as_kind(image: np.ndarray, kind: str) -> np.ndarray:
    match kind:
        case "uint8":
            return (image * 255).round().astype(np.uint8)
        case "uint16":
            return (image * 65535).round().astype(np.uint16)
        case "float64":
            return image.astype(np.float64)
        case "grey":
            return (image[..., 1] * 255).round().astype(np.uint8)
    return image


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "float64", "grey"])
@pytest.mark.parametrize("shape", [(101, 141), (7, 33), (90, 1), (1, 90), (1, 1)])
def test_plans_of_all_kinds_and_sizes(saved, sample_photos, kind, shape):
    agent = load_agent(saved[0])
    image = as_kind(sample_photos[-1][: shape[0], : shape[1]], kind)
    assert image.shape[:2] == shape
    plan = agent.plan(image)
    assert plan.labels.shape == (64, 64) and 1 <= len(plan.evs) <= 4
    assert np.isfinite(plan.evs).all() and (abs(plan.evs) <= 2.5).all()
    assert RetouchPlan.from_json(plan.to_json()).to_json() == plan.to_json()


def test_a_photo_gets_the_same_plan_in_every_dtype(saved, photos):
    agent, image = load_agent(saved[0]), as_kind(photos[-1].image, "uint8")
    plan = agent.plan(image)
    for other in (image.astype(np.uint16) * 257, image.astype(np.float32) / 255, image.astype(np.float64) / 255):
        same = agent.plan(other)
        np.testing.assert_array_equal(same.labels, plan.labels)
        np.testing.assert_allclose(same.evs, plan.evs, atol=1e-5)


@pytest.mark.parametrize("value", [0, 255])
def test_all_black_and_all_white_photos(saved, value):
    plan = load_agent(saved[0]).plan(np.full((50, 70, 3), value, np.uint8))
    assert np.isfinite(plan.evs).all() and len(plan.evs) == plan.labels.max() + 1


@pytest.mark.parametrize("image", [np.zeros((0, 5, 3)), np.full((8, 8, 3), np.nan), np.zeros((8, 8, 4), np.uint8),
                                   np.zeros((8, 8, 3), np.int32), np.full((8, 8, 3), 1.5), "photo.jpg"])
def test_malformed_images_are_refused(saved, image):
    with pytest.raises(ValueError, match="photo"):
        load_agent(saved[0]).plan(image)


@pytest.mark.parametrize("preset", ["recommended", "paper"])
def test_a_plan_is_the_episode_in_the_gym_environment(tmp_path, photos, preset):
    task = ExposureTask(photos, preset=preset, max_segments=5)
    save_agent(tmp_path / FILE_NAME, made_up_policy(task), task)
    agent = load_agent(tmp_path)
    env = gym.make("exposure_env:Exposure/Local-v0", photos=photos, preset=preset, max_segments=5,
                   reward_model=lambda images, **_: images.mean((1, 2, 3)))
    for index in (0, 3, 7, 14):
        observation, start = env.reset(seed=0, options={"photo": index})
        done, evs = False, []
        while not done:
            action, _ = agent.policy.predict(observation, deterministic=True)
            observation, _, done, _, info = env.step(action)
            evs.append(info["ev"])
        plan = agent.plan(photos[index].image)
        np.testing.assert_allclose(plan.evs, evs, atol=1e-5)
        np.testing.assert_array_equal(plan.labels, env.unwrapped.state.labels[0])
        result = plan.render(thumbnail(photos[index].image))
        np.testing.assert_allclose(result, env.unwrapped.result(), atol=1e-5)
        assert len(evs) == start["num_segments"] and max(np.abs(evs)) > 0.01


def test_the_shipped_agent_loads_and_is_small():
    assert SHIPPED.stat().st_size < 2_000_000
    agent = load_agent()
    assert isinstance(agent.segmenter, str) and agent.task().config.max_segments >= 1


def test_the_shipped_agent_brightens_dark_photos_more_than_bright_ones(photos):
    agent = load_agent()
    means = []
    for ev in (-2.0, 0.0, 1.0):
        shifted = [np.clip(expose(photo.image, ev), 0, 1) for photo in photos[-4:]]
        means.append(np.mean([agent.plan(image).evs.mean() for image in shifted]))
    assert means[0] > means[1] > means[2] and means[0] > 0, means


def test_the_shipped_agent_takes_a_photo_as_it_comes(sample_photos):
    image = as_kind(sample_photos[-1], "uint16")
    first, again = load_agent(SHIPPED).plan(image), load_agent().plan(image)
    assert first.to_json() == again.to_json() and abs(first.evs).max() > 0.01


@pytest.mark.parametrize("smuggled", [{"reward_model": "agents.nowhere:Reward"}, {"preset": "paper"}, {"photos": "."}])
def test_a_file_can_bring_no_settings_but_the_tasks_own(tmp_path, smuggled):
    with safe_open(SHIPPED, "pt") as file:
        meta, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    meta["settings"] = json.dumps(json.loads(meta["settings"]) | smuggled)
    save_file(weights, tmp_path / "agent.safetensors", meta)
    with pytest.raises(ValueError, match="don't belong to an agent"):
        load_agent(tmp_path)

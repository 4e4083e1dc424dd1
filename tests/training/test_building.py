"""The agent that a configuration describes."""

from dataclasses import fields, replace

import pytest
import torch

from agents.deep_exposure import Method
from agents.training.building import build
from agents.training.configuration import PRESETS
from tests.training.small import EXPERTS, KEPT, PHOTOS, run


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_builds(preset):
    config = PRESETS[preset]
    model, game = build(replace(config, device="cpu"), PHOTOS, EXPERTS)
    task = model.exposure_env.task.config
    assert model.n_envs == config.num_envs and task.max_segments == config.max_segments
    assert all(getattr(model.method, field.name) == getattr(config, field.name) for field in fields(Method))
    assert model.method.n_batches == 8
    assert model.policy.width == config.width and model.lr_schedule(1) == pytest.approx(config.learning_rate)
    assert game.n_critic == config.n_critic and game.trainer.schedule(1) == pytest.approx(
        config.discriminator_learning_rate)
    assert (task.fusion, task.planes) == {"paper": ("mertens", "paper")}.get(preset, ("mask_pyramid", "full"))


@pytest.mark.parametrize("changes", [
    {"device": "abacus"}, {"device": ""}, {"advantage": "x"}, {"value_image": "x"}, {"task_preset": "x"},
    {"num_envs": 0}, {"batch_size": 0}, {"n_batches": 0}, {"width": 0}, {"halvings": -1}, {"max_segments": 0},
    {"misexposed": 2.0}, {"pooled": -0.5}, {"misexposed_range": (2.0, -2.0)}, {"gradient_penalty": -1.0},
    {"n_critic": 0}, {"warm_up": -1}, {"discriminator_batch_size": 0}, {"learning_rate": -1.0}, {"seed": -1},
    {"total_timesteps": 0}, {"checkpoint_every": 0},
], ids=str)
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(tmp_path, changes):
    (value,) = changes.values()
    with pytest.raises(ValueError) as caught:
        run(tmp_path / "run", replace(KEPT, **changes))
    shown = str(abs(value)) if isinstance(value, int | float) else str(value)
    assert shown.strip("()") in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cuda"):
        run(tmp_path / "run", replace(KEPT, device="cuda"))


def test_auto_finds_a_device():
    model, _ = build(replace(KEPT, device="auto"), PHOTOS, EXPERTS)
    assert model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_empty_data_sets_are_refused(tmp_path):
    with pytest.raises(ValueError, match="photos is empty"):
        run(tmp_path / "run", KEPT, photos=[])
    with pytest.raises(ValueError, match="experts is empty"):
        run(tmp_path / "run", KEPT, experts=[])
    assert not (tmp_path / "run").exists()

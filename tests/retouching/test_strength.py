"""How strongly photos are retouched, and what is said where that is as strongly as it gets."""

import numpy as np
import pytest
import torch

from agents.retouching import Done, make_jobs, warning
from agents.saved_agent import load_agent, save_agent
from exposure_env.files import load_image
from exposure_env.photos import sample_photos
from exposure_env.retouch import RetouchPlan, apply_plan
from tests.retouching.small import run


def test_the_results_and_the_plans_are_scaled(photos, out):
    """Half is what the plan with half the exposures gives, not half the change."""
    agent, pixels = load_agent(), load_image(photos / "a.png").pixels
    whole = agent.plan(pixels)
    for strength in (0.5, 2):
        assert run(photos / "a.png", "-o", out, "--strength", strength, "--plans") == 0
        written = RetouchPlan.load(out / "a.json")
        np.testing.assert_array_equal(written.evs, whole.evs * strength)
        np.testing.assert_array_equal(load_image(out / "a.png").pixels, apply_plan(written, pixels))


def test_strength_0_leaves_photos_as_they_are(photos, out, capsys):
    assert run(photos / "a.png", photos / "c.tif", "-o", out, "--strength", "0") == 0
    for name in ("a.png", "c.tif"):
        np.testing.assert_array_equal(load_image(out / name).pixels, load_image(photos / name).pixels)
    assert "-0.00" not in capsys.readouterr().out


@pytest.mark.parametrize("strength", ["-0.1", "2.1", "nan", "inf"])
def test_a_strength_out_of_range_is_one_line(photos, out, capsys, strength):
    assert run(photos, "-o", out, "--strength", strength) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("exposure: strength must lie between 0 and 2, not ") and errors.count("\n") == 1
    assert not out.exists()


def test_a_photo_at_the_limit_is_named_with_advice(photos, out, tmp_path, capsys):
    """By an agent whose actor is so steep that it knows the largest exposures only."""
    agent, model = load_agent(), tmp_path / "agent.safetensors"
    with torch.no_grad():
        for parameter in agent.policy.actor.parameters():
            parameter *= 30
    save_agent(model, agent.policy, agent.task(sample_photos("test", 1)))
    assert run(photos / "a.png", photos / "c.tif", "-o", out, "--model", model) == 0
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 2 and "c.tif" in warned[1]
    assert warned[0].startswith(f"warning: {photos / 'a.png'}: ")
    assert "% of it is at the limit of this agent, 3 EV, or beyond" in warned[0]
    assert "--strength" in warned[0] and "--model" in warned[0] and str(out / "a.png") in warned[0]
    assert run(photos, "-o", out, "--model", model, "--strength", "0.9") == 0 and not capsys.readouterr().err


@pytest.mark.parametrize(("evs", "told"), [
    ([2.97, 0.0], "20 %"),  # 0.99 of three stops
    ([-3.0, 0.0], "20 %"),
    ([2.96, -2.96], None),
    ([0.0, 3.0], "80 %"),
])
def test_what_counts_as_at_the_limit(tmp_path, evs, told):
    (job,) = make_jobs([tmp_path / "a.png"], tmp_path / "out")
    warned = warning(load_agent(), Done(job, RetouchPlan([[0, 1, 1, 1, 1]], evs)))
    assert warned is None if told is None else told in warned


def test_a_tenth_of_the_photo_is_not_worth_a_warning(tmp_path):
    (job,) = make_jobs([tmp_path / "a.png"], tmp_path / "out")
    assert warning(load_agent(), Done(job, RetouchPlan([[0] + [1] * 9], [3.0, 0.0]))) is None
    assert "11 %" in warning(load_agent(), Done(job, RetouchPlan([[0] + [1] * 8], [3.0, 0.0])))

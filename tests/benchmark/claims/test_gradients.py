"""The gradients of the forms, compared."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.benchmark.claims.gradients import compare_gradients, cosine, gradient
from agents.deep_exposure.gradients import GRADIENTS
from agents.training.building import build
from exposure_env.episode import select
from tests.benchmark.claims.small import BASE, finished


def test_cosines_by_hand():
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])) == pytest.approx(0.5**0.5)
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])) is None


def test_gradients_of_the_forms(protocol, one_thread):
    """Of one segment all forms are the same gradient; of many, II's one-step gradient is not the whole one."""
    for segments in (1, 6):
        forms = {}
        for name, changes in {"II, final": {}, "II, next": {"value_image": "next"}, "pathwise": {"value": "pathwise"},
                              "I": {"value": "critic", "shaping": False}}.items():
            config = replace(BASE, gamma=1.0, ev_penalty=0.0, max_segments=segments, **changes)
            form, _ = build(config, protocol.inputs, protocol.experts)
            if forms:
                form.policy.actor = forms["II, final"].policy.actor
                form.set_env(forms["II, final"].env, force_reset=False)
            else:
                torch.nn.init.normal_(form.policy.actor.stack.head.weight, std=0.1)
            forms[name] = form
        states = finished(forms["II, final"].exposure_env.task, 0.2)
        found = compare_gradients(forms, states)
        cosines = found["cosines"]
        assert all(cosines[name][name] == pytest.approx(1, abs=1e-5) for name in forms)
        assert cosines["I"]["pathwise"] == pytest.approx(cosines["pathwise"]["I"], abs=1e-5)
        if segments == 1:
            assert min(min(row.values()) for row in cosines.values()) > 0.9999
            assert np.ptp(list(found["norms"].values())) < 1e-3 * found["norms"]["I"]
        else:
            assert max(cosines[name]["I"] for name in ("II, final", "pathwise")) < 0.999
    loss, _ = GRADIENTS["discriminator"](forms["II, next"], states)  # the form's own loss, all episodes at once
    weights = list(forms["II, next"].policy.actor.parameters())
    whole = torch.cat([part.flatten() for part in torch.autograd.grad(-loss, weights)])
    assert torch.allclose(gradient(forms["II, next"], states), whole, atol=1e-5 * float(whole.abs().max()))
    halves = torch.arange(len(states.step)).tensor_split(2)
    first, second = (gradient(forms["I"], select(states, half)) for half in halves)
    assert found["halves"]["I"] == pytest.approx(cosine(first, second), abs=1e-5)

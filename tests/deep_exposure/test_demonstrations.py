"""Demonstrations: experts' photos, misexposed, and the plan that undoes it."""

import numpy as np
import pytest
import torch

from agents.deep_exposure.demonstrations import Demonstrations, learn_from
from exposure_env import ExposureTask
from exposure_env.photos import Misexpose, Variants, sample_photos
from tests.deep_exposure.small import agent

EXPERTS = sample_photos("experts", 6)
TASK = ExposureTask(sample_photos("inputs", 2), size=16, max_segments=3)

pytestmark = pytest.mark.usefixtures("one_thread")


def demonstrations(seed: int = 0) -> Demonstrations:
    return Demonstrations(Variants(EXPERTS, Misexpose((-2.0, -2.0), local=0.0), 4), TASK, batch_size=8, seed=seed)


def test_they_are_experts_photos_misexposed_with_the_good_ones_as_targets():
    source = demonstrations()
    first, second = source.batch(), source.batch()
    assert first.photos.shape == first.targets.shape == (8, 16, 16, 3)
    assert (first.photos.mean((1, 2, 3)) < first.targets.mean((1, 2, 3))).all()
    assert not np.array_equal(first.photos, second.photos)
    np.testing.assert_array_equal(demonstrations().batch().photos, first.photos)


def test_their_state_can_be_kept():
    source, other = demonstrations(), demonstrations(5)
    source.batch()
    other.load_state_dict(source.state_dict())
    np.testing.assert_array_equal(source.batch().photos, other.batch().photos)


@pytest.mark.parametrize("actor", ["planes", "segments"])
def test_an_actor_learns_from_them_alone(actor):
    """Two stops of darkness everywhere, and a rendering that can undo it."""
    model = agent(width=8, actor=actor)
    told = learn_from(demonstrations(), model, 40, 5e-3)
    assert len(told) == 40 and np.mean(told[-5:]) > np.mean(told[:5]) + 2.5


def test_the_warm_started_actor_is_the_reference_and_stays_as_it_is():
    settings = {"warm_start": 2, "reference_penalty": 10.0, "demonstration_weight": 0.1}
    model = agent(width=8, actor="segments", demonstrations=demonstrations(), **settings)
    model.learn(64)
    kept, learned = model.reference.state_dict(), model.policy.actor.state_dict()
    assert any(not torch.equal(kept[name], learned[name]) for name in kept) and len(model.warm_start_psnr) == 2
    assert not any(weights.requires_grad for weights in model.reference.parameters())
    again = agent(width=8, actor="segments", demonstrations=demonstrations(), **settings)
    again.load_state_dict(model.state_dict())
    assert all(torch.equal(weights, again.reference.state_dict()[name]) for name, weights in kept.items())


@pytest.mark.parametrize("settings, message", [
    ({"warm_start": 5}, "need demonstrations"), ({"demonstration_weight": 1.0}, "need demonstrations"),
    ({"reference_penalty": 1.0}, "set warm_start, too"), ({"warm_start": -1}, "warm_start must be at least 0"),
])
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ValueError, match=message):
        agent(**settings)

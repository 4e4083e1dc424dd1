"""The policy that looks at segments."""

import numpy as np
import pytest
import torch

from agents.planes import Visited, planes
from agents.policy import ExposurePolicy
from agents.saved_agent import ACTION_SPACE, load_agent, save_agent
from agents.segment_actor import NUMBERS, SegmentActor, log_light
from exposure_env import ExposureTask, episode
from exposure_env.image import composite
from exposure_env.observations import observation_space
from exposure_env.photos import sample_photos

TASK = ExposureTask(sample_photos("test", 4), max_segments=4)
SPACE = observation_space(TASK.config, "uint8")

pytestmark = pytest.mark.usefixtures("one_thread")


def actor(**settings) -> SegmentActor:
    """One whose head has learned something, though nothing in particular."""
    torch.manual_seed(0)
    made = SegmentActor(12, 64, 8, **settings)
    for layer in (made.field, made.residual):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return made.eval()


def states() -> episode.EpisodeState:
    scenes = TASK.scenes([0, 1, 2, 3], [np.random.default_rng(0)] * 4)
    return TASK.start(scenes).map(torch.as_tensor)


def test_before_any_training_it_leaves_the_photo_alone():
    seen = planes(TASK, "float32", states())
    assert SegmentActor(12, 64, 8)(seen).abs().max() == 0 and actor()(seen).abs().min() > 0


def played(evs: tuple[float, ...] = (0.5, -1.0, 2.0, 0.3)) -> episode.EpisodeState:
    state = states()
    for ev in evs:
        state = episode.advance(state, torch.full((4,), ev))
    return state


def test_in_all_states_at_once_it_says_what_it_says_step_by_step_and_to_the_planes():
    made, finished = actor(halvings=1), played()
    seen = Visited(TASK, finished, 1)
    together, state = made.acts(seen), episode.untouched(finished)
    memory = made.remember(TASK, state)
    for step in range(4):
        begun = state.step < state.num_segments
        here = together[(seen.states.step == step)]
        torch.testing.assert_close(made.act(TASK, "float32", state, memory)[begun], here, rtol=0, atol=1e-5)
        torch.testing.assert_close(made(planes(TASK, "float32", state))[begun, 0], here, rtol=0, atol=1e-5)
        state = episode.advance(state, finished.evs[:, step])


def test_it_knows_area_place_and_light():
    """A photo whose left half is four times as bright as its right half, in linear light."""
    photo = torch.full((1, 3, 64, 64), 0.2140)  # linear 0.0377
    photo[..., :32] = 0.4251  # linear 0.1508
    masks = torch.zeros(1, 2, 32, 32)
    masks[:, 0, :, :16] = masks[:, 1, :, 16:] = 1
    look = actor(halvings=1).look(photo, masks)
    assert look.areas.tolist() == [[0.5, 0.5]]
    down, across = look.numbers[0, :, 0], look.numbers[0, :, 1]
    assert down.abs().max() < 1e-6 and across.tolist() == pytest.approx([-0.516, 0.516], abs=1e-3)
    (segment, ring, whole), (_, other, _) = 4 * (log_light(look.light[0]) - 1)
    assert segment == pytest.approx(np.log2(0.1508 + 2**-9), abs=0.05) and other - ring == pytest.approx(2, abs=0.2)
    assert segment - whole == pytest.approx(np.log2(0.1508 / 0.0943), abs=0.1)
    assert look.numbers.shape[-1] + 9 == NUMBERS


def test_what_was_done_changes_what_comes():
    made, state = actor(), states()
    after = [episode.advance(state, torch.full((4,), ev)) for ev in (-1.0, 1.0)]
    dark, bright = (made(planes(TASK, "float32", each)) for each in after)
    assert (dark - bright).abs().max() > 1e-3


def test_the_order_of_the_segments_hardly_matters_to_an_untrained_one():
    """Another order changes only what was done before each step."""
    made, state = actor(), states()
    reverse = state._replace(labels=state.num_segments[:, None, None].to(torch.int32) - 1 - state.labels)
    plans = []
    for each in (state, reverse):
        while not episode.is_done(each).all():
            each = episode.advance(each, 3 * made(planes(TASK, "float32", each))[:, 0].detach())
        plans.append(composite(each.evs, each.labels))
    assert (plans[0] - plans[1]).abs().mean() < 0.1


@pytest.mark.parametrize("arguments, message", [
    ((9, 64), 'needs all 12 planes, not 9: set planes="full"'), ((12, 24), "a multiple of 16 px"),
    ((12, 64, 8, 3), "a multiple of 16 px after 3 halvings, not 8"),
])
def test_planes_that_do_not_suit_it(arguments, message):
    with pytest.raises(ValueError, match=message):
        SegmentActor(*arguments)


def test_a_policy_with_it_plays_and_is_kept(tmp_path):
    policy = ExposurePolicy(SPACE, ACTION_SPACE, width=8, halvings=1, actor="segments")
    policy.actor.load_state_dict(actor().state_dict())
    save_agent(tmp_path / "agent.safetensors", policy, TASK)
    loaded = load_agent(tmp_path / "agent.safetensors")
    assert isinstance(loaded.policy.actor, SegmentActor)
    photo = TASK.photos[0].image
    evs = loaded.plan(photo).evs
    assert len(evs) > 1 and np.abs(evs).max() > 0
    np.testing.assert_array_equal(evs, loaded.plan(photo).evs)
    with pytest.raises(ValueError, match="actor must be one of"):
        ExposurePolicy(SPACE, ACTION_SPACE, actor="horse")

"""What networks see of finished episodes, put together from what is known of photos and segments."""

import numpy as np
import pytest
import torch

from agents.planes import Visited, halved, planes
from exposure_env import ExposureTask, episode
from exposure_env.photos import sample_photos

pytestmark = pytest.mark.usefixtures("one_thread")


def finished(task: ExposureTask) -> episode.EpisodeState:
    state = task.start(task.scenes([0, 1, 2], [np.random.default_rng(0)] * 3)).map(torch.as_tensor)
    while not episode.is_done(state).all():
        state = episode.advance(state, torch.linspace(-1, 2, 3) * (1 - 0.5 * state.step[0]))
    return state


@pytest.mark.parametrize("halvings", [0, 1, 2])
@pytest.mark.parametrize("kind", ["full", "paper"])
def test_the_planes_of_all_states_are_those_of_each_averaged(kind, halvings):
    task = ExposureTask(sample_photos("test", 3), max_segments=4, size=32, planes=kind)
    seen = Visited(task, finished(task), halvings)
    torch.testing.assert_close(seen.planes, halved(planes(task, "float32", seen.states), halvings), rtol=0, atol=1e-6)


def test_the_planes_after_other_exposures_and_their_gradient():
    task = ExposureTask(sample_photos("test", 3), max_segments=4, size=32)
    seen = Visited(task, finished(task), 1)
    which = seen.states.step < seen.states.num_segments - 1
    evs = torch.linspace(-1, 1, len(which), requires_grad=True)
    fast = seen.planes_after(evs, which)
    slow = halved(planes(task, "float32", episode.advance(seen.states, evs)), 1)[which]
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-6)
    weights = torch.randn(fast.shape, generator=torch.Generator().manual_seed(0))
    gradients = [torch.autograd.grad((weights * images).sum(), evs)[0] for images in (fast, slow)]
    assert (gradients[0][which] != 0).all() and (gradients[0][~which] == 0).all()
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)

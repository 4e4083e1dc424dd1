"""Pictures that are sums of increments, against rendering every state by itself."""

import numpy as np
import pytest
import torch

from exposure_env.episode import EpisodeState, advance, start, visited
from exposure_env.fusion import resolve_fusion
from exposure_env.image import clip
from exposure_env.increments import increment, pictures_before


def finished(size, num_segments, as_torch, dtype=np.float64):
    """Two finished episodes, the second one segment shorter."""
    rng = np.random.default_rng(0)
    photos = rng.uniform(0, 1, (2, *size, 3)).astype(dtype)
    labels = rng.integers(0, num_segments, (2, *size))
    labels[1] = np.minimum(labels[1], max(num_segments - 2, 0))
    labels[:, 0, : num_segments] = np.arange(num_segments)[: size[1]]
    labels[1] = np.minimum(labels[1], max(num_segments - 2, 0))
    state = start(photos, labels, num_segments)
    for _ in range(num_segments):
        state = advance(state, rng.uniform(-2, 2, 2).astype(dtype))
    return EpisodeState(*(torch.as_tensor(a) if as_torch and a is not None else a for a in state))


@pytest.mark.parametrize("fusion", ["local", "mask_pyramid"])
@pytest.mark.parametrize("space", ["linear", "encoded"])
@pytest.mark.parametrize("as_torch", [False, True], ids=["NumPy", "Torch"])
@pytest.mark.parametrize("size, num_segments", [((16, 16), 4), ((13, 9), 3), ((1, 7), 2), ((8, 8), 1)])
def test_pictures_are_those_of_the_rendering(fusion, space, as_torch, size, num_segments):
    episodes = finished(size, num_segments, as_torch)
    episode, states = visited(episodes)
    render = resolve_fusion(fusion)
    before = pictures_before(episodes, episode, states, fusion, space)
    ours = clip(before)
    expected = render(states.photos, states.labels, states.evs, states.step, space=space)
    np.testing.assert_allclose(ours, expected, atol=1e-9)

    evs = states.photos[:, 0, 0, 0] * 3 - 1
    after = clip(before + increment(states, evs, fusion, space))
    following = advance(states, evs)
    expected = render(following.photos, following.labels, following.evs, following.step, space=space)
    np.testing.assert_allclose(after, expected, atol=1e-9)


@pytest.mark.parametrize("fusion", ["local", "mask_pyramid"])
def test_gradients_are_those_of_the_rendering(fusion):
    episodes = finished((16, 16), 3, True)
    episode, states = visited(episodes)
    evs = torch.linspace(-1, 1, len(episode), dtype=torch.float64, requires_grad=True)
    after = clip(pictures_before(episodes, episode, states, fusion) + increment(states, evs, fusion))
    following = advance(states, evs)
    expected = resolve_fusion(fusion)(following.photos, following.labels, following.evs, following.step)
    gradients = [torch.autograd.grad(image.square().sum(), evs, retain_graph=True)[0] for image in (after, expected)]
    np.testing.assert_allclose(*gradients, atol=1e-8)
    assert gradients[0].abs().min() > 1e-3


def test_no_exposure_adds_nothing_and_keeps_the_dtype():
    episodes = finished((16, 16), 3, False, np.float32)
    _, states = visited(episodes)
    added = increment(states, np.zeros(len(states.step), np.float32), "mask_pyramid")
    assert added.dtype == np.float32 and not added.any()

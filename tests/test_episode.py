import math

import numpy as np
import pytest
import torch

from exposure_env.episode import CHANNELS, advance, is_done, local_image, observe, start

kinds = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
PHOTO = np.full((1, 2, 2, 3), 0.25, np.float32) * np.array([1, 0.5, 2], np.float32)  # every pixel 0.25, 0.125, 0.5
LABELS = np.array([[[0, 0], [1, 1]]], np.int32)  # the upper row, then the lower


def random_batch(kind, lengths=(1, 3, 2), size=8):
    rng = np.random.default_rng(0)
    photos = rng.random((len(lengths), size, size, 3)).astype(np.float32) * 0.5
    labels = np.stack([np.arange(size * size).reshape(size, size) * k // size**2 for k in lengths]).astype(np.int32)
    return kind(photos), kind(labels), [kind(ev) for ev in rng.uniform(-1, 1, (3, len(lengths))).astype(np.float32)]


def assert_same(state, other):
    for field, expected in zip(state, other, strict=True):
        assert (field is None) == (expected is None)
        if field is not None:
            np.testing.assert_array_equal(field, expected)


@kinds
def test_start_counts_the_segments_and_shows_the_photo(kind):
    state = start(kind(PHOTO), kind(LABELS), max_segments=4)
    assert tuple(state.evs.shape) == (1, 4) and not np.asarray(state.evs).any()
    assert (int(state.step[0]), int(state.num_segments[0]), state.targets) == (0, 2, None)
    assert state.evs.dtype == state.photos.dtype and not bool(is_done(state)[0])
    np.testing.assert_array_equal(local_image(state), PHOTO)
    assert start(kind(PHOTO), kind(LABELS), 4, kind(PHOTO + 0.1)).targets is not None


@kinds
def test_two_steps_expose_the_upper_row_and_then_the_lower(kind):
    state = start(kind(PHOTO), kind(LABELS), max_segments=3)
    state = advance(state, kind(np.array([1.0], np.float32)))
    np.testing.assert_array_equal(state.evs, [[1, 0, 0]])
    assert not bool(is_done(state)[0])
    expected = PHOTO.copy()
    expected[:, 0] *= 2
    np.testing.assert_allclose(local_image(state, "encoded"), expected, rtol=1e-6)
    state = advance(state, kind(np.array([-2.0], np.float32)))
    np.testing.assert_array_equal(state.evs, [[1, -2, 0]])
    assert bool(is_done(state)[0])
    expected[:, 1] /= 4
    np.testing.assert_allclose(local_image(state, "encoded"), expected, rtol=1e-6)


@kinds
def test_local_image_is_clipped_and_light_doubles_by_default(kind):
    state = advance(start(kind(PHOTO), kind(LABELS), 2), kind(np.array([1.0], np.float32)))
    # sRGB 0.25 is 0.0508761 of light; twice that is 0.3521261 in sRGB
    assert float(local_image(state)[0, 0, 0, 0]) == pytest.approx(0.3521261, abs=1e-6)
    state = advance(start(kind(PHOTO), kind(LABELS), 2), kind(np.array([9.0], np.float32)))
    assert float(local_image(state)[0, 0].min()) == 1 and float(local_image(state)[0, 1].max()) == 0.5


@kinds
@pytest.mark.parametrize("planes", ["paper", "full"])
def test_observation_planes_by_value(kind, planes):
    state = advance(start(kind(PHOTO), kind(LABELS), 3), kind(np.array([1.0], np.float32)))
    seen = np.asarray(observe(state, local_image(state, "encoded"), planes))
    assert seen.shape == (1, 2, 2, CHANNELS[planes]) and seen.dtype == np.float32
    pixel = PHOTO[0, 0, 0]
    upper = [*pixel, 0, 0, 0, *(2 * pixel)]  # the photo, not in the next segment, exposed by one stop
    lower = [*pixel, *pixel, *pixel]  # the photo, in the next segment, not exposed yet
    if planes == "full":  # to expose, done, half of the steps taken
        upper, lower = [*upper, 0, 1, 0.5], [*lower, 1, 0, 0.5]
    np.testing.assert_allclose(seen[0], [[upper, upper], [lower, lower]], rtol=1e-6)


@kinds
def test_first_and_last_observation_by_value(kind):
    first = start(kind(PHOTO), kind(LABELS), 2)
    pixel = PHOTO[0, 0, 0]
    seen = np.asarray(observe(first, local_image(first), "full"))
    np.testing.assert_array_equal(seen[0, 0, 0], [*pixel, *pixel, *pixel, 1, 0, 0])
    np.testing.assert_array_equal(seen[0, 1, 1], [*pixel, 0, 0, 0, *pixel, 0, 0, 0])
    last = advance(advance(first, kind(np.zeros(1, np.float32))), kind(np.zeros(1, np.float32)))
    final = kind(np.full_like(PHOTO, 1.5))  # what comes out at the end, whatever it is; clipped to be seen
    seen = np.asarray(observe(last, final, "full"))
    np.testing.assert_array_equal(seen[0], np.broadcast_to([*pixel, 0, 0, 0, 1, 1, 1, 0, 1, 1], (2, 2, 12)))


@kinds
def test_only_the_full_planes_tell_a_black_segment_from_outside(kind):
    state = start(kind(np.zeros_like(PHOTO)), kind(LABELS), 2)
    assert not np.asarray(observe(state, local_image(state), "paper")).any()
    seen = np.asarray(observe(state, local_image(state), "full"))
    np.testing.assert_array_equal(seen[0, :, :, 9], [[1, 1], [0, 0]])


@kinds
def test_advance_changes_nothing_in_finished_episodes(kind):
    state = start(kind(PHOTO), kind(LABELS), max_segments=2)
    for ev in (0.5, -0.5):
        state = advance(state, kind(np.array([ev], np.float32)))
    assert_same(advance(state, kind(np.array([3.0], np.float32))), state)
    short = advance(start(kind(PHOTO), kind(np.zeros_like(LABELS)), 4), kind(np.array([0.5], np.float32)))  # room left
    assert_same(advance(short, kind(np.array([3.0], np.float32))), short)


@kinds
def test_advance_leaves_the_earlier_state_as_it_was(kind):
    before = start(kind(PHOTO), kind(LABELS), 2)
    advance(before, kind(np.array([1.0], np.float32)))
    assert_same(before, start(kind(PHOTO), kind(LABELS), 2))


@kinds
def test_episodes_of_differing_length_run_side_by_side_as_they_do_alone(kind):
    photos, labels, actions = random_batch(kind)
    batch = start(photos, labels, max_segments=4)
    alone = [start(photos[i : i + 1], labels[i : i + 1], max_segments=4) for i in range(3)]
    finished = []
    for action in actions:
        batch = advance(batch, action)
        alone = [advance(state, action[i : i + 1]) for i, state in enumerate(alone)]
        finished.append(np.asarray(is_done(batch)).tolist())
        seen = np.asarray(observe(batch, local_image(batch)))
        for i, state in enumerate(alone):
            np.testing.assert_allclose(seen[i : i + 1], observe(state, local_image(state)), atol=1e-6)
            np.testing.assert_array_equal(batch.evs[i : i + 1], state.evs)
    assert finished == [[True, False, False], [True, False, True], [True, True, True]]
    assert np.asarray(batch.step).tolist() == [1, 3, 2]
    by_hand = np.zeros((3, 4), np.float32)
    for i, length in enumerate((1, 3, 2)):
        by_hand[i, :length] = [actions[t][i] for t in range(length)]
    np.testing.assert_array_equal(batch.evs, by_hand)


def test_torch_equals_numpy_at_every_step():
    def observations(kind):
        photos, labels, actions = random_batch(kind)
        state = start(photos, labels, max_segments=4)
        for action in actions:
            state = advance(state, action)
            yield observe(state, local_image(state))

    for on_numpy, on_torch in zip(observations(np.asarray), observations(torch.from_numpy), strict=True):
        assert on_numpy.dtype == np.float32 and on_torch.dtype == torch.float32
        np.testing.assert_allclose(on_torch, on_numpy, atol=1e-6)


@pytest.mark.parametrize("planes", ["paper", "full"])
def test_gradient_flows_from_the_observation_to_the_exposure_by_hand(planes):
    ev = torch.tensor([0.5], requires_grad=True)
    state = advance(start(torch.from_numpy(PHOTO), torch.from_numpy(LABELS), 2), ev)
    (gradient,) = torch.autograd.grad(observe(state, local_image(state, "encoded"), planes).sum(), ev)
    # Only the upper row of the local image depends on it: d/dev (sum * 2^ev) = ln 2 * sum * 2^ev, sum = 2 * 0.875
    assert float(gradient[0]) == pytest.approx(math.log(2) * 1.75 * math.sqrt(2), rel=1e-5)


def test_gradient_reaches_every_exposure_of_an_episode_and_no_finished_one():
    photos, labels, _ = random_batch(torch.from_numpy)
    evs = [torch.zeros(3, requires_grad=True) for _ in range(4)]
    state = start(photos, labels, 4)
    for ev in evs:
        state = advance(state, ev)
    local_image(state).sum().backward()
    assert [(ev.grad != 0).tolist() for ev in evs] == [
        [True, True, True], [False, True, True], [False, True, False], [False, False, False]]  # fmt: skip
    assert all(torch.isfinite(ev.grad).all() for ev in evs)

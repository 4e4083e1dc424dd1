import math

import numpy as np
import pytest
import torch

from exposure_env.episode import shaping
from exposure_env.rewards import REWARDS, resolve_reward, score

kinds = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
DARK, GREY = np.full((2, 4, 5, 3), 0.1, np.float32), np.full((2, 4, 5, 3), 0.5, np.float32)


def brightness(images):
    return images.mean((1, 2, 3))


class Brightness:
    """A reward model as the protocol has it."""

    differentiable = True

    def __call__(self, images, *, inputs, targets):
        return images.mean((1, 2, 3))


@kinds
@pytest.mark.parametrize("name, expected", [("psnr", 20.0), ("negative_mse", -0.01)])
def test_a_constant_error_of_a_tenth_is_20_db(kind, name, expected):
    targets = np.random.default_rng(0).random((3, 8, 8, 3)) * 0.8
    scores = score(resolve_reward(name), kind(targets + 0.1), kind(targets), kind(targets))
    assert tuple(scores.shape) == (3,)
    np.testing.assert_allclose(scores, [expected] * 3, rtol=1e-6)


@kinds
def test_psnr_of_each_image_of_a_batch_by_hand(kind):
    targets = np.zeros((3, 2, 2, 3))
    images = np.zeros((3, 2, 2, 3))
    images[1, 0, 0, 0] = 1  # one of twelve values off by 1: MSE 1/12
    images[2] = 1
    scores = score(resolve_reward("psnr"), kind(images), kind(targets), kind(targets))
    np.testing.assert_allclose(scores, [100, 10 * math.log10(12), 0], atol=1e-6)


@kinds
def test_well_exposedness_by_hand(kind):
    images = np.stack([np.full((4, 5, 3), value, np.float32) for value in (0.5, 0.0, 1.0)])
    half_and_half = np.concatenate([images[:1, :2], images[1:2, 2:]], axis=1)  # grey above, black below
    images = np.concatenate([images, half_and_half])
    black = math.exp(-3 * 0.25 / 0.08)
    scores = score(resolve_reward("well_exposedness"), kind(images), kind(images), None)
    np.testing.assert_allclose(scores, [1, black, black, (1 + black) / 2], rtol=1e-5)
    assert scores.dtype == kind(images).dtype


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_torch_equals_numpy_and_dtype_is_kept(name):
    images, targets = np.random.default_rng(0).random((2, 4, 8, 9, 3)).astype(np.float32)
    reward = resolve_reward(name)
    on_numpy, on_torch = (
        score(reward, kind(images), kind(images), kind(targets)) for kind in (np.asarray, torch.from_numpy)
    )
    assert on_numpy.dtype == np.float32 and on_torch.dtype == torch.float32
    np.testing.assert_allclose(on_torch, on_numpy, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_built_in_rewards_are_differentiable_as_they_say(name):
    targets = torch.rand(2, 8, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images = (targets * 0.5 + 0.2).requires_grad_()
    reward = resolve_reward(name)
    assert reward.differentiable
    assert torch.autograd.gradcheck(lambda images: score(reward, images, targets, targets), (images,))


def test_gradient_of_psnr_by_hand():
    # d PSNR / d x = -20 / ln 10 * (x - y) / (n * MSE); all 60 values off by 0.1 (MSE 0.01): -20 / ln 10 * 0.1 / 0.6
    images = torch.full((1, 4, 5, 3), 0.6, dtype=torch.float64, requires_grad=True)
    score(resolve_reward("psnr"), images, images, torch.full((1, 4, 5, 3), 0.5, dtype=torch.float64)).sum().backward()
    np.testing.assert_allclose(images.grad, np.full((1, 4, 5, 3), -20 / math.log(10) * 0.1 / 0.6), rtol=1e-6)


@pytest.mark.parametrize("name", ["psnr", "negative_mse"])
def test_comparing_rewards_without_targets_is_an_error(name):
    with pytest.raises(ValueError, match="target"):
        score(resolve_reward(name), DARK, DARK, None)


@kinds
@pytest.mark.parametrize(
    "spec, expected",
    [
        (Brightness(), 0.5),
        (brightness, 0.5),
        (lambda images: brightness(images), 0.5),
        (lambda images, inputs: brightness(images - inputs), 0.4),
        (lambda images, targets: brightness(images - targets), -0.5),
        (lambda images, *, targets, inputs: brightness(images - inputs - targets), -0.6),
        (lambda images, **context: brightness(images - context["inputs"]), 0.4),
    ],
    ids=["protocol", "function", "lambda", "inputs", "targets", "both", "context"],
)
def test_objects_and_functions_of_any_part_of_the_context_are_rewards(kind, spec, expected):
    scores = score(resolve_reward(spec), kind(GREY), kind(DARK), kind(np.ones_like(GREY)))
    np.testing.assert_allclose(scores, [expected] * 2, rtol=1e-6)


def test_a_torch_module_of_images_alone_is_a_reward():
    class Scorer(torch.nn.Module):
        def forward(self, images):
            return images.mean((1, 2, 3))

    images = torch.from_numpy(GREY)
    np.testing.assert_allclose(score(resolve_reward(Scorer()), images, images, None), [0.5, 0.5])


def test_a_function_does_not_claim_to_be_differentiable_and_an_object_keeps_its_word():
    model = Brightness()
    assert resolve_reward(model) is model
    assert resolve_reward(brightness).differentiable is False


def test_module_and_attribute_are_imported_and_a_class_is_instantiated(tmp_path, monkeypatch):
    (tmp_path / "my_scores.py").write_text(
        "def darkness(images):\n    return 1 - images.mean((1, 2, 3))\n\n\n"
        "class Change:\n    differentiable = True\n\n"
        "    def __call__(self, images, *, inputs, targets):\n        return (images - inputs).mean((1, 2, 3))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    np.testing.assert_allclose(score(resolve_reward("my_scores:darkness"), DARK, DARK, None), [0.9, 0.9], rtol=1e-6)
    change = resolve_reward("my_scores:Change")
    assert change.differentiable
    np.testing.assert_allclose(score(change, GREY, DARK, None), [0.4, 0.4], rtol=1e-6)


@pytest.mark.parametrize(
    "spec", ["beauty", "", "json", "json:nothing", "no_such_module:score", "math:pi", ":psnr", ".rewards:psnr", 3, None]
)
def test_unknown_rewards_are_errors_that_name_what_was_asked_for(spec):
    wanted = str(math.pi) if spec == "math:pi" else str(spec)
    with pytest.raises(ValueError) as error:
        resolve_reward(spec)
    assert wanted in str(error.value)


@kinds
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_scores_of_the_wrong_shape_are_an_error_that_names_the_shape_and_the_reward(kind, shape):
    def wrong_shape(images):
        return kind(np.zeros(shape))

    with pytest.raises(ValueError, match="wrong_shape") as error:
        score(resolve_reward(wrong_shape), kind(GREY), kind(DARK), None)
    assert str(shape) in str(error.value)


@kinds
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_an_error_that_names_them_and_the_reward(kind, bad):
    def broken(images):
        return kind(np.array([0.5, bad]))

    with pytest.raises(ValueError, match="broken") as error:
        score(resolve_reward(broken), kind(GREY), kind(DARK), None)
    assert str(bad) in str(error.value)


def test_a_list_of_scores_will_do():
    scores = score(resolve_reward(lambda images: [1.0, 2.0]), GREY, DARK, None)
    assert isinstance(scores, np.ndarray) and scores.tolist() == [1, 2]


@kinds
@pytest.mark.parametrize("gamma", [1.0, 0.99, 0.5])
def test_shaping_telescopes_to_minus_the_first_potential_whatever_the_length(kind, gamma):
    rng = np.random.default_rng(0)
    lengths = np.array([1, 2, 3, 5, 8])
    potentials = rng.normal(0, 10, (9, 5))
    returns = np.zeros(5)
    for step in range(8):
        done = step + 1 >= lengths
        rewards = shaping(kind(potentials[step]), kind(potentials[step + 1]), kind(done), gamma)
        returns += np.where(step < lengths, gamma**step * np.asarray(rewards), 0)
    np.testing.assert_allclose(returns, -potentials[0], atol=1e-6)


@kinds
def test_shaping_by_hand(kind):
    before, after = kind(np.array([2.0, 2.0])), kind(np.array([3.0, 3.0]))
    np.testing.assert_allclose(shaping(before, after, kind(np.array([False, True])), 0.9), [0.7, -2.0])


def test_a_plain_function_may_say_that_it_is_differentiable():
    def mid_grey(images):
        return -abs(images.mean((1, 2, 3)) - 0.46)

    mid_grey.differentiable = True
    model = resolve_reward(mid_grey)
    images = np.full((2, 4, 4, 3), 0.46, np.float32)
    assert model.differentiable
    np.testing.assert_allclose(score(model, images, images, None), [0, 0], atol=1e-6)


def test_scores_that_are_no_numbers_are_refused():
    images = np.zeros((2, 4, 4, 3), np.float32)
    with pytest.raises(ValueError, match="want real numbers"):
        score(resolve_reward(lambda images: ["good"] * len(images)), images, images, None)

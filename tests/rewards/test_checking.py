import numpy as np
import pytest
import torch
from torch import nn

from agents import DeepExposure
from agents.rewards import InvalidReward, TorchReward, check_reward_model
from agents.rewards.checking import require_gradient
from agents.vec_env import ExposureVecEnv
from exposure_env import sample_photos
from exposure_env.rewards import REWARDS, reward_names

# What wants other than an expert's exposure: their preference is a matter of the photos, not of the model's correctness
TASTES = {"entropy", "colourfulness", "unclipped", "well_exposedness", "mean_luminance", "sliced_wasserstein"}


def level(images):
    return images.mean((1, 2, 3)) if isinstance(images, np.ndarray) else images.mean(dim=(1, 2, 3))


def model(call, **attributes):
    """A reward model with these attributes that calls `call(images, inputs, targets)`."""
    def reward(images, *, inputs, targets):
        return call(images, inputs, targets)

    for name, value in attributes.items():
        setattr(reward, name, value)
    return reward


def near(images, inputs, targets):
    return -((images - targets) ** 2).mean((1, 2, 3) if isinstance(images, np.ndarray) else (1, 2, 3))


class Counting:
    def __init__(self):
        self.calls = 0

    def __call__(self, images, *, inputs, targets):
        self.calls += 1
        return near(images, inputs, targets) + self.calls


def writing(images, inputs, targets):
    scores = near(images, inputs, targets)
    images[:] = 0
    return scores


def normalised(images, inputs, targets):
    scores = near(images, inputs, targets)
    return scores - scores.mean() + np.arange(len(images)) * 1e-2 if len(images) > 1 else scores


def silent(images, inputs, targets):
    with np.errstate(all="ignore"):
        return near(images, inputs, targets) + 0 * np.log(images.mean((1, 2, 3))) * 0 + np.where(
            images.max((1, 2, 3)) == 0, np.nan, 0)


def numpy_only(images, inputs, targets):
    return np.asarray(near(np.asarray(images), inputs, targets))


def detached(images, inputs, targets):
    scores = near(images, inputs, targets)
    return scores if isinstance(scores, np.ndarray) else scores.detach()


def other_on_torch(images, inputs, targets):
    return near(images, inputs, targets) * (1 if isinstance(images, np.ndarray) else 2)


def wrong_slope(images, inputs, targets):
    if isinstance(images, np.ndarray):
        return near(images, inputs, targets)
    value = near(images, inputs, targets)
    return value.detach() - 3 * value + (3 * value).detach()


BROKEN = {
    "raises": (model(lambda *each: 1 / 0), "shape", "ZeroDivisionError"),
    "one number for all": (model(lambda images, *rest: np.float64(1)), "shape", r"shape \(\)"),
    "a column": (model(lambda images, *rest: images.mean((1, 2))[:, :1]), "shape", "want one score each"),
    "strings": (model(lambda images, *rest: ["good"] * len(images)), "shape", "real numbers"),
    "complex": (model(lambda images, *rest: images.mean((1, 2, 3)) * 1j), "shape", "complex"),
    "always nan": (model(lambda images, *rest: np.full(len(images), np.nan)), "shape", "not finite"),
    "nan on black": (model(silent), "finite", "black"),
    "another each time": (Counting(), "deterministic", "second time"),
    "depends on the batch": (model(normalised), "batch", "rest of the batch"),
    "writes": (model(writing), "writes", "images"),
    "the wrong way round": (model(lambda *each: -near(*each)), "direction", "lower_better=True"),
    "likes it bright": (model(lambda images, *rest: level(images)), "direction", r"\+1 EV in 0%"),
    "numpy only": (model(numpy_only, differentiable=True), "gradient|torch", "can't score tensors|no gradient"),
    "detached": (model(detached, differentiable=True), "gradient", "no gradient reaches"),
    "others for tensors": (model(other_on_torch, differentiable=True), "torch", "other scores than the same arrays"),
    "a wrong slope": (model(wrong_slope, differentiable=True), "gradient", "finite differences"),
}


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_shipped_models_pass(name):
    report = check_reward_model(name, sample_photos("experts", 8), strict=False)
    assert {fault.check for fault in report.faults} <= ({"direction"} if name in TASTES else set()), report.text()
    if name not in TASTES:
        assert report.passed and set(report.preferred.values()) == {1.0}


def test_the_shipped_discriminator_passes():
    assert "discriminator" in reward_names()
    report = check_reward_model("discriminator")
    assert min(report.preferred.values()) > 0.5


@pytest.mark.parametrize("name", BROKEN)
def test_broken_models_fail_each_with_its_own_message(name):
    broken, check, message = BROKEN[name]
    with pytest.raises(InvalidReward, match=message) as error:
        check_reward_model(broken, sample_photos("experts", 8), size=32)
    assert any(fault.check in check.split("|") for fault in error.value.report.faults), error.value


def test_a_module_in_training_mode_is_found_out():
    class Dropped(nn.Module):
        def forward(self, images):
            return nn.functional.dropout(images, 0.5, training=True).mean((1, 2, 3))

    report = check_reward_model(TorchReward(Dropped()), sample_photos("experts", 8), strict=False)
    assert "deterministic" in {fault.check for fault in report.faults}


def test_few_photos_are_refused():
    with pytest.raises(ValueError, match="4 photos are too few"):
        check_reward_model("psnr", sample_photos("experts", 4))


class TestDeepExposureRefusesWhatItCannotLearnFrom:
    @pytest.mark.parametrize("name, message", [("detached", "no gradient reaches its images"),
                                               ("numpy only", "can't score tensors|no gradient")])
    def test_before_the_first_step(self, name, message):
        env = ExposureVecEnv(num_envs=2, photos=sample_photos("inputs", 4), reward_model=BROKEN[name][0])
        agent = DeepExposure("CnnPolicy", env, n_batches=1, batch_size=2, device="cpu")
        before = [weights.clone() for weights in agent.policy.parameters()]
        with pytest.raises(ValueError, match=message):
            agent.learn(4)
        assert agent.num_timesteps == 0 and all(map(torch.equal, before, agent.policy.parameters()))

    def test_a_reward_that_ignores_its_images_is_named(self):
        free = torch.ones(2, requires_grad=True)
        with pytest.raises(ValueError, match="doesn't depend on its images"):
            require_gradient(model(lambda images, *rest: free * 1.0, differentiable=True))

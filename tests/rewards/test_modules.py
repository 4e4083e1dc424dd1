import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from torch import nn

from agents import DeepExposure
from agents.rewards import TorchReward
from agents.rewards.parts import RewardParts
from agents.vec_env import ExposureVecEnv
from exposure_env import ExposureEnv, sample_photos
from exposure_env.rewards import resolve_reward, score
from tests.rewards.small import images


class Small(nn.Module):
    """A CNN with batch normalisation and dropout: what goes wrong outside of evaluation mode."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5),
                                    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))

    def forward(self, images):
        return self.layers(images)


def test_arrays_and_tensors_get_the_same_scores_in_any_batch():
    model, photos = resolve_reward(TorchReward(Small(), batch_size=3)), images(7)
    told = score(model, photos, photos, None)
    assert isinstance(told, np.ndarray) and told.shape == (7,)
    np.testing.assert_allclose(score(model, torch.from_numpy(photos), torch.from_numpy(photos), None).detach(), told,
                               rtol=1e-5)
    np.testing.assert_allclose(score(model, photos[:1], photos[:1], None), told[:1], rtol=1e-5)


def test_gradients_reach_the_images_of_tensors_and_arrays_need_none():
    model, photos = TorchReward(Small()), torch.from_numpy(images(2)).requires_grad_()
    (gradient,) = torch.autograd.grad(score(model, photos, photos.detach(), None).sum(), photos)
    assert gradient.abs().sum() > 0
    assert isinstance(score(model, images(2), images(2), None), np.ndarray)


def test_nhwc_and_a_function():
    model = TorchReward(lambda x: x.mean((1, 2, 3)), layout="NHWC", name="level")
    assert repr(model) == "TorchReward(level)"
    np.testing.assert_allclose(score(model, images(3), images(3), None), images(3).mean((1, 2, 3)), rtol=1e-6)


def test_a_metric_compares_with_targets_one_by_one_if_it_averages():
    def error(one, other):
        return (one - other).abs().mean()

    photos, targets = images(3), images(3, seed=1)
    model = TorchReward(error, against="targets", one_by_one=True, lower_better=True)
    np.testing.assert_allclose(score(model, photos, photos, targets), -np.abs(photos - targets).mean((1, 2, 3)),
                               rtol=1e-5)
    with pytest.raises(ValueError, match="one_by_one=True"):
        score(TorchReward(error, against="targets"), photos, photos, targets)
    with pytest.raises(ValueError, match="targets.*none"):
        score(model, photos, photos, None)


def test_lower_better_is_the_modules_own_word():
    class Distance(nn.Module):
        lower_better = True

        def forward(self, images):
            return images.mean((1, 2, 3))

    np.testing.assert_allclose(score(TorchReward(Distance()), images(2), images(2), None),
                               -images(2).mean((1, 2, 3)), rtol=1e-6)


def test_an_environment_takes_it():
    env = ExposureEnv(sample_photos("inputs", 2), reward_model=TorchReward(Small()), max_segments=1)
    env.reset(seed=0)
    assert np.isfinite(env.step([0.5])[1])


@pytest.mark.parametrize("settings", [{"layout": "HWC"}, {"against": "experts"}, {"batch_size": 0}])
def test_settings_that_make_no_sense_are_named(settings):
    with pytest.raises(ValueError, match=str(next(iter(settings.values())))):
        TorchReward(Small(), **settings)


class TestLog:
    PHOTOS = sample_photos("inputs", 4)
    MODEL = {"psnr": 1.0, "entropy": 0.5}

    def logged(self, agent):
        agent.set_logger(configure(None, []))
        agent.learn(16, callback=[] if isinstance(agent, DeepExposure) else RewardParts(), log_interval=10**6)
        return agent.logger.name_to_value

    @pytest.mark.parametrize("rollouts", ["host", "device"])
    def test_deep_exposure_logs_the_parts_of_its_reward(self, rollouts):
        env = ExposureVecEnv(num_envs=2, photos=self.PHOTOS, reward_model=self.MODEL, max_segments=2)
        agent = DeepExposure("CnnPolicy", env, n_batches=1, batch_size=2, device="cpu", rollouts=rollouts,
                             policy_kwargs={"width": 4, "halvings": 1})
        told = self.logged(agent)
        assert told["reward/psnr"] > 5 and 0 < told["reward/entropy"] < 5

    def test_a_callback_does_so_for_others(self):
        env = ExposureVecEnv(num_envs=2, photos=self.PHOTOS, reward_model=self.MODEL, max_segments=2)
        told = self.logged(PPO("CnnPolicy", env, n_steps=4, batch_size=8, n_epochs=1, device="cpu"))
        assert told["reward/psnr"] > 5 and 0 < told["reward/entropy"] < 5

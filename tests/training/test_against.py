import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DDPG, PPO, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback

from agents import DeepExposure, train_against
from agents.baselines.replay import RelabelReplayBuffer
from agents.benchmark.cells import QUICK
from agents.training.configuration import PRESETS
from exposure_env import sample_photos
from exposure_env.decoding import decode
from exposure_env.episode import LAYOUT
from exposure_env.rewards import score

PHOTOS, EXPERTS = sample_photos("inputs", 6), sample_photos("experts", 6)
CONFIG = replace(PRESETS["quick"], **QUICK, device="cpu")
ON_POLICY = {PPO: {"n_steps": 4, "batch_size": 8, "n_epochs": 1}, A2C: {"n_steps": 4}}
OFF_POLICY = {cls: {"buffer_size": 40, "learning_starts": 4, "batch_size": 8, "train_freq": 4, "gradient_steps": 1}
              for cls in (SAC, TD3, DDPG)}
SMALL = {"policy_kwargs": {"net_arch": [8]}}

pytestmark = pytest.mark.usefixtures("one_thread")


class Versions(BaseCallback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def _on_step(self):
        self.seen += [info["reward_version"] for info, done in zip(self.locals["infos"], self.locals["dones"],
                                                                   strict=True) if done]
        return True


@pytest.mark.parametrize("algorithm", [*ON_POLICY, *OFF_POLICY], ids=lambda cls: cls.__name__)
def test_it_learns_against_a_discriminator_that_learns(algorithm):
    versions, settings = Versions(), (ON_POLICY | OFF_POLICY)[algorithm]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = train_against(algorithm, PHOTOS, EXPERTS, 48, config=CONFIG, callbacks=[versions], **SMALL, **settings)
    assert model.num_timesteps >= 48
    assert all(bool(weights.isfinite().all()) for weights in model.policy.parameters())
    assert len(set(versions.seen)) > 2 and sorted(versions.seen) == versions.seen  # the discriminator has moved on


def test_so_does_an_algorithm_of_sb3_contrib():
    contrib = pytest.importorskip("sb3_contrib", reason="TQC is in sb3-contrib")
    model = train_against(contrib.TQC, PHOTOS, EXPERTS, 48, config=CONFIG, **SMALL, **OFF_POLICY[SAC])
    assert model.num_timesteps >= 48 and isinstance(model.replay_buffer, RelabelReplayBuffer)


class TestReplay:
    def trained(self, **settings):
        return train_against(SAC, PHOTOS, EXPERTS, 40, config=CONFIG, **SMALL, **OFF_POLICY[SAC], **settings)

    def test_sampled_rewards_are_fresh_scores_after_the_discriminator_changed(self):
        model = self.trained()
        reward = model.get_env().unwrapped.task.reward_model
        with torch.no_grad():
            for weights in reward.network.parameters():
                weights += 0.3 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
        samples = model.replay_buffer.sample(64)
        ended = samples.dones[:, 0] > 0
        assert 3 < ended.sum() < 64
        planes = decode(samples.next_observations[ended])
        results, photos = planes[..., LAYOUT["local"]], planes[..., LAYOUT["photo"]]
        expected = score(reward, results, photos, None) - score(reward, photos, photos, None)
        np.testing.assert_allclose(samples.rewards[ended, 0], expected.detach(), atol=1e-5)
        stored = model.replay_buffer.rewards[np.nonzero(model.replay_buffer.dones)]
        assert not any(np.isclose(stored, value, atol=1e-4).any() for value in expected.detach().numpy())

    def test_without_scoring_anew_a_warning_says_that_rewards_grow_stale(self):
        with pytest.warns(UserWarning, match="grow stale"):
            self.trained(relabel=False)


def test_deep_exposure_has_its_own_function():
    with pytest.raises(ValueError, match="agents.train"):
        train_against(DeepExposure, PHOTOS, EXPERTS, 10)

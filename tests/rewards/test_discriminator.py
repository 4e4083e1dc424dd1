"""The score of a discriminator as a reward, and what bounds it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.trainer import DiscriminatorTrainer
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import Photo
from tests.rewards.small import Linear, images, reward

pytestmark = pytest.mark.usefixtures("one_thread")


class TestReward:
    @pytest.mark.parametrize("num", [1, 300])  # 300 images go through the network in two pieces
    def test_same_scores_for_numpy_and_torch(self, num):
        judge, batch = reward(), images(num, size=16)
        scores = judge(batch)
        assert type(scores) is np.ndarray and scores.shape == (num,) and scores.dtype == np.float32
        tensor = judge(torch.from_numpy(batch))
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_allclose(scores, tensor.detach(), atol=1e-6)

    @pytest.mark.parametrize("num", [15, 16, 41, 130])  # too few to be shared out, two shares, and shares in pieces
    def test_threads_change_no_score_and_are_given_back(self, num, monkeypatch):
        judge, batch, before = reward(), images(num, size=16), torch.get_num_threads()
        monkeypatch.setenv("EXPOSURE_THREADS", "2")
        try:
            torch.set_num_threads(1)
            alone = judge(batch)
            torch.set_num_threads(2)
            np.testing.assert_allclose(judge(batch), alone, atol=1e-6)
            assert torch.get_num_threads() == 2
            with ThreadPoolExecutor(1) as later:
                assert later.submit(torch.get_num_threads).result() == 2
        finally:
            torch.set_num_threads(before)

    def test_gradient_agrees_with_a_finite_difference(self):
        judge = reward()
        judge.network.double()
        batch = torch.from_numpy(images(1, 0.2, 0.8, size=16)).double().requires_grad_(True)
        judge(batch).sum().backward()
        shift = torch.zeros_like(batch)
        shift[0, 5, 6, 1] = 1e-6
        with torch.no_grad():
            difference = (judge(batch + shift) - judge(batch - shift)).item() / 2e-6
        assert judge.differentiable and batch.grad[0, 5, 6, 1].item() == pytest.approx(difference, rel=1e-5)

    def test_is_the_reward_of_an_environment(self):
        judge = reward()
        photo = Photo("grey", images(1, 0.2, 0.4, size=16)[0])
        env = ExposureVecEnv(num_envs=2, photos=[photo], size=16, reward_model=judge, max_segments=1)
        env.reset()
        _, rewards, dones, _ = env.step(np.array([[0.0], [0.5]], np.float32))
        finished = env.finished.image
        assert dones.all() and rewards[0] == pytest.approx(0, abs=1e-6) and rewards[1] != 0
        np.testing.assert_allclose(rewards, judge(finished) - judge(photo.image[None]), atol=1e-6)

    def test_has_the_network_it_was_asked_for(self):
        assert reward(contrast="std", halvings=1).network.settings == {
            "size": 16, "width": 4, "halvings": 1, "contrast": "std", "spectral_norm": False,
        }  # fmt: skip
        network = Linear(1.0)
        assert DiscriminatorReward(network).network is network


def largest_singular_values(network):
    layers = [layer for layer in network.stack.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        return [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]


class TestSpectralNorm:
    def test_bounds_every_layer_while_it_learns(self):
        norms = {}
        for spectral_norm in (True, False):
            judge = reward(spectral_norm=spectral_norm)
            trainer = DiscriminatorTrainer(judge, learning_rate=1e-2, gradient_penalty=0)
            for step in range(40):
                trainer.update(images(8, 0.4, 0.8, 2 * step, 16), images(8, 0.0, 0.3, 2 * step + 1, 16))
            norms[spectral_norm] = largest_singular_values(judge.network)
            assert judge.network.settings["spectral_norm"] is spectral_norm
        assert len(norms[True]) == 4  # two convolutions, the hidden layer, the head
        assert norms[True] == pytest.approx([1] * 4, abs=0.05) and min(norms[False]) > 1.1

    def test_scores_stay_as_they_are_until_the_next_update(self):
        judge, batch = reward(spectral_norm=True), images(3, size=16)
        trainer = DiscriminatorTrainer(judge, learning_rate=1e-2)
        scores = []
        for _ in range(2):
            trainer.update(images(seed=1, size=16), images(seed=2, size=16))
            scores.append(judge(batch))
            np.testing.assert_array_equal(judge(batch), scores[-1])
        assert (scores[0] != scores[1]).all()

    def test_scores_stay_as_they_are_after_an_update_that_failed(self):
        judge, batch = reward(spectral_norm=True), images(3, size=16)
        with pytest.raises(ValueError, match="loss is nan"):
            DiscriminatorTrainer(judge).update(images(size=16), np.full((4, 16, 16, 3), np.nan, np.float32))
        np.testing.assert_array_equal(judge(batch), judge(batch))

    def test_another_network_of_the_same_settings_takes_its_weights(self):
        judge, batch = reward(spectral_norm=True, contrast="std"), images(3, size=16)
        DiscriminatorTrainer(judge, learning_rate=1e-2).update(images(seed=1, size=16), images(seed=2, size=16))
        other = type(judge.network)(**judge.network.settings)
        other.load_state_dict(judge.network.state_dict())
        np.testing.assert_array_equal(DiscriminatorReward(other)(batch), judge(batch))

"""The single file of the examples has the package's gradient, its two losses do what they say, and it learns."""

import re

import numpy as np
import pytest
import torch

from agents.deep_exposure.gradients import GRADIENTS
from examples import deep_exposure_single_file as single
from exposure_env.episode import observe, visited
from tests.deep_exposure.small import agent, doubled, gradient, judged, play, vec_env

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("max_slope", [None, 0.02])
@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_its_gradient_is_that_of_the_package(gamma, max_slope):
    model, finished = judged({}, value_image="final", max_slope=max_slope)
    model.method = type(model.method)(**{**vars(model.method), "gamma": gamma})
    GRADIENTS["discriminator"](model, finished)[0].backward()
    expected = gradient(model)
    model.policy.optimizer.zero_grad()
    task, (_, states) = model.exposure_env.task, visited(finished)
    loss, _ = single.policy_loss(
        lambda planes: model.policy.actor(planes.permute(0, 3, 1, 2))[:, 0], task.reward_model,
        observe(states, task.local(states)), finished.num_segments, gamma, max_slope)
    loss.backward()
    assert len(set(finished.num_segments.tolist())) > 2
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(gradient(model), expected, atol=1e-5 * np.abs(expected).max())
    cosine = gradient(model) @ expected / np.linalg.norm(gradient(model)) / np.linalg.norm(expected)
    assert cosine == pytest.approx(1, abs=1e-9)


def test_its_results_are_the_environments():
    model, env = agent(lively=True), vec_env()
    finished = doubled(play(env, 5))
    model.policy.double()
    rows, states = visited(finished)
    evs = finished.evs[rows, states.step]
    _, results = single.policy_loss(lambda planes: evs / single.MAX_EV, lambda images: images.mean((1, 2, 3)),
                                            observe(states, env.task.local(states)), finished.num_segments, 0.9)
    torch.testing.assert_close(results, env.task.fused(finished))


def test_its_psnr_is_the_environments():
    images, targets = (torch.rand(3, 8, 8, 3, generator=torch.Generator().manual_seed(i)) for i in range(2))
    torch.testing.assert_close(single.psnr(images, targets), vec_env(reward_model="psnr").task.reward_model(
        images, inputs=images, targets=targets))


def test_the_discriminators_loss_by_hand():
    class Sum(torch.nn.Module):
        def forward(self, images):
            return 0.5 * images.sum((1, 2, 3))

    real, fake = torch.full((2, 4, 4, 3), 0.5), torch.full((2, 4, 4, 3), 0.25)
    slope = 0.5 * np.sqrt(4 * 4 * 3)  # of a sum, everywhere
    assert single.discriminator_loss(Sum(), real, fake, 10.0).item() == pytest.approx(
        0.5 * 48 * (0.25 - 0.5) + 10 * (slope - 1) ** 2, rel=1e-5)


@pytest.mark.parametrize("reward, env_id", [("psnr", "Exposure/Global-v0"), ("discriminator", "Exposure/Local-v0")])
def test_both_games_run_and_say_how_they_fare(reward, env_id, capsys):
    actor = single.train(single.Args(env_id, reward, num_photos=6, num_envs=8, warm_up=1, n_critic=1, quick=True))
    told = re.findall(r"error (\d\.\d+) stops, gain ([+-]\d+\.\d+) dB", capsys.readouterr().out)
    assert len(told) == 1 and all(bool(weights.isfinite().all()) for weights in actor.parameters())
    assert actor.layers[-1].weight.abs().max() > 0  # it has moved


def test_it_can_be_read_in_one_sitting():
    lines = open(single.__file__, encoding="utf-8").read().splitlines()
    assert len(lines) < 250 and not any(line.startswith(("import agents", "from agents")) for line in lines)

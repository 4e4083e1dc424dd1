"""What a run's own networks say of the states on the way."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.playground import Library, SampleGallery, judges, run_estimate
from agents.rewards import load_reward
from agents.saved_agent import PLACEHOLDER, load_agent
from agents.training.checkpoints import CHECKPOINT
from exposure_env import episode
from tests.training.small import TINY, run


@pytest.fixture(scope="module", params=["critic", "discriminator"])
def trained(request, tmp_path_factory):
    torch.set_num_threads(1)
    return run(tmp_path_factory.mktemp("runs") / request.param, replace(TINY, value=request.param))


def test_the_critic_of_a_run_speaks_else_its_discriminator(trained):
    folder = trained.folder
    agent = load_agent(folder)
    estimate = run_estimate(agent, folder)
    game = Library(SampleGallery(), agent, judges(agent.task(PLACEHOLDER)), estimate).game("coffee", 1)
    states = game.states([[], [1.0], [1.0, -0.5]])
    told = game.estimates([1.0, -0.5])
    if trained.model.policy.critic is None:
        assert "D(Sₜ)" in estimate.title and estimate.at_end
        expected = load_reward(folder)(game.task.fused(states))
    else:
        assert "V(s)" in estimate.title and not estimate.at_end
        planes = episode.observe(states, game.task.local(states))
        with torch.no_grad():
            expected = trained.model.policy.critic(torch.as_tensor(planes).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(told, expected, rtol=1e-4, atol=1e-5)
    assert len(game.estimates(game.finished([], "agent", game_judge(agent)))) == game.segments + estimate.at_end


def test_a_damaged_run_is_refused(trained, tmp_path):
    agent = load_agent(trained.folder)
    for path in trained.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() if path.is_file() else b"")
    for name in (CHECKPOINT, "reward.safetensors"):
        (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="damaged|not a safetensors"):
        run_estimate(agent, tmp_path)


def test_the_shipped_agent_has_the_shipped_discriminator():
    assert run_estimate(load_agent(), None).title == "D(Sₜ), the shipped discriminator"


def game_judge(agent):
    return judges(agent.task(PLACEHOLDER))["psnr"]

import numpy as np
import pytest

from agents.auditing import matrix
from agents.auditing.matrix import AGENTS, LEARNING, REWARDS, MatrixCell, measure, run_cells, tables
from agents.benchmark.splits import Split
from exposure_env import sample_photos

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def few_photos(monkeypatch):
    split = Split(sample_photos("inputs", 8), sample_photos("experts", 8), sample_photos("test", 3))
    monkeypatch.setattr(matrix, "split_of", lambda photos: split)
    monkeypatch.setattr(matrix, "ENVS", 4)


@pytest.mark.parametrize("reward", ["entropy", LEARNING])
@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_trains_with_rewards_that_learn_and_that_do_not(reward, agent):
    told = measure(MatrixCell(reward, agent, 0, 64 if agent in ("SAC", "TD3") else 128))
    assert told["finite"] and told["timesteps"] >= 64
    assert np.isfinite([told["reward_gain"], told["psnr_gain"], told["mean_abs_ev"]]).all()
    assert any(name.startswith("discriminator/" if reward == LEARNING else "reward/entropy") for name in told["logged"])


def test_there_are_eight_rewards_and_six_agents():
    assert len(REWARDS) == 8 and len(AGENTS) == 6


def test_cells_of_other_settings_are_not_taken_for_finished(tmp_path):
    cell = MatrixCell("entropy", "II", 0, 10)
    assert not cell.finished(tmp_path)
    cell.path(tmp_path).write_text('{"settings": {"reward": "entropy", "agent": "II", "seed": 0, "timesteps": 99, '
                                   '"photos": "sample photos"}, "results": {}}')
    with pytest.raises(ValueError, match="timesteps"):
        list(run_cells([cell], tmp_path))


def test_the_tables_have_a_row_a_reward_and_a_column_an_agent(tmp_path):
    cells = [MatrixCell("entropy", "II", seed, 10) for seed in (0, 1)]
    for cell, gain in zip(cells, (1.0, 2.0), strict=True):
        cell.path(tmp_path).write_text(f'{{"settings": {{}}, "results": {{"psnr_gain": {gain}, "reward_gain": 3.0}}}}')
    text = tables(cells, tmp_path, {})
    assert text.count("| entropy |") == 2 and "+1.50 ±" in text and all(f"| {agent} " in text for agent in AGENTS)

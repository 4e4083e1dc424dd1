"""Reward models of one's own: each trains a DeepExposure, which gets a row."""

import json

import pytest

from agents.benchmark.cells import Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.own_rewards import load_reward_model, parse_rewards, reward_fingerprint, value_for
from agents.benchmark.results import read_cell, read_cells
from agents.benchmark.tables import runs, table
from agents.rewards.saved import SHIPPED

MODULE = '''
import numpy as np

def bright(images):
    """Differentiable: operators and methods alone."""
    return 20 * images.mean((1, 2, 3))

bright.differentiable = True

def coarse(images):
    return np.round(8 * np.asarray(images).mean((1, 2, 3)))

def compares(images, targets):
    return -abs(images - targets).mean((1, 2, 3))
'''


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    return tmp_path / "mine.py"


def test_options_name_rewards():
    assert parse_rewards(["mine=a.b:c", "shipped = discriminator"]) == {
        "reward mine": "a.b:c", "reward shipped": "discriminator"}
    for wrong in ("mine", "mine=", "=a:b", "a/b=c:d"):
        with pytest.raises(ValueError, match="as NAME=SOURCE|is made of letters"):
            parse_rewards([wrong])
    with pytest.raises(ValueError, match="'reward mine' is a method of the benchmark's own"):
        parse_rewards(["mine=a:b", "Mine=c:d"])


def test_the_fingerprint_is_of_the_source(mine, tmp_path):
    first = reward_fingerprint(f"{mine}:bright")
    assert first == reward_fingerprint(f"{mine}:bright") != reward_fingerprint(f"{mine}:coarse")
    mine.write_text(MODULE.replace("20", "30"))
    assert reward_fingerprint(f"{mine}:bright") != first
    assert reward_fingerprint("discriminator") == "discriminator"
    assert reward_fingerprint(str(SHIPPED)) == reward_fingerprint(str(SHIPPED.parent))  # a run's folder
    for source, words in {str(tmp_path): "there is no reward model in", "nowhere.at:all": "there is no module",
                          "magic": "not 'magic'"}.items():
        with pytest.raises(ValueError, match=words):
            reward_fingerprint(source)


def test_the_form_follows_from_whether_a_gradient_flows(mine):
    assert value_for(load_reward_model(f"{mine}:bright")) == "pathwise"
    assert value_for(load_reward_model(f"{mine}:coarse")) == "q" != value_for(load_reward_model("discriminator"))


def test_each_trains_an_agent_that_gets_a_row(mine, photos, tmp_path):
    rewards = parse_rewards([f"bright={mine}:bright", f"coarse={mine}:coarse", f"compares={mine}:compares",
                             f"lost={mine}:lost"])
    benchmark = make_benchmark("uneven-v1", photos, out=tmp_path / "cells", quick=True, rewards=rewards)
    cells = benchmark.cells([*rewards], [0])
    assert [cell.method for cell in cells] == [*rewards]
    for name in ("bright", "coarse"):
        benchmark.run_cell(Cell(f"reward {name}", 0))
    with pytest.raises(ValueError, match="lost"):
        benchmark.run_cell(Cell("reward lost", 0))
    with pytest.raises((ValueError, TypeError)):  # no agent sees a target
        benchmark.run_cell(Cell("reward compares", 0))
    rows = {row.method: row for row in table(runs(read_cells(tmp_path / "cells"))).rows}
    assert set(rows) == {"reward bright", "reward coarse"} and all(row.gain.n == 1 for row in rows.values())
    assert rows["reward bright"].mean_abs_ev > 0
    kept = read_cell(benchmark.path(Cell("reward bright", 0)))
    assert kept["settings"]["reward_model"].startswith("bright of ") and "curve" in kept["results"]
    assert str(tmp_path) not in json.dumps(kept)
    mine.write_text(MODULE.replace("20", "30"))
    with pytest.raises(ValueError, match="reward_model was 'bright of .*', now 'bright of "):
        benchmark.finished(Cell("reward bright", 0))
    left, wrong = benchmark.unfinished(cells)
    assert [cell.method for cell in left] == ["reward compares", "reward lost"] and len(wrong) == 2

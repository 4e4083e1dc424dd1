"""Methods of the benchmark: what each learns from, and its curve."""

from dataclasses import replace

import numpy as np
import pytest

from agents.benchmark import tables as tables
from agents.benchmark.cells import Cell
from agents.benchmark.methods import MAIN, YARDSTICKS
from agents.benchmark.results import read_cells
from agents.benchmark.trials import Curve, learner


def test_who_learns_from_unpaired_photos_gets_no_target(done):
    for method, known in {"II": False, "paired": True}.items():
        model, callbacks = learner(done.trial(Cell(method, 0)))
        photos = model.exposure_env.task.photos
        assert all((photo.target is not None) == known for photo in photos) and len(photos) == 32
        assert len(callbacks) == (not known)


@pytest.mark.parametrize("method", [name for name in MAIN if name not in ("II", "paired", *YARDSTICKS)])
def test_every_learner_runs_and_its_agent_is_kept(done, method, tmp_path):
    benchmark = replace(done, out=str(tmp_path))
    benchmark.run_cell(Cell(method, 1))
    (cell,) = read_cells(tmp_path)
    least = 1 if method == "warm start" else 5  # it plays only once
    assert len(cell["results"]["curve"]) > least and cell["settings"]["config"]["seed"] == 1
    kept = [path.stem for path in sorted(tmp_path.iterdir()) if path.suffix != ".lock"]
    assert kept == [Cell(method, 1).name] * 3  # with the pictures


def test_looking_at_the_agent_is_not_counted_and_changes_nothing(done, monkeypatch):
    """The same agent comes out whether it is looked at ten times or never."""
    trial = done.trial(Cell("II", 0))
    weights = []
    for watched in (False, True):
        model, callbacks = learner(trial)
        curve = Curve(lambda policy: float(trial.evaluate(policy, trial.task).values("psnr").mean()), 12)
        model.learn(trial.config.total_timesteps, [*callbacks, *([curve] if watched else [])])
        weights.append({name: tensor.clone() for name, tensor in model.policy.actor.state_dict().items()})
    assert len(curve.points) > 5 and curve.wall > 0.1
    for name, tensor in weights[0].items():
        np.testing.assert_array_equal(tensor, weights[1][name])

"""Agents kept as they were: how many, which, and also by a run that was stopped."""

from dataclasses import replace

import pytest
import torch

from agents.saved_agent import FILE_NAME, load_agent
from agents.training.building import build
from agents.training.snapshots import SNAPSHOTS, snapshots_of
from tests.training.small import EXPERTS, KEPT, PHOTOS, StopAfter, assert_same_runs, files, run, weights

CONFIG = replace(KEPT, snapshots=3)  # of 80 exposures, 16 an update: due at 0, 27 and 54, kept at 0, 32 and 64

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    torch.set_num_threads(1)
    return run(tmp_path_factory.mktemp("runs") / "kept", CONFIG).folder


def test_as_many_as_asked_for_at_equal_distances(kept):
    shown = snapshots_of(kept)
    assert [snapshot.name for snapshot in shown] == ["untrained", "after 32 exposures", "after 64 exposures",
                                                     "at the end"]
    assert shown[-1].path == kept / FILE_NAME and len(files(kept / SNAPSHOTS)) == 3


def test_each_is_the_agent_of_its_time(kept):
    found = [load_agent(snapshot.path).policy.state_dict() for snapshot in snapshots_of(kept)]
    untrained = build(CONFIG, PHOTOS, EXPERTS)[0].policy.state_dict()
    assert all(torch.equal(found[0][name], untrained[name]) for name in untrained)
    for one, other in zip(found, found[1:], strict=False):
        assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_training_is_the_same_without_them(kept, whole):
    assert weights(kept) == weights(whole.folder)
    assert not (whole.folder / SNAPSHOTS).exists()
    assert [snapshot.name for snapshot in snapshots_of(whole.folder)] == ["at the end"]


@pytest.mark.parametrize("steps", [1, 9, 13, 18])
def test_a_stopped_run_goes_on_to_keep_the_same(kept, tmp_path, steps):
    run(tmp_path, CONFIG, [StopAfter(steps)])
    run(tmp_path, CONFIG, resume=True)
    assert_same_runs(kept, tmp_path)
    assert {path.name: content for path, content in files(tmp_path / SNAPSHOTS).items()} == {
        path.name: content for path, content in files(kept / SNAPSHOTS).items()}


def test_the_agent_before_a_warm_start_is_kept_too(tmp_path):
    run(tmp_path, replace(CONFIG, actor="segments", warm_start=2, reference_penalty=1.0, fresh=1))
    shown = snapshots_of(tmp_path)[:2]
    assert [snapshot.name for snapshot in shown] == ["untrained", "after the warm start"]
    first, second = (load_agent(snapshot.path).policy.state_dict() for snapshot in shown)
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_an_agents_file_is_just_the_one(kept, tmp_path):
    path = kept / SNAPSHOTS / f"{32:012}.safetensors"
    assert [(snapshot.name, snapshot.path) for snapshot in snapshots_of(path)] == [(path.stem, path)]
    with pytest.raises(ValueError, match="no agent in .*nowhere"):
        snapshots_of(tmp_path / "nowhere")


def test_a_number_of_snapshots_is_checked():
    with pytest.raises(ValueError, match="snapshots .*-1"):
        replace(CONFIG, snapshots=-1).check()

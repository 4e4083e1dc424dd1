"""Checkpoints: what they hold, when they are written, and which are refused."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.training.building import build
from agents.training.checkpoints import CHECKPOINT, Checkpoints, Randomness, read_checkpoint, write_checkpoint
from agents.training.run_folder import read_config
from exposure_env.photos import Photo
from tests.training.small import EXPERTS, HELD_OUT, KEPT, PHOTOS, copied, files, run

pytestmark = pytest.mark.usefixtures("one_thread")


def test_other_settings_are_named(stopped):
    before = files(stopped.folder)
    with pytest.raises(ValueError, match="gamma is 0.5, not 0.99.*width is 8, not 4") as caught:
        run(stopped.folder, replace(KEPT, width=8, gamma=0.5), resume=True)
    assert "seed" not in str(caught.value)
    with pytest.raises(ValueError, match="photos is 5, not 6"):
        run(stopped.folder, KEPT, photos=PHOTOS[:5], resume=True)
    with pytest.raises(ValueError, match="held_out is 2, not None"):
        run(stopped.folder, KEPT, held_out=HELD_OUT, resume=True)
    assert files(stopped.folder) == before


def test_the_configuration_is_read_back(stopped, tmp_path):
    assert read_config(stopped.folder) == KEPT
    folder = copied(stopped.folder, tmp_path)
    kept = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**kept, "colour": 1}))
    with pytest.raises(ValueError, match="another version.*colour"):
        read_config(folder)


@pytest.mark.parametrize("name", ["config.json", "photos.json", CHECKPOINT])
def test_what_is_missing_is_named(stopped, tmp_path, name):
    folder = copied(stopped.folder, tmp_path)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=name):
        run(folder, KEPT, resume=True)
    with pytest.raises(ValueError, match="nowhere"):
        run(tmp_path / "nowhere", KEPT, resume=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_checkpoint_is_refused(stopped, tmp_path):
    whole = (stopped.folder / CHECKPOINT).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # in the midst of some tensor: nobody would notice
    path = copied(stopped.folder, tmp_path) / CHECKPOINT
    for damaged in (b"", b"no checkpoint", whole[: len(whole) // 2], whole[:-30], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged, or no checkpoint") as caught:
            run(tmp_path, KEPT, resume=True)
        assert str(path) in str(caught.value)
    path.write_bytes(whole)
    run(tmp_path, replace(KEPT), resume=True)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"format": "deepexposure-gym checkpoint, version 1", "model": Evil()}, tmp_path / CHECKPOINT)
    with pytest.raises(ValueError, match="no checkpoint"):
        read_checkpoint(tmp_path / CHECKPOINT)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(ValueError, match="Evil"):
        write_checkpoint(tmp_path / CHECKPOINT, {"model": Evil()})


def test_checkpoints_of_other_things_are_refused(stopped, tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="must be of format"):
        read_checkpoint(tmp_path / "other.pt")
    state = read_checkpoint(stopped.folder / CHECKPOINT)
    folder = copied(stopped.folder, tmp_path)
    for broken in ({name: part for name, part in state.items() if name != "game"},
                   {**state, "model": {}}, {**state, "model": {**state["model"], "policy": {}}},
                   {**state, "randomness": {}}, {**state, "game": {}}):
        write_checkpoint(folder / CHECKPOINT, broken)
        with pytest.raises(ValueError, match="another kind of run|not the state|states of generators"):
            run(folder, KEPT, resume=True)


def test_a_checkpoint_holds_what_was_put_in(tmp_path):
    state = {"a": np.arange(6, dtype=np.int64).reshape(2, 3)[:, ::-1], "b": [1, 2.5, None, "x", True], "c": (1, 2),
             "d": {"e": torch.ones(2), "f": np.float32(0.1), "g": np.zeros((0, 3), np.float32)}}
    write_checkpoint(tmp_path / "state.pt", state)
    kept = read_checkpoint(tmp_path / "state.pt")
    np.testing.assert_array_equal(kept["a"], state["a"])
    assert (kept["b"], kept["c"]) == (state["b"], state["c"])
    assert kept["d"]["e"].tolist() == [1, 1] and kept["d"]["f"] == float(np.float32(0.1))
    assert kept["d"]["g"].shape == (0, 3) and [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_random_numbers_go_on():
    def draw():
        return random.random(), random.gauss(0, 1), np.random.normal(), np.random.rand(), torch.rand(3).tolist()

    numbers = Randomness()
    random.gauss(0, 1), np.random.normal()  # each keeps the second of a pair for later
    state = numbers.state_dict()
    expected = [draw() for _ in range(3)]
    random.seed(8), np.random.seed(8), torch.manual_seed(8)
    numbers.load_state_dict(state)
    assert [draw() for _ in range(3)] == expected


def test_checkpoints_are_written_only_of_healthy_runs_and_soon_after(tmp_path):
    healthy, written = iter([True, False, False, *[True] * 20]), []
    model, game = build(KEPT, PHOTOS, EXPERTS)
    keeper = Checkpoints(tmp_path / "state.pt", {"model": model}, 2, lambda: next(healthy), written.append)
    model.learn(KEPT.total_timesteps, [game, keeper])
    assert written[:2] == [0, 4]  # due at 2, and again at 3
    assert written[-1] == model.num_updates == keeper.written
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Checkpoints(tmp_path / "state.pt", {}, 0)


def test_a_photo_that_is_no_photo_is_told_as_such(tmp_path):
    """Errors that have nothing to do with the numbers are passed on as they are."""
    broken = [*EXPERTS[:3], Photo("broken", np.full((20, 20, 3), np.nan, np.float32))]
    with pytest.raises(ValueError, match="broken"):
        run(tmp_path / "run", photos=broken)

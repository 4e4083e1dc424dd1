"""`exposure train`, from files to files."""

import os
import signal
import time

import numpy as np
import pytest

from agents.saved_agent import load_agent
from tests.cli.small import TINY, in_process, run


def test_train_writes_a_run_and_says_where(trained, folders, tmp_path, capsys):
    assert {"agent.safetensors", "config.json", "progress.csv", "curves.png"} <= {p.name for p in trained.iterdir()}
    assert load_agent(trained).policy.width == 4
    assert run("train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", tmp_path / "r",
               "quick", *TINY, "--seed", "3") == 0
    out = capsys.readouterr().out
    assert "4 photos, 4 experts' photos" in out and out.count(str(tmp_path / "r")) >= 2
    assert '"seed": 3' in (tmp_path / "r" / "config.json").read_text()


def test_train_refuses_a_used_folder_and_one_folder_of_two(trained, folders, tmp_path, capsys):
    arguments = ["train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", trained]
    assert run(*arguments, "quick", *TINY) == 2
    assert run("train", "--photos", folders / "photos", "--out", tmp_path / "x", "quick", *TINY) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2 and all(line.startswith("exposure: ") for line in errors)
    assert str(trained) in errors[0] and "--experts" in errors[1] and not (tmp_path / "x").exists()


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_train_names_an_unknown_device_in_one_line(folders, tmp_path, capsys, device):
    status = run("train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", tmp_path / "x",
                 "quick", *TINY, "--device", device)
    errors = capsys.readouterr().err.strip().splitlines()
    assert status == 2 and errors[0].startswith("exposure: ") and device in errors[0]


def test_train_names_folders_that_are_missing_or_empty(folders, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        assert run("train", "--photos", folder, "--experts", folders / "experts", "--out", tmp_path / "x",
                   "quick", *TINY) == 2
        assert str(folder) in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is POSIX's")
def test_a_real_ctrl_c_leaves_a_usable_agent(folders, tmp_path):
    """Sent to the whole process, in the midst of the training, as a terminal does."""
    folder = tmp_path / "run"
    process = in_process("train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", folder,
                         "quick", *TINY, "--total-timesteps", "10000000", cwd=tmp_path,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    log, deadline = folder / "progress.csv", time.monotonic() + 60
    while not _rows(log) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted" in out and "Traceback" not in err
    assert np.isfinite(load_agent(folder).plan(np.full((20, 20, 3), 0.4, np.float32)).evs).all()
    assert {"config.json", "progress.csv", "curves.png"} <= {path.name for path in folder.iterdir()}


def _rows(log):
    """How many updates a log tells of; its header is written a moment before the first."""
    return max(log.read_text().count("\n") - 1, 0) if log.exists() else 0

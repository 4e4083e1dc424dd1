"""A run that was stopped, killed or cut off goes on as if nothing had happened, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from agents.saved_agent import FILE_NAME
from agents.training.building import build
from agents.training.checkpoints import CHECKPOINT, Checkpoints, Randomness, read_checkpoint
from agents.training.run_log import PROGRESS
from exposure_env.photos import Misexpose
from exposure_env.task import ExposureTask
from tests.repository import ROOT
from tests.training.small import (
    EXPERTS,
    KEPT,
    Interrupt,
    StopAfter,
    assert_same,
    assert_same_runs,
    copied,
    files,
    progress,
    run,
)

CRITIC = {"value": "critic", "reset_noise": False, "td_lambda": 0.5}
PAIRED = {"reward": "psnr", "max_slope": 10.0}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def finished_runs(tmp_path_factory, whole):
    """A function that gives the finished run of a configuration; each is trained once."""
    runs = {KEPT: whole}

    def get(config):
        if config not in runs:
            runs[config] = run(tmp_path_factory.mktemp("runs") / "whole", config)
        return runs[config]

    return get


@pytest.mark.parametrize("changes", [CRITIC, {"value": "q", **PAIRED}, {"value": "pathwise", "noise": "gaussian"}],
                         ids=lambda changes: "-".join(map(str, changes.values())))
def test_a_run_that_goes_on_ends_where_one_that_was_never_stopped_ends(tmp_path, changes, finished_runs):
    """What there is to keep, each once: critics, both noises, a game or none. The rest is stopped further below."""
    config = replace(KEPT, **changes)
    whole, stopped = finished_runs(config), run(tmp_path, config, [StopAfter(13)])
    assert 2 < stopped.model.num_updates < whole.model.num_updates and stopped.model.num_timesteps == 52
    kept = read_checkpoint(tmp_path / CHECKPOINT)["model"]
    assert kept["n_updates"] == 2 and bool((kept["env"]["envs"]["episodes"]["step"] > 0).any())  # amid episodes
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    resumed = run(tmp_path, config, resume=True)
    assert resumed.model.num_timesteps == whole.model.num_timesteps and not resumed.untouched
    assert_same_runs(whole.folder, tmp_path)


def test_twice_interrupted_and_once_by_ctrl_c(tmp_path, whole, stopped):
    copied(stopped.folder, tmp_path)
    assert run(tmp_path, KEPT, [Interrupt(8)], resume=True).interrupted
    assert len(progress(tmp_path)) > read_checkpoint(tmp_path / CHECKPOINT)["model"]["n_updates"] >= 2
    run(tmp_path, KEPT, resume=True)
    assert_same_runs(whole.folder, tmp_path)


def test_stopped_before_the_first_update(tmp_path, whole):
    run(tmp_path, KEPT, [StopAfter(1)])
    assert progress(tmp_path) == []
    run(tmp_path, KEPT, resume=True)
    assert_same_runs(whole.folder, tmp_path)


def test_photos_drawn_afresh_in_every_episode(tmp_path):
    """Their pixels, targets and EV maps are nowhere but in the state."""
    photos = [photo._replace(target=None, ev_map=None) for photo in EXPERTS]
    config = replace(KEPT, value="critic", **PAIRED)

    def learned(*stops):
        state = None
        for last in (*stops, None):
            model, _ = build(config, [photo._replace(target=photo.image) for photo in photos], EXPERTS)
            env = model.exposure_env
            transformed = replace(env.task.config, transform=Misexpose())
            env.envs.task = ExposureTask(env.task.photos, reward_model=env.task.reward_model, **vars(transformed))
            random_numbers = Randomness()
            if state is not None:
                torch.manual_seed(1), np.random.seed(1)
                model.load_state_dict(state["model"])
                random_numbers.load_state_dict(state["randomness"])
            parts = {"model": model, "randomness": random_numbers}
            keeper = Checkpoints(tmp_path / "state.pt", parts, 1)
            keeper.written = model.num_updates - (state is None)
            model.learn(config.total_timesteps - model.num_timesteps, [keeper, StopAfter(last or 1000)],
                        reset_num_timesteps=state is None)
            state = read_checkpoint(tmp_path / "state.pt")
        return state

    whole, cut = learned(), learned(11)
    shown = whole["model"]["env"]["envs"]
    assert shown["scenes"][0]["ev_map"].abs().max() > 0.1 and shown["episodes"]["targets"].shape == (4, 64, 64, 3)
    assert_same(whole, cut)


def test_a_finished_run_is_left_as_it_is(whole):
    before = files(whole.folder)
    again = run(whole.folder, KEPT, resume=True)
    assert again.untouched and not again.interrupted and not whole.untouched
    assert files(whole.folder) == before
    assert again.model.num_timesteps == whole.model.num_timesteps
    for name, tensor in whole.model.policy.state_dict().items():
        assert torch.equal(again.model.policy.state_dict()[name], tensor)


# Killed

CHILD = """
from agents.startup import collect_less
collect_less()
import json, sys, time
from pathlib import Path
from stable_baselines3.common.callbacks import ConvertCallback
from agents.training.configuration import config_of
from tests.training.small import run
slowly = ConvertCallback(lambda local, other: not time.sleep(0.1))  # so that it can be killed in time
run(Path(sys.argv[1]), config_of(json.loads(sys.argv[2])), [slowly])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("changes", [CRITIC, {}], ids=["critic", "discriminator"])
def test_a_real_kill(changes, tmp_path, finished_runs):
    config = replace(KEPT, **changes)
    whole = finished_runs(config)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(tmp_path), json.dumps(asdict(config))]
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (tmp_path / CHECKPOINT).exists() and (tmp_path / PROGRESS).exists():
            if len((tmp_path / PROGRESS).read_text().splitlines()) >= 4:  # a header and three updates
                break
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert 2 <= read_checkpoint(tmp_path / CHECKPOINT)["model"]["n_updates"] <= len(progress(tmp_path))
    resumed = run(tmp_path, config, resume=True)
    assert resumed.model.num_updates == whole.model.num_updates > 3
    assert_same_runs(whole.folder, tmp_path)


@pytest.fixture(scope="module")
def after_leftovers(tmp_path_factory, stopped):
    """Folder of a run that went on although a kill had left half files there, and their paths."""
    folder = copied(stopped.folder, tmp_path_factory.mktemp("leftovers"))
    assert len(progress(folder)) > read_checkpoint(folder / CHECKPOINT)["model"]["n_updates"] > 0
    half = (folder / CHECKPOINT).read_bytes()[:5000]
    left = [folder / f".{name}.{0:032x}.part" for name in (CHECKPOINT, FILE_NAME, PROGRESS, "config.json")]
    for path in left:
        path.write_bytes(half)
        os.utime(path, (0, 0))  # an hour ago
    with open(folder / PROGRESS, "a") as file:
        file.write("1,2,0.")
    time.sleep(1.1)  # TensorBoard sorts files by their names, which hold whole seconds
    run(folder, KEPT, resume=True)
    return folder, left


def test_what_a_kill_left_half_written_does_no_harm(after_leftovers, whole):
    folder, left = after_leftovers
    assert_same_runs(whole.folder, folder)
    assert not any(path.exists() for path in left)


def test_tensorboard_shows_every_update_once(after_leftovers):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(after_leftovers[0]))
    events.Reload()
    steps = [event.step for event in events.Scalars("train/actor_loss")]
    assert steps == [int(row["time/total_timesteps"]) for row in progress(after_leftovers[0])]

"""Trainings of seconds, what is left of them, and how to tell two of them apart."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from stable_baselines3.common.callbacks import BaseCallback

from agents.saved_agent import FILE_NAME
from agents.training.checkpoints import CHECKPOINT, read_checkpoint
from agents.training.configuration import TrainConfig
from agents.training.curves import read_csv
from agents.training.run import Run, train
from agents.training.run_log import PROGRESS
from exposure_env.photos import sample_photos

PHOTOS, EXPERTS = sample_photos("inputs", 6), sample_photos("experts", 8)
EXPERTS, HELD_OUT = EXPERTS[:6], EXPERTS[6:]
TINY = TrainConfig(total_timesteps=80, device="cpu", num_envs=4, n_batches=1, batch_size=4, width=4, max_segments=4,
                   discriminator_batch_size=4, warm_up=2, n_critic=1)
KEPT = replace(TINY, checkpoint_every=2, critic_steps=2)  # five updates, with a checkpoint after two and four of them
TIMES = {"time/fps", "time/time_elapsed"}


class StopAfter(BaseCallback):
    """Asks SB3 for the end after some steps, in the midst of episodes."""

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps

    def _on_step(self) -> bool:
        return self.n_calls < self.steps


class Interrupt(StopAfter):
    """Presses Ctrl-C after some steps."""

    def _on_step(self) -> bool:
        if self.n_calls >= self.steps:
            raise KeyboardInterrupt
        return True


def run(folder: Path, config: TrainConfig = TINY, callbacks=(), **options) -> Run:
    photos, experts = options.pop("photos", PHOTOS), options.pop("experts", EXPERTS)
    return train(config, photos, experts, folder, callbacks, **{"progress_bar": False, **options})


def weights(folder: Path) -> str:
    """sha256 of all weights of the agent in a folder."""
    digest = hashlib.sha256()
    with safe_open(folder / FILE_NAME, "pt") as file:
        for name in sorted(file.keys()):
            digest.update(name.encode() + file.get_tensor(name).numpy().tobytes())
    return digest.hexdigest()


def progress(folder: Path) -> list[dict[str, str]]:
    """The rows of progress.csv, but for the times."""
    rows = csv.DictReader((folder / PROGRESS).read_text().splitlines())
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def log_of(folder: Path) -> dict[str, np.ndarray]:
    """The columns of progress.csv as numbers."""
    return read_csv((folder / PROGRESS).read_text())


def files(folder: Path) -> dict[Path, bytes]:
    """The content of all files in a folder and below."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copied(folder: Path, to: Path) -> Path:
    """The other folder, with copies of the files of a run."""
    to.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            (to / path.name).write_bytes(path.read_bytes())
    return to


def assert_same(ours, theirs, path=""):
    """Equal in structure, types and values, to the bit."""
    assert type(ours) is type(theirs), path
    if isinstance(ours, dict):
        assert list(ours) == list(theirs), path
        for name in ours:
            assert_same(ours[name], theirs[name], f"{path}/{name}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), path
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{path}[{i}]")
    elif isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs), path
    else:
        assert ours == theirs, path


def assert_same_runs(one: Path, other: Path):
    """Two folders hold the same agent, the same log, and the same state to the last random number."""
    assert weights(one) == weights(other)
    assert progress(one) == progress(other)
    assert_same(read_checkpoint(one / CHECKPOINT), read_checkpoint(other / CHECKPOINT))

"""Every reward against every agent: does it train, what does it do to the photos, and whose fault is it?

A cell is one agent with one reward and one seed, in a process of its own, and one JSON file once it is finished.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import configure

from agents.auditing.audit import Audit, audit_reward, start
from agents.auditing.search import best_plans
from agents.baselines.replay import RelabelReplayBuffer
from agents.benchmark.data import misexposed_split
from agents.benchmark.fingerprints import version_of
from agents.benchmark.measures import versions
from agents.benchmark.results import is_finished, make_once
from agents.benchmark.splits import Split
from agents.benchmark.workers import run_batches
from agents.deep_exposure import DeepExposure
from agents.evaluation.formatting import markdown, number
from agents.evaluation.metrics import psnr
from agents.evaluation.statistics import student
from agents.json_files import read_json
from agents.playing import paired_scenes, play
from agents.rewards import AdversarialCallback, DiscriminatorReward, DiscriminatorTrainer, ExpertPhotos
from agents.rewards.parts import RewardParts
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import Misexpose, Photo
from exposure_env.rewards import resolve_reward
from exposure_env.task import ExposureTask

LEARNING = "discriminator, learning"
REWARDS = ("psnr", "ssim", "ciede2000", "well_exposedness", "entropy", "mean_luminance", "sliced_wasserstein", LEARNING)
ENVS, SEGMENTS = 32, 4
OURS = {"I": "critic", "II": "discriminator"}  # the values of DeepExposure's two forms
REPLAY = {"buffer_size": 5_000, "learning_starts": 256, "train_freq": 4, "gradient_steps": 8, "batch_size": 64}
OTHERS: dict[str, tuple[type[BaseAlgorithm], dict[str, Any]]] = {
    "PPO": (PPO, {"n_steps": 16, "batch_size": 128, "n_epochs": 4}), "A2C": (A2C, {"n_steps": 8}),
    "SAC": (SAC, REPLAY), "TD3": (TD3, REPLAY),
}  # fmt: skip
AGENTS = (*OURS, *OTHERS)


class MatrixCell(NamedTuple):
    """One training."""

    reward: str
    agent: str
    seed: int
    timesteps: int  # exposures to try
    photos: str | None = None  # folder of good photographs; None for the sample photos

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that its results depend on, except the versions of software."""
        return self._asdict() | {"photos": version_of(self.photos)}

    def path(self, out: Path) -> Path:
        """The file of its results."""
        plain = "_".join("".join(letter if letter.isalnum() else " " for letter in self.reward).split())
        return out / f"{plain}-{self.agent}-seed{self.seed}.json"

    def finished(self, out: Path) -> bool:
        """Whether its file exists; a ValueError if that was made with other settings."""
        return is_finished(self.path(out), self.settings)


def run_cells(cells: Sequence[MatrixCell], out: Path, jobs: int = 1) -> Iterator[tuple[MatrixCell, str | None]]:
    """Runs the unfinished cells; yields each when it is over, with an error message or None."""
    left = [cell for cell in cells if not cell.finished(out)]
    orders = [[{**cell._asdict(), "out": str(out)}] for cell in left]
    for place, (error,) in run_batches("matrix", orders, jobs):
        yield left[place], None if left[place].finished(out) else error


def run_order(order: dict[str, Any]) -> None:
    """Trains and measures one cell in this process; see `agents.benchmark.workers`."""
    out = Path(order.pop("out"))
    cell = MatrixCell(**order)
    make_once(cell.path(out), lambda: cell.finished(out), lambda: cell.settings,
              lambda: {"versions": versions(), "results": measure(cell)}, cell.photos)


def split_of(photos: str | None) -> Split:
    """The photos that agents learn from, experts', and the test: those of the protocol `uneven-v1`."""
    return misexposed_split(photos, version_of(photos))


def build(cell: MatrixCell, split: Split) -> tuple[BaseAlgorithm, list[Any]]:
    """The untrained agent of a cell, and its callbacks."""
    torch.manual_seed(cell.seed)
    learning = cell.reward == LEARNING
    # What doesn't learn is a weighted sum of one part, so that this part is logged.
    reward = DiscriminatorReward(width=16, halvings=1, contrast="std") if learning else (
        resolve_reward({cell.reward: 1.0}))
    photos = [Photo(photo.name, photo.image) for photo in split.inputs] if learning else split.inputs
    env = ExposureVecEnv(None, ENVS, photos=photos, segmenter="slic", max_segments=SEGMENTS, reward_model=reward)
    env.seed(cell.seed)
    callbacks: list[Any] = [RewardParts()]
    if learning:
        experts = ExpertPhotos(split.experts, misexposure=Misexpose((-2.5, 2.5)), seed=cell.seed)
        trainer = DiscriminatorTrainer(reward, learning_rate=5e-4, one_sided=True, seed=cell.seed)
        callbacks.append(AdversarialCallback(trainer, experts, batch_size=32, pooled=0.25, misexposed=0.5,
                                             seed=cell.seed))
    if cell.agent in OURS:
        model = DeepExposure(
            "CnnPolicy", env, 5e-4, critic_learning_rate=2e-3, value=OURS[cell.agent], shaping=True, critic_steps=8,
            batch_size=4, max_slope=4.0 if cell.reward == "psnr" else None, seed=cell.seed, device="cpu",
            rollouts="device", policy_kwargs={"width": 16, "halvings": 1, "actor": "segments"},
        )
        return model, callbacks[1:]
    algorithm, settings = OTHERS[cell.agent]
    if algorithm in (SAC, TD3) and learning:
        settings = settings | {"replay_buffer_class": RelabelReplayBuffer,
                               "replay_buffer_kwargs": {"reward_model": reward}}
    return algorithm("CnnPolicy", env, seed=cell.seed, device="cpu", **settings), callbacks


def measure(cell: MatrixCell) -> dict[str, Any]:
    """Trains, and measures: gains in reward and true PSNR on the test photos, and what was logged of the reward."""
    torch.set_num_threads(1)
    split = split_of(cell.photos)
    model, callbacks = build(cell, split)
    model.set_logger(configure(None, []))
    cpu = time.process_time()
    model.learn(cell.timesteps, callbacks, log_interval=10**9)
    cpu = time.process_time() - cpu
    env = model.get_env().unwrapped
    test = ExposureTask(split.test, "slic", env.task.reward_model, max_segments=SEGMENTS)
    untouched = test.start(paired_scenes(test))
    outcome = test.finish(play(model, test, untouched))
    before, after = psnr(untouched.photos, untouched.targets), psnr(outcome.image, untouched.targets)
    finite = all(bool(weights.isfinite().all()) for weights in model.policy.parameters())
    return {"timesteps": model.num_timesteps, "cpu_seconds": round(cpu, 2), "finite": finite,
            "reward_gain": float(np.mean(outcome.score - outcome.input_score)),
            "psnr_gain": float(np.mean(after - before)), "mean_abs_ev": float(np.abs(outcome.state.evs).mean()),
            "logged": sorted(name for name in model.logger.name_to_value if name.startswith(("reward/", "discrim")))}


def audits(photos: str | None, number: int = 60) -> dict[str, Audit]:
    """The audit of every reward that doesn't learn, on test photos of the same protocol and segments."""
    test = split_of(photos).test
    chosen = [test[int(i)] for i in np.linspace(0, len(test) - 1, min(number, len(test)))]
    task = ExposureTask(chosen, "slic", max_segments=SEGMENTS)
    truth = best_plans(task, start(task), resolve_reward("psnr"))
    return {name: audit_reward(name, task, truth=truth) for name in REWARDS if name != LEARNING}


def tables(cells: Sequence[MatrixCell], out: Path, judged: dict[str, Audit]) -> str:
    """Two tables in Markdown: the true gain in PSNR of each agent under each reward, and the gain in the reward itself.

    Args:
        cells: The cells; those that aren't finished are left out.
        out: Their folder.
        judged: The audits, by reward.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells:
        if cell.path(out).exists():
            found.setdefault((cell.reward, cell.agent), []).append(read_json(cell.path(out))["results"])
    parts = []
    for title, what, digits in (("True gain in PSNR [dB]", "psnr_gain", "+.2f"), ("Gain in the reward", "reward_gain",
                                                                                 "+.3g")):
        rows = [["trained with", "verdict", "misspecification [dB]", *AGENTS]]
        for reward in REWARDS:
            audit = judged.get(reward)
            told = [[result[what] for result in found.get((reward, agent), [])] for agent in AGENTS]
            rows.append([reward, "-" if audit is None else audit.verdict,
                         "-" if audit is None else number(audit.misspecification.mean, "+.2f"),
                         *(_mean(values, digits) for values in told)])
        parts.append(f"{title}\n\n{markdown(rows)}")
    return "\n\n".join(parts)


def _mean(values: Sequence[float], digits: str) -> str:
    if not values:
        return "-"
    mean = student(values)
    return number(mean.mean, digits) + ("" if len(values) == 1 else f" ± {mean.high - mean.mean:.2g}")

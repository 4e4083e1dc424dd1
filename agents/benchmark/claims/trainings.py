"""The paper's claims, put to the test: which trainings that takes, and what is measured in each.

A training serves every claim that needs it. The measurements are plain numbers; `tables` makes tables of them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from agents.benchmark import trials
from agents.benchmark.claims.gradients import Gradients
from agents.benchmark.data import misexposed_split
from agents.benchmark.fingerprints import version_of
from agents.benchmark.measures import machine, peak_mb, versions
from agents.benchmark.results import is_finished, make_once
from agents.benchmark.splits import Split
from agents.benchmark.trials import Trial
from agents.benchmark.workers import run_batches
from agents.evaluation.metrics import pearson, psnr
from agents.playing import paired_scenes, play
from agents.training.configuration import PRESETS, TrainConfig, config_of, task_settings
from exposure_env import episode
from exposure_env.fusion import FUSIONS
from exposure_env.task import ExposureTask

RENDERINGS = ("mask_pyramid", "local", "mertens")
PAPER = ("total_timesteps", "seed", "device")  # all that the variants of the preset `paper` take over from the base
RATES = [f"{name}{suffix}" for name in ("learning_rate", "critic_learning_rate", "discriminator_learning_rate")
         for suffix in ("", "_decay")]


def _values(settings: TrainConfig, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in names}


def _one_batch(base: TrainConfig, divisor: int = 1) -> TrainConfig:
    """The base with an update after each mini-batch, and as many images per episode for the discriminator as before."""
    images = base.n_critic * base.discriminator_batch_size / base.n_batches  # per mini-batch
    return replace(base, n_batches=1, num_envs=base.batch_size, n_critic=1,
                   discriminator_batch_size=max(1, round(images)), learning_rate=base.learning_rate / divisor)


class Variant(NamedTuple):
    """A kind of training, by what it changes in the configuration."""

    config: Callable[[TrainConfig], TrainConfig]
    replay: bool = False  # whether Stable-Baselines3's DDPG learns instead
    gradients: bool = False  # whether gradients are compared along the way


def _second(base: TrainConfig, **changes: Any) -> TrainConfig:
    return replace(base, value="discriminator", **changes)


def _paper(base: TrainConfig, **changes: Any) -> TrainConfig:
    return replace(PRESETS["paper"], **_values(base, PAPER), **changes)


VARIANTS: dict[str, Variant] = {
    "gradients": Variant(lambda base: replace(base, value="critic"), gradients=True),
    "I": Variant(lambda base: replace(base, value="critic")),
    "II": Variant(_second),
    "II, next image": Variant(lambda base: _second(base, value_image="next")),
    "II, 1 mini-batch": Variant(lambda base: _one_batch(_second(base))),
    "II, 1 mini-batch, rate over 8": Variant(lambda base: _one_batch(_second(base), 8)),
    "replay (DDPG)": Variant(_second, replay=True),
    "II, reward local": Variant(lambda base: _second(base, reward_image="local")),
    "II, reward both": Variant(lambda base: _second(base, reward_image="both")),
    "II, Mertens fused": Variant(lambda base: _second(base, fusion="mertens")),
    "II, Mertens local": Variant(lambda base: _second(base, fusion="mertens", reward_image="local")),
    "paper": Variant(_paper),
    "paper, quick's rates": Variant(lambda base: _paper(base, **_values(PRESETS["planes"], RATES))),
}


class Claim(NamedTuple):
    """A claim of the paper, and the trainings that test it."""

    section: str
    says: str
    variants: tuple[str, ...]


CLAIMS: dict[str, Claim] = {
    "gradients": Claim("2.4 and 2.5", "the gradient of II is proportional to that of I (eq. 13)", ("gradients",)),
    "intermediate": Claim("2.5", "an unfinished image stands in for the finished one", ("II", "II, next image")),
    "accumulation": Claim("2.2", "accumulating over 8 mini-batches has the effect of a replay buffer",
                          ("II", "II, 1 mini-batch", "II, 1 mini-batch, rate over 8", "replay (DDPG)")),
    "cost": Claim("1, fifth contribution", "II takes less memory and time than I", ("I", "II")),
    "reward_image": Claim("4", "the discriminator can judge the local image; the blend is what is delivered",
                          ("II", "II, reward local", "II, reward both", "II, Mertens fused", "II, Mertens local")),
    "presets": Claim("5.1", "the paper's settings, next to the recommended ones",
                     ("II", "paper", "paper, quick's rates")),
}


def variants_of(claims: Sequence[str] = ()) -> list[str]:
    """The trainings that the claims need, each once; by default those of all claims.

    Raises:
        ValueError: If a claim is unknown.
    """
    if unknown := [name for name in claims if name not in CLAIMS]:
        raise ValueError(f"claims are {list(CLAIMS)}, not {unknown[0]!r}")
    return list(dict.fromkeys(variant for name in claims or CLAIMS for variant in CLAIMS[name].variants))


class Order(NamedTuple):
    """One training with one seed."""

    variant: str
    seed: int
    base: TrainConfig  # the configuration that the variant changes
    photos: str | None = None  # folder of good photographs; None for the sample photos

    @property
    def config(self) -> TrainConfig:
        """The configuration of the training."""
        return VARIANTS[self.variant].config(replace(self.base, seed=self.seed))

    @property
    def name(self) -> str:
        """The name of its file, without the suffix."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.variant).split()
        return f"{'_'.join(words)}-seed{self.seed}"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the training's results depend on, except the versions of software."""
        return {"variant": self.variant, "seed": self.seed, "photos": version_of(self.photos),
                "config": asdict(self.config)}

    def path(self, out: Path) -> Path:
        """The training's file in the folder of finished trainings."""
        return out / f"{self.name}.json"

    def finished(self, out: Path) -> bool:
        """Whether its file exists.

        Raises:
            ValueError: If it was made with other settings.
        """
        return is_finished(self.path(out), self.settings)


def run_orders(orders: Sequence[Order], out: Path, jobs: int = 1, together: bool = False
               ) -> Iterator[tuple[Order, str | None]]:
    """Runs the unfinished trainings; yields each when it is over, with an error message or None.

    Args:
        orders: The trainings; finished ones are skipped.
        out: Folder of the finished trainings.
        jobs: Number of processes at once.
        together: Whether all run in one process: that is faster, but peaks of memory mean nothing.
    """
    left = [order for order in orders if not order.finished(out)]
    batches = [left] if together else [[order] for order in left]
    given = [[{**order._asdict(), "base": asdict(order.base), "out": str(out)} for order in batch] for batch in batches]
    for number, errors in run_batches("claim", given, jobs):
        yield from ((order, None if order.finished(out) else error)
                    for order, error in zip(batches[number], errors, strict=True))


def run_order(order: dict[str, Any]) -> None:
    """Trains and measures in this process, and writes the file; see `workers`.

    Args:
        order: The fields of `Order`, and "out", as read from JSON.
    """
    out = Path(order["out"])
    training = Order(order["variant"], order["seed"], config_of(order["base"]), order["photos"])
    make_once(training.path(out), lambda: training.finished(out), lambda: training.settings,
              lambda: {"versions": versions(), "machine": machine(), "results": measure(training)}, training.photos)


def agent_of(order: Order, split: Split) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """The untrained agent, which gets no targets, and the callbacks it is trained with."""
    variant, config = VARIANTS[order.variant], order.config
    method = "ddpg" if variant.replay else order.variant
    model, callbacks = trials.learner(Trial(method, config, split, training=[], full_size=False))
    return model, [*callbacks, Gradients(config)] if variant.gradients else callbacks


def measure(order: Order) -> dict[str, Any]:
    """Trains, and measures everything that any claim asks of this training: numbers, None if undefined.

    Args:
        order: The training. Its peak of memory is right only in a process of its own.
    """
    torch.set_num_threads(1)
    split = misexposed_split(order.photos, order.settings["photos"])
    model, callbacks = agent_of(order, split)
    loaded, cpu, wall = peak_mb(), time.process_time(), time.perf_counter()
    model.learn(order.config.total_timesteps, callbacks)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak, trained = peak_mb(), model.env.unwrapped.task
    networks = [network for network in (model.policy.actor, model.policy.critic) if network is not None]
    task = ExposureTask(split.test, reward_model=trained.reward_model, preset=order.config.task_preset,
                        **task_settings(order.config))
    finished = _episodes(model, task)
    quality = {name: float(psnr(_rendered(name, task, finished), finished.targets).mean()) for name in RENDERINGS}
    compared = next((callback.moments for callback in callbacks if isinstance(callback, Gradients)), [])
    return {
        "timesteps": model.num_timesteps, "updates": model._n_updates, "cpu_seconds": cpu, "wall_seconds": wall,
        "peak_mb": peak, "learning_mb": None if peak is None else peak - loaded,
        "parameters": sum(parameter.numel() for network in networks for parameter in network.parameters()),
        "fusion": task.config.fusion, "psnr": quality,
        "input_psnr": float(psnr(finished.photos, finished.targets).mean()),
        "mean_abs_ev": float(np.abs(finished.evs).sum() / finished.num_segments.sum()),
        "intermediate": rank_correlations(task, finished), "gradients": compared,
    }


def _episodes(model: BaseAlgorithm, task: ExposureTask) -> episode.EpisodeState:
    """All photos of the task, played to their end without noise."""
    scenes = paired_scenes(task)
    return episode.concatenate([play(model, task, task.start(scenes[i : i + 64])) for i in range(0, len(scenes), 64)])


def _rendered(fusion: str, task: ExposureTask, state: episode.EpisodeState) -> np.ndarray:
    return FUSIONS[fusion](state.photos, state.labels, state.evs, state.step, space=task.config.space)


def rank_correlations(task: ExposureTask, finished: episode.EpisodeState) -> dict[str, Any]:
    """Spearman's rank correlations, over photos, between the scores of unfinished and of finished images.

    Args:
        task: The task, whose reward model D gives the scores.
        finished: N finished episodes; only those of the full length K count.

    Returns:
        "photos", the number of these episodes; "score", the correlation of D(S_t) with D(S_K) for each t in 0..K-1;
        "gain", for each t in 1..K-1 that of the gains over the untouched photo, D(S_t) - D(S_0) with D(S_K) - D(S_0).
        Photos differ in score far more than exposures change it, so "score" alone may say nothing about exposures.
    """
    length = task.config.max_segments
    whole = episode.select(finished, finished.num_segments == length)
    num, slots = len(whole.step), np.arange(length)
    states = [whole._replace(step=np.full_like(whole.step, t), evs=np.where(slots < t, whole.evs, 0).astype(np.float32))
              for t in range(length + 1)]
    scores = [np.asarray(task.score(state), np.float64) for state in states] if num else []
    gains = [score - scores[0] for score in scores]
    return {"photos": num, "score": [spearman(score, scores[-1]) for score in scores[:-1]],
            "gain": [spearman(gain, gains[-1]) for gain in gains[1:-1]]}


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation; None if either is constant or they have fewer than two values."""
    value = pearson(np.stack([rankdata(first), rankdata(second)], 1))
    return None if np.isnan(value) else value

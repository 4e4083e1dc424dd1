"""The audit of a reward model: what its optimum looks like, and what it responds to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy.stats import rankdata

from agents.auditing.search import best_plans
from agents.benchmark.measures import image_statistics, set_distances
from agents.evaluation.metrics import pearson, psnr
from agents.evaluation.statistics import Interval, student
from agents.playing import Policy, paired_scenes, play
from agents.preferring import random_plans
from exposure_env import episode, rewards
from exposure_env.image import expose, luminance
from exposure_env.task import ExposureTask

AT_LIMIT = 0.98  # of max_ev, beyond which an exposure counts as at its limit
PLANS = 12  # random retouches of each photo, on which rewards are compared
CHANGES: dict[str, tuple[float, ...]] = {  # what is done to experts' photos, and how much; nothing among it
    "exposure": (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0),  # [stops]
    "contrast": (0.5, 0.7, 0.85, 1.0, 1.15, 1.4, 1.8),  # factor of the distance from the mean
    "saturation": (0.0, 0.5, 0.8, 1.0, 1.25, 1.6, 2.0),  # factor of the distance from grey
    "blur": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),  # sigma [px]
    "noise": (0.0, 0.01, 0.02, 0.04, 0.07, 0.1),  # standard deviation of values in [0, 1]
}
NEUTRAL = {"exposure": 0.0, "contrast": 1.0, "saturation": 1.0, "blur": 0.0, "noise": 0.0}


class Response(NamedTuple):
    """How scores respond to one change of experts' photos."""

    amounts: tuple[float, ...]
    # mean over photos of the score minus that of the photo itself, in standard deviations of the scores of all photos
    # under all exposures
    scores: list[float]
    spared: float  # fraction of photos that are preferred as they are to every change


class Audit(NamedTuple):
    """What a reward model asks for, measured on N photos whose good versions are known."""

    name: str
    psnr: float  # of the plans that the model likes best, mean over photos [dB]
    gain: Interval  # of the same over the untouched photos, over photos [dB]
    misspecification: Interval  # the PSNR of the best plans by PSNR itself minus that, over photos [dB]
    distance: float  # of its best results to the good versions as a set
    at_limit: float  # fraction of its exposures at the limit
    mean_abs_ev: float  # [stops]
    preferred: float  # fraction of photos whose good version it scores above the untouched photo
    responses: dict[str, Response]
    correlations: dict[str, float]  # Spearman's with other rewards on the same random retouches, mean over photos
    plans: np.ndarray  # (N, K) the best plans [stops]

    @property
    def verdict(self) -> str:
        """In a word, whether an agent that obeys it perfectly improves photos."""
        if self.gain.low > 0 and self.misspecification.mean < 0.5 * (self.misspecification.mean + self.gain.mean):
            return "trust"
        return "with care" if self.gain.mean > 0 else "don't trust"

    def plain(self) -> dict[str, Any]:
        """All of it as numbers, strings, lists and dicts, for JSON."""
        told = self._asdict() | {"verdict": self.verdict, "plans": self.plans.round(4).tolist()}
        for name in ("gain", "misspecification"):
            told[name] = told[name]._asdict()
        told["responses"] = {name: response._asdict() for name, response in self.responses.items()}
        return told


class Regret(NamedTuple):
    """What an agent misses, in two parts [dB]: what its reward asks for, and how well it obeys."""

    psnr: Interval  # of the agent
    misspecification: Interval  # PSNR of the best plans by PSNR, minus that of the best plans by the reward
    optimisation: Interval  # PSNR of the best plans by the reward, minus the agent's
    reward_missed: Interval  # the reward of its best plans, minus the agent's [score]


def audit_reward(model: Any, task: ExposureTask, others: Mapping[str, Any] | None = None, seed: int = 0,
                 truth: episode.EpisodeState | None = None) -> Audit:
    """Audits a reward model.

    Args:
        model: Anything that `rewards.resolve_reward` takes.
        task: Photos with targets, and how they are rendered; its own reward model plays no part.
        others: Reward models to compare with, by name; by default none.
        seed: Seed of the random retouches and of the noise.
        truth: The result of `best_plans` by PSNR, if already known.

    Raises:
        ValueError: If there is no such model, a photo has no target, or there are fewer than two photos.
    """
    model = rewards.resolve_reward(model)
    state = start(task)
    truth = best_plans(task, state, rewards.psnr) if truth is None else truth
    best = best_plans(task, state, model)
    images, rng = task.fused(best), np.random.default_rng(seed)
    before, reached, ideal = (psnr(each, state.targets) for each in (state.photos, images, task.fused(truth)))
    there = np.arange(best.evs.shape[1]) < best.num_segments[:, None]
    chosen = np.abs(best.evs[there])
    good, untouched = (_scores(model, each, state) for each in (state.targets, state.photos))
    return Audit(
        rewards.name_of(model), float(reached.mean()), student(reached - before), student(ideal - reached),
        set_distance(images, state.targets), float(np.mean(chosen >= AT_LIMIT * task.config.max_ev)),
        float(chosen.mean()), float(np.mean(good > untouched)), _responses(model, state, rng),
        _correlations(model, others or {}, task, state, rng), best.evs,
    )


def regret(policy: Policy, model: Any, task: ExposureTask, truth: episode.EpisodeState | None = None,
           best: episode.EpisodeState | None = None) -> Regret:
    """Splits what an agent misses into what its reward model asks for and how well it obeys.

    Args:
        policy: The agent.
        model: The reward model that it was trained with.
        task: Photos with targets, and how they are rendered.
        truth: The result of `best_plans` by PSNR, if already known.
        best: That by the reward model, likewise.

    Raises:
        ValueError: See `audit_reward`.
    """
    model, state = rewards.resolve_reward(model), start(task)
    truth = best_plans(task, state, rewards.psnr) if truth is None else truth
    best = best_plans(task, state, model) if best is None else best
    images = [task.fused(plan) for plan in (truth, best, play(policy, task, state))]
    ideal, ours, own = (psnr(image, state.targets) for image in images)
    missed = _scores(model, images[1], state) - _scores(model, images[2], state)
    return Regret(student(own), student(ideal - ours), student(ours - own), student(missed))


def start(task: ExposureTask) -> episode.EpisodeState:
    """The first states of all the task's photos.

    Raises:
        ValueError: If a photo has no target, or there are fewer than two.
    """
    scenes = paired_scenes(task)
    if len(scenes) < 2:
        raise ValueError(f"{len(scenes)} photo is too few to audit a reward on: give two or more, better fifty")
    return task.start(scenes)


def set_distance(images: np.ndarray, good: np.ndarray) -> float:
    """The distance of images to good ones as a set: the mean Wasserstein distance of three statistics of images."""
    ours, theirs = (np.array([image_statistics(image) for image in each]) for each in (images, good))
    return float(np.mean(set_distances(ours, theirs)))


def changed(images: np.ndarray, how: str, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Images (N, H, W, 3) after one of `CHANGES`, clipped to [0, 1]."""
    match how:
        case "exposure":
            result = np.asarray(expose(images, amount))
        case "contrast":
            mean = images.mean((1, 2), keepdims=True)
            result = mean + amount * (images - mean)
        case "saturation":
            grey = luminance(images)[..., None]
            result = grey + amount * (images - grey)
        case "blur":
            result = images if amount == 0 else np.stack([cv2.GaussianBlur(image, (0, 0), amount) for image in images])
        case "noise":
            result = images + amount * rng.normal(size=images.shape)
        case _:
            raise ValueError(f"a change must be one of {list(CHANGES)}, not {how!r}")
    return np.clip(result, 0, 1).astype(np.float32)


def _scores(model: Callable[..., Any], images: np.ndarray, state: episode.EpisodeState) -> np.ndarray:
    return np.asarray(rewards.score(model, images, state.photos, state.targets), np.float64)


def _responses(model: Callable[..., Any], state: episode.EpisodeState, rng: np.random.Generator
               ) -> dict[str, Response]:
    good = state.targets
    itself = _scores(model, good, state)
    told, scale = {}, None
    for how, amounts in CHANGES.items():
        differences = np.stack([_scores(model, changed(good, how, amount, rng), state) - itself for amount in amounts])
        if scale is None:  # the first change is that of exposure
            scale = max(float((differences + itself).std()), 1e-9)
        others = [i for i, amount in enumerate(amounts) if amount != NEUTRAL[how]]
        told[how] = Response(amounts, (differences.mean(1) / scale).round(4).tolist(),
                             float(np.mean((differences[others] < 0).all(0))))
    return told


def _correlations(model: Callable[..., Any], others: Mapping[str, Any], task: ExposureTask,
                  state: episode.EpisodeState, rng: np.random.Generator) -> dict[str, float]:
    if not others:
        return {}
    models = {"": model} | {name: rewards.resolve_reward(other) for name, other in others.items()}
    scores: dict[str, Sequence[np.ndarray]] = {name: [] for name in models}
    for _ in range(PLANS):
        evs = random_plans(rng, *state.evs.shape, task.config.max_ev)
        image = task.fused(state._replace(evs=evs, step=state.num_segments.copy()))
        for name, each in models.items():
            scores[name].append(_scores(each, image, state))
    ranks = {name: rankdata(np.stack(each), axis=0) for name, each in scores.items()}  # (PLANS, N)
    return {name: float(np.nanmean([pearson(np.stack([ranks[""][:, i], ranks[name][:, i]], 1))
                                    for i in range(len(state.step))])) for name in others}

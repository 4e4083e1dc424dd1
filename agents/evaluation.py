"""How good is a policy? Every photo played once, and what came of it: records, scores, a table."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import spaces

from agents.baselines import AutoExposure, ConstantEV, FixedBracket, Identity, Oracle, Photos, paired_scenes
from agents.metrics import mse, pearson, psnr, ssim
from exposure_env.episode import EpisodeState, is_done, observe
from exposure_env.fusion import resolve_fusion
from exposure_env.observations import ObsType, checked_action, encode
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask, Scene

NUM_FITTED = 128  # photos that the constant exposure is fitted on: it's one number


class Policy(Protocol):
    """Anything that plays: every Stable-Baselines3 model and policy, every baseline.

    One that has a method `plan(state: EpisodeState) -> EpisodeState` gives finished episodes at once instead, and an
    attribute `fusion` takes the place of the task's.
    """

    def predict(self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None,
                deterministic: bool = False) -> tuple[np.ndarray, Any]:
        """Actions (N, 1) in [-1, 1] for N observations, and the policy's next hidden state."""
        ...


class PhotoRecord(NamedTuple):
    """What became of one photo, at the size that the agent sees."""

    name: str
    num_segments: int
    mse: float  # on the scale of 0..255
    psnr: float  # [dB]
    ssim: float
    evs: list[float]  # exposures given, segment by segment [stops]
    true_evs: list[float] | None  # mean over each segment of the EV map that restores the target, where known [stops]
    areas: list[float]  # fraction of the photo that each segment covers
    image: np.ndarray  # (size, size, 3) float32 in [0, 1]: the result


class Evaluation(NamedTuple):
    """A policy's records, photo by photo."""

    records: list[PhotoRecord]
    max_ev: float  # [stops]

    def values(self, name: str) -> np.ndarray:
        """One metric of all photos, (N,): "mse", "psnr" or "ssim"."""
        return np.array([getattr(record, name) for record in self.records])

    def summary(self) -> dict[str, float]:
        """Means over photos, and what the exposures look like.

        Returns:
            "mse" (0..255 scale), "psnr" [dB], "ssim"; over all segments "mean_abs_ev" [stops], "saturated", the
            fraction within 1 % of the largest exposure, and "ev_correlation" (Pearson) with the true EVs;
            "per_photo_ev_correlation" is that of the photos' mean EVs, weighted by area. Correlations are NaN where
            truth is unknown or either side constant.
        """
        evs = np.concatenate([record.evs for record in self.records])
        known = [record for record in self.records if record.true_evs is not None]
        pairs = [pair for record in known for pair in zip(record.evs, record.true_evs, strict=True)]
        means = [(np.dot(r.evs, r.areas), np.dot(np.nan_to_num(r.true_evs), r.areas)) for r in known]
        return {
            **{name: float(self.values(name).mean()) for name in ("mse", "psnr", "ssim")},
            "mean_abs_ev": float(abs(evs).mean()),
            "saturated": float((abs(evs) > 0.99 * self.max_ev).mean()),
            "ev_correlation": pearson(pairs),
            "per_photo_ev_correlation": pearson(means),
        }


def evaluate(policy: Policy, task: ExposureTask, photos: Photos = None, batch_size: int = 64,
             obs_type: ObsType | None = None) -> Evaluation:
    """Plays every photo once, deterministically.

    Args:
        policy: See `Policy`.
        task: Segments, rendering and `max_ev`. Its reward model plays no part.
        photos: With targets, or positions in the task's own photos; by default all its own.
        batch_size: Photos played at once.
        obs_type: What the policy sees, see `ExposureEnv`; by default what its `observation_space` asks for, "uint8"
            if it has none.

    Raises:
        ValueError: If a photo has no target, or an action has another shape than (N, 1) or isn't finite.
    """
    if hasattr(policy, "fusion"):
        task = copy.copy(task)
        task.config, task.fusion = replace(task.config, fusion=policy.fusion), resolve_fusion(policy.fusion)
    scenes = paired_scenes(task, photos)
    records = []
    for i in range(0, len(scenes), batch_size):
        batch = scenes[i : i + batch_size]
        state = task.start(batch)
        finished = policy.plan(state) if hasattr(policy, "plan") else play(policy, task, state, obs_type)
        records += _records(task, batch, finished)
    return Evaluation(records, task.config.max_ev)


def play(policy: Policy, task: ExposureTask, state: EpisodeState, obs_type: ObsType | None = None) -> EpisodeState:
    """The N episodes, played to their ends by the policy; arguments as for `evaluate`."""
    obs_type = obs_type or _obs_type(getattr(policy, "observation_space", None))
    hidden, episode_start = None, np.ones(len(state.step), bool)
    while not is_done(state).all():
        observation = encode(observe(state, task.local(state), task.config.planes), obs_type)
        actions, hidden = policy.predict(observation, state=hidden, episode_start=episode_start, deterministic=True)
        state = task.advance(state, task.exposure(checked_action(actions, (len(state.step), 1))[:, 0]))
        episode_start = np.zeros_like(episode_start)
    return state


def _obs_type(space: spaces.Space | None) -> ObsType:
    if isinstance(space, spaces.Dict):
        return "dict"
    return "float32" if space is not None and space.dtype == np.float32 else "uint8"


def _records(task: ExposureTask, scenes: Sequence[Scene], state: EpisodeState) -> list[PhotoRecord]:
    images = task.fused(state)
    metrics = zip(*(metric(images, state.targets).tolist() for metric in (mse, psnr, ssim)), strict=True)
    records = []
    for i, (scene, numbers) in enumerate(zip(scenes, metrics, strict=True)):
        count = int(state.num_segments[i])
        pixels = np.bincount(state.labels[i].ravel(), minlength=count)
        true_evs = None
        if scene.photo.ev_map is not None:
            sums = np.bincount(state.labels[i].ravel(), scene.photo.ev_map.ravel(), minlength=count)
            true_evs = np.where(pixels > 0, sums / np.maximum(pixels, 1), np.nan).tolist()
        evs, areas = state.evs[i, :count].tolist(), (pixels / pixels.sum()).tolist()
        segments = int(scene.labels.max()) + 1
        records.append(PhotoRecord(scene.photo.name, segments, *numbers, evs, true_evs, areas, images[i]))
    return records


def normalised_score(agent: Evaluation, identity: Evaluation, oracle: Evaluation) -> float:
    """Fraction of the possible gain in mean PSNR that the agent achieves: 0 the untouched photo, 1 the oracle.

    Raises:
        ValueError: If they are not of the same photos.
    """
    names = [[record.name for record in evaluation.records] for evaluation in (agent, identity, oracle)]
    if not names[0] == names[1] == names[2]:
        raise ValueError("agent, identity and oracle must be evaluated on the same photos")
    low, high = identity.values("psnr").mean(), oracle.values("psnr").mean()
    return float((agent.values("psnr").mean() - low) / (high - low)) if high > low else float("nan")


class Row(NamedTuple):
    """A policy's line in the comparison."""

    name: str
    psnr: float  # [dB]
    ssim: float
    score: float  # see `normalised_score`; NaN where no oracle takes part
    ev_correlation: float
    evaluation: Evaluation


def contestants(agent: Policy, training: ExposureTask, experts: Sequence[Photo]) -> dict[str, Policy]:
    """The agent among all baselines, for `compare`.

    Args:
        agent: Any policy.
        training: The agent's task on photos with targets; the constant exposure is fitted on the first 128 of them.
        experts: Well exposed photos; auto-exposure aims at their mean luminance.

    Raises:
        ValueError: If a training photo has no target.
    """
    config = training.config
    return {
        "identity": Identity(),
        "constant EV": ConstantEV.fit(training, range(min(NUM_FITTED, len(training.photos)))),
        "auto-exposure": AutoExposure.fit(experts, config.max_ev, config.space),
        "fixed bracket": FixedBracket(config.max_ev),
        "agent": agent,
        "oracle": Oracle(training),
    }


def compare(policies: Mapping[str, Policy], task: ExposureTask, photos: Photos = None) -> list[Row]:
    """Evaluates all policies on the same photos; arguments as for `evaluate`.

    The normalised score needs an `Oracle` among them; the untouched photo is measured for it in any case.
    """
    evaluations = {name: evaluate(policy, task, photos) for name, policy in policies.items()}
    of_kind = {type(policy): evaluations[name] for name, policy in policies.items()}
    oracle = of_kind.get(Oracle)
    identity = oracle and (of_kind.get(Identity) or evaluate(Identity(), task, photos))
    rows = []
    for name, evaluation in evaluations.items():
        summary = evaluation.summary()
        score = float("nan") if oracle is None else normalised_score(evaluation, identity, oracle)
        rows.append(Row(name, summary["psnr"], summary["ssim"], score, summary["ev_correlation"], evaluation))
    return rows


def format_table(rows: Sequence[Row]) -> str:
    """The comparison as aligned plain text, one line a policy."""
    lines = [("policy", "PSNR [dB]", "SSIM", "score", "EV correlation")]
    for row in rows:
        numbers = (f"{row.psnr:.2f}", f"{row.ssim:.3f}", f"{row.score:.2f}", f"{row.ev_correlation:.2f}")
        lines.append((row.name, *("-" if number == "nan" else number for number in numbers)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ([f"{line[0]:<{widths[0]}}", *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "\n".join("  ".join(cells) for cells in aligned)

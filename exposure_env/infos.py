"""The infos of episodes: the same keys from the reset to the last step, so that any client can store them in arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exposure_env.episode import EpisodeState
from exposure_env.task import ExposureTask, Outcome


def blank(state: EpisodeState, photos: Sequence[int], task: ExposureTask) -> dict[str, Any]:
    """The infos of N episodes in which nothing has been exposed, as arrays of N rows.

    Args:
        state: The episodes.
        photos: N indices in the data set, -1 for photos from elsewhere.
        task: Their task, whose reward model may have parts and a version.

    Returns:
        "photo_index" and "num_segments", integers; "segment_index", the segment exposed in the last step, here -1;
        "ev", its exposure [stops]; "evs", (N, K) float32, the exposures so far, 0 for segments still to come; "score"
        of the result and "input_score" of the untouched photo, 0 until the end; where there are parts, "rewards": a
        dict of theirs, likewise; where the reward model counts its versions, "reward_version", -1 until the end. (Not
        NaN: Gymnasium's checkers compare infos, and NaN differs from itself.)
    """
    num = len(state.step)
    infos: dict[str, Any] = {
        "photo_index": np.asarray(photos, np.int64), "num_segments": state.num_segments.astype(np.int64),
        "segment_index": np.full(num, -1, np.int64), "ev": np.zeros(num), "evs": state.evs.astype(np.float32),
        "score": np.zeros(num), "input_score": np.zeros(num),
    }  # fmt: skip
    if task.parts:
        infos["rewards"] = {name: np.zeros(num) for name in task.parts}
    if task.versioned:
        infos["reward_version"] = np.full(num, -1, np.int64)
    return infos


def stepped(infos: dict[str, Any], before: EpisodeState, evs: np.ndarray, rows: np.ndarray, outcome: Outcome | None,
            ended: np.ndarray) -> dict[str, Any]:
    """The same infos after a step of some of the episodes.

    Args:
        infos: The result of `blank` for the states after the step; its arrays are overwritten.
        before: The states before the step.
        evs: (N,) the exposures [stops].
        rows: The episodes that took the step: booleans or indices.
        outcome: The outcome of those that the step ended; None if there are none.
        ended: Their indices.
    """
    infos["segment_index"][rows], infos["ev"][rows] = before.step[rows], evs[rows]
    if outcome is not None:
        infos["score"][ended], infos["input_score"][ended] = outcome.score, outcome.input_score
        if "reward_version" in infos:
            infos["reward_version"][ended] = outcome.version
        if outcome.parts:
            parts = infos.setdefault("rewards", {})
            for name, values in outcome.parts.items():
                parts.setdefault(name, np.zeros(len(evs)))[ended] = values
    return infos


def restart(infos: dict[str, Any], fresh: Mapping[str, Any], rows: np.ndarray) -> None:
    """Overwrites these rows of infos with those of fresh ones; 0 for parts that those don't know."""
    for name, value in infos.items():
        if isinstance(value, dict):
            restart(value, fresh.get(name, {}), rows)
        else:
            value[rows] = fresh[name][rows] if name in fresh else 0


def single(infos: Mapping[str, Any], row: int = 0) -> dict[str, Any]:
    """One episode's infos: Python's numbers, and an array of its own for the exposures."""
    def one(value: Any) -> Any:
        if isinstance(value, Mapping):
            return single(value, row)
        return value[row].copy() if value.ndim > 1 else value[row].item()

    return {name: one(value) for name, value in infos.items()}


def masked(infos: Mapping[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Infos in Gymnasium's form for vector environments: beside each, a mask of the environments that have it.

    Args:
        infos: Arrays of N rows; rows that aren't masked are set to 0, as Gymnasium has them.
        rows: (N,) booleans, the environments that the infos are about.
    """
    told: dict[str, Any] = {}
    for name, value in infos.items():
        if isinstance(value, Mapping):
            told[name] = masked(value, rows)
        else:
            told[name] = np.zeros_like(value)
            told[name][rows] = value[rows]
        told[f"_{name}"] = rows.copy()
    return told

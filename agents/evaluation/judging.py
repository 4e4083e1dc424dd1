"""How good is a policy? Every photo is played once; the outcome is recorded and summarised."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from agents.evaluation.metrics import mse, pearson, psnr, ssim
from agents.playing import Photos, Policy, paired_scenes, play
from exposure_env.episode import EpisodeState
from exposure_env.fusion import resolve_fusion
from exposure_env.observations import ObsType
from exposure_env.task import ExposureTask, Scene

SAME_EV = 1e-3  # exposures that differ by less are the same [stops]


class PhotoRecord(NamedTuple):
    """The outcome for one photo, at the size that the agent sees or at full size."""

    name: str
    num_segments: int
    mse: float  # on the scale of 0..255
    psnr: float  # [dB]
    ssim: float
    evs: list[float]  # one exposure per segment [stops]
    true_evs: list[float] | None  # mean over each segment of the EV map that restores the target, where known [stops]
    areas: list[float]  # fraction of the photo that each segment covers
    image: np.ndarray  # (size, size, 3) float32 in [0, 1]: the result; at full size (H, W, 3) uint8

    @property
    def ev_correlation(self) -> float:
        """Pearson's correlation of chosen and true EVs over the segments, weighted by area: does it expose locally?

        NaN if the true EVs are unknown, or either side differs by less than `SAME_EV` from segment to segment.
        """
        if self.true_evs is None:
            return float("nan")
        return pearson(list(zip(self.evs, self.true_evs, strict=True)), self.areas, SAME_EV)

    @property
    def step_correlation(self) -> float:
        """Spearman's correlation of the EV with the number of the step: does it go by the order, not by the photo?

        Segments without a pixel are left out. NaN if the EVs differ by less than `SAME_EV`.
        """
        evs = [ev for ev, area in zip(self.evs, self.areas, strict=True) if area > 0]
        if len(evs) < 2 or np.ptp(evs) < SAME_EV:
            return float("nan")
        from scipy.stats import rankdata  # here, as it takes half a second to load

        return pearson(list(enumerate(rankdata(evs))))


class Evaluation(NamedTuple):
    """A policy's records, photo by photo."""

    records: list[PhotoRecord]
    max_ev: float  # [stops]

    def values(self, name: str) -> np.ndarray:
        """One metric for all photos, (N,): "mse", "psnr" or "ssim"."""
        return np.array([getattr(record, name) for record in self.records])

    def summary(self) -> dict[str, float]:
        """The means over photos, and statistics of the exposures.

        Returns:
            "mse" (0..255 scale), "psnr" [dB], "ssim"; over all segments "mean_abs_ev" [stops], "saturated", the
            fraction within 1 % of the largest exposure, and "ev_correlation" (Pearson) with the true EVs;
            "per_photo_ev_correlation" is that of the photos' mean EVs, weighted by area. "within_photo_ev_correlation"
            is the mean over photos of `PhotoRecord.ev_correlation`, and "ev_step_correlation" that of
            `PhotoRecord.step_correlation`. Correlations are NaN if the true EVs are unknown or either side is constant.
        """
        evs = np.concatenate([record.evs for record in self.records])
        known = [record for record in self.records if record.true_evs is not None]
        pairs = [pair for record in known for pair in zip(record.evs, record.true_evs, strict=True)]
        means = [(np.dot(r.evs, r.areas), np.dot(np.nan_to_num(r.true_evs), r.areas)) for r in known]
        return {
            **{name: float(self.values(name).mean()) for name in ("mse", "psnr", "ssim")},
            "mean_abs_ev": _mean(abs(evs)),
            "saturated": _mean(abs(evs) > 0.99 * self.max_ev),
            "ev_correlation": pearson(pairs),
            "per_photo_ev_correlation": pearson(means),
            "within_photo_ev_correlation": _mean([record.ev_correlation for record in self.records]),
            "ev_step_correlation": _mean([record.step_correlation for record in self.records]),
        }


def evaluate(policy: Policy, task: ExposureTask, photos: Photos = None, batch_size: int = 64,
             obs_type: ObsType | None = None) -> Evaluation:
    """The evaluation of a policy that plays every photo once, deterministically.

    Args:
        policy: See `playing.Policy`.
        task: Segments, rendering and `max_ev`. Its reward model plays no part.
        photos: Photos with targets, or positions in the task's own; by default all of the task's own.
        batch_size: Photos played at once.
        obs_type: Type of the observations, see `ExposureEnv`; by default the one that the policy's `observation_space`
            asks for, or "uint8" if it has none.

    Raises:
        ValueError: If a photo has no target, or actions are not finite or not of shape (N, 1).
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


def _mean(values: Sequence[float]) -> float:
    """The mean of the values without NaN; NaN if none is left."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


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

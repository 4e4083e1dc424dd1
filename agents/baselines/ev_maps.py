"""Policies that wish for an EV at every pixel, and give each segment the mean of these wishes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.baselines.untrained import Observation, by_length, finished_with
from agents.playing import Photos, paired_scenes
from exposure_env.decoding import decode
from exposure_env.episode import CHANNELS, LAYOUT, EpisodeState
from exposure_env.image import luminance, srgb_to_linear
from exposure_env.rewards import psnr
from exposure_env.task import ExposureTask

MIDDLE_GREY = 0.18  # luminance of linear light
DARKEST = 2.0**-10  # what is darker counts as this dark
FRACTIONS = tuple(float(fraction) for fraction in np.linspace(0, 1, 21))


def segment_means(maps: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The mean of each photo's map over each of its segments, (N, count); 0 for segments without a pixel.

    Args:
        maps: (N, H, W) numbers.
        labels: (N, H, W) integers 0..count-1.
        count: Largest number of segments.
    """
    places = (labels + count * np.arange(len(labels))[:, None, None]).ravel()
    pixels = np.bincount(places, minlength=count * len(labels))
    sums = np.bincount(places, maps.ravel(), minlength=count * len(labels))
    return (sums / np.maximum(pixels, 1)).reshape(len(labels), count).astype(np.float32)


def with_ev_maps(state: EpisodeState, maps: np.ndarray, max_ev: float) -> EpisodeState:
    """The N episodes finished with the means of EV maps, (N, H, W) [stops], over their segments, within ±max_ev."""
    evs = segment_means(maps, state.labels, state.evs.shape[1])
    return finished_with(state, np.clip(evs, -max_ev, max_ev))


class MapPolicy:
    """A policy whose exposure of a segment is the mean over it of an EV map that depends on the photo alone."""

    max_ev = 3.0  # exposure of action 1 [stops]; must be the task's

    def ev_maps(self, photos: np.ndarray) -> np.ndarray:
        """The EV wished for at every pixel, (N, H, W) [stops], for photos (N, H, W, 3), float32 in [0, 1]."""
        raise NotImplementedError

    def plan(self, state: EpisodeState) -> EpisodeState:
        """The N episodes, finished."""
        return with_ev_maps(state, self.ev_maps(state.photos), self.max_ev)

    def predict(self, observation: Observation, state: Any = None, episode_start: np.ndarray | None = None,
                deterministic: bool = True) -> tuple[np.ndarray, Any]:
        """Actions (N, 1) float32 in [-1, 1], or (1,) for one observation; and the unchanged state.

        The nine planes alone show no mask: there, black pixels of a segment count as lying outside of it.
        """
        planes = decode(observation)
        batch, planes = planes.shape[:-3], planes.reshape(-1, *planes.shape[-3:])
        if planes.shape[-1] == CHANNELS["full"]:
            mask = planes[..., LAYOUT["mask"].start] > 0.5
        else:
            mask = planes[..., LAYOUT["segment"]].any(-1)
        evs = segment_means(self.ev_maps(planes[..., LAYOUT["photo"]]), 1 - mask, 2)[:, 0]
        return np.clip(evs / self.max_ev, -1, 1).astype(np.float32).reshape(*batch, 1), state


class GreyRule(MapPolicy):
    """The photographer's rule: each segment comes a fraction of the way from its mean luminance to middle grey.

    Mean and way are measured in stops, that is in log2 luminance of linear light.

    Args:
        fraction: 0 leaves the photo as it is, 1 makes every segment middle grey.
        max_ev: Exposure of action 1 [stops], the task's.

    Raises:
        ValueError: If the fraction doesn't lie in [0, 1].
    """

    def __init__(self, fraction: float = 0.25, max_ev: float = 3.0):
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction must lie in [0, 1], not {fraction}")
        self.fraction, self.max_ev = float(fraction), max_ev

    @classmethod
    def fit(cls, task: ExposureTask, photos: Photos = None, fractions: Sequence[float] = FRACTIONS,
            batch_size: int = 64) -> "GreyRule":
        """The rule with the best mean PSNR on training photos (see `paired_scenes`), rendered by the task.

        Args:
            task: Segments, rendering and `max_ev`.
            photos: Photos with targets; by default the task's own.
            fractions: Fractions to choose from.
            batch_size: Photos rendered at once.

        Raises:
            ValueError: If a photo has no target, or a fraction doesn't lie in [0, 1].
        """
        rules = [cls(fraction, task.config.max_ev) for fraction in fractions]
        sums = np.zeros(len(rules))
        for _, state in by_length(task.start(paired_scenes(task, photos)), batch_size):
            sums += [psnr(task.fused(rule.plan(state)), targets=state.targets).sum() for rule in rules]
        return rules[int(sums.argmax())]

    def ev_maps(self, photos: np.ndarray) -> np.ndarray:
        """EVs (N, H, W) [stops], of every pixel as if it were a segment."""
        light = np.log2(np.maximum(luminance(srgb_to_linear(photos)), np.float32(DARKEST)))
        return np.float32(self.fraction) * (np.float32(np.log2(MIDDLE_GREY)) - light)

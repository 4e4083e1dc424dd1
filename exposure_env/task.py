"""What the environments share: photos, segmenter, reward model and settings, behind one small interface.

`ExposureTask` turns a photo into an episode, an action into an exposure, and finished images into rewards. The single
environment asks it for one photo, the vector environment for many at once.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from exposure_env import rewards
from exposure_env.episode import EpisodeState, advance, is_done, local_image, shaping, start, untouched
from exposure_env.fusion import resolve_fusion
from exposure_env.image import Array
from exposure_env.photos import Photo, photo_thumbnail, resolve_photos
from exposure_env.scenes import PhotoScores, Scene, Scenes
from exposure_env.segmentation import SEGMENTERS
from exposure_env.settings import TASK_PRESETS, TaskConfig, checked


class Outcome(NamedTuple):
    """N finished episodes and their results."""

    state: EpisodeState
    image: np.ndarray  # (N, size, size, 3) float32: the blended result
    score: np.ndarray  # (N,) float64
    input_score: np.ndarray  # (N,) float64 scores of the untouched photos; 0 where rewards are absolute
    parts: dict[str, np.ndarray]  # what the scores are made of, by name, each (N,); see `rewards.RewardModel`
    version: int = -1  # of the reward model, where it counts its versions


class ExposureTask:
    """Photos, how they are cut up, how exposures are rendered and what the result is worth.

    Args:
        photos: Any `Sequence[Photo]`, a folder's path, or None for the sample photos.
        segmenter: "felzenszwalb", "luminance_bands", "slic", or a callable (H, W, 3) -> (H, W) labels.
        reward_model: See `rewards.resolve_reward`.
        preset: Name in `settings.TASK_PRESETS`.
        **settings: Fields of `settings.TaskConfig`, in place of the preset's.

    Raises:
        ValueError: If a preset or name is unknown, or a setting is out of range.
        TypeError: If there is no such setting.
    """

    def __init__(self, photos: Sequence[Photo] | str | None = None, segmenter: Any = "felzenszwalb",
                 reward_model: Any = "psnr", *, preset: str = "recommended", **settings: Any):
        if preset not in TASK_PRESETS:
            raise ValueError(f"preset must be one of {sorted(TASK_PRESETS)}, not {preset!r}")
        names = [field.name for field in fields(TaskConfig)]
        if unknown := [name for name in settings if name not in names]:  # in Python's own words, which clients look for
            raise TypeError(f"got an unexpected keyword argument {unknown[0]!r}: the settings are {names}")
        self.config = checked(replace(TASK_PRESETS[preset], **settings))
        self.photos = resolve_photos(photos)
        if not callable(segmenter) and segmenter not in list(SEGMENTERS):
            raise ValueError(f"segmenter must be callable or one of {list(SEGMENTERS)}, not {segmenter!r}")
        self.segmenter = segmenter
        self.reward_model = rewards.resolve_reward(reward_model)
        self.parts = tuple(getattr(self.reward_model, "parts", ()))  # names of the parts that it promises to report
        self.versioned = isinstance(getattr(self.reward_model, "version", None), int)  # whether infos have its version
        self.potential = None if self.config.shaping is None else rewards.resolve_reward(self.config.shaping)
        self.fusion = resolve_fusion(self.config.fusion)
        self._scenes = Scenes(self.photos, self.segmenter, self.config)
        self._photo_scores = PhotoScores()

    # From photos to episodes

    def draw(self, rng: np.random.Generator) -> Scene:
        """The scene of a random photo of the data set, with a fresh transform and random order where these are set."""
        return self.scenes([None], [rng])[0]

    def scene(self, photo: int | Photo | np.ndarray, rng: np.random.Generator) -> Scene:
        """The scene of a given photo: an index into the data set, a `Photo`, or an image array.

        Raises:
            ValueError: If the index is out of range, the image isn't a photo (see `photos.check_photo`), or its target
                or EV map is of another size.
        """
        return self.scenes([photo], [rng])[0]

    def scenes(self, photos: Sequence[int | Photo | np.ndarray | None],
               rngs: Sequence[np.random.Generator]) -> list[Scene]:
        """The scene of each photo, or of a random one where it is None; new photos are segmented in parallel."""
        return self._scenes.make(photos, rngs)

    @cached_property
    def paired(self) -> bool:
        """Whether the photos of the data set come with targets, as its first one does or doesn't."""
        return self._scenes.photo(0, np.random.default_rng(0))[1].target is not None

    def prepare(self) -> int:
        """Makes thumbnails and labels of the whole data set now, in parallel, and keeps them.

        Otherwise a photo is made ready at its first episode. With `labels_folder`, labels are kept for later runs too.

        Returns:
            The number of photos that are ready: all of them, or 0 if a transform changes them in every episode.

        Raises:
            ValueError: See `scene`.
        """
        return self._scenes.prepare()

    def thumbnail(self, image: np.ndarray, name: str = "photo") -> np.ndarray:
        """What the agent sees of a photo of any size: (size, size, 3) float32 in [0, 1]."""
        return photo_thumbnail(image, self.config.size, self.config.thumbnail, name)

    def start(self, scenes: Sequence[Scene]) -> EpisodeState:
        """The first state of one episode per scene.

        Raises:
            ValueError: If some of the photos have a target and some have none.
        """
        targets = [scene.target for scene in scenes if scene.target is not None]
        if targets and len(targets) < len(scenes):
            raise ValueError(f"{len(targets)} of {len(scenes)} photos have a target: all must, or none")
        images, labels = np.stack([scene.image for scene in scenes]), np.stack([scene.labels for scene in scenes])
        return start(images, labels, self.config.max_segments, np.stack(targets) if targets else None)

    def restart(self, state: EpisodeState, rows: Sequence[int], scenes: Sequence[Scene]) -> None:
        """Starts new episodes in some rows of a state of NumPy arrays, which are overwritten.

        Raises:
            ValueError: If they have targets where the others have none, or the reverse.
        """
        if any((scene.target is None) != (state.targets is None) for scene in scenes):
            raise ValueError("some photos have a target and some have none: all must, or none")
        for row, scene in zip(rows, scenes, strict=True):
            state.photos[row], state.labels[row] = scene.image, scene.labels
            state.num_segments[row] = scene.num_segments
            if state.targets is not None:
                state.targets[row] = scene.target
        state.evs[rows], state.step[rows] = 0, 0

    # From actions to images and rewards

    def exposure(self, action: Array) -> Array:
        """The exposures [stops] of actions in [-1, 1]; actions beyond are clipped."""
        return array_namespace(action).clip(action, min=-1.0, max=1.0) * self.config.max_ev

    def advance(self, state: EpisodeState, ev: Array) -> EpisodeState:
        """The next state; see `episode.advance`."""
        return advance(state, ev)

    def local(self, state: EpisodeState) -> Array:
        """The local image so far, (N, H, W, 3)."""
        return local_image(state, self.config.space)

    def fused(self, state: EpisodeState) -> Array:
        """The blend of the exposures so far, (N, H, W, 3): the result once the episode is over."""
        return self.fusion(state.photos, state.labels, state.evs, state.step, space=self.config.space)

    def score(self, state: EpisodeState, model: Any = None, fused: Array | None = None) -> Array:
        """The (N,) scores of the images so far, by the task's reward model or `model`; differentiable if that is.

        `fused` is the blend, if already known.

        Raises:
            ValueError: If the model returns a wrong shape or a score that is not finite.
        """
        return self._scored(model or self.reward_model, self.shown(state, fused), state.photos, state.targets).scores

    def judge(self, state: EpisodeState) -> Outcome:
        """The outcome of N finished episodes, arrays or tensors; the untouched photos are scored beside the results."""
        image = self.fused(state)
        score, parts = self._scored(self.reward_model, self.shown(state, image), state.photos, state.targets)
        if not self.config.relative:
            return Outcome(state, image, score, array_namespace(score).zeros_like(score), parts)
        return Outcome(state, image, score, self.score(untouched(state), fused=state.photos), parts)

    def finish(self, state: EpisodeState, scenes: Sequence[Scene] = ()) -> Outcome:
        """As `judge` for arrays, from one call of the reward model (two for `reward_image="both"`).

        Args:
            state: N finished episodes.
            scenes: Their scenes, so that photos of the data set whose scores are remembered are not scored again.
        """
        kept = self.config.relative and self.config.transform is None and len(scenes) > 0
        scores = self.photo_scores if kept else {}
        known = [scores.get(scene.index, np.nan) for scene in scenes] if kept else [np.nan] * len(state.step)
        known = np.array(known) if self.config.relative else np.zeros(len(state.step))
        unknown, num, fused = np.flatnonzero(np.isnan(known)), len(state.step), self.fused(state)
        shown, inputs, targets = self.shown(state, fused), state.photos, state.targets
        if len(unknown):  # the photos themselves are scored in the same call
            shown = [np.concatenate([image, inputs[unknown]]) for image in shown]
            targets = None if targets is None else np.concatenate([targets, targets[unknown]])
            inputs = np.concatenate([inputs, inputs[unknown]])
        scores_now, parts = self._scored(self.reward_model, shown, inputs, targets)
        mean = np.asarray(scores_now, np.float64)
        known[unknown] = mean[num:]
        if kept:
            scores.update({scenes[i].index: float(known[i]) for i in unknown if scenes[i].index >= 0})
        parts = {name: np.asarray(values, np.float64)[:num] for name, values in parts.items()}
        return Outcome(state, fused, mean[:num], known, parts, self.reward_model.version if self.versioned else -1)

    @staticmethod
    def _scored(model: Any, shown: list[Array], inputs: Array, targets: Array | None) -> rewards.Scored:
        """The mean scores and parts of all images that show the same N results."""
        each = [rewards.scored(model, image, inputs, targets) for image in shown]
        means = {name: sum(one.parts[name] for one in each) / len(each) for name in each[0].parts}
        return rewards.Scored(sum(one.scores for one in each) / len(each), means)

    @property
    def photo_scores(self) -> dict[int, float]:
        """The remembered scores of untouched photos, by index; see `PhotoScores`."""
        return self._photo_scores.by(self.reward_model)

    @photo_scores.setter
    def photo_scores(self, scores: dict[int, float]) -> None:
        self._photo_scores = PhotoScores(scores)

    def rewards(self, before: EpisodeState, after: EpisodeState, done: np.ndarray,
                finished: Outcome | None) -> np.ndarray:
        """The (N,) float64 rewards of a step: the outcome if the episode just ended (eq. 3), else 0, plus the shaping.

        Args:
            before: States in which the actions were taken.
            after: The next states.
            done: (N,) booleans, which episodes this step ended.
            finished: The outcome of those episodes; None if there are none.
        """
        gained = np.zeros(len(done))
        if finished is not None:
            gained[done] = finished.score - finished.input_score
        if self.potential is not None:
            potentials = [np.asarray(self.score(state, self.potential), np.float64) for state in (before, after)]
            gained += shaping(*potentials, is_done(after), self.config.gamma)
        return gained

    def shown(self, state: EpisodeState, fused: Array | None = None) -> list[Array]:
        """The images so far that are scored, each (N, H, W, 3); `fused` is the blend, if already known."""
        which = self.config.reward_image
        images = [] if which == "local" else [self.fused(state) if fused is None else fused]
        return images if which == "fused" else [*images, self.local(state)]

"""The episode as a `gymnasium.Env`: one photo, one exposure per step, one reward at the end."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from exposure_env import infos
from exposure_env.episode import is_done
from exposure_env.observations import Canvas, ObsType, checked_action, checked_seed, observation_space
from exposure_env.panels import panels
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask, Scene


class ExposureEnv(gym.Env):
    """An environment that cuts a photo into segments, exposes one of them per step, and scores the finished retouch.

    Observation: (size, size, 9 or 12) planes; the photo, its next segment, the local image so far, and with
    `planes="full"` the segment's mask, the mask of those done and the fraction of steps taken. In the last observation
    of an episode the local image is replaced by the final image. `obs_type` "uint8" (0..255) and "float32" ([0, 1])
    give them as one Box; "dict" gives each image separately (uint8) and the progress as a number.

    Action: Box(-1, 1, (1,)), times `max_ev` stops.

    Reward: 0 until the last segment, then the score of the result minus that of the untouched photo (`relative`), or
    the score alone (eq. 3). Episodes terminate at the last segment; they are never truncated.

    Info, with the same keys from `reset` to the last step:

    - "photo_index" (int): position in the data set; -1 for a photo from elsewhere.
    - "num_segments" (int): steps in this episode, 1 to `max_segments`.
    - "segment_index" (int): the segment exposed in this step, from 0; -1 at reset.
    - "ev" (float): its exposure [stops]; 0.0 at reset.
    - "evs" ((max_segments,) float32 array): the exposures so far [stops]; 0 for those still to come.
    - "score" (float): what the reward model says of the result; 0.0 until the end.
    - "input_score" (float): what it says of the untouched photo; 0.0 until the end, and where rewards are absolute.
    - "rewards" (dict of str to float): the parts of the score, where the reward model has some; 0.0 until the end.
    - "reward_version" (int): the model's version, where it counts them; -1 until the end.

    Options of `reset`, a dict or None:

    - "photo" (int, `Photo` or image array): a position in the data set, or a photo from elsewhere, named or not; an
      image is (H, W, 3) uint8, uint16 or floats in [0, 1]. None or no such key: a random photo of the data set.

    Args:
        photos: Any `Sequence[Photo]`, a folder's path, or None for the sample photos.
        segmenter: "felzenszwalb", "luminance_bands", "slic", or a callable (H, W, 3) -> (H, W) labels.
        reward_model: An object, a function of a batch of images, a name, or "module:attribute".
        obs_type: "uint8", "float32" or "dict".
        render_mode: None or "rgb_array" (a storyboard panel); Gymnasium adds "human".
        preset: "recommended" or "paper".
        **settings: Fields of `settings.TaskConfig`, in place of the preset's.

    Raises:
        ValueError: If a setting makes no sense; the message names it.
        TypeError: If there is no such setting.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}

    def __init__(self, photos: Sequence[Photo] | str | None = None, segmenter: Any = "felzenszwalb",
                 reward_model: Any = "psnr", *, obs_type: ObsType = "uint8", render_mode: str | None = None,
                 preset: str = "recommended", **settings: Any):
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f'render_mode must be None or "rgb_array", not {render_mode!r}')
        self.task = ExposureTask(photos, segmenter, reward_model, preset=preset, **settings)
        self.obs_type, self.render_mode = obs_type, render_mode
        self.observation_space = observation_space(self.task.config, obs_type)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.scene: Scene | None = None
        self.state = None
        self._canvas = Canvas(self.task.config, obs_type)
        self._last: tuple[float | None, float | None] = (None, None)  # EV and reward of the last step, for `render`

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode on a random photo, or on `options["photo"]`.

        Args:
            seed: An integer from 0, for the photos and transforms to come; None goes on with the present generator.
            options: See above.

        Returns:
            The first observation, and the infos.

        Raises:
            ValueError: If the seed isn't an integer from 0, or there is no such photo.
        """
        super().reset(seed=checked_seed(seed))
        wanted = (options or {}).get("photo")
        self.scene = self.task.draw(self.np_random) if wanted is None else self.task.scene(wanted, self.np_random)
        self.state = self.task.start([self.scene])
        self._canvas.begin(self.state)
        self._last = (None, None)
        return self._observation(), infos.single(self._blank())

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Gives the next segment its exposure.

        Args:
            action: (1,) in [-1, 1], times `max_ev` stops; numbers beyond are clipped.

        Returns:
            Observation, reward (float), whether the episode is over, whether it was truncated (never), infos.

        Raises:
            ValueError: If the action is not one finite number, or the episode is over or was never begun.
        """
        if self.state is None or is_done(self.state)[0]:
            raise ValueError("step() without an episode: call reset() first, also after the last segment")
        ev = self.task.exposure(checked_action(action, (1,)))
        before, self.state = self.state, self.task.advance(self.state, ev)
        done = is_done(self.state)
        self._canvas.expose(before, self.state)
        outcome = self.task.finish(self.state, [self.scene]) if done[0] else None
        if outcome:
            self._canvas.show(self.state, outcome.image, np.arange(1))
        reward = float(self.task.rewards(before, self.state, done, outcome)[0])
        info = infos.single(infos.stepped(self._blank(), before, ev, np.arange(1), outcome, np.arange(1)))
        self._last = (info["ev"], reward)
        return self._observation(), reward, bool(done[0]), False, info

    def render(self) -> np.ndarray | None:
        """One panel of the storyboard, (rows, columns, 3) uint8: photo, segment, local image, blend so far, target.

        The reward model scores the result so far, and the photo. Panels have room for a target if the data set's photos
        come with one; they never change their size.
        """
        if self.render_mode is None or self.state is None:
            return None
        return panels(self.task, self.state, [self._last], target=self.task.paired)[0]

    def result(self) -> np.ndarray:
        """The blend of the exposures so far, (size, size, 3) float32 in [0, 1]; ValueError before the first reset."""
        if self.state is None:
            raise ValueError("no result without an episode: call reset() first")
        return self.task.fused(self.state)[0]

    def _blank(self) -> dict[str, Any]:
        return infos.blank(self.state, [self.scene.index], self.task)

    def _observation(self) -> Any:
        batch = self._canvas.observe(self.state)
        return {key: value[0] for key, value in batch.items()} if self.obs_type == "dict" else batch[0]

"""The decision process of "Exposure" (Hu et al., 2018) as a `gymnasium.Env`: a filter per step, a reward per step."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from exposure_env import rewards
from exposure_env.image import clip
from exposure_env.observations import checked_action, checked_seed
from exposure_env.photos import Photo, resolve_photos
from exposure_env.render import comparison
from exposure_env.scenes import Scene, Scenes
from exposure_env.settings import TaskConfig, checked
from exposure_env.white_box.filters import FILTERS, NUM_PARAMETERS, PLACES, apply_filters, from_unit
from exposure_env.white_box.planes import LAYOUT, observe

NUM_FILTERS = len(FILTERS)
NOTHING = -1  # the filter of the reset


class WhiteBoxEnv(gym.Env):
    """An environment that puts a photo through one filter per step, and rewards each by what it adds to the score.

    Observation: (size, size, 12) planes; the image so far, the fraction of the steps that are left, and for each of the
    eight filters whether it was used (1) or not (0). `obs_type` "uint8" (0..255) and "float32" ([0, 1]) give them as
    one Box.

    Action: Box(-1, 1, (47,)). The first eight are preferences for the filters, of which the largest is applied, the
    first one of equals; the other 39 span the ranges of the parameters of all filters, in the order of `FILTERS`. Only
    those of the chosen filter count. With `action_type="dict"` the filter is a number from 0 to 7:
    Dict("filter": Discrete(8), "parameters": Box(-1, 1, (39,))). The image is confined to [0, 1] after each filter.

    Reward: The score of the image after the step minus the score before, so that rewards add up to the score of the
    result minus that of the photo; less `reuse_penalty` if the filter was used before. Episodes terminate after
    `max_steps` filters; they are never truncated.

    Unlike the paper: images are sRGB-encoded and confined to [0, 1] after each filter, so that the observation shows
    all of the state; exposure and white balance act on linear light; white balance has two parameters, as the third
    only scales all gains; saturation and contrast also go down; greys stay grey in saturation; the discount, the
    adversarial reward and the penalty on entropy are the agent's affair.

    Info, with the same keys from `reset` to the last step:

    - "photo_index" (int): position in the data set; -1 for a photo from elsewhere.
    - "step" (int): filters applied so far, 0 at reset.
    - "filter" (int): position in `FILTERS` of the filter applied in this step; -1 at reset.
    - "parameters" ((39,) float32 array): its parameters, in their own units; 0 for those of the others.
    - "score" (float): what the reward model says of the image so far.
    - "input_score" (float): what it says of the untouched photo.

    Options of `reset`, a dict or None:

    - "photo" (int, `Photo` or image array): a position in the data set, or a photo from elsewhere, named or not; an
      image is (H, W, 3) uint8, uint16 or floats in [0, 1]. None or no such key: a random photo of the data set.

    Args:
        photos: Any `Sequence[Photo]`, a folder's path, or None for the sample photos.
        reward_model: An object, a function of a batch of images, a name, or "module:attribute".
        max_steps: Filters in an episode, from 1 to 255.
        action_type: "box" or "dict".
        obs_type: "uint8" or "float32".
        reuse_penalty: What is taken off the reward where a filter is used again, 0 or more [points of the score].
        size: Side of the thumbnail that the agent sees [px].
        thumbnail: "squeeze" or "letterbox", how a photo becomes square.
        transform: A function of a photo and a generator, applied afresh in every episode; or None.
        render_mode: None or "rgb_array" (the photo, and the image before and after); Gymnasium adds "human".

    Raises:
        ValueError: If an argument makes no sense; the message names it.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}

    def __init__(self, photos: Sequence[Photo] | str | None = None, reward_model: Any = "psnr", *, max_steps: int = 5,
                 action_type: Literal["box", "dict"] = "box", obs_type: Literal["uint8", "float32"] = "uint8",
                 reuse_penalty: float = 0.0, size: int = 64, thumbnail: Literal["squeeze", "letterbox"] = "squeeze",
                 transform: Callable[[Photo, np.random.Generator], Photo] | None = None,
                 render_mode: str | None = None):
        choices = {"action_type": (action_type, ("box", "dict")), "obs_type": (obs_type, ("uint8", "float32")),
                   "render_mode": (render_mode, (None, *self.metadata["render_modes"]))}
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, not {value!r}")
        if not isinstance(max_steps, int | np.integer) or isinstance(max_steps, bool) or not 1 <= max_steps <= 255:
            raise ValueError(f"max_steps must be an integer from 1 to 255, not {max_steps!r}")
        if not isinstance(reuse_penalty, Real) or not 0 <= reuse_penalty < np.inf:  # NaN fails, too
            raise ValueError(f"reuse_penalty must be a finite number of at least 0, not {reuse_penalty!r}")
        config = checked(TaskConfig(size=size, thumbnail=thumbnail, transform=transform, max_segments=1))
        self.photos = resolve_photos(photos)
        self.reward_model = rewards.resolve_reward(reward_model)
        self.max_steps, self.reuse_penalty = int(max_steps), float(reuse_penalty)
        self.action_type, self.obs_type, self.render_mode = action_type, obs_type, render_mode
        shape = (size, size, LAYOUT["used"].stop)
        self.observation_space = (spaces.Box(0, 255, shape, np.uint8) if obs_type == "uint8"
                                  else spaces.Box(0.0, 1.0, shape, np.float32))
        if action_type == "box":
            self.action_space: spaces.Space = spaces.Box(-1.0, 1.0, (NUM_FILTERS + NUM_PARAMETERS,), np.float32)
        else:
            self.action_space = spaces.Dict({"filter": spaces.Discrete(NUM_FILTERS),
                                             "parameters": spaces.Box(-1.0, 1.0, (NUM_PARAMETERS,), np.float32)})
        self.scene: Scene | None = None
        self.image = self._before = np.empty((0, 0, 3), np.float32)  # so far, and one step earlier
        self.used = np.zeros(NUM_FILTERS, bool)
        self.scenes = Scenes(self.photos, _undivided, config)
        self._info: dict[str, Any] = {}  # of the last step

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
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
        (self.scene,) = self.scenes.make([(options or {}).get("photo")], [self.np_random])
        self.image = self._before = self.scene.image
        self.used = np.zeros(NUM_FILTERS, bool)
        (score,) = self._scores(self.image)
        self._info = {"photo_index": self.scene.index, "step": 0, "filter": NOTHING,
                      "parameters": np.zeros(NUM_PARAMETERS, np.float32), "score": score, "input_score": score}
        return self._observation(), self._told()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Applies a filter to the image so far.

        Args:
            action: See above; numbers beyond [-1, 1] are clipped.

        Returns:
            Observation, reward (float), whether the episode is over, whether it was truncated (never), infos.

        Raises:
            ValueError: If the action is not of the action space's shape and finite, or names no filter; or if the
                episode is over or was never begun.
        """
        if self.scene is None or self._info["step"] >= self.max_steps:
            raise ValueError("step() without an episode: call reset() first, also after the last filter")
        choice, unit = self._decoded(action)
        parameters, place = np.zeros(NUM_PARAMETERS, np.float32), PLACES[list(FILTERS)[choice]]
        parameters[place] = from_unit(np.clip(unit, -1.0, 1.0))[place]
        after = clip(apply_filters(self.image[None], np.array([choice]), parameters[None])[0])
        # All in one call: the scores of a model that learns during the episode are comparable only then.
        input_score, before, score = self._scores(self.scene.image, self.image, after)
        reward = score - before - self.reuse_penalty * bool(self.used[choice])
        self._before, self.image, self.used[choice] = self.image, after, True
        self._info |= {"step": self._info["step"] + 1, "filter": choice, "parameters": parameters, "score": score,
                       "input_score": input_score}
        return self._observation(), reward, self._info["step"] == self.max_steps, False, self._told()

    def render(self) -> np.ndarray | None:
        """The photo, the image before the last filter and after it, (rows, columns, 3) uint8, with the filter's name.

        Below them are the scores by the reward model. The size is the same at every step.
        """
        if self.render_mode is None or self.scene is None:
            return None
        info, caption = self._info, "no filter yet"
        if info["filter"] != NOTHING:
            name = list(FILTERS)[info["filter"]]
            caption, one = name.replace("_", " "), FILTERS[name]
            if one.num_parameters == 1:
                caption += f" {info['parameters'][PLACES[name]][0]:+.2f}{one.unit}"
        captions = [f"photo, score {info['input_score']:.4g}", "before",
                    f"{info['step']}/{self.max_steps} {caption}, score {info['score']:.4g}"]
        return comparison([self.scene.image, self._before, self.image], captions, width=900)

    def result(self) -> np.ndarray:
        """The image so far, (size, size, 3) float32 in [0, 1]; ValueError before the first reset."""
        if self.scene is None:
            raise ValueError("no result without an episode: call reset() first")
        return self.image.copy()

    def _decoded(self, action: Any) -> tuple[int, np.ndarray]:
        """The chosen filter, and the numbers for the parameters of all filters."""
        if self.action_type == "box":
            numbers = checked_action(action, (NUM_FILTERS + NUM_PARAMETERS,))
            return int(np.argmax(numbers[:NUM_FILTERS])), numbers[NUM_FILTERS:]
        if not isinstance(action, dict) or action.keys() != {"filter", "parameters"}:
            raise ValueError(f'action must be a dict of "filter" and "parameters", not {action!r:.200}')
        if not self.action_space["filter"].contains(action["filter"]):
            raise ValueError(f"filter must be an integer from 0 to {NUM_FILTERS - 1}, not {action['filter']!r:.200}")
        return int(action["filter"]), checked_action(action["parameters"], (NUM_PARAMETERS,))

    def _scores(self, *images: np.ndarray) -> list[float]:
        photos, target = np.stack([self.scene.image] * len(images)), self.scene.target
        targets = None if target is None else np.stack([target] * len(images))
        return np.asarray(rewards.score(self.reward_model, np.stack(images), photos, targets), np.float64).tolist()

    def _told(self) -> dict[str, Any]:
        """The infos, with an array that is the caller's own."""
        return self._info | {"parameters": self._info["parameters"].copy()}

    def _observation(self) -> np.ndarray:
        left = 1.0 - self._info["step"] / self.max_steps
        planes = observe(self.image[None], left, self.used[None].astype(np.float32))[0]
        return planes if self.obs_type == "float32" else np.rint(planes * 255).astype(np.uint8)


def _undivided(image: np.ndarray) -> np.ndarray:
    """One segment, the whole photo."""
    return np.zeros(image.shape[:2], np.int32)

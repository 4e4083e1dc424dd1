"""The episode as a `gymnasium.vector.VectorEnv`: N photos at once, one reward call for all that finish together."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from exposure_env import infos
from exposure_env.episode import EpisodeState, is_done, select
from exposure_env.observations import Canvas, ObsType, checked_action, checked_seed, observation_space
from exposure_env.panels import panels
from exposure_env.parsing import parse_json
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask, Outcome, Scene


def resolve_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """The autoreset mode of that name ("same_step") or value ("SameStep"), or the mode itself.

    Raises:
        ValueError: If there is none.
    """
    for known in AutoresetMode:
        if mode in (known, known.value) or str(mode).upper() == known.name:
            return known
    raise ValueError(f"autoreset_mode must be one of {[known.name.lower() for known in AutoresetMode]}, not {mode!r}")


class ExposureVectorEnv(VectorEnv):
    """N independent `ExposureEnv`s in step, computed as one batch.

    Spaces, rewards and infos are those of N single environments in a `SyncVectorEnv`; after a reset with seed s,
    environment i acts like a single environment with seed s + i. The caller may keep and change whatever is returned.
    A photo is made ready at its first episode, those of one reset in parallel; `task.prepare()` does all beforehand.

    Info: the keys of `ExposureEnv`, with an array of N values each: (N,) int64 for its integers, (N,) float64 for its
    floats, (N, max_segments) float32 for "evs"; "rewards" is a dict of such arrays. Beside each key there is one with
    an underscore before it, such as "_score": (N,) booleans, the environments that the values are about; the others
    hold 0. In the mode SAME_STEP, a step that ends episodes adds "final_obs" ((N,) array of observations, None where
    no episode has ended) and "final_info" (a dict of infos as here), and likewise "_final_obs" and "_final_info".

    Options of `reset`, a dict or None:

    - "photo" (int, `Photo` or image array, or a list of N of these and None): as for `ExposureEnv`, for all
      environments, or for each its own; None for a random photo.
    - "reset_mask" ((N,) boolean array, not all False): the environments whose episodes start anew; all by default.

    Args:
        num_envs: N, the number of episodes at once.
        photos: As for `ExposureEnv`, like the other arguments.
        segmenter: See `ExposureEnv`.
        reward_model: See `ExposureEnv`; called once per step on all episodes that end in it.
        obs_type: "uint8", "float32" or "dict".
        render_mode: None or "rgb_array": a tuple of N storyboard panels.
        autoreset_mode: What happens to an episode that is over, a mode or its name. "next_step": the next step ignores
            its action and resets it. "same_step": the step returns the next episode's observation, and the last one in
            `info["final_obs"]`. "disabled": the caller resets it with `options["reset_mask"]`.
        preset: "recommended" or "paper".
        **settings: Fields of `settings.TaskConfig`.

    Raises:
        ValueError: If a setting makes no sense; the message names it.
        TypeError: If there is no such setting.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int = 1, photos: Sequence[Photo] | str | None = None,
                 segmenter: Any = "felzenszwalb", reward_model: Any = "psnr", *, obs_type: ObsType = "uint8",
                 render_mode: str | None = None, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
                 preset: str = "recommended", **settings: Any):
        if not (isinstance(num_envs, int) and num_envs >= 1):
            raise ValueError(f"num_envs must be an integer of at least 1, not {num_envs!r}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f'render_mode must be None or "rgb_array", not {render_mode!r}')
        self.task = ExposureTask(photos, segmenter, reward_model, preset=preset, **settings)
        self.num_envs, self.obs_type, self.render_mode = num_envs, obs_type, render_mode
        self.autoreset_mode = resolve_autoreset_mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(self.task.config, obs_type)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.scenes: list[Scene | None] = [None] * num_envs
        self.state: EpisodeState | None = None  # its arrays are overwritten when an episode restarts
        self.finished: Outcome | None = None  # the outcome of the episodes that the last step ended
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._over = np.zeros(num_envs, bool)  # episodes that ended and have not been reset
        self._canvas = Canvas(self.task.config, obs_type)
        self._last = np.full((num_envs, 2), np.nan)  # EV and reward of the last step, to be drawn; NaN before the first

    def reset(self, *, seed: int | Sequence[int | None] | None = None,
              options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts all episodes, or those in `options["reset_mask"]`.

        Args:
            seed: None, one number s for seeds s, s + 1, ..., or one per environment.
            options: See above.

        Returns:
            Observations of all environments, and infos of those that were reset.

        Raises:
            ValueError: If the number of seeds or of photos, or the mask, doesn't match the environments, or a seed
                isn't an integer from 0.
        """
        options = dict(options or {})
        if not isinstance(seed, Sequence) and np.ndim(seed) == 0:
            first = checked_seed(seed)
            seed = [None if first is None else first + i for i in range(self.num_envs)]
        wanted = options.get("photo")
        wanted = wanted if isinstance(wanted, list) else [wanted] * self.num_envs
        for name, given in {"seed": seed, "photo": wanted}.items():
            if len(given) != self.num_envs:
                raise ValueError(f"{len(given)} entries in {name} for {self.num_envs} environments: want one each")
        mask = options.get("reset_mask", np.ones(self.num_envs, bool))
        if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"reset_mask must be a boolean array of shape ({self.num_envs},), not all False: {mask!r}")
        if self.state is None and not mask.all():
            raise ValueError("the first reset must start all episodes: leave reset_mask out")
        self._begin(np.flatnonzero(mask), [checked_seed(each) for each in seed], wanted)
        return self._canvas.observe(self.state), infos.masked(self._blank(), mask)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Gives the next segment of every photo its exposure.

        Args:
            actions: (N, 1) in [-1, 1].

        Returns:
            Observations, rewards (N,) float64, terminations (N,), truncations (N,) (never), infos.

        Raises:
            ValueError: If the actions have another shape or are not finite, or an episode is over or was never begun.
        """
        if self.state is None:
            raise ValueError("step() without episodes: call reset() first")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._over.any():
            raise ValueError(f"episodes {np.flatnonzero(self._over)} are over: reset them with options['reset_mask']")
        evs = self.task.exposure(checked_action(actions, (self.num_envs, 1), used=~self._over[:, None])[:, 0])
        stale, before = self._over, self.state  # episodes over before this step are only reset (NEXT_STEP)
        after = self.task.advance(before, evs)
        done = is_done(after) & ~stale
        ended = np.flatnonzero(done)
        self._canvas.expose(before, after)
        self.finished = None
        if len(ended):
            self.finished = self.task.finish(select(after, ended), [self.scenes[i] for i in ended])
            self._canvas.show(after, self.finished.image, ended)
        rewards = np.where(stale, 0.0, self.task.rewards(before, after, done, self.finished))
        self.state, self._over, self._last = after, done.copy(), np.stack([evs, rewards], axis=1, dtype=np.float64)

        told, final = infos.stepped(self._blank(), before, evs, ~stale, self.finished, ended), {}
        restarted = np.flatnonzero(stale) if self.autoreset_mode is AutoresetMode.NEXT_STEP else ended[:0]
        if len(ended) and self.autoreset_mode is AutoresetMode.SAME_STEP:
            last, final_obs, restarted = self._canvas.observe(after, ended), np.full(self.num_envs, None), ended
            for k, i in enumerate(ended):
                final_obs[i] = {key: part[k] for key, part in last.items()} if isinstance(last, dict) else last[k]
            final = {"final_obs": final_obs, "_final_obs": done.copy(), "final_info": infos.masked(told, done),
                     "_final_info": done.copy()}
        if len(restarted):
            self._begin(restarted)
            infos.restart(told, self._blank(), restarted)
        info = infos.masked(told, np.ones(self.num_envs, bool)) | final
        return self._canvas.observe(self.state), rewards, done, np.zeros(self.num_envs, bool), info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One storyboard panel per environment, as `ExposureEnv.render` gives it."""
        if self.render_mode is None or self.state is None:
            return None
        return panels(self.task, self.state, [_drawn(last) for last in self._last], target=self.task.paired)

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that further steps depend on, except the settings and the data set.

        It includes the photos at thumbnail size, since a random transform of them could not be repeated. It is made of
        arrays, numbers, strings, lists and dicts; the generators' states are JSON, as their integers have 128 bits.

        Raises:
            ValueError: If no episode was ever begun.
        """
        if self.state is None:
            raise ValueError("there is no state before the first episode: call reset() first")
        columns = {name: None if array is None else array.copy() for name, array in self.state._asdict().items()}
        scenes = [{"index": scene.index, "name": scene.photo.name, "ev_map": scene.photo.ev_map}
                  for scene in self.scenes]
        scored = self.task.photo_scores
        return {"episodes": columns, "scenes": scenes, "images": self._canvas.images.copy(), "over": self._over.copy(),
                "last": [_drawn(last) for last in self._last],
                "scored": np.array([*scored], int), "scores": np.array([*scored.values()]),
                "rngs": [json.dumps(rng.bit_generator.state) for rng in self._rngs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where an environment of the same settings and photos left off; `finished` is None until a step.

        Args:
            state: The result of its `state_dict`.

        Raises:
            ValueError: If it is the state of something else, or has another number or size of episodes.
        """
        try:
            columns = {name: None if array is None else np.array(array) for name, array in state["episodes"].items()}
            episodes, last = EpisodeState(**columns), np.array(state["last"], float)
            scenes = [_scene(episodes, i, **told) for i, told in enumerate(state["scenes"])]
            images, over, rngs = np.array(state["images"]), np.array(state["over"]), []
            scores = dict(zip(state["scored"].tolist(), state["scores"].tolist(), strict=True))
            for text in state["rngs"]:
                rngs.append(seeding.np_random(0)[0])
                rngs[-1].bit_generator.state = parse_json(text)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"this is not the state of an ExposureVectorEnv: {error!r}") from error
        config = self.task.config
        given, own = (*episodes.photos.shape[:2], *episodes.evs.shape), (self.num_envs, config.size, self.num_envs,
                                                                        config.max_segments)
        if given != own:
            raise ValueError("episodes, side and room for exposures must be as in this environment, "
                             f"{(own[0], own[1], own[3])}, not {(given[0], given[1], given[3])}")
        self.state, self.scenes, self.finished = episodes, scenes, None
        self._over, self._last, self._rngs, self.task.photo_scores = over, last, rngs, scores
        self._canvas.begin(episodes)
        self._canvas.show(episodes, images, np.arange(self.num_envs))

    def _begin(self, rows: np.ndarray, seeds: Sequence[int | None] | None = None,
               photos: Sequence[Any] | None = None) -> None:
        """Starts episodes in these rows."""
        for i in rows:
            if self._rngs[i] is None or (seeds is not None and seeds[i] is not None):
                self._rngs[i] = seeding.np_random(None if seeds is None else seeds[i])[0]
        scenes = self.task.scenes([None if photos is None else photos[i] for i in rows], [self._rngs[i] for i in rows])
        everything = len(rows) == self.num_envs
        if everything and (self.state is None or (scenes[0].target is None) != (self.state.targets is None)):
            self.state = self.task.start(scenes)
        else:
            self.task.restart(self.state, rows, scenes)
        for i, scene in zip(rows, scenes, strict=True):
            self.scenes[i] = scene
        self._canvas.begin(self.state, rows)
        self._over[rows], self._last[rows] = False, np.nan

    def _blank(self) -> dict[str, Any]:
        return infos.blank(self.state, [scene.index for scene in self.scenes], self.task)


def _drawn(last: np.ndarray) -> list[float | None]:
    return [None if np.isnan(number) else float(number) for number in last]


def _scene(state: EpisodeState, i: int, index: int, name: str, ev_map: Any) -> Scene:
    """The scene of episode i, rebuilt from its row of the state and the rest that `state_dict` keeps of it."""
    image, target = state.photos[i].copy(), None if state.targets is None else state.targets[i].copy()
    photo = Photo(name, image, target, None if ev_map is None else np.array(ev_map))
    return Scene(index, photo, image, target, state.labels[i].copy(), int(state.num_segments[i]))

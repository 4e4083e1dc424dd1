"""The episode as a `gymnasium.vector.VectorEnv`: N photos at once, one reward call for all that finish together."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from exposure_env.env import checked_action, reset_info, step_info
from exposure_env.episode import EpisodeState, is_done, observe
from exposure_env.observations import ObsType, encode, observation_space
from exposure_env.photos import Photo
from exposure_env.render import storyboard_panel
from exposure_env.task import ExposureTask, Outcome, Scene, select


class ExposureVectorEnv(VectorEnv):
    """N independent `ExposureEnv`s in step, computed as one batch.

    Same spaces, rewards and infos as N single environments in a `SyncVectorEnv`; environment i of a reset with seed s
    is the single environment with seed s + i.

    Args:
        num_envs: N.
        photos: As for `ExposureEnv`, like the other arguments.
        segmenter: See `ExposureEnv`.
        reward_model: See `ExposureEnv`; called once per step on all episodes that end in it.
        obs_type: "uint8", "float32" or "dict".
        render_mode: None or "rgb_array": a tuple of N storyboard panels.
        autoreset_mode: What happens to an episode that is over. NEXT_STEP: the next step ignores its action and resets
            it. SAME_STEP: the step returns the next episode's observation, and the last one in `info["final_obs"]`.
            DISABLED: the caller resets it by `options["reset_mask"]`.
        preset: "recommended" or "paper".
        **settings: Fields of `task.TaskConfig`.

    Raises:
        ValueError: For any setting that makes no sense, naming it.
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
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(self.task, obs_type)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.scenes: list[Scene | None] = [None] * num_envs
        self.state: EpisodeState | None = None  # its arrays are overwritten when an episode restarts
        self.finished: Outcome | None = None  # the episodes that the last step ended, and what they came to
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._over = np.zeros(num_envs, bool)  # episodes that ended and have not been reset
        self._images: np.ndarray | None = None  # (N, size, size, 3) as observed: local so far, or final
        self._last: list[tuple[float | None, float | None]] = [(None, None)] * num_envs  # EV and reward, for rendering

    def reset(self, *, seed: int | Sequence[int | None] | None = None,
              options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts all episodes, or those in `options["reset_mask"]`.

        Args:
            seed: None, one number s for seeds s, s + 1, ..., or one per environment.
            options: "photo": for all environments an index, a `Photo` or an array, or a list with one for each;
                "reset_mask": (N,) booleans.

        Raises:
            ValueError: If the number of seeds, of photos or the shape of the mask doesn't match.
        """
        options = dict(options or {})
        if seed is None or isinstance(seed, int | np.integer):
            seed = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
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
        infos = self._begin(np.flatnonzero(mask), seed, wanted)
        return self._observations(), self._batched(infos)

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
        stale, before = self._over, self.state  # episodes that were over before this step only reset (NEXT_STEP)
        after = self.task.advance(before, evs)
        done = is_done(after) & ~stale
        self.finished = self.task.finish(select(after, done)) if done.any() else None
        rewards = np.where(stale, 0.0, self.task.rewards(before, after, done, self.finished))
        infos = _step_infos(before, evs, done, self.finished)

        self.state, self._over, self._images = after, done.copy(), self.task.local(after)
        self._last = [(float(ev), float(reward)) for ev, reward in zip(evs, rewards, strict=True)]
        if self.finished is not None:
            self._images[done] = self.finished.image
        if self.autoreset_mode is AutoresetMode.SAME_STEP and done.any():
            ended = np.flatnonzero(done)
            last = encode(observe(select(self.state, ended), self._images[ended], self.task.config.planes),
                          self.obs_type)
            restarted = self._begin(ended)
            for k, i in enumerate(ended):
                final_obs = {name: part[k] for name, part in last.items()} if self.obs_type == "dict" else last[k]
                infos[i] = {"final_obs": final_obs, "final_info": infos[i], **restarted[i]}
        elif self.autoreset_mode is AutoresetMode.NEXT_STEP and stale.any():
            infos |= self._begin(np.flatnonzero(stale))
        return self._observations(), rewards, done, np.zeros(self.num_envs, bool), self._batched(infos)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One storyboard panel per environment, each (rows, columns, 3) uint8."""
        if self.render_mode is None or self.state is None:
            return None
        fused, space = self.task.fused(self.state), self.task.config.space
        return tuple(
            storyboard_panel(select(self.state, [i]), fused[i], *self._last[i], space=space)
            for i in range(self.num_envs)
        )

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that further steps depend on, but for the settings and the data set.

        Also of photos that were drawn with a transform, which nobody could draw again. Arrays, numbers, strings, lists
        and dicts of them; the generators' states are JSON, as their integers have 128 bits.

        Raises:
            ValueError: If no episode was ever begun.
        """
        if self.state is None:
            raise ValueError("there is no state before the first episode: call reset() first")
        columns = {name: None if array is None else array.copy() for name, array in self.state._asdict().items()}
        scenes = [{"index": scene.index, "name": scene.photo.name, "ev_map": scene.photo.ev_map}
                  for scene in self.scenes]
        return {"episodes": columns, "scenes": scenes, "images": self._images.copy(), "over": self._over.copy(),
                "last": [list(step) for step in self._last],
                "rngs": [json.dumps(rng.bit_generator.state) for rng in self._rngs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another environment of the same settings and photos was; `finished` is None until a step.

        Args:
            state: What its `state_dict` gave.

        Raises:
            ValueError: If it is the state of something else, or of another number or size of episodes.
        """
        try:
            columns = {name: None if array is None else np.array(array) for name, array in state["episodes"].items()}
            episodes, last = EpisodeState(**columns), [tuple(step) for step in state["last"]]
            scenes = [_scene(episodes, i, **told) for i, told in enumerate(state["scenes"])]
            images, over, rngs = np.array(state["images"]), np.array(state["over"]), []
            for text in state["rngs"]:
                rngs.append(seeding.np_random(0)[0])
                rngs[-1].bit_generator.state = json.loads(text)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"this is not the state of an ExposureVectorEnv: {error!r}") from error
        config = self.task.config
        given, own = (*episodes.photos.shape[:2], *episodes.evs.shape), (self.num_envs, config.size, self.num_envs,
                                                                        config.max_segments)
        if given != own:
            raise ValueError("episodes, side and room for exposures must be as in this environment, "
                             f"{(own[0], own[1], own[3])}, not {(given[0], given[1], given[3])}")
        self.state, self.scenes, self.finished = episodes, scenes, None
        self._images, self._over, self._last, self._rngs = images, over, last, rngs

    def _begin(self, indices: np.ndarray, seeds: Sequence[int | None] | None = None,
               photos: Sequence[Any] | None = None) -> dict[int, dict[str, Any]]:
        """Starts the episodes of these environments; what each reset tells, by environment."""
        for i in indices:
            if self._rngs[i] is None or (seeds is not None and seeds[i] is not None):
                self._rngs[i] = seeding.np_random(None if seeds is None else seeds[i])[0]
            given = None if photos is None else photos[i]
            rng = self._rngs[i]
            self.scenes[i] = self.task.draw(rng) if given is None else self.task.scene(given, rng)
            self._last[i] = (None, None)
        fresh = self.task.start([self.scenes[i] for i in indices])
        if len(indices) == self.num_envs:
            self.state, self._images = fresh, fresh.photos.copy()
        elif (fresh.targets is None) != (self.state.targets is None):
            raise ValueError("some photos have a target and some have none: all must, or none")
        else:
            for ours, new in zip(self.state, fresh, strict=True):
                if ours is not None:
                    ours[indices] = new
            self._images[indices] = fresh.photos
        self._over[indices] = False
        return {i: reset_info(self.scenes[i]) for i in indices}

    def _observations(self) -> Any:
        return encode(observe(self.state, self._images, self.task.config.planes), self.obs_type)

    def _batched(self, infos: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """Infos in Gymnasium's form for vector environments: arrays, and a mask for each key."""
        batched: dict[str, Any] = {}
        for i, info in infos.items():
            batched = self._add_info(batched, info, i)
        return batched


def _step_infos(before: EpisodeState, evs: np.ndarray, done: np.ndarray, finished: Outcome | None) -> dict[int, dict]:
    """What a step tells of each episode that was not over before it."""
    infos = {i: step_info(before, evs, i) for i in np.flatnonzero(~is_done(before))}
    for k, i in enumerate(np.flatnonzero(done)):
        infos[i] |= finished.info(k)
    return infos


def _scene(state: EpisodeState, i: int, index: int, name: str, ev_map: Any) -> Scene:
    """The scene of episode i: an episode begins with all that it shows."""
    image, target = state.photos[i].copy(), None if state.targets is None else state.targets[i].copy()
    photo = Photo(name, image, target, None if ev_map is None else np.array(ev_map))
    return Scene(index, photo, image, target, state.labels[i].copy())

"""An adapter from `ExposureVectorEnv` to `VecEnv`, the interface that Stable-Baselines3's algorithms take."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv

from exposure_env.episode import EpisodeState
from exposure_env.infos import blank, single
from exposure_env.task import ExposureTask, Outcome
from exposure_env.vector import ExposureVectorEnv


class ExposureVecEnv(VecEnv):
    """N episodes at once as an SB3 `VecEnv`; each restarts in the step that ends it.

    Args:
        env: A vector environment with `autoreset_mode=SAME_STEP`, an id, or None for "Exposure/Local-v0".
        num_envs: Number of environments if `env` is an id or None.
        **kwargs: Arguments of `ExposureVectorEnv` if `env` is an id or None.

    Raises:
        ValueError: If `env` is of another kind or has another autoreset mode.
    """

    def __init__(self, env: ExposureVectorEnv | str | None = None, num_envs: int = 8, **kwargs: Any):
        if env is None or isinstance(env, str):
            name = env or "exposure_env:Exposure/Local-v0"
            try:
                env = gym.make_vec(name, num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs)
            except TypeError as error:  # other environments don't know these arguments
                raise ValueError(f"cannot make an ExposureVectorEnv of {name!r}: {error}") from error
        if not isinstance(env.unwrapped, ExposureVectorEnv):
            raise ValueError(f"ExposureVecEnv adapts an ExposureVectorEnv, not {type(env).__name__}")
        if (mode := env.unwrapped.autoreset_mode) is not AutoresetMode.SAME_STEP:
            raise ValueError(f"SB3 restarts episodes at once: give autoreset_mode=SAME_STEP, not {mode}")
        self.envs = env.unwrapped
        self.render_mode = self.envs.render_mode
        super().__init__(self.envs.num_envs, self.envs.single_observation_space, self.envs.single_action_space)
        self.elsewhere: EpisodeState | None = None  # the episodes while `DeviceVecEnv` plays them on a device
        self._actions: np.ndarray | None = None
        self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, int)

    @property
    def task(self) -> ExposureTask:
        """Photos, rendering and reward, for agents that know the transition."""
        return self.envs.task

    @property
    def state(self) -> EpisodeState | None:
        """The current episodes: arrays, or tensors while they are played on a device."""
        return self.envs.state if self.elsewhere is None else self.elsewhere

    @property
    def finished(self) -> Outcome | None:
        """The episodes that the last step ended: arrays, or tensors if they were played on a device."""
        return self.envs.finished

    def reset(self) -> Any:
        """The first observations of N new episodes."""
        seeds = list(self._seeds)
        photos = [options.get("photo") for options in self._options]
        observations, infos = self.envs.reset(seed=seeds, options={"photo": photos})
        self.reset_infos = [_one(infos, i) for i in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0, 0
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Stores the actions (N, 1) for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Observations, float32 rewards (N,), dones (N,), N infos; at the end "episode" holds return and length."""
        observations, rewards, dones, _, batched = self.envs.step(self._actions)
        self._returns += rewards
        self._lengths += 1
        infos = []
        for i in range(self.num_envs):
            info = _one(batched, i)
            if dones[i]:
                last, observation = info.pop("final_info"), info.pop("final_obs")
                self.reset_infos[i] = info
                info = {**last, "terminal_observation": observation, "TimeLimit.truncated": False}
                info["episode"] = {"r": float(self._returns[i]), "l": int(self._lengths[i])}
            infos.append(info)
        self._returns[dones], self._lengths[dones] = 0, 0
        return observations, rewards.astype(np.float32), dones, infos

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that later steps depend on; see `ExposureVectorEnv.state_dict`."""
        return {"envs": self.envs.state_dict(), "returns": self._returns.copy(), "lengths": self._lengths.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where an environment with the same settings and photos left off; pending seeds are dropped.

        Args:
            state: The result of its `state_dict`.

        Raises:
            ValueError: If it is the state of something else, or its episodes differ in number or size.
        """
        if missing := {"envs", "returns", "lengths"} - state.keys():
            raise ValueError(f"this is not the state of an ExposureVecEnv: it lacks {sorted(missing)}")
        self.envs.load_state_dict(state["envs"])
        self._returns, self._lengths = np.array(state["returns"]), np.array(state["lengths"])
        begun = blank(self.envs.state, [scene.index for scene in self.envs.scenes], self.task)
        self.reset_infos = [single(begun, i) for i in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()

    def close(self) -> None:
        """Frees the environment."""
        self.envs.close()

    def get_images(self) -> list[np.ndarray]:
        """One storyboard panel per environment."""
        return list(self.envs.render() or [])

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of the one underlying vector environment, repeated for each index."""
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets the attribute of the one underlying vector environment."""
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """The result of one call of the underlying vector environment's method, repeated for each index."""
        result = getattr(self.envs, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """True only for SB3's Monitor, because the infos already hold the returns and lengths it would add."""
        return [wrapper_class.__name__ == "Monitor" for _ in self._get_indices(indices)]


def adapted(env: Any) -> Any:
    """The environment as an `ExposureVecEnv`, inside any SB3 wrappers it came in; None for None.

    Args:
        env: An `ExposureVecEnv`, an `ExposureVectorEnv`, an id or None.

    Raises:
        ValueError: If it is of another kind.
    """
    if env is None:
        return None
    if isinstance(env, str) or isinstance(getattr(env, "unwrapped", None), ExposureVectorEnv):
        return ExposureVecEnv(env)
    if not isinstance(getattr(env, "unwrapped", None), ExposureVecEnv):
        raise ValueError("DeepExposure's gradient goes through the known transition, so it needs an ExposureVecEnv, an "
                         f"ExposureVectorEnv or an id, not {type(env).__name__}; SB3's DDPG and TD3 take any env")
    return env


def _one(batched: dict[str, Any], index: int) -> dict[str, Any]:
    """The info of one environment, from Gymnasium's batched form."""
    present = {key: value for key, value in batched.items() if not key.startswith("_") and batched[f"_{key}"][index]}
    return {key: _one(value, index) if isinstance(value, dict) else _own(value[index])
            for key, value in present.items()}


def _own(value: Any) -> Any:
    """A number of Python's, or what it is."""
    return value.item() if isinstance(value, np.generic) else value

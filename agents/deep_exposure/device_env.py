"""The episodes of an `ExposureVecEnv` played as tensors on a device, a whole batch at a time.

The environment on the host draws the photos, with its generators and all its options, and is where a checkpoint finds
the episodes that come next. What happens in them is computed on the device: states, observations, images and scores,
by the same functions, which know NumPy and Torch alike. How long each episode is, the host knows from the photos; so
nothing has to come back from the device until the whole batch is over.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from agents.planes import planes
from agents.vec_env import ExposureVecEnv
from exposure_env import episode
from exposure_env.rewards import is_differentiable
from exposure_env.scenes import Scene
from exposure_env.task import ExposureTask, Outcome


class SceneBank:
    """Thumbnails, labels and targets of a data set on a device; each photo is copied there at its first episode.

    Args:
        num_photos: Photos of the data set. Room for all is made at once: 66 kB each at 64 px, 115 kB with a target.
        device: Where they are kept.
    """

    def __init__(self, num_photos: int, device: torch.device):
        self.device, self.known = device, np.zeros(num_photos, bool)
        self._columns: dict[str, Tensor] = {}

    def take(self, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Copies of (N, H, W, 3) images, (N, H, W) int32 labels and (N, H, W, 3) targets, if any, on the device.

        Args:
            scenes: Of photos of the data set, as they are in each of their episodes; all with a target, or none.
        """
        names = ("image", "labels") if scenes[0].target is None else ("image", "labels", "target")
        new = {scene.index: scene for scene in scenes if not self.known[scene.index]}
        if new:
            rows = torch.tensor([*new], device=self.device)
            for name in names:
                values = torch.tensor(np.stack([getattr(scene, name) for scene in new.values()]), device=self.device)
                if name not in self._columns:
                    self._columns[name] = values.new_empty((len(self.known), *values.shape[1:]))
                self._columns[name][rows] = values
            self.known[[*new]] = True
        rows = torch.tensor([scene.index for scene in scenes], device=self.device)
        images, labels, *targets = (self._columns[name][rows] for name in names)
        return images, labels, targets[0] if targets else None


class DeviceVecEnv:
    """Plays the episodes that an `ExposureVecEnv` has begun, as tensors.

    `begin`, then `step` as often as the longest episode asks for: shorter ones, once over, stay as they are. Then
    `finish`, and `reset` of the environment itself draws the photos of the next batch. No step copies anything to the
    host or waits for the device. Photos of the data set are copied to the device once; with a `transform` or
    `order="random"`, which make others of them in every episode, at every `begin`.

    Args:
        exposure_env: The environment whose episodes these are.
        device: Where they are played.

    Raises:
        ValueError: If scores of tensors can't be had from the reward model, or the shaping's.
    """

    def __init__(self, exposure_env: ExposureVecEnv, device: torch.device | str):
        if not playable(exposure_env.task):
            raise ValueError("episodes are played on a device only where the reward model, and the shaping's, take "
                             f"tensors, and so have differentiable=True: {exposure_env.task.reward_model!r}")
        self.exposure_env, self.device = exposure_env, torch.device(device)
        self.bank = SceneBank(len(exposure_env.task.photos), self.device)

    @property
    def state(self) -> episode.EpisodeState:
        """The episodes as they are now, tensors; no memory is shared with the environment's own."""
        return self.exposure_env.state

    def begin(self, num: int | None = None) -> np.ndarray:
        """Takes over the environment's first `num` episodes, by default all, as they are: new, or under way.

        Returns:
            (num,) int64 on the host: steps that are left of each, at least 1.

        Raises:
            ValueError: If the environment has never been reset.
        """
        envs, task = self.exposure_env.envs, self.exposure_env.task
        if envs.state is None:
            raise ValueError("begin() without episodes: reset the environment first")
        host = episode.select(envs.state, slice(num))
        scenes = envs.scenes[:num]
        kept = task.config.transform is None and task.config.order != "random"
        if kept and all(scene.index >= 0 for scene in scenes):
            photos, labels, targets = self.bank.take(scenes)
        else:
            photos, labels, targets = (self._copy(array) for array in (host.photos, host.labels, host.targets))
        rest = (self._copy(array) for array in (host.evs, host.step, host.num_segments))
        envs.finished = None
        self.exposure_env.elsewhere = episode.EpisodeState(photos, targets, labels, *rest)
        return host.num_segments - host.step

    def observe(self) -> Tensor:
        """(N, C, H, W) planes as the actor sees them, of bytes where the environment's observations are bytes."""
        with torch.no_grad():
            return planes(self.exposure_env.task, self.exposure_env.envs.obs_type, self.state)

    def step(self, actions: Tensor) -> None:
        """Gives the next segment of every unfinished episode its exposure; actions (N, 1), clipped to [-1, 1]."""
        task = self.exposure_env.task
        with torch.no_grad():
            self.exposure_env.elsewhere = task.advance(self.state, task.exposure(actions[:, 0]))

    def finish(self) -> Outcome:
        """What the episodes, all over, came to, as tensors; the environment's `finished` from now on."""
        task, state = self.exposure_env.task, self.state
        with torch.no_grad():
            image = task.fused(state)
            score = task.score(state, fused=image)
            input_score = torch.zeros_like(score)
            if task.config.relative:
                input_score = task.score(episode.untouched(state), fused=state.photos)
        self.exposure_env.envs.finished = Outcome(state, image, score, input_score)
        return self.exposure_env.envs.finished

    def returns(self, finished: Outcome) -> Tensor:
        """(N,) sums of the rewards of finished episodes: the outcomes, plus what the shaping gave on the way."""
        task, total = self.exposure_env.task, finished.score - finished.input_score
        if task.potential is None:
            return total
        with torch.no_grad():
            rows, states = episode.visited(finished.state)
            before = task.score(states, task.potential)
            last = states.step == states.num_segments - 1
            after = before.roll(-1)  # the states of an episode lie in a row
            given = episode.shaping(before, after, last, task.config.gamma)
            return total.index_add(0, rows, given.to(total.dtype))

    def leave(self) -> None:
        """Gives the environment back: its episodes are its own again, as they were when they were taken over."""
        self.exposure_env.elsewhere = None

    def _copy(self, array: np.ndarray | None) -> Tensor | None:
        return None if array is None else torch.tensor(array, device=self.device)


def playable(task: ExposureTask) -> bool:
    """Whether images that are tensors can be scored: by differentiable models, as others may know NumPy only."""
    models = [task.reward_model] if task.potential is None else [task.reward_model, task.potential]
    return all(is_differentiable(model) for model in models)

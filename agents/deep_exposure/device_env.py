"""The episodes of an `ExposureVecEnv`, played as tensors on a device, a whole batch at a time.

The environment on the host draws the photos, with its generators and all its options, and holds the next episodes for
checkpoints. What happens in the episodes is computed on the device: states, observations, images and scores, by the
same functions, which take NumPy arrays and tensors alike. The host knows from the photos how long each episode is, so
nothing has to come back from the device until the whole batch is over.
"""

from collections.abc import Sequence
from typing import Any

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
    """A store of a data set's thumbnails, labels and targets on a device; a photo is copied there at its first episode.

    Args:
        num_photos: Photos in the data set. Memory for all is allocated at once: 66 kB each at 64 px, 115 kB with a
            target.
        device: Device of the store.
    """

    def __init__(self, num_photos: int, device: torch.device):
        self.device, self.known = device, np.zeros(num_photos, bool)
        self._columns: dict[str, Tensor] = {}

    def take(self, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Copies on the device of (N, H, W, 3) images, (N, H, W) int32 labels and (N, H, W, 3) targets, if any.

        Args:
            scenes: Scenes of the data set's photos, the same in every episode; all with a target, or none.
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
    """The episodes that an `ExposureVecEnv` has begun, played as tensors on a device.

    A batch takes `begin`, then as many calls of `step` as its longest episode has steps, then `finish`; shorter
    episodes stay as they are once they are over. The environment's own `reset` then draws the photos of the next batch.
    No step copies anything to the host or waits for the device. Photos of the data set are copied to the device once.
    With a `transform` or `order="random"`, which change them in every episode, they are copied at every `begin`.

    Args:
        exposure_env: The environment whose episodes are played.
        device: Device on which they are played.

    Raises:
        ValueError: If the reward model, or the shaping's, can't score tensors.
    """

    def __init__(self, exposure_env: ExposureVecEnv, device: torch.device | str):
        if not playable(exposure_env.task):
            raise ValueError("episodes are played on a device only where the reward model, and the shaping's, take "
                             f"tensors, and so have differentiable=True: {exposure_env.task.reward_model!r}")
        self.exposure_env, self.device = exposure_env, torch.device(device)
        self.bank, self.memory = SceneBank(len(exposure_env.task.photos), self.device), None

    @property
    def state(self) -> episode.EpisodeState:
        """The current episodes, as tensors; they share no memory with the environment's own."""
        return self.exposure_env.state

    def begin(self, num: int | None = None) -> np.ndarray:
        """Takes over the environment's first `num` episodes, by default all, whether new or under way.

        Returns:
            (num,) int64 on the host: the steps left in each episode, at least 1.

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
        """(N, C, H, W) planes as the actor sees them, rounded to bytes if the environment's observations are."""
        with torch.no_grad():
            return planes(self.exposure_env.task, self.exposure_env.envs.obs_type, self.state)

    def act(self, actor: Any) -> Tensor:
        """The (N,) actions of an actor in the current states; what it remembers of the photos lasts till `leave`."""
        task, obs_type = self.exposure_env.task, self.exposure_env.envs.obs_type
        with torch.no_grad():
            self.memory = actor.remember(task, self.state) if self.memory is None else self.memory
            return actor.act(task, obs_type, self.state, self.memory)

    def step(self, actions: Tensor) -> None:
        """Gives the next segment of every unfinished episode its exposure; actions (N, 1) are clipped to [-1, 1]."""
        task = self.exposure_env.task
        with torch.no_grad():
            self.exposure_env.elsewhere = task.advance(self.state, task.exposure(actions[:, 0]))

    def finish(self) -> Outcome:
        """The outcome of the episodes, all over, as tensors; it becomes the environment's `finished`."""
        with torch.no_grad():
            self.exposure_env.envs.finished = self.exposure_env.task.judge(self.state)
        return self.exposure_env.envs.finished

    def returns(self, finished: Outcome) -> Tensor:
        """(N,) sums of the rewards of finished episodes: the outcomes plus the shaping along the way."""
        task, total = self.exposure_env.task, finished.score - finished.input_score
        if task.potential is None:
            return total
        with torch.no_grad():
            rows, states = episode.visited(finished.state)
            before = task.score(states, task.potential)
            last = states.step == states.num_segments - 1
            after = before.roll(-1)  # the states of an episode follow one another
            given = episode.shaping(before, after, last, task.config.gamma)
            return total.index_add(0, rows, given.to(total.dtype))

    def leave(self) -> None:
        """Gives the episodes back to the environment, as they were when they were taken over."""
        self.exposure_env.elsewhere = self.memory = None

    def _copy(self, array: np.ndarray | None) -> Tensor | None:
        return None if array is None else torch.tensor(array, device=self.device)


def playable(task: ExposureTask) -> bool:
    """Whether the task can score tensors: its models must be differentiable, as others may know NumPy only."""
    models = [task.reward_model] if task.potential is None else [task.reward_model, task.potential]
    return all(is_differentiable(model) for model in models)

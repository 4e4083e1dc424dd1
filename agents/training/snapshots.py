"""Agents as they were while they were trained, kept beside the last one: to see how a photo's retouch changed."""

from pathlib import Path
from typing import NamedTuple

from stable_baselines3.common.callbacks import BaseCallback

from agents.deep_exposure import DeepExposure
from agents.saved_agent import FILE_NAME, save_agent

SNAPSHOTS, UNTRAINED = "snapshots", "untrained"


class Snapshot(NamedTuple):
    """An agent as it was at some time."""

    name: str  # when: "untrained", "after the warm start", "after 1,200 exposures", "at the end"
    path: Path


class Snapshots(BaseCallback):
    """A callback that keeps the agent, at equal distances from the training's first exposure on.

    It draws no random numbers and changes nothing, so a training is the same with and without it. What is due at an
    update depends on nothing but the number of exposures, so a resumed run keeps what one never stopped would.

    Args:
        folder: Folder of the run; the agents' files come into a folder in it.
        model: The model that is trained.
        number: How many are kept; 0 for none. The last is from before the end, which the run keeps anyway.
        total_timesteps: Exposures in the whole training.
    """

    def __init__(self, folder: Path, model: DeepExposure, number: int, total_timesteps: int):
        super().__init__()
        self.folder, self.trained = folder / SNAPSHOTS, model
        self.number, self.total_timesteps, self.kept = number, total_timesteps, -1

    @property
    def due(self) -> int:
        """The number of the snapshot that belongs to the present exposures."""
        return min(self.number * self.trained.num_timesteps // self.total_timesteps, self.number - 1)

    def keep_untrained(self) -> None:
        """Keeps the agent as it is before a warm start, if there is to be one; it is not counted."""
        if self.number and self.trained.method.warm_start:
            self._write(UNTRAINED)

    def resume(self) -> None:
        """Goes on after a checkpoint: what was due then has been kept."""
        self.kept = self.due

    def _on_rollout_start(self) -> None:
        if self.due > self.kept:
            self.kept = self.due
            self._write(f"{self.trained.num_timesteps:012}")

    def _on_step(self) -> bool:
        return True

    def _write(self, name: str) -> None:
        self.folder.mkdir(exist_ok=True)
        save_agent(self.folder / f"{name}.safetensors", self.trained.policy, self.trained.exposure_env.task)


def snapshots_of(run: Path) -> list[Snapshot]:
    """The agents that a run has kept, from the first to the one at the end.

    Args:
        run: Folder of a run, or an agent's file, which is just the one.

    Raises:
        ValueError: If there is no agent.
    """
    if run.is_file():
        return [Snapshot(run.stem, run)]
    last = Snapshot("at the end", run / FILE_NAME)
    if not last.path.is_file():
        raise ValueError(f"there is no agent in {run}: it must be the folder of a run, or an agent's file")
    paths = {path.stem: path for path in sorted((run / SNAPSHOTS).glob("*.safetensors"))}
    first = [Snapshot(UNTRAINED, paths[UNTRAINED])] if UNTRAINED in paths else []
    start = "after the warm start" if first else UNTRAINED
    numbered = [Snapshot(f"after {int(name):,} exposures" if int(name) else start, path)
                for name, path in paths.items() if name.isdigit()]
    return [*first, *numbered, last]

"""Training runs: a configuration, a folder, and everything that is written there."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ProgressBarCallback

from agents.deep_exposure import DeepExposure
from agents.errors import Diverged
from agents.locks import locked
from agents.pictures import write_figure, write_picture
from agents.rewards import saved
from agents.rewards.adversarial import AdversarialCallback
from agents.saved_agent import FILE_NAME, SETTINGS, Agent, save_agent
from agents.training import run_folder
from agents.training.building import build
from agents.training.checkpoints import CHECKPOINT, Checkpoints, Randomness
from agents.training.configuration import TrainConfig
from agents.training.curves import figure_of_curves, read_csv
from agents.training.diagnostics import Diagnostics, storyboards
from agents.training.health import Health
from agents.training.run_folder import CONFIG, PHOTOS
from agents.training.run_log import PROGRESS, run_logger
from agents.training.snapshots import SNAPSHOTS, Snapshots
from exposure_env.errors import NotFinite
from exposure_env.files import remove_leftovers
from exposure_env.photos import Photo

CURVES, STORYBOARDS = "curves.png", "storyboards"
WRITTEN = (FILE_NAME, saved.FILE_NAME, CHECKPOINT, PROGRESS, CONFIG, PHOTOS, CURVES)
NUM_STORYBOARDS = 40  # in a whole training; at most one per checkpoint


class Run(NamedTuple):
    """A finished or interrupted training run."""

    model: DeepExposure
    folder: Path
    interrupted: bool
    untouched: bool = False  # it had finished before, so there was nothing to do


def train(config: TrainConfig, photos: Sequence[Photo], experts: Sequence[Photo], folder: str | os.PathLike,
          callbacks: Sequence[BaseCallback] = (), progress_bar: bool = True, *, held_out: Sequence[Photo] | None = None,
          resume: bool = False, folders: Mapping[str, str] | None = None) -> Run:
    """Trains an agent, and writes everything there is to know about it into a folder.

    The folder receives `config.json`, `photos.json`, `agent.safetensors` (see `saved_agent.load_agent`),
    `reward.safetensors` with the discriminator as it is at the end (see `rewards.load_reward`), `checkpoint.pt`,
    `progress.csv`, TensorBoard's events, `storyboards` of two photos as the training proceeds, `snapshots` of the agent
    if the configuration asks for them, and `curves.png`. Ctrl-C ends the training early; the agent is still written,
    and the run can be resumed from its last checkpoint. On the CPU a resumed run ends with exactly the weights of one
    that was never interrupted.

    Args:
        config: The configuration.
        photos: Photos to learn to retouch; only the reward "psnr" uses their targets.
        experts: Good photos, unpaired.
        folder: Run folder; created if missing.
        callbacks: Further SB3 callbacks; the checkpoint does not include their state.
        progress_bar: Whether to show a progress bar.
        held_out: Good photos that the discriminator is never shown, to log how it scores them.
        resume: Whether to resume the interrupted run in the folder; its configuration and photos must be the same. If
            it was stopped before its first checkpoint, it begins anew.
        folders: The folders of "photos", "experts" and "held_out", to be noted in `photos.json`.

    Raises:
        ValueError: If the folder holds another run, or another process trains there; with `resume`, if it holds no run,
            a damaged one, or one of another configuration or of other photos; or if `build` raises it.
        Diverged: If the training is beyond repair. The agent and the checkpoint in the folder are then those of the
            last healthy checkpoint.
    """
    folder, begun = Path(folder), False
    if resume:
        run_folder.read_config_as_written(folder)  # an error where there is no run, before a folder is made for it
    model, game = build(config, photos, experts)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "run", f"another process trains in {folder}"):
        remove_leftovers((folder / name for name in WRITTEN), [folder / STORYBOARDS, folder / SNAPSHOTS])
        sets = {"photos": photos, "experts": experts, "held_out": held_out}
        if resume:
            begun = run_folder.resume(folder, config, sets)
        else:
            run_folder.begin(folder, config, sets, folders or {})
        model.exposure_env.task.prepare()  # all photos now: whatever happens to them later, the training sees these
        return _learn(model, game, config, folder, begun, held_out, callbacks, progress_bar)


def _learn(model: DeepExposure, game: AdversarialCallback | None, config: TrainConfig, folder: Path, begun: bool,
           held_out: Sequence[Photo] | None, callbacks: Sequence[BaseCallback], progress_bar: bool) -> Run:
    """The training itself, from the folder's checkpoint if it has `begun`; other arguments and errors as in `train`."""
    health, diagnostics = Health(game), Diagnostics(game, held_out)
    parts = {"model": model, "randomness": Randomness(), "health": health, "diagnostics": diagnostics}
    parts |= {} if game is None else {"game": game}
    kept = _Kept(model, folder, config.total_timesteps)
    snapshots = Snapshots(folder, model, config.snapshots, config.total_timesteps)
    checkpoints = Checkpoints(folder / CHECKPOINT, parts, config.checkpoint_every, lambda: health.healthy, kept.write)
    if begun:
        checkpoints.load()
        kept.drawn = kept.due
        snapshots.resume()
        if model.num_timesteps >= config.total_timesteps:
            if not (folder / CURVES).exists():  # it was killed while it drew them
                _draw_curves(folder)
            return Run(model, folder, interrupted=False, untouched=True)
    else:
        snapshots.keep_untrained()
    model.set_logger(run_logger(folder, model.num_updates, model.num_timesteps))
    interrupted, keep, bar = False, True, [ProgressBarCallback()] if progress_bar else []
    try:
        # snapshots before checkpoints: what a resumed run takes for kept has been kept
        watched = [*([] if game is None else [game]), diagnostics, health, snapshots, checkpoints, *callbacks, *bar]
        model.learn(config.total_timesteps - model.num_timesteps, CallbackList(watched), reset_num_timesteps=not begun)
    except KeyboardInterrupt:
        interrupted = True
    except (Diverged, NotFinite) as error:
        keep = False
        raise Diverged(f"the training has gone astray after update {model.num_updates}: {error}. The agent and the "
                       f"checkpoint in {folder} are those of update {checkpoints.written}, the last that were kept; "
                       "settings can't change within a run, so start a new one") from error
    finally:  # also if the training diverged: the curves show why
        for callback in bar:  # SB3 leaves it open, and it would draw over what is printed next
            if hasattr(callback, "pbar"):
                callback.pbar.close()
        if keep:
            save_agent(folder / FILE_NAME, model.policy, model.exposure_env.task)
            if game is not None:
                saved.save_reward(folder / saved.FILE_NAME, [game.trainer.network])
        model.logger.close()
        _draw_curves(folder)
    return Run(model, folder, interrupted)


def _draw_curves(folder: Path) -> None:
    log = read_csv((folder / PROGRESS).read_text())
    if log:  # empty if it ended before the first update
        write_figure(folder / CURVES, figure_of_curves(log))


class _Kept:
    """What is written along with a checkpoint: the agent, and now and then its storyboards of two photos."""

    def __init__(self, model: DeepExposure, folder: Path, total_timesteps: int):
        self.model, self.folder, self.total_timesteps, self.drawn = model, folder, total_timesteps, -1
        photos = model.exposure_env.task.photos
        self.photos = [photos[0], photos[len(photos) // 2]]

    @property
    def due(self) -> int:
        return NUM_STORYBOARDS * self.model.num_timesteps // self.total_timesteps

    def write(self, updates: int) -> None:
        policy, task = self.model.policy, self.model.exposure_env.task
        save_agent(self.folder / FILE_NAME, policy, task)
        if self.due > self.drawn:
            self.drawn = self.due
            settings = {name: value for name, value in asdict(task.config).items() if name in SETTINGS}
            picture = storyboards(Agent(policy, task.segmenter, settings), self.photos)
            (self.folder / STORYBOARDS).mkdir(exist_ok=True)
            write_picture(self.folder / STORYBOARDS / f"{updates:06}.png", picture)

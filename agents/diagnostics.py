"""What is going on in a training: numbers to log, and pictures of the curves and of what the agent does."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from stable_baselines3.common.callbacks import BaseCallback

from agents.adversarial import AdversarialReward, ExpertPhotos, on_host
from agents.checkpoint import Agent
from agents.pictures import episode_picture
from exposure_env.image import clip, expose
from exposure_env.photos import Photo
from exposure_env.rewards import RewardModel

SHIFTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # stops
BINS = 25  # of the histogram of EVs; the middle one is around 0
PANEL = 64  # side of a storyboard's pictures [px]


def ev_response(reward: RewardModel, images: np.ndarray, shifts: Sequence[float] = SHIFTS) -> np.ndarray:
    """Mean score of good photos under uniform shifts of their exposure; a healthy discriminator's peak is at 0.

    Args:
        reward: Reward model that needs no targets.
        images: (N, H, W, 3) floats in [0, 1].
        shifts: Exposure values in stops.

    Returns:
        One score for each shift.
    """
    shifted = [clip(expose(images, shift)) for shift in shifts]
    return np.array([float(np.mean(reward(image, inputs=images, targets=None))) for image in shifted])


class Diagnostics(BaseCallback):
    """Logs what EVs the episodes had, and how the discriminator takes good photos and uniform EV shifts of them.

    It draws no random numbers: a training is the same with it and without.

    Args:
        game: The game whose discriminator is looked at; None where the reward doesn't learn.
        held_out: Good photos that the discriminator is never shown. They tell what it knows from what it remembers;
            without them a fixed part of the experts' photos is shifted, and there is no such score.
        every: Rollouts between two looks at EV shifts.
    """

    def __init__(self, game: AdversarialReward | None = None, held_out: Sequence[Photo] | None = None, every: int = 10):
        super().__init__()
        self.game, self.every, self.rollouts = game, every, 0
        self.held_out = self.images = None
        self.response: list[float] = []
        self.evs: list[np.ndarray] = []  # (N, K) each, NaN beyond the last segment
        if game is not None:
            size, photos = game.experts.size, game.experts.images[:64]
            if held_out is not None:
                photos = self.held_out = ExpertPhotos(held_out[:64], size).images[:, :size, :size]
            self.images = np.ascontiguousarray(photos[:, :size, :size])

    def _on_step(self) -> bool:
        if (finished := self.training_env.unwrapped.finished) is not None:
            evs, lengths = on_host(finished.state.evs), on_host(finished.state.num_segments)
            given = np.arange(evs.shape[1]) < lengths[:, None]
            self.evs.append(np.where(given, evs, np.nan))
        return True

    def _on_rollout_end(self) -> None:
        task = self.training_env.unwrapped.task
        if self.evs:
            self._record_evs(np.concatenate(self.evs), task.config.max_ev)
            self.evs.clear()
        if self.game is not None:
            if self.rollouts % self.every == 0:
                response = ev_response(task.reward_model, self.images)
                self.response = (response - response[SHIFTS.index(0.0)]).tolist()
            for shift, score in zip(SHIFTS, self.response, strict=True):
                self.logger.record(f"response/{shift:+.1f}", score)
        if self.held_out is not None:
            score = task.reward_model(self.images, inputs=self.images, targets=None)
            self.logger.record("discriminator/held_out", float(np.mean(score)))
        self.rollouts += 1

    def _record_evs(self, evs: np.ndarray, max_ev: float) -> None:
        for step, column in enumerate(evs.T, start=1):
            if (given := column[~np.isnan(column)]).size:  # few photos have as many segments as there may be
                self.logger.record(f"ev/step_{step}_mean", float(given.mean()))
                self.logger.record(f"ev/step_{step}_std", float(given.std()))
        edges = np.linspace(-max_ev, max_ev, BINS + 1) * (1 + 1e-6)  # float32 may round beyond
        shares = np.histogram(evs[~np.isnan(evs)], edges)[0] / np.sum(~np.isnan(evs))
        for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True):
            self.logger.record(f"ev/share_{(low + high) / 2 + 0.0:+.2f}", float(share))

    def state_dict(self) -> dict[str, Any]:
        """What further rows of the log depend on, between two updates."""
        return {"rollouts": self.rollouts, "response": list(self.response)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another one was.

        Args:
            state: What its `state_dict` gave.
        """
        self.rollouts, self.response = state["rollouts"], list(state["response"])


def storyboards(agent: Agent, photos: Sequence[Photo]) -> np.ndarray:
    """The agent's episodes on some photos, side by side: (rows, columns, 3) uint8, small."""
    boards = [episode_picture(agent, photo, PANEL) for photo in photos]
    rows = max(len(board) for board in boards)
    return np.concatenate([np.pad(board, ((0, rows - len(board)), (0, 0), (0, 0)), "edge") for board in boards], axis=1)


def read_csv(text: str) -> dict[str, np.ndarray]:
    """Columns of a CSV of numbers, by name; empty cells are NaN."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in (rows[0] if rows else {})}


def figure_of_curves(log: dict[str, np.ndarray]) -> Figure:
    """What there is to see of a training, panel by panel, over the exposures tried.

    Args:
        log: Columns as SB3's CSV logger writes them. Panels whose columns are missing are left out: a paired reward
            has no discriminator, and most agents have no critic.
    """
    drawn = [draw for draw, column in PANELS if column in log]
    figure = Figure(figsize=(12, 3.1 * ((len(drawn) + 1) // 2) + 0.3), layout="constrained")
    axes = list(figure.subplots((len(drawn) + 1) // 2, 2, squeeze=False).flat)
    for each, draw in zip(axes, drawn, strict=False):
        draw(each, log)
    for each in axes[len(drawn) :]:
        each.set_visible(False)
    return figure


def _scores(axes: Axes, log: dict[str, np.ndarray]) -> None:
    colors = {"real": "tab:blue", "held_out": "tab:cyan", "fake": "tab:orange"}
    for name, color in colors.items():
        if f"discriminator/{name}" in log:
            axes.plot(log["time/total_timesteps"], log[f"discriminator/{name}"], color=color,
                      label=name.replace("_", "-"))
    axes.set(title="Discriminator: scores of real and fake images", ylabel="score")
    axes.legend(fontsize="small")
    _over_time(axes, log)


def _returns(axes: Axes, log: dict[str, np.ndarray]) -> None:
    axes.plot(log["time/total_timesteps"], log["rollout/ep_rew_mean"], color="tab:green")
    axes.set(title="Return of an episode", ylabel="score")
    _over_time(axes, log)


def _exposures(axes: Axes, log: dict[str, np.ndarray]) -> None:
    centres = sorted(float(name.removeprefix("ev/share_")) for name in log if name.startswith("ev/share_"))
    if centres:
        shares, half = np.array([log[f"ev/share_{centre:+.2f}"] for centre in centres]), (centres[1] - centres[0]) / 2
        edges = [*(centre - half for centre in centres), centres[-1] + half]
        mesh = axes.pcolormesh(_edges(log), edges, shares, cmap="Purples", vmin=0, rasterized=True)
        _scale(axes, mesh, "fraction of steps")
        reach = max(abs(centre) for centre, share in zip(centres, shares, strict=True) if np.nanmax(share) > 0.002)
        axes.set_ylim(-reach - 3 * half, reach + 3 * half)
    mean, spread = log["train/ev_mean"], log["train/ev_std"]
    steps = log["time/total_timesteps"]
    axes.plot(steps, mean, color="black", label="mean")
    axes.plot(steps, mean - spread, color="black", linewidth=0.8, linestyle="--", label="± 1 deviation")
    axes.plot(steps, mean + spread, color="black", linewidth=0.8, linestyle="--")
    axes.set(title="Exposures that the agent chooses", ylabel="EV [stops]")
    axes.legend(fontsize="small", loc="lower left")
    _over_time(axes, log)


def _by_segment(axes: Axes, log: dict[str, np.ndarray]) -> None:
    count = sum(name.startswith("ev/step_") and name.endswith("_mean") for name in log)
    means = np.array([log[f"ev/step_{step}_mean"] for step in range(1, count + 1)])
    largest = max(np.nanmax(abs(means)), 0.1)
    mesh = axes.pcolormesh(_edges(log), np.arange(count + 1) + 0.5, means, cmap="RdBu_r", vmin=-largest, vmax=largest,
                           rasterized=True)
    _scale(axes, mesh, "mean EV [stops]")
    axes.set(title="Exposure by segment, in the order of the steps", ylabel="step", yticks=range(1, count + 1))
    axes.invert_yaxis()
    _over_time(axes, log, grid=False)


def _response(axes: Axes, log: dict[str, np.ndarray]) -> None:
    for shift in reversed(SHIFTS):
        if shift:
            axes.plot(log["time/total_timesteps"], log[f"response/{shift:+.1f}"], label=f"{shift:+.1f} EV",
                      color=("tab:blue" if shift < 0 else "tab:orange"), alpha=0.25 + 0.3 * min(abs(shift), 2))
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(title="Score of good photos under a shift (below 0 is healthy)", ylabel="change of score")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.02), frameon=False)
    _over_time(axes, log)


def _limits(axes: Axes, log: dict[str, np.ndarray]) -> None:
    steps = log["time/total_timesteps"]
    lines = axes.plot(steps, log["train/saturated"], color="tab:red", label="saturated actions")
    axes.set(title="Saturated actions", ylabel="fraction", ylim=(-0.02, 1.02))
    if "discriminator/slope" in log:
        axes.set_title("Saturated actions, and slope of the discriminator")
        other = axes.twinx()
        lines += other.plot(steps, log["discriminator/slope"], color="tab:gray", label="slope (right)")
        other.axhline(1, color="tab:gray", linewidth=0.8, linestyle=":")
        other.set(ylabel="|gradient|", ylim=(0, 1.35 * np.nanmax(log["discriminator/slope"])))
    axes.legend(handles=lines, fontsize="small", loc="upper right")
    _over_time(axes, log)


def _critic(axes: Axes, log: dict[str, np.ndarray]) -> None:
    steps = log["time/total_timesteps"]
    axes.plot(steps, log["train/critic_loss"], color="tab:brown", label="squared error")
    axes.plot(steps, log["train/critic_unexplained"], color="tab:pink", label="its fraction of the squared return")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set(title="Critic: error of the values (a fraction below 1 is healthy)", yscale="log")
    axes.legend(fontsize="small")
    _over_time(axes, log)


PANELS = ((_scores, "discriminator/real"), (_returns, "rollout/ep_rew_mean"), (_exposures, "train/ev_mean"),
          (_by_segment, "ev/step_1_mean"), (_response, "response/+0.0"), (_limits, "train/saturated"),
          (_critic, "train/critic_loss"))  # fmt: skip


def _edges(log: dict[str, np.ndarray]) -> np.ndarray:
    """A row of the log stands for the exposures tried since the one before."""
    return np.concatenate([[0.0], log["time/total_timesteps"]])


def _scale(axes: Axes, mesh: QuadMesh, label: str) -> None:
    axes.figure.colorbar(mesh, cax=axes.inset_axes((1.02, 0, 0.03, 1)), label=label)


def _over_time(axes: Axes, log: dict[str, np.ndarray], grid: bool = True) -> None:
    axes.set(xlabel="exposures tried", xlim=(0, log["time/total_timesteps"][-1]))
    if grid:
        axes.grid(alpha=0.3)

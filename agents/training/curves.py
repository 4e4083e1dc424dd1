"""The curves of a training, drawn from its log."""

import csv
import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from agents.training.diagnostics import SHIFTS


def read_csv(text: str) -> dict[str, np.ndarray]:
    """The columns of a CSV of numbers, by name; empty cells become NaN."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in (rows[0] if rows else {})}


def figure_of_curves(log: dict[str, np.ndarray]) -> Figure:
    """The curves of a training over the exposures tried, panel by panel.

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
    """The edges of the rows of the log: each stands for the exposures tried since the one before."""
    return np.concatenate([[0.0], log["time/total_timesteps"]])


def _scale(axes: Axes, mesh: QuadMesh, label: str) -> None:
    axes.figure.colorbar(mesh, cax=axes.inset_axes((1.02, 0, 0.03, 1)), label=label)


def _over_time(axes: Axes, log: dict[str, np.ndarray], grid: bool = True) -> None:
    axes.set(xlabel="exposures tried", xlim=(0, log["time/total_timesteps"][-1]))
    if grid:
        axes.grid(alpha=0.3)

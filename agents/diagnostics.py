"""Is the game healthy? Numbers to log and the curves to look at."""

import csv
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from stable_baselines3.common.callbacks import BaseCallback

from agents.adversarial import AdversarialReward
from exposure_env.image import clip, expose
from exposure_env.rewards import RewardModel

SHIFTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # stops


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
    """Logs how the discriminator answers a uniform EV shift of experts' photos, relative to no shift.

    Args:
        game: The game whose discriminator and experts are looked at.
        every: Rollouts between two looks.
    """

    def __init__(self, game: AdversarialReward, every: int = 10):
        super().__init__()
        self.game, self.every = game, every
        self.images = np.ascontiguousarray(game.experts.images[:64, : game.experts.size, : game.experts.size])
        self.rollouts = 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.rollouts % self.every == 0:
            self.response = ev_response(self.training_env.unwrapped.task.reward_model, self.images)
        for shift, score in zip(SHIFTS, self.response - self.response[SHIFTS.index(0.0)], strict=True):
            self.logger.record(f"response/{shift:+.1f}", score)
        self.rollouts += 1


def read_csv(text: str) -> dict[str, np.ndarray]:
    """Columns of a CSV of numbers, by name; empty cells are NaN."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in (rows[0] if rows else {})}


def figure_of_curves(log: dict[str, np.ndarray]) -> Figure:
    """Four panels over the training: scores, return, exposures, and the discriminator's answer to an EV shift.

    Args:
        log: Columns as SB3's CSV logger writes them.
    """
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    scores, returns, exposures, response = figure.subplots(2, 2).flat
    steps = log["time/total_timesteps"]
    for name in ("real", "fake"):
        scores.plot(steps, log[f"discriminator/{name}"], label=name)
    scores.set(title="Discriminator: scores of real and fake images", ylabel="score")
    returns.plot(steps, log["rollout/ep_rew_mean"], color="tab:green")
    returns.set(title="Return: score gained over the untouched photo", ylabel="score")
    mean, spread = log["train/ev_mean"], log["train/ev_std"]
    exposures.plot(steps, mean, color="tab:purple", label="mean")
    exposures.fill_between(steps, mean - spread, mean + spread, color="tab:purple", alpha=0.2, label="± 1 deviation")
    exposures.set(title="Exposures that the agent chooses", ylabel="EV [stops]")
    for shift in SHIFTS:
        if shift:
            response.plot(steps, log[f"response/{shift:+.1f}"], label=f"{shift:+.1f} EV",
                          color=("tab:blue" if shift < 0 else "tab:orange"), alpha=0.25 + 0.3 * min(abs(shift), 2))
    response.axhline(0, color="black", linewidth=0.8)
    response.set(title="Score of experts' photos under a shift (below 0 is healthy)", ylabel="change of score")
    for axes in (scores, exposures, response):
        axes.legend(fontsize="small")
    for axes in (scores, returns, exposures, response):
        axes.set_xlabel("exposures tried")
        axes.grid(alpha=0.3)
    return figure

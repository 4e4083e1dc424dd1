# ruff: noqa: D205, D415
r"""Lesson 6: how it fails
======================

**Goal.** Sooner or later a training fails, and nobody tells you why. So break things on purpose, in three ways: an
actor stuck at its limit, a reward that is obeyed to the letter, and a judge that knows its photos by heart. Each leaves
a mark on the curves; next time you will know it.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agents import DeepExposure, DiscriminatorReward, DiscriminatorTrainer
from agents.auditing.search import best_plans
from agents.playing import paired_scenes
from agents.rewards import ExpertPhotos
from agents.vec_env import ExposureVecEnv
from exposure_env import ExposureTask, RetouchPlan, apply_plan, misexposed, sample_photos, sample_scenes
from exposure_env.photos import Misexpose, thumbnail
from exposure_env.rewards import colourfulness, entropy, psnr, resolve_reward

QUICK = os.environ.get("EXPOSURE_QUICK") == "1"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})
torch.set_num_threads(1)  # networks as small as these are no faster on two cores
AGENT, BEST, GREY, ORANGE = "#2459c4", "#1a7f4b", "#7a7874", "#e0863a"

# %%
# Stuck at the limit
# ------------------
# An actor ends in a :math:`\tanh`, so that its exposures stay within 3 stops. Its gradient passes through the slope of
# that function (eq. 8, one factor of it):
#
# .. math:: \frac{\partial a}{\partial z} = 1 - \tanh^2(z)
#
# At the limit this factor is 0, and so is the gradient, however clearly the reward says "come back". Below, the agent
# *right* learns from the right reward all the time. *Wrong at first* meets a bad one, "the darker, the better", as a
# discriminator may well say (lesson 5), until the dotted line; then the reward is put right. The third does the same
# with twice the learning rate.


def darker(images, **context):
    """Minus the mean value."""
    return -images.mean((1, 2, 3))


darker.differentiable = True


class Watch(BaseCallback):
    """What an agent did in each rollout; and the moment at which its reward is put right."""

    def __init__(self, right_from: int):
        super().__init__()
        self.right_from, self.saturated, self.passed, self.quality = right_from, [], [], []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        state = self.locals["outcomes"][0].state
        actions = self.model.policy.predict(self.locals["observations"], deterministic=True)[0]
        self.saturated.append(np.mean(abs(actions) > 0.99))
        self.passed.append(np.mean(1 - actions.astype(np.float64) ** 2))  # the slope of tanh
        self.quality.append(psnr(self.model.task.fused(state), targets=state.targets).mean())
        if len(self.quality) == self.right_from:
            self.model.task.reward_model = resolve_reward("psnr")


def watched(reward, right_from: int, learning_rate: float) -> Watch:
    """A training of DeepExposure II with one exposure for each photo."""
    env = ExposureVecEnv("exposure_env:Exposure/Global-v0", 32, photos=sample_photos("inputs", 64), size=32,
                         reward_model=reward)
    model = DeepExposure("CnnPolicy", env, learning_rate, n_batches=1, batch_size=32, max_slope=4.0, seed=0,
                         device="cpu", policy_kwargs={"width": 8})
    watch = Watch(right_from)
    model.learn(32 * updates, callback=watch)
    return watch


updates, turn = (30, 15) if QUICK else (120, 40)
runs = {"right": (watched("psnr", 0, 3e-3), AGENT), "wrong at first": (watched(darker, turn, 3e-3), ORANGE),
        "the same, faster": (watched(darker, turn, 6e-3), GREY)}  # fmt: skip
figure, axes = plt.subplots(1, 3, figsize=(12, 3.4))
for name, (watch, colour) in runs.items():
    curves = watch.quality, watch.saturated, np.maximum(watch.passed, 1e-9)
    for axis, curve in zip(axes, curves, strict=True):
        axis.plot(curve, color=colour, linewidth=2, label=name)
    print(f"{name:18} PSNR at the end {np.mean(watch.quality[-5:]):.1f} dB, at the limit {watch.saturated[-1]:.0%}, "
          f"slope of tanh {watch.passed[-1]:.1e}")
for axis, title in zip(axes, ("PSNR [dB]", "fraction of actions at the limit", "slope of tanh (0 drawn at 1e-9)"),
                       strict=True):
    axis.axvline(turn, color=GREY, linestyle=":")
    axis.set(title=title, xlabel="updates")
axes[2].set_yscale("log")
axes[1].legend(frameon=False)
plt.show()

# %%
# The second agent does come back, after a long rest: Adam divides a gradient by its own size, so a tiny one is enough,
# if it has time. The third went so far that in 32 bits :math:`\tanh(z)` is exactly 1. Its gradient is not small but 0,
# and no optimizer, patience or reward brings it back. The mark on the curves: *saturated* rises to 1 and stays. Then
# stop; the next run gets a smaller learning rate, or a pull towards small exposures (``ev_penalty``).

# %%
# Obeyed to the letter
# --------------------
# An agent does what the reward says, not what you meant by it. With so few numbers in a plan you need not train an
# agent to find out what that is: ``best_plans`` searches for the plan that a reward likes best. Three photos,
# misexposed differently from place to place, eight segments each; the optima of the true PSNR, of the entropy of the
# histogram ("use all tones"), and of colourfulness ("be vivid"). All three rewards are published and sound sensible.
# This is the picture to remember.

spoilt = misexposed([sample_scenes()[number] for number in (0, 1, 4)], 3, local=0.7)
task = ExposureTask(spoilt, "slic")
start = task.start(paired_scenes(task))
REWARDS = {"PSNR": psnr, "entropy": entropy, "colourfulness": colourfulness}
optima = {name: best_plans(task, start, reward) for name, reward in REWARDS.items()}
looks = {"the photo": start.photos, **{name: task.fused(plans) for name, plans in optima.items()},
         "as it was": start.targets}  # fmt: skip
for name, images in looks.items():
    means = {other: np.mean(reward(images, targets=start.targets)) for other, reward in REWARDS.items()}
    print(f"{name:14}" + ", ".join(f"{other} {mean:.2f}" for other, mean in means.items()))

figure, axes = plt.subplots(3, 5, figsize=(12, 6.3), height_ratios=[1, 0.68, 0.68])
for column, name in zip(axes.T, looks, strict=True):
    column[0].set_title(f"best {name}" if name in REWARDS else name, color=BEST if name == "PSNR" else "black")
    for number, (axis, photo) in enumerate(zip(column, spoilt, strict=True)):
        picture = photo.target if name == "as it was" else photo.image
        if name in optima:  # the plan was found on a thumbnail of 64 pixels, and serves at any size
            evs = optima[name].evs[number, : start.num_segments[number]]
            plan = RetouchPlan(start.labels[number], evs, task.config.fusion)
            picture = apply_plan(plan, (255 * photo.image).round().astype(np.uint8))
        axis.imshow(picture)
        quality = psnr(looks[name][[number]], targets=start.targets[[number]])[0]
        axis.text(0.03, 0.05, "" if name == "as it was" else f"{quality:.0f} dB", color="white",
                  transform=axis.transAxes, bbox={"color": "black", "alpha": 0.5, "pad": 2, "linewidth": 0})
        axis.axis("off")
plt.show()

# %%
# Look along the rows, and then at the numbers: by its own reward, the optimum of entropy beats the good photo itself,
# and so does that of colourfulness. A reward that prefers something to what you want will get you that something. This
# is reward hacking, and no agent is to blame. Search for the optimum of your reward before you train on it:
# ``exposure audit`` does.
#
# Known by heart
# --------------
# A judge that sees the same four experts' photos again and again can do better than learn what right exposure is: it
# can remember them. Its score of *these* photos rises; that of good photos it was never shown stays behind, nearer to
# the misexposed ones. An agent that makes its photos as good as those gets less thanks than it deserves.
#
# .. math:: \text{memorised} = \frac{D(\text{shown}) - D(\text{held out})}{D(\text{shown}) - D(\text{misexposed})}
#
# It is a ratio of differences, because only differences of a discriminator's scores mean something. It won't be 0 even
# with many photos, as those held out are other parts of the scenes; watch where it goes.

held_out = np.stack([thumbnail(photo.target, 32) for photo in sample_photos("test")])


def judged(num_experts: int) -> np.ndarray:
    """(S, 3) mean scores of the experts' photos shown, of good ones held out, and of these misexposed."""
    torch.manual_seed(0)
    wrong = Misexpose((-2.5, 2.5), local=0.0)
    experts = ExpertPhotos(sample_photos("experts", num_experts), 32, wrong, seed=0)
    unseen = ExpertPhotos(sample_photos("test"), 32, wrong, seed=1)
    shown, misexposed_photos = experts.batch(64), unseen.misexposed(64)
    reward = DiscriminatorReward(size=32, width=8)
    trainer, scores = DiscriminatorTrainer(reward, learning_rate=1e-3), []
    for update in range(81 if QUICK else 401):
        if update % 20 == 0:
            scores.append([reward(images).mean() for images in (shown, held_out, misexposed_photos)])
        trainer.update(experts.batch(32), experts.misexposed(32))
    return np.array(scores)


figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
for axis, num_experts in zip(axes, (4, 192), strict=True):
    scores = judged(num_experts)
    shown, unseen, wrong = scores.T
    memorised = (shown - unseen)[-5:].mean() / (shown - wrong)[-5:].mean()
    print(f"{num_experts:3} experts' photos: memorised {memorised:.2f}")
    for curve, name, colour in ((shown, "experts, shown", BEST), (unseen, "good, held out", AGENT),
                                (wrong, "misexposed", GREY)):  # fmt: skip
        axis.plot(20 * np.arange(len(scores)), curve - wrong, color=colour, linewidth=2, label=name)
    axis.set(title=f"{num_experts} experts' photos", xlabel="updates")
axes[0].set_ylabel("score, above misexposed photos")
axes[0].legend(frameon=False)
plt.show()

# %%
# How the curves show it
# ----------------------
# ``exposure train`` draws all of this into ``curves.png``; ``docs/reading_the_curves.md`` explains every panel.
#
# ======================================  ==================================================
# what you see                            what it is
# ======================================  ==================================================
# *saturated* rises to 1 and stays        stuck at the limit
# return rises, and photos get worse      the reward is hacked: look at its optimum
# *held-out* falls away from *real*       the judge knows its photos by heart: more experts
# ======================================  ==================================================
#
# What to remember
# ----------------
# - At the limit of a tanh there is no gradient, and in 32 bits really none: keep away from it.
# - You get what you reward: look for its optimum before you train.
# - A judge is worth what it says about photos it never saw; always keep some from it.
#
# Exercises
# ---------
# In ``exercises/exercise_6.py``, with checks that tell you when you are there. Answers are in
# ``exercises/solution_6.py``.
#
# 1. ``inverted``: a gradient for an actor without a tanh, which is damped towards the limit but not on the way back.
# 2. ``memorised``: a judge's memory as one number that does not depend on the unit of its scores.

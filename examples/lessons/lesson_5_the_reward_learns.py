# ruff: noqa: D205, D415
r"""Lesson 5: the reward learns
===========================

**Goal.** Nobody can write down what a good photo is, but people can show you good photos. You train a discriminator on
experts' photos and misexposed ones, and see why its *slope* is a teacher for an agent, why a penalty must keep that
slope gentle, and why looking like an expert's photo is not the same as being right.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
import torch

from agents import DiscriminatorReward, DiscriminatorTrainer
from agents.evaluation.metrics import psnr
from agents.rewards import ExpertPhotos
from exposure_env import sample_photos, sample_scenes
from exposure_env.image import clip, expose, luminance, srgb_to_linear
from exposure_env.photos import Misexpose, thumbnail

QUICK = os.environ.get("EXPOSURE_QUICK") == "1"
AGENT, BEST, GREY, ORANGE = "#2459c4", "#1a7f4b", "#7a7874", "#e0863a"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})
torch.set_num_threads(1)  # networks as small as these are no faster on two cores
UPDATES = 120 if QUICK else 600

# %%
# A judge that learns by comparing
# --------------------------------
# The experts' photos are crops of good photographs. The others are such crops, exposed wrongly by up to 2.5 stops. The
# discriminator :math:`D` is to score the first above the second (WGAN-GP, eq. 12):
#
# .. math:: L_D = \mathbb{E}\,D(\text{other}) - \mathbb{E}\,D(\text{expert})
#           + \lambda\,\mathbb{E}\,(\lVert\nabla D(\hat S)\rVert_2 - 1)^2
#
# where :math:`\hat S` lies at a random point between the two. ``DiscriminatorTrainer.update`` takes one step down this
# loss. We train three of them: with the penalty, without any, and with weights clipped to a small range, as the first
# Wasserstein GAN did.


def trained(penalty: float, most: float | None = None) -> tuple[DiscriminatorReward, list[float]]:
    """A discriminator, and the length of its gradient between real and fake photos in each update."""
    torch.manual_seed(0)
    experts = ExpertPhotos(sample_photos("experts"), 32, Misexpose((-2.5, 2.5), local=0.0), seed=0)
    reward, slopes = DiscriminatorReward(size=32, width=8), []
    trainer = DiscriminatorTrainer(reward, learning_rate=1e-3, gradient_penalty=penalty)
    for _ in range(UPDATES):
        slopes.append(trainer.update(experts.batch(32), experts.misexposed(32))["slope"])  # eq. 12
        if most is not None:
            with torch.no_grad():
                for weights in reward.network.parameters():
                    weights.clamp_(-most, most)
    return reward, slopes


KINDS = {"penalty": (AGENT, 10.0, None), "none": (ORANGE, 0.0, None), "clipping": (GREY, 0.0, 0.03)}
judges = {name: trained(*options) for name, (_, *options) in KINDS.items()}
judge = judges["penalty"][0]
torch.manual_seed(0)
newborn = DiscriminatorReward(size=32, width=8)

# %%
# The slope is the teacher
# ------------------------
# Take good photos that no judge has seen, make all of each darker or brighter, and plot the mean score. Before training
# the line says nothing. After it there is a peak, near right exposure if not exactly there. So an agent need not be
# told what is right: from wherever it is, the slope :math:`\partial D / \partial\mathrm{EV}` points the way. This is
# the picture to remember.

held_out = np.stack([thumbnail(photo.target, 32) for photo in sample_photos("test")])
shifts = np.linspace(-2, 2, 17)


def response(reward: DiscriminatorReward) -> np.ndarray:
    """(17, 64) scores of the held-out photos under all shifts, less those of the photos as they are."""
    scores = np.stack([reward(clip(expose(held_out, float(shift)))) for shift in shifts])
    return scores - scores[8]


def points_right(reward: DiscriminatorReward) -> float:
    """The fraction of photos, misexposed by half a stop or more, whose slope points back to right exposure."""
    shift = torch.as_tensor(shifts[abs(shifts) >= 0.5], dtype=torch.float32).repeat_interleave(len(held_out))
    shift.requires_grad_()
    photos = torch.as_tensor(held_out).repeat(int(np.sum(abs(shifts) >= 0.5)), 1, 1, 1)
    (slope,) = torch.autograd.grad(reward(clip(expose(photos, shift[:, None, None]))).sum(), shift)
    return float((slope * shift < 0).float().mean())


for name, reward in {"before training": newborn, **{name: reward for name, (reward, _) in judges.items()}}.items():
    print(f"{name:16} slope points the right way for {points_right(reward):.0%} of unseen misexposed photos")

figure = plt.figure(figsize=(10, 5.4))
rows = figure.add_gridspec(2, 1, height_ratios=[2.6, 1])
axis = figure.add_subplot(rows[0])
axis.plot(shifts, response(newborn).mean(1), "--", color=GREY, label="before training")
curve = response(judge).mean(1)
axis.plot(shifts, curve, color=AGENT, linewidth=2.5, label="after")
for i in (1, 3, 5, 11, 13, 15):
    uphill = 0.22 * np.sign(curve[i + 1] - curve[i - 1])
    axis.annotate("", (shifts[i] + uphill, np.interp(shifts[i] + uphill, shifts, curve)), (shifts[i], curve[i]),
                  arrowprops={"arrowstyle": "-|>", "color": BEST, "linewidth": 3, "mutation_scale": 22})
axis.axvline(0, color=BEST, linestyle=":")
axis.set(xlim=(-2.25, 2.25), ylabel="score, less the photo's own", title="The slope of a judge is a teacher")
axis.legend(frameon=False)
strip = rows[1].subgridspec(1, 5, wspace=0.02)
for number, shift in enumerate((-2, -1, 0, 1, 2)):
    below = figure.add_subplot(strip[number])
    below.imshow(clip(expose(sample_scenes()[4].image[::2, ::2], float(shift))))
    below.set_title(f"{shift:+d} EV" if shift else "as it was", fontsize="medium")
    below.axis("off")
plt.show()

# %%
# Why the slope must be kept gentle
# ---------------------------------
# Without a limit the loss has no bottom: twice the score is twice as good, so :math:`D` grows without end, and it
# grows where it is easiest, in one straight line such as "darker is better". Clipped weights stop the growth, but leave
# only simple functions. The penalty asks for a slope of length 1 between the two sets, and leaves room for a peak.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for name, (reward, slopes) in judges.items():
    curve = response(reward).mean(1)
    axes[0].plot(np.arange(1, UPDATES + 1), slopes, color=KINDS[name][0], label=name)
    axes[1].plot(shifts, curve / abs(curve).max(), color=KINDS[name][0], linewidth=2, label=name)
    print(f"{name:10} length of the gradient in the last updates {np.mean(slopes[-20:]):.1f}, "
          f"best shift {shifts[curve.argmax()]:+.2f} EV")
axes[0].set(yscale="log", xlabel="updates", ylabel="length of the gradient")
axes[0].axhline(1, color=BEST, linestyle=":")
axes[1].set(xlabel="exposure of unseen good photos [stops]", ylabel="score, scaled")
axes[1].axvline(0, color=BEST, linestyle=":")
axes[1].legend(frameon=False)
plt.show()

# %%
# To look right, or to be right?
# ------------------------------
# A discriminator compares *sets*. Misexpose good photos of middling brightness by errors of their own, and let an agent
# correct them that sees only how bright each is, :math:`\ell`. It can't know the answer exactly: a dark photo may be
# misexposed, or of the night. The guess that errs least is the mean answer, :math:`\mathbb{E}[\mathrm{EV} \mid \ell]`,
# here a straight line. But means are timid: the results are more alike than experts' photos are, and a judge of sets
# sees it. An agent that adds as much chance as the answers really scatter (residuals :math:`\varepsilon`,
# :math:`\tau = 1`) comes nearer to the experts' distribution, and is wrong more often.
#
# .. math:: \mathrm{EV} = \mathbb{E}[\mathrm{EV}\mid\ell] + \tau\,\varepsilon,\qquad
#           W_1 = \frac{1}{N}\sum_i \lvert \ell_{(i)} - \ell^{\,\text{expert}}_{(i)} \rvert
#
# :math:`W_1` is the distance of the two sets of brightness: sort both, and compare. It is the distance that a
# Wasserstein GAN estimates.


def brightness(images: np.ndarray) -> np.ndarray:
    """(N,) logarithm of the mean light [stops]."""
    return np.log2(luminance(srgb_to_linear(images)).mean((1, 2)))


rng = np.random.default_rng(0)
good = np.stack([thumbnail(photo.image, 32) for photo in sample_photos("experts", 500)])
good = good[np.argsort(brightness(good))[100:400]]
error = rng.uniform(-2.5, 0.5, len(good)).astype(np.float32)
wrong = clip(expose(good, error[:, None, None]))
line = np.polyfit(brightness(wrong), -error, 1)
mean_answer = np.polyval(line, brightness(wrong))
residuals = -error - mean_answer


def judged(evs: np.ndarray) -> tuple[float, float]:
    """PSNR [dB] and W_1 [stops] of the photos under these exposures."""
    results = clip(expose(wrong, evs.astype(np.float32)[:, None, None]))
    apart = abs(np.sort(brightness(results)) - np.sort(brightness(good))).mean()  # W_1
    return psnr(results, good).mean(), apart


figure, axis = plt.subplots(figsize=(7.5, 4.6))
taus = np.linspace(0, 1.6, 9)
chances = [rng.permutation(residuals) for _ in range(2 if QUICK else 12)]
dial = np.array([np.mean([judged(mean_answer + tau * chance) for chance in chances], axis=0) for tau in taus])
axis.plot(*dial.T, "o-", color=AGENT)
for tau, (x, y) in list(zip(taus, dial, strict=True))[::2]:
    axis.annotate(rf"$\tau$ = {tau:.1f}", (x, y), (6, 6), textcoords="offset points", color=AGENT)
others = {"untouched": np.zeros(len(good)), "one EV for all": np.full(len(good), -error.mean()), "oracle": -error}
for name, evs in others.items():
    x, y = judged(evs)
    if name == "one EV for all":  # the others would be far off the picture
        axis.plot(x, y, "s", color=GREY, markersize=9)
        axis.annotate(name, (x, y), (8, -4), textcoords="offset points", color=GREY)
    print(f"{name:15} PSNR {x:5.2f} dB, W1 {y:.3f} stops")
for name, row in {"mean answer": 0, "most like a set": dial[:, 1].argmin()}.items():
    print(f"{name:15} PSNR {dial[row, 0]:5.2f} dB, W1 {dial[row, 1]:.3f} stops, tau {taus[row]:.1f}")
axis.annotate("oracle, far away", (0.99, 0.02), (0.72, 0.12), "axes fraction", color=BEST,
              arrowprops={"arrowstyle": "-|>", "color": BEST})
axis.set(xlabel="PSNR [dB]: how right each photo is", ylabel="$W_1$ [stops]: how far the set is from the experts'",
         xlim=(None, dial[0, 0] + 0.6), ylim=(0.1, 0.42), title="Right photos, or a right set of photos")
plt.show()

# %%
# What to remember
# ----------------
# - A judge that compares sets of photos teaches by its slope, also on photos it never saw.
# - Without a limit on the slope there is no teacher: the penalty is what makes a peak possible.
# - To match the experts as a set is not to be right photo by photo; you choose where between the two you stand.
#
# Exercises
# ---------
# In ``exercises/exercise_5.py``, with checks that tell you when you are there. Answers are in
# ``exercises/solution_5.py``.
#
# 1. ``gradient_penalty``: the last term of eq. 12, so that it can itself be differentiated.
# 2. ``wasserstein``: :math:`W_1` between two sets of numbers, and why a difference of means won't do.

# ruff: noqa: D205, D415
"""Lesson 1: A photo, a stop, a reward
===================================

**Goal.** Before anything learns, you look at the world that it will learn in: what the action does (it makes a photo
brighter or darker, by so many stops), what the reward says about it, and where the best action lies. There is no
learning in this lesson; at its end you know the answer that the learners of the next lessons must find.
"""

# %%
# The photo
# ---------
#
# A photo is an array of numbers in [0, 1], three for each pixel. This one is well exposed. All pictures of this
# lesson are made from it.

import os

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from exposure_env import Photo, segment_many
from exposure_env.image import clip, composite, expose, linear_to_srgb, srgb_to_linear
from exposure_env.photos import thumbnail

QUICK = os.environ.get("EXPOSURE_QUICK") == "1"
SIZE = 64 if QUICK else 192  # side of the photo [px]
CHOICE, BEST, GREY = "#2459c4", "#1a7f4b", "#7a7874"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})


def show(axis, image, title):
    axis.imshow(image, interpolation="nearest")
    axis.set_title(title, fontsize=10)
    axis.axis("off")


good = thumbnail(skimage.data.coffee()[:, 100:500], SIZE)
print(f"photo: {good.shape} {good.dtype}, values {good.min():.2f} to {good.max():.2f}")

# %%
# A stop doubles the light
# ------------------------
#
# Photographers count light in *stops*: one stop more is twice the light. But the numbers in a photo aren't amounts of
# light. They are encoded by a curve, sRGB, which spends more of the numbers on the shadows, as our eyes do. So we
# decode, multiply, and encode again. With :math:`\ell` the decoding and an exposure value of EV stops,
#
# .. math:: S' = \ell^{-1}\left( 2^{\mathrm{EV}} \, \ell(S) \right).
#
# Middle grey, 18 % of the light of a white wall, is the photographer's zero. Watch both columns as stops go up: the
# light doubles each time, the encoded number doesn't.

grey = linear_to_srgb(np.array(0.18))
print("  EV   light   encoded")
for ev in range(-3, 4):
    light = srgb_to_linear(expose(np.full((1, 1, 3), grey), ev))[0, 0, 0]
    print(f"{ev:+4d} {light:7.4f} {linear_to_srgb(light):9.4f}")

by_hand = linear_to_srgb(2.0**1.0 * srgb_to_linear(good))  # the equation above, for EV = 1
print(f"expose() is that equation: largest difference {np.abs(expose(good, 1.0) - by_hand).max():.1e}")

# %%
# What is too bright is lost
# --------------------------
#
# Light has no upper limit, a file has: all that exceeds 1 is *clipped* to 1. Go one stop down and up again, and you
# have your photo back. Go two up and two down, and you don't: where two different whites have become the same white,
# no exposure can tell them apart again.

dark, bright = clip(expose(good, -2.0)), clip(expose(good, 2.0))
for name, there, back in (("down and up", dark, 2.0), ("up and down", bright, -2.0)):
    error = np.abs(clip(expose(there, back)) - good)
    print(f"two stops {name}: largest error {error.max():.4f}, pixels lost {(error.max(-1) > 0.01).mean():.1%}")

figure, axes = plt.subplots(1, 4, figsize=(10, 2.8))
show(axes[0], good, "the photo")
show(axes[1], clip(expose(dark, 2.0)), "2 stops down, 2 up")
show(axes[2], bright, "2 stops up: clipped")
show(axes[3], clip(expose(bright, -2.0)), "2 stops up, 2 down")

# %%
# A reward
# --------
#
# Now we play a game. Somebody took the photo two stops too dark, and somebody else two stops too bright. You choose
# an EV and win points for coming close to the good version, the *target* :math:`T`. The points are decibels of the
# peak signal-to-noise ratio: ten more for each tenfold reduction of the mean squared error.
#
# .. math:: \mathrm{PSNR}(S', T) = -10 \log_{10} \Bigl( \frac{1}{n} \sum_{i=1}^{n} (S'_i - T_i)^2 \Bigr)


def psnr(images, target):
    return -10 * np.log10(np.mean((images - target) ** 2, axis=(-3, -2, -1)) + 1e-10)  # the equation; at most 100 dB


def rounded(image):  # as a camera stores it: in 8 bits
    return (np.round(clip(image) * 255) / 255).astype(np.float32)


evs = np.linspace(-3.0, 3.0, 31 if QUICK else 121)
wrong = {"two stops too dark": rounded(dark), "two stops too bright": rounded(bright)}
curves = {name: np.array([psnr(clip(expose(photo, ev)), good) for ev in evs]) for name, photo in wrong.items()}
for name, curve in curves.items():
    print(f"{name}: best EV {evs[curve.argmax()]:+.2f}, {curve.max():.1f} dB; untouched {curve[len(evs) // 2]:.1f} dB")

# %%
# This is the picture to remember. The horizontal axis is all that an agent can do, the vertical one is all that it is
# told. A learner sees single points of the curve, one for each try. *You* see the whole curve, so you can say how far
# from the best it is.
#
# The dark photo has a sharp peak, at the answer. The bright one has a low, broad hill: its highlights are gone, and
# the best EV isn't even the opposite of what was done to it. Why? (Which pixels are still worth something, and which
# aren't?)

figure, axes = plt.subplots(3, 1, figsize=(9, 6.6), height_ratios=[3.4, 1, 1], sharex=True)
for axis, (name, curve), colour in zip(axes[1:], curves.items(), (CHOICE, GREY), strict=True):
    axes[0].plot(evs, curve, color=colour, linewidth=2, label=f"taken {name}")
    axes[0].plot(evs[curve.argmax()], curve.max(), "o", color=BEST, markersize=9, zorder=3)
    strip = np.concatenate([clip(expose(wrong[name], ev)) for ev in range(-3, 4)], axis=1)
    axis.imshow(strip, extent=(-3.5, 3.5, 0, 1), aspect="auto")
    axis.spines[:].set_visible(False)
    axis.tick_params(left=False, labelleft=False, bottom=False)
    axis.set_title(f"taken {name}", loc="left", fontsize=9, color=colour, pad=3)
axes[0].plot([], [], "o", color=BEST, label="the best action")
axes[0].set(ylabel="reward: PSNR [dB]", title="The action, the picture, and what it is worth")
axes[0].legend(frameon=False, loc="upper left")
_ = axes[2].set_xlabel("action: EV [stops]")

# %%
# The same game as an environment
# -------------------------------
#
# ``Exposure/Global-v0`` is this game in Gymnasium's words. The action is a number in [-1, 1], of which 1 stands for
# ``max_ev`` stops. An episode has one step. Its reward is the gain over doing nothing,
#
# .. math:: r = \mathrm{PSNR}(S', T) - \mathrm{PSNR}(S, T),
#
# so a reward of 0 means: you might as well have left the photo alone.

game = Photo("coffee", wrong["two stops too dark"], target=good)
env = gym.make("Exposure/Global-v0", photos=[game], reward_model="psnr", size=SIZE, max_ev=3.0)
print("\n  EV    reward   by hand")
for ev in (-1.0, 0.0, 1.0, 2.0, 3.0):
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(np.array([ev / 3.0], np.float32))
    by_hand = psnr(clip(expose(game.image, ev)), good) - psnr(game.image, good)
    print(f"{ev:+4.0f} {reward:+9.3f} {by_hand:+9.3f}   terminated: {terminated}")
    assert abs(reward - by_hand) < 0.01

# %%
# One exposure isn't enough
# -------------------------
#
# Light isn't the same everywhere. Here a shadow falls over the left of the table: three stops there, none on the
# right. One EV must now be wrong somewhere. Cut the photo into *segments* and give each an EV of its own, and much of
# the shadow goes. Since each pixel belongs to one segment, each segment has a curve of its own, and the best plan is
# the best EV of each: some small games in place of one.

shadow = np.broadcast_to(np.linspace(-3.0, 0.0, SIZE, dtype=np.float32), (SIZE, SIZE))
shaded = rounded(expose(good, shadow))
(labels,) = segment_many([shaded], "slic", max_segments=6)
count = labels.max() + 1

squared = np.array([((clip(expose(shaded, ev)) - good) ** 2).mean(-1) for ev in evs])  # (EVs, H, W)
per_segment = np.array([squared[:, labels == k].sum(1) for k in range(count)])  # (segments, EVs)
best_one, best_each = evs[per_segment.sum(0).argmin()], evs[per_segment.argmin(1)].astype(np.float32)
results = {
    "with a shadow": shaded,
    f"best single EV: {best_one:+.1f}": clip(expose(shaded, best_one)),
    "best EV of each segment": clip(expose(shaded, composite(best_each[None], labels[None])[0])),
}
for name, image in results.items():
    print(f"{name}: {psnr(image, good):.1f} dB")

figure, axes = plt.subplots(1, 4, figsize=(10, 2.8))
for axis, (name, image) in zip(axes, results.items(), strict=False):
    show(axis, image, f"{name}\n{psnr(image, good):.1f} dB")
show(axes[3], good, "the target\n")
for k in range(count):
    axes[2].contour(labels == k, levels=[0.5], colors="white", linewidths=0.7)
    rows, columns = np.nonzero(labels == k)
    axes[2].text(columns.mean(), rows.mean(), f"{best_each[k]:+.1f}", color="white", ha="center", fontsize=8,
                 bbox={"facecolor": "#262628", "edgecolor": "none", "pad": 1.5})  # fmt: skip
plt.show()

# %%
# What to remember
# ----------------
#
# - The action is an exposure in stops: it multiplies light, not encoded values, and what it clips is gone.
# - The reward turns each action into a number. The curve of all of them has a top, and here you can compute it.
# - One EV for the whole photo is a game of one step. Segments make it a plan of several: lesson 3.
#
# Exercises
# ---------
#
# 1. Two photos differ by an exposure, and nothing was clipped. Write ``stops_between`` that finds the EV from the
#    pixels. (The ratio of encoded values won't do.)
# 2. How many stops up can a photo go before it clips? Write ``headroom``.
#
# The functions are in ``exercises/exercise_1.py``: fill them in and run the file, which checks them. Solutions:
# ``exercises/solution_1.py``.

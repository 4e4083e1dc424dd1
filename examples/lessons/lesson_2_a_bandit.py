# ruff: noqa: D205, D415
"""Lesson 2: A bandit that looks
=============================

**Goal.** You write the oldest policy gradient, REINFORCE, in ten lines of NumPy. Its agent looks at a photo and chooses
one exposure for it: a *contextual bandit*, which is reinforcement learning without time. You see why REINFORCE is
noisy, what a baseline does about that, and how far the agent is from the best, which here you can compute.
"""

# %%
# The task
# --------
#
# Five scenes, taken again and again with the wrong exposure, and in uneven light, so that no single EV is perfect.
# The agent sees the photo, says one number, and is told the PSNR of the result. It plays 64 episodes at once.

import os

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

from exposure_env import Photo, misexposed, sample_scenes
from exposure_env.image import clip, expose, luminance, srgb_to_linear
from exposure_env.photos import thumbnail

QUICK = os.environ.get("EXPOSURE_QUICK") == "1"
UPDATES, SEEDS, CLOUD = (40, 1, 60) if QUICK else (200, 3, 250)
BATCH, SIZE, MAX_EV = 64, 32, 3.0
AGENT, BEST, GREY = "#2459c4", "#1a7f4b", "#7a7874"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})

scenes = [Photo(photo.name, thumbnail(photo.image, 64)) for photo in sample_scenes()]
wrong = {"ev_range": (-2.5, 0.5), "local": 0.6}  # how the photos were taken [stops]
photos = misexposed(scenes * (20 if QUICK else 100), seed=1, **wrong)
tests = misexposed(scenes * 20, seed=2, **wrong)  # the same five scenes, other exposures
env = gym.make_vec("Exposure/Global-v0", num_envs=BATCH, photos=photos, reward_model="psnr", size=SIZE,
                   obs_type="float32", max_ev=MAX_EV)  # fmt: skip

# %%
# What you know and the agent doesn't
# -----------------------------------
#
# With one exposure for a photo, you can try them all. So you have the whole curve of each photo, as in lesson 1, the
# best EV of each, and the best EV for all together, which is the most that an agent can get without looking.

grid = np.linspace(-MAX_EV, MAX_EV, 61)


def small(some):
    return np.stack([thumbnail(p.image, SIZE) for p in some]), np.stack([thumbnail(p.target, SIZE) for p in some])


def curves_of(some):
    """(photos, EVs) PSNR of each photo under each EV of the grid."""
    images, targets = small(some)
    errors = [((clip(expose(images, ev)) - targets) ** 2).mean((1, 2, 3)) for ev in grid]
    return -10 * np.log10(np.stack(errors, axis=1, dtype=np.float64))


curves = curves_of(tests)
untouched, best_evs = curves[:, 30].mean(), grid[curves.argmax(1)]
constant = grid[curves.mean(0).argmax()]


def gain(evs):  # mean gain over the untouched photos [dB], read off the curves
    return np.mean([np.interp(ev, grid, curve) for ev, curve in zip(evs, curves, strict=True)]) - untouched


# %%
# What the agent sees
# -------------------
#
# A photographer's glance: how many stops of light there are in the shadows, in the middle and in the highlights, and
# which colours dominate. These seven numbers are centred and turned until they don't repeat each other (*whitened*),
# so that one learning rate suits all. An eighth is always 1.


def glance(images):
    light = srgb_to_linear(images)
    stops = np.log2(luminance(light) + 2.0**-10).reshape(len(images), -1)
    red, green, blue = light.mean((1, 2)).T
    levels = np.quantile(stops, [0.05, 0.25, 0.5, 0.75, 0.95], axis=1)
    return np.column_stack([*levels, np.log2(red / green), np.log2(blue / green)])


seen = glance(small(photos)[0])
_, spread, directions = np.linalg.svd(seen - seen.mean(0), full_matrices=False)
whiten = directions.T / spread * np.sqrt(len(seen))


def features(images):
    return np.column_stack([np.ones(len(images)), (glance(images) - seen.mean(0)) @ whiten])


# %%
# REINFORCE
# ---------
#
# The policy is a bell curve around a weighted sum of the features, :math:`a \sim \mathcal N(\theta^\top \phi(s),
# \sigma^2)`. To try an EV is to draw from it. If the draw was worth a lot, make it more likely:
#
# .. math:: \nabla_\theta \, \mathrm E[R] = \mathrm E\left[ (R - b) \, \nabla_\theta \log \pi_\theta(a \mid s) \right],
#           \qquad \nabla_\theta \log \pi_\theta(a \mid s) = \frac{a - \theta^\top \phi(s)}{\sigma^2} \, \phi(s).
#
# (Williams 1992. The second factor is called the *score function*, though it has nothing to do with our scores.) The
# *baseline* :math:`b` may be anything that doesn't depend on the action: the second factor is zero on average, and so
# is :math:`b` times it. Ours is the mean score of the other 63 episodes.

SIGMA, LEARNING_RATE = 0.5, 0.02  # width of the bell curve [stops]


def episodes(theta, rng):
    """Plays 64 episodes: features, EVs minus their means, and scores."""
    observation, _ = env.reset()
    phi = features(observation[..., :3])
    noise = SIGMA * rng.normal(size=BATCH)
    *_, info = env.step(((phi @ theta + noise)[:, None] / MAX_EV).astype(np.float32))
    return phi, noise, info["score"]


def gradients(phi, noise, score, baseline):
    return ((score - baseline) * noise / SIGMA**2)[:, None] * phi  # the equation above, (episodes, features)


# %%
# The gradient is a cloud
# -----------------------
#
# Before you learn, look at what you learn from. Stay at :math:`\theta = 0` and estimate the gradient again and again,
# each time from 64 episodes, with and without a baseline. Each estimate is a dot. The cross is the true gradient: you
# have the curves, so you can average over all actions instead of trying some.

env.reset(seed=0)
rng, theta = np.random.default_rng(0), np.zeros(whiten.shape[1] + 1)
batches = [episodes(theta, rng) for _ in range(CLOUD)]
density = np.exp(-(grid**2) / (2 * SIGMA**2))
true = (curves_of(photos) @ (density / density.sum() * grid / SIGMA**2)) @ features(small(photos)[0]) / len(photos)

everything = [np.concatenate(part) for part in zip(*batches, strict=True)]
weights = np.linalg.lstsq(everything[0], everything[2], rcond=None)[0]  # V(s), a linear guess of the score
baselines = {
    "none": lambda phi, score: 0.0,
    "mean of the others": lambda phi, score: (score.sum() - score) / (BATCH - 1),
    "a guess for each photo, V(s)": lambda phi, score: phi @ weights,
}
clouds = {name: np.array([gradients(phi, noise, score, baseline(phi, score)).mean(0) for phi, noise, score in batches])
          for name, baseline in baselines.items()}
print(f"true gradient, first two of {len(theta)}: {true[0]:+.2f} {true[1]:+.2f}")
for name, cloud in clouds.items():
    print(f"baseline: {name:29} mean {cloud[:, 0].mean():+.2f} {cloud[:, 1].mean():+.2f}, variance "
          f"{cloud.var(0).sum():6.1f}, downhill {(cloud @ true < 0).mean():.0%}")

# %%
# This is the picture to remember: both clouds have the same centre, which is the gradient. One is so wide that many
# of its steps lead downhill. Subtracting a number, which changes nothing on average, changes that.

figure, axis = plt.subplots(figsize=(6.5, 5.5))
for name, colour in (("none", GREY), ("mean of the others", AGENT)):
    axis.scatter(*clouds[name][:, :2].T, s=14, color=colour, alpha=0.55, linewidths=0, label=f"baseline: {name}")
axis.plot(*true[:2], "+", color=BEST, markersize=18, markeredgewidth=3, label="the true gradient")
axis.axhline(0, color=GREY, linewidth=0.6)
axis.axvline(0, color=GREY, linewidth=0.6)
axis.set(xlabel=r"$\partial / \partial \theta_0$: brighter", ylabel=r"$\partial / \partial \theta_1$", aspect="equal",
         title=f"{CLOUD} estimates of one gradient, 64 episodes each")  # fmt: skip
_ = axis.legend(frameon=False)

# %%
# Learning
# --------
#
# Now take the steps. The reward is a number in decibels; the lines to compare with are yours: the best constant EV,
# which needs no look at the photo, and the best EV of each photo. The light meter of a simple camera, which brings
# every photo to the same mean, plays along.

test_features = features(small(tests)[0])
learned = {}
for name in ("none", "mean of the others"):
    for seed in range(SEEDS):
        rng, theta, learned[name, seed] = np.random.default_rng(seed), np.zeros(len(true)), []
        env.reset(seed=1000 * seed)
        for _ in range(UPDATES):
            phi, noise, score = episodes(theta, rng)
            theta = theta + LEARNING_RATE * gradients(phi, noise, score, baselines[name](phi, score)).mean(0)
            learned[name, seed].append(gain(test_features @ theta))

chosen = np.clip(test_features @ theta, -MAX_EV, MAX_EV)  # the last agent: with the baseline, its last seed
meter = np.clip(np.log2(0.18 / luminance(srgb_to_linear(small(tests)[0])).mean((1, 2))), -MAX_EV, MAX_EV)
answers = {"nothing": np.zeros(len(tests)), f"best constant EV, {constant:+.1f}": np.full(len(tests), constant),
           "light meter: mean light 0.18": meter, "REINFORCE": chosen, "best EV of each photo": best_evs}  # fmt: skip
for name, evs in answers.items():
    print(f"{name:30} {gain(evs):+6.2f} dB, {np.abs(evs - best_evs).mean():.2f} stops from the best")

figure, axes = plt.subplots(1, 2, figsize=(10, 4), width_ratios=[3, 2])
axes[0].axhline(gain(best_evs), color=BEST, linewidth=1.2, label="best EV of each photo")
axes[0].axhline(gain(np.full(len(tests), constant)), color=BEST, linewidth=1.2, linestyle=":", label="best constant EV")
for (name, seed), curve in learned.items():
    label, colour = None if seed else f"baseline: {name}", GREY if name == "none" else AGENT
    axes[0].plot(curve, color=colour, linewidth=1.3, label=label)
axes[0].set(xlabel="updates, of 64 episodes each", ylabel="gain on test photos [dB]", ylim=(-3, gain(best_evs) + 0.5))
axes[0].legend(frameon=False, fontsize=8, loc="lower right")
axes[1].plot([-1.5, 3], [-1.5, 3], color=BEST, linewidth=1.2)
axes[1].scatter(best_evs, chosen, s=14, color=AGENT, alpha=0.7, linewidths=0)
_ = axes[1].set(xlabel="best EV [stops]", ylabel="the agent's EV [stops]", aspect="equal")

# %%
# An EV is an EV at any size. The agent looked at photos of 32 pixels; here its answers are given to whole ones.

large = misexposed(sample_scenes(), seed=7, **wrong)
evs, peaks = features(small(large)[0]) @ theta, grid[curves_of(large).argmax(1)]
figure, axes = plt.subplots(3, 5, figsize=(10, 5))
for column, photo, ev, peak in zip(axes.T, large, evs, peaks, strict=True):
    for axis, image, title in zip(column, (photo.image, clip(expose(photo.image, ev)), clip(expose(photo.image, peak))),
                                  ("taken", f"agent {ev:+.1f}", f"best {peak:+.1f}"), strict=True):  # fmt: skip
        axis.imshow(image)
        axis.set_title(title, fontsize=9, color={"t": GREY, "a": AGENT, "b": BEST}[title[0]])
        axis.axis("off")
plt.show()

# %%
# What to remember
# ----------------
#
# - REINFORCE needs no derivative of the world: it tries, and makes more likely what was worth more than expected.
# - A baseline is that expectation. It leaves the centre of the cloud of gradients where it is, and shrinks the cloud.
# - A constant can't tell photos apart. All that the agent gains beyond it, it gains by looking.
#
# Exercises
# ---------
#
# 1. Let the agent learn the width of its bell curve, too: write ``width_gradient``, the derivative of
#    :math:`\log \pi` by :math:`\log \sigma`.
# 2. Is the mean the best constant baseline? No. Write ``best_baseline``, the one with the least variance.
#
# The functions are in ``exercises/exercise_2.py``, their solutions in ``exercises/solution_2.py``.

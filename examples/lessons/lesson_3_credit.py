# ruff: noqa: D205, D415
"""Lesson 3: Who earned the reward?
================================

**Goal.** An episode now has several steps, one for each segment of a photo, and one reward, at the end. Which step
earned it? You see three answers: the return, potential-based shaping, and a value function that you learn by Monte
Carlo and by temporal differences. Then you count how much of a gradient's variance each of them removes.
"""

# %%
# Eight exposures, one reward
# ---------------------------
#
# The coffee of lesson 1, cut into eight segments. Somebody darkened each by another number of stops, so the best plan
# is known: undo it. The score of an image is minus its mean squared error, times a thousand; a perfect image has 0. A
# reward model is any function of a batch of images, and a segmenter any function of an image: these are ours.

import os

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from exposure_env import Photo, segment_many
from exposure_env.image import clip, composite, expose
from exposure_env.photos import thumbnail
from exposure_env.segmentation import slic

QUICK = os.environ.get("EXPOSURE_QUICK") == "1"
BATCHES, UPDATES, SEEDS = (8, 40, 2) if QUICK else (32, 120, 5)
BATCH, SIZE, MAX_EV, SIGMA = 64, 64, 3.0, 0.5
AGENT, BEST, GREY = "#2459c4", "#1a7f4b", "#7a7874"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})

target = thumbnail(skimage.data.coffee()[:, 100:500], SIZE)
(labels,) = segment_many([target], lambda image: slic(image, segments=12), max_segments=8)
best = np.array([2.0, 1.0, 2.5, 0.5, 1.5, 2.2, 1.0, 2.0], np.float32)[: labels.max() + 1]  # stops that were taken away
K = len(best)
photo = clip(expose(target, composite(-best[None], labels[None])[0]))


def score(images, targets):
    return -1000 * ((images - targets) ** 2).mean((1, 2, 3))


settings = {"photos": [Photo("coffee", photo, target)], "segmenter": lambda image: labels, "max_segments": K,
            "order": "label", "fusion": "local", "size": SIZE, "reward_model": score, "relative": False}  # fmt: skip
sparse = gym.make_vec("Exposure/Local-v0", num_envs=BATCH, **settings)  # relative=False: the rewards of eq. 3


def play(env, evs):
    """The rewards (episodes, K) of plans of exposures (episodes, K) [stops]."""
    env.reset()
    return np.stack([env.step(evs[:, t, None] / np.float32(MAX_EV))[1] for t in range(K)], axis=1)


# %%
# Somebody plays, and exposes seven segments right and one wrong. Which one? All that the environment says is
#
# .. math:: r_t = \begin{cases} 0 & t \ne T \\ \mathrm{score}(S_{T+1}) & t = T \end{cases} \qquad \text{(eq. 3)}

plan = best.copy()
plan[3] += 1.5
everyone = np.tile(plan, (BATCH, 1))
told = play(sparse, everyone)[0]
print("reward of each step:  ", np.round(told, 1))

# %%
# Shaping moves the reward, and leaves its sum
# --------------------------------------------
#
# A *potential* :math:`\Phi(s)` says how good a state looks. Ng, Harada and Russell (1999) add to each reward
#
# .. math:: F_t = \gamma \, \Phi(s_{t+1}) - \Phi(s_t), \qquad \Phi(\text{end}) = 0.
#
# All terms but the first cancel, each against its neighbour, whatever the actions are. The sum *telescopes*:
#
# .. math:: \sum_{t=0}^{T} \gamma^t F_t = \gamma^{T+1} \Phi(\text{end}) - \Phi(s_0) = -\Phi(s_0).
#
# The start can't be changed, so no plan gains on another: the best policy stays the best. Our potential is the score
# of the image so far; the environment adds it if you name it, ``shaping=score``. Don't believe the sum: measure it,
# on plans at random, also with a discount.

rng = np.random.default_rng(0)
random_plans = rng.normal(0.0, 1.0, (BATCH, K)).astype(np.float32)
start = float(score(photo[None], target[None])[0])  # the potential of s_0
for gamma in (0.9, 1.0):
    shaped = gym.make_vec("Exposure/Local-v0", num_envs=BATCH, **settings, shaping=score, gamma=gamma)
    added = (play(shaped, random_plans) - play(sparse, random_plans)) @ gamma ** np.arange(K)  # the sum above
    print(f"gamma {gamma}: added to {BATCH} returns {added.mean():.4f}, give or take {np.ptp(added):.0e}; "
          f"-potential of the start {-start:.4f}")

steps = play(shaped, everyone)[0]  # from here on, gamma is 1
print("shaped reward of each:", np.round(steps, 1), f"sum {steps.sum():.1f}")

# %%
# This is the picture to remember. Above, the image after each step. In the middle, what the environment says:
# nothing, and then one number for all. Below, the same episode, shaped: each step gets what it changed. Now you see
# which was wrong.

figure = plt.figure(figsize=(11, 3.8))
cells = figure.add_gridspec(3, K + 1, height_ratios=[3, 1, 2.2])  # one scale for both rows of bars
for t in range(K + 1):
    evs, axis = np.where(np.arange(K) < t, plan, 0).astype(np.float32), figure.add_subplot(cells[0, t])
    axis.imshow(clip(expose(photo, composite(evs[None], labels[None])[0])), interpolation="bicubic")
    if t:
        axis.contour(labels == t - 1, levels=[0.5], colors="white", linewidths=0.8)
    axis.set_title(f"step {t}: {plan[t - 1]:+.1f}" if t else "the photo", fontsize=9)
    axis.axis("off")
for row, name, rewards, top in ((1, "reward", told, 5.0), (2, "shaped\nreward", steps, 26.0)):
    axis = figure.add_subplot(cells[row, :])
    bars = axis.bar(np.arange(1, K + 1), rewards, width=0.4, color=[BEST if each > 0 else AGENT for each in rewards])
    axis.bar_label(bars, [f"{each:+.1f}" if each else "0" for each in rewards], fontsize=9, padding=1)
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.text(-0.5, 1, name, va="bottom")
    axis.set(xlim=(-0.5, K + 0.5), ylim=(-12.5, top))
    axis.axis("off")

# %%
# A value function
# ----------------
#
# The potential looks back: it knows what the image is worth so far. A *value function* looks ahead: what will this
# policy get from here on? Our policy draws each EV from a bell curve around 0, for now.
#
# .. math:: V(s) = \mathrm E[\, r_t + \gamma r_{t+1} + \dots \mid s_t = s \,] \qquad \text{(eq. 5)}
#
# We guess it as a weighted sum of what the image so far has gained and of which step it is. Monte Carlo waits for the
# end of the episode and pulls each guess towards the return. Temporal differences pull it towards the next guess:
#
# .. math:: \delta_t = r_t + \gamma V(s_{t+1}) - V(s_t) \quad \text{(eq. 6)}, \qquad
#           w \leftarrow w + \alpha \, \delta_t \, \nabla_w V(s_t) \quad \text{(eq. 9)}.
#
# Here the squared error of the image adds up over the segments, so you can compute the true :math:`V`: the score so
# far, plus what each segment to come changes on average.

grid = np.linspace(-MAX_EV, MAX_EV, 121, dtype=np.float32)
errors = np.stack([((clip(expose(photo, ev)) - target) ** 2).mean(-1) for ev in grid])  # (EVs, H, W)
parts = np.stack([-1000 * errors[:, labels == k].sum(1) / labels.size for k in range(K)])  # (K, EVs) scores
bell = np.exp(-(grid**2) / (2 * SIGMA**2))
changes = parts @ (bell / bell.sum()) - parts[:, 60]  # (K,) what exposing a segment changes on average
to_come = np.cumsum(changes[::-1])[::-1]  # (K,) what the rest of the episode does

noise = rng.normal(0.0, SIGMA, (BATCHES, BATCH, K)).astype(np.float32)
gained = np.concatenate([play(shaped, evs) for evs in noise])  # (episodes, K) shaped rewards, gamma = 1
noise = noise.reshape(-1, K)


def seen(gained):
    """What V is made of, (episodes, K, K + 1), and the returns, which eq. 3 pays at once, at the end."""
    so_far = np.cumsum(gained, axis=1)
    before = (so_far - gained)[..., None] / 10  # in tens: of the size of the other features
    return np.concatenate([before, np.tile(np.eye(K), (len(gained), 1, 1))], axis=2), start + so_far[:, -1]


def deltas(values, returns):
    """The temporal differences: no reward but at the end, where V is 0."""
    return np.concatenate([values[:, 1:], returns[:, None]], axis=1) - values  # eq. 6


phi, returns = seen(gained)
truth = start + 10 * phi[..., 0] + to_come  # (episodes, K)
figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
for axis, name, rate in zip(axes, ("Monte Carlo", "temporal differences"), (0.05, 0.1), strict=True):
    weights, course = np.zeros(K + 1), []
    for i in range(len(phi)):
        values = phi[i : i + 1] @ weights
        error = returns[i] - values if name == "Monte Carlo" else deltas(values, returns[i : i + 1])
        weights = weights + rate * error[0] @ phi[i]  # eq. 9
        course.append(weights[1:])
    wrong = np.sqrt(np.mean((phi @ weights - truth) ** 2))
    print(f"{name}: V is off by {wrong:.2f} after {len(phi)} episodes, of a standard deviation of {returns.std():.1f}")
    for t in range(K):
        axis.semilogx(np.array(course)[:, t], color=AGENT, alpha=0.2 + 0.8 * t / K, label=f"step {t + 1}")
    axis.axhspan(start + to_come.min(), start + to_come.max(), color=BEST, alpha=0.8, label="the truth, all steps")
    axis.set(title=name, xlabel="episodes", xlim=(1, len(phi)))
axes[0].set_ylabel("V of an image as good as the photo")
_ = axes[1].legend(frameon=False, fontsize=8, ncols=2)

# %%
# Look at the right panel. With temporal differences, the news of the reward travels back from the end, from each step
# to the one before, while Monte Carlo tells all steps at once. In return, they needn't wait for the end: they learn
# in the middle of an episode.
#
# Credit is a matter of variance
# ------------------------------
#
# The gradient of lesson 2 now has a term for each step, :math:`\mathrm E[ A_t \, \nabla \log \pi(a_t \mid s_t) ]`.
# What should stand for :math:`A_t`? All of these have the same mean (the last one, if :math:`V` is right). They
# differ in whose luck they contain: that of all steps; of this one and those to come; of this one alone.

guess = phi @ weights
from_here = np.cumsum(gained[:, ::-1], axis=1)[:, ::-1]  # shaped rewards from step t on
credits = {"return": np.tile(returns[:, None], K), "return - mean": np.tile(returns[:, None] - returns.mean(), K),
           "shaped return - mean": from_here - from_here.mean(0), "return - V(s)": returns[:, None] - guess,
           "temporal difference": deltas(guess, returns)}  # fmt: skip
terms = {name: credit * noise / SIGMA**2 for name, credit in credits.items()}  # (episodes, K)
variances = {name: term.var(0).sum() for name, term in terms.items()}
for name, term in terms.items():
    print(f"{name:20} gradient of segment 3 {term[:, 2].mean():+6.2f}, variance of all {variances[name]:9.1f}")

# %%
# Is less variance worth anything? Let the middle of each bell curve learn, from eight episodes for each update: once
# with a baseline alone, as in lesson 2, once with shaped rewards. Look at each segment by itself: some change the
# score so little that, without credit, the luck of the others drowns them.

few = gym.make_vec("Exposure/Local-v0", num_envs=8, **settings, shaping=score, gamma=1.0)
off = {}
for name in ("return - mean", "shaped return - mean"):
    off[name] = np.zeros((SEEDS, UPDATES, K))
    for seed in range(SEEDS):
        rng, middles = np.random.default_rng(seed), np.zeros(K)
        for update in range(UPDATES):
            luck = rng.normal(0.0, SIGMA, (8, K))
            rewards = play(few, (middles + luck).astype(np.float32))
            left = np.cumsum(rewards[:, ::-1], axis=1)[:, ::-1]  # what each step and those after it get
            credit = left if name == "shaped return - mean" else left[:, :1]  # or all steps the same
            middles = middles + 0.1 * ((credit - credit.mean(0)) * luck / SIGMA**2).mean(0)
            off[name][seed, update] = np.abs(middles - best)
    late = off[name][:, UPDATES // 2 :].mean((0, 1))
    print(f"{name:20} {late.mean():.2f} stops off, each segment:", *(f"{each:.2f}" for each in late))

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
axes[0].barh(list(variances), [*variances.values()], color=[GREY, GREY, AGENT, AGENT, AGENT], log=True, height=0.6)
axes[0].invert_yaxis()
axes[0].set(xlabel="variance of the gradient", xlim=(100, None))
for (name, errors), colour in zip(off.items(), (GREY, AGENT), strict=True):
    axes[1].plot(errors.mean((0, 2)), color=colour, label=name)
axes[1].set(xlabel="updates, of 8 episodes each", ylabel="off the best plan [stops]", ylim=(0, None))
axes[1].legend(frameon=False)
plt.show()

# %%
# What to remember
# ----------------
#
# - A potential moves reward to the steps that earn it. The sum telescopes, so no plan gains on another.
# - A value function looks ahead. Monte Carlo learns it from the end, temporal differences from the next guess.
# - Credit removes other steps' luck from a step's gradient. It changes the variance; the gradient stays.
#
# Exercises
# ---------
#
# 1. Write ``shaped_rewards``. One thing is easily forgotten: what is the potential of the end?
# 2. Between Monte Carlo and temporal differences lies TD(:math:`\lambda`). Write ``lambda_returns``.
#
# The functions are in ``exercises/exercise_3.py``, their solutions in ``exercises/solution_3.py``.

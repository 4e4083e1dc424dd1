# ruff: noqa: D205, D415
r"""Lesson 4: the gradient is known
===============================

**Goal.** In lesson 2 you estimated a gradient from luck: try, look at the reward, try again. Here you need no luck. The
transition of this environment is known and smooth, so an episode can be differentiated. You write the deterministic
policy gradient in a few lines, value an exposure in four ways, and see where the four agree, and where they part.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
import torch

from exposure_env import episode, rewards, sample_scenes
from exposure_env.image import clip, expose, luminance, srgb_to_linear
from exposure_env.photos import thumbnail
from exposure_env.segmentation import SEGMENTERS

QUICK = os.environ.get("EXPOSURE_QUICK") == "1"
AGENT, BEST, GREY, ORANGE, PURPLE = "#2459c4", "#1a7f4b", "#7a7874", "#e0863a", "#a03b8c"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})
torch.set_num_threads(1)  # networks as small as these are no faster on two cores
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
MAX_EV, BANDS = 3.0, 4  # largest exposure [stops]; segments of a photo

# %%
# One number, one slope
# ---------------------
# Five photographs, exposed as if against the light: the darker a part, the more stops it lost. The segments are four
# bands of luminance, number 0 the darkest. ``episode.advance`` is the transition :math:`s_{t+1} = p(s_t, a_t)`; given
# tensors, it lets gradients through.
#
# Change the exposure of one band of the astronaut, and leave the others alone. The reward draws a curve, and autograd
# gives its slope. A finite difference needs no calculus, only two more renderings. The two must be the same number.


def against_the_light(image: np.ndarray) -> np.ndarray:
    """The photo with its dark parts darkened by up to 2.5 stops."""
    lost = 0.6 * np.log2(luminance(srgb_to_linear(image)) + 0.02)
    return clip(expose(image, np.clip(lost, -2.5, 0)))


def score(state: episode.EpisodeState) -> torch.Tensor:
    """(N,) PSNR of the photos so far against the good ones [dB]."""
    return rewards.psnr(episode.local_image(state), targets=state.targets)


def begin(dark: np.ndarray, good: np.ndarray) -> episode.EpisodeState:
    """Episodes of photos, whose good versions are known."""
    labels = np.stack([SEGMENTERS["luminance_bands"](photo.astype(np.float32), bands=BANDS) for photo in dark])
    return episode.start(torch.as_tensor(dark), torch.as_tensor(labels), BANDS, torch.as_tensor(good))


good = np.stack([thumbnail(scene.image, 32) for scene in sample_scenes()]).astype(np.float64)
start = begin(against_the_light(good), good)

one = episode.select(start, [0])._replace(step=torch.tensor([BANDS]))
evs = torch.zeros(1, BANDS, requires_grad=True)
(slope,) = torch.autograd.grad(score(one._replace(evs=evs)).sum(), evs)
differences = [(score(one._replace(evs=up[None])) - score(one._replace(evs=-up[None]))).item() / 2e-4
               for up in 1e-4 * torch.eye(BANDS)]
print(f"slope at 0 [dB/stop]: autograd {slope[0].numpy().round(5)}, finite differences {np.round(differences, 5)}")

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=[1, 1, 1.5])
astronaut = sample_scenes()[0].image
for axis, image, title in zip(axes, (against_the_light(astronaut), astronaut), ("against the light", "well exposed"),
                              strict=False):
    axis.imshow(image)
    axis.set_title(title, loc="left")
    axis.axis("off")
tries = torch.linspace(-2, 3, 41)
for band in range(BANDS):
    curve = [score(one._replace(evs=ev * torch.eye(BANDS)[[band]])).item() for ev in tries]
    axes[2].plot(tries, curve, color=plt.cm.Blues(0.95 - 0.18 * band), label=f"band {band}")
    axes[2].plot([-0.4, 0.4], curve[16] + np.array([-0.4, 0.4]) * slope[0, band].item(), color=GREY, linewidth=3)
axes[2].set(xlabel="exposure of one band [stops]", ylabel="PSNR [dB]", title="grey: the slope by autograd")
axes[2].legend(frameon=False)
plt.show()

# %%
# An actor of two weights
# -----------------------
# A policy that fits on a page looks at one number: by how many stops, :math:`x_t`, the next segment is darker than the
# photo is by now. :math:`\theta_0` brightens everything, :math:`\theta_1` brightens what is darker than the rest.
#
# .. math:: a_t = \pi_\theta(s_t) = 3 \tanh(\theta_0 + \theta_1 x_t)


def act(theta: torch.Tensor, state: episode.EpisodeState) -> torch.Tensor:
    """(N,) exposures of the next segments [stops]."""
    now = luminance(srgb_to_linear(episode.local_image(state))) + 1e-3
    inside = state.labels == state.step[:, None, None]
    x = now.mean((1, 2)).log2() - ((now * inside).sum((1, 2)) / inside.sum((1, 2))).log2()
    return MAX_EV * torch.tanh(theta[0] + theta[1] * x)


def play(theta: torch.Tensor, state: episode.EpisodeState, noise: float = 0.0) -> list[episode.EpisodeState]:
    """All states from this one to the end."""
    states = [state]
    while not episode.is_done(states[-1]).all():
        action = act(theta, states[-1])
        states.append(episode.advance(states[-1], action + noise * torch.randn_like(action)))
    return states


def objective(theta: torch.Tensor) -> torch.Tensor:
    """J: what the finished photos are worth on average [dB]."""
    return score(play(theta, start)[-1]).mean()


# %%
# Four ways to value an exposure
# ------------------------------
# The deterministic policy gradient moves the weights so that every action climbs its own value:
#
# .. math:: \nabla_\theta J = \frac{1}{N}\sum_{i=1}^{N}\sum_t \nabla_\theta \pi_\theta(s_{it})\,
#           \nabla_a Q(s_{it}, a)\big|_{a=\pi_\theta(s_{it})} \qquad\text{(eq. 7, 8 and 10)}
#
# * **pathwise**: play on to the end, and differentiate all of it. This is the true :math:`Q^\pi`.
# * **DeepExposure II**: the reward model is the value (eq. 14 and 15): score the finished photo, as if the other
#   exposures stayed as they are.
# * **DeepExposure I**: score what is certain and let a network guess the rest, :math:`Q(s,a) = r + V(p(s,a))` (eq. 7;
#   :math:`\gamma` is 1 here). The known transition is in it.
# * **DDPG**: a network guesses :math:`Q(s, a)`. It need not know the transition, and can't use it.


def network(inputs: int) -> torch.nn.Sequential:
    """A guess of the final score [10 dB]."""
    return torch.nn.Sequential(torch.nn.Linear(inputs, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(),
                               torch.nn.Linear(64, 1), torch.nn.Flatten(0))


def facts(state: episode.EpisodeState) -> torch.Tensor:
    """(N, 14) which photo, which step, the exposures so far: all there is to know about a state."""
    which = torch.eye(len(good)).repeat_interleave(len(state.step) // len(good), 0)
    return torch.cat([which, torch.eye(BANDS + 1)[state.step], state.evs / MAX_EV], 1)


def values(theta: torch.Tensor, v: torch.nn.Module, q: torch.nn.Module) -> dict:
    """Four functions of N states, actions and the finished episodes, with N values each."""
    return {
        "pathwise": lambda s, a, end: score(play(theta.detach(), episode.advance(s, a))[-1]),
        "II": lambda s, a, end: score(end._replace(evs=end.evs.index_put((torch.arange(len(a)), s.step), a))),  # eq. 14
        "I": lambda s, a, end: (score(after) if episode.is_done(after := episode.advance(s, a)).all()
                                else 10 * v(facts(after))),  # eq. 7
        "DDPG": lambda s, a, end: 10 * q(torch.cat([facts(s), a[:, None] / MAX_EV], 1)),
    }


def policy_gradient(theta: torch.Tensor, value) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient, (2,), and the slopes of the values of all 20 actions."""
    states = [state.map(torch.Tensor.detach) for state in play(theta, start)]
    total, slopes = torch.zeros(2), []
    for state in states[:-1]:
        action = act(theta, state)
        slopes += torch.autograd.grad(value(state, action, states[-1]).sum(), action, retain_graph=True)
        total += torch.autograd.grad(action, theta, slopes[-1] / len(good))[0]  # eq. 8: one slope times the other
    return total, torch.cat(slopes)


def critics(theta: torch.Tensor, updates: int):
    """V and Q as they learn from noisy episodes of this policy; yielded after every 40 updates."""
    with torch.no_grad():
        states = play(theta, start.map(lambda array: array.repeat_interleave(24, 0)), noise=0.4)
        outcome = (score(states[-1]) / 10).repeat(BANDS)
        seen, taken = torch.cat([facts(state) for state in states[:-1]]), states[-1].evs.T.reshape(-1, 1) / MAX_EV
    v, q = network(14), network(15)
    adam = torch.optim.Adam([*v.parameters(), *q.parameters()], 3e-3)
    for update in range(updates + 1):
        if update % 40 == 0:
            yield v, q
        adam.zero_grad()
        for guess in (v(seen), q(torch.cat([seen, taken], 1))):
            (outcome - guess).square().mean().backward()  # eq. 9, with the whole return
        adam.step()


def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    """1 for the same direction, -1 for the opposite."""
    return torch.nn.functional.cosine_similarity(first, second, 0).item()


# %%
# The theorem first: with the true :math:`Q` the sum over all steps is the derivative of :math:`J`, to the last digit.

theta = torch.tensor([0.0, 0.2], requires_grad=True)
(direct,) = torch.autograd.grad(objective(theta), theta)
nudged = [(objective(theta.detach() + up) - objective(theta.detach() - up)).item() / 2e-5 for up in 1e-5 * torch.eye(2)]
print(f"dJ/dtheta: finite differences {np.round(nudged, 5)}, autograd {direct.numpy().round(5)}, ", end="")
theorem, _ = policy_gradient(theta, values(theta, None, None)["pathwise"])
print(f"sum over steps {theorem.numpy().round(5)}")  # the right side of eq. 8

# %%
# Four ways up one hill
# ---------------------
# Two weights make a map. Each contour joins policies that are equally good. From six of them, arrows say where each
# form would go. The grey one is DeepExposure I before its network has learned: its last step is valued by the reward
# itself, all others by chance. This is the picture to remember.

box = ((-0.5, 1.1), (-0.9, 0.9))
grid = [np.linspace(*ends, 9 if QUICK else 25) for ends in box]
with torch.no_grad():
    height = np.array([[objective(torch.tensor([x, y])).item() for x in grid[0]] for y in grid[1]])
row, column = np.unravel_index(height.argmax(), height.shape)
figure, axis = plt.subplots(figsize=(7.5, 6))
axis.contourf(*grid, height, 24, cmap="Greys_r", alpha=0.45)
axis.contour(*grid, height, 24, colors="white", linewidths=0.6)
axis.plot(grid[0][column], grid[1][row], "*", color=BEST, markersize=16)
ARROWS = {"pathwise": (BEST, 4.5), "II": (AGENT, 2.5), "I": (ORANGE, 1.8), "DDPG": (PURPLE, 1.8),
          "I, not trained": (GREY, 1.8)}  # fmt: skip
agreement: dict[str, list[float]] = {"II": [], "I": [], "DDPG": []}
places = [(-0.3, -0.6), (-0.3, 0.1), (-0.2, 0.7), (0.3, -0.6), (0.8, -0.2), (0.9, 0.5)][: 2 if QUICK else 6]
for place in places:
    here = torch.tensor(place, requires_grad=True)
    found = {}
    for v, q in critics(here, 280 if QUICK else 1000):
        forms = values(here, v, q)  # the first two never change
        found |= {name: policy_gradient(here, forms[name]) for name in (("I", "DDPG") if found else forms)}
        found.setdefault("I, not trained", found["I"])
        for name, cosines in agreement.items():
            cosines.append(cosine(found[name][1], found["pathwise"][1]))
    for name, (colour, width) in ARROWS.items():
        tip = place + (0.25 * found[name][0] / found[name][0].norm()).numpy()
        axis.annotate("", tip, place, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width,
                                                  "mutation_scale": 8 + 4 * width})  # fmt: skip
for name, (colour, width) in ARROWS.items():
    axis.plot([], [], color=colour, linewidth=width, label=name)
axis.legend(frameon=False, loc="lower right")
axis.set(xlabel=r"$\theta_0$: brighten everything", ylabel=r"$\theta_1$: brighten what is dark", xlim=box[0],
         ylim=box[1], title="Four ways up one hill")  # fmt: skip
plt.show()

# %%
# Where they part
# ---------------
# Left: a critic is a teacher only once it has learned. The curves are cosines between the slopes that a form gives all
# 20 actions and the true ones, thin for each of the policies, thick for their mean. DeepExposure II has nothing to
# learn and is nearly right at once; it leaves out only that later actions react.
#
# Right: photos disagree. Each was exposed wrongly by an error of its own, and one mini-batch of 8 may point well off
# the way that all the others would go; the band holds 80 % of them. So the paper adds up the gradients of eight
# mini-batches before the actor takes a step (section 2.2).

rng = np.random.default_rng(0)
photos = np.tile(good, (32 if QUICK else 128, 1, 1, 1))
wrong = np.stack([clip(expose(photo, rng.uniform(-2, 2))) for photo in photos])
many = begin(wrong, photos)
theta = torch.tensor([0.0, 0.1], requires_grad=True)
batches = [episode.select(many, rows) for rows in torch.as_tensor(rng.permutation(len(photos))).split(8)]
gradients = torch.stack([torch.autograd.grad(score(play(theta, batch)[-1]).mean(), theta)[0] for batch in batches])
counts = [1, 2, 4, 8] if QUICK else [1, 2, 4, 8, 16, 32]
draws = [[rng.permutation(len(batches)) for _ in range(200)] for _ in counts]
likeness = np.array([[cosine(gradients[order[:count]].sum(0), gradients[order[count:]].sum(0)) for order in orders]
                     for count, orders in zip(counts, draws, strict=True)])  # eq. 10: the sum over mini-batches
torch.set_default_dtype(torch.float32)  # as it was, for whatever runs next in this process

figure, axes = plt.subplots(1, 2, figsize=(11, 3.8))
for name, cosines in agreement.items():
    curves = np.reshape(cosines, (len(places), -1)).T
    print(f"{name}: cosine with the true slopes {curves[0].mean():.2f}, at the end {curves[-1].mean():.2f}")
    axes[0].plot(40 * np.arange(len(curves)), curves, color=ARROWS[name][0], linewidth=0.7, alpha=0.4)
    axes[0].plot(40 * np.arange(len(curves)), curves.mean(1), color=ARROWS[name][0], linewidth=2.5, label=name)
axes[0].set(xlabel="updates of the critic", ylabel="cosine with the true slopes", ylim=(-1.05, 1.05))
axes[0].legend(frameon=False, loc="lower right")
print("cosine with the other photos' gradient: " + ", ".join(
    f"{count} mini-batches {row.mean():.2f}" for count, row in zip(counts, likeness, strict=True)))
axes[1].fill_between(counts, *np.quantile(likeness, (0.1, 0.9), axis=1), color=AGENT, alpha=0.15, linewidth=0)
axes[1].plot(counts, likeness.mean(1), "o-", color=AGENT)
axes[1].axvline(8, color=GREY, linestyle=":", label="the paper's 8")
axes[1].set(xlabel="mini-batches of 8 photos, added up", ylabel="cosine with the other photos' gradient")
axes[1].set_xscale("log", base=2)
axes[1].set_xticks(counts, counts)
axes[1].legend(frameon=False, loc="lower right")
plt.show()

# %%
# The package has the same four: ``agents.DeepExposure(..., value="pathwise")``, or ``"discriminator"`` for II,
# ``"critic"`` for I, ``"q"`` for DDPG, each a short function in ``agents/deep_exposure/gradients.py``.
#
# What to remember
# ----------------
# - A known transition is a gift: the policy gradient is exact, and a finite difference can confirm it.
# - All deterministic policy gradients are one formula; they differ only in who values the action.
# - A critic is right after it has learned, a reward as value at once; and one mini-batch speaks for itself only.
#
# Exercises
# ---------
# In ``exercises/exercise_4.py``, with checks that tell you when you are there. Answers are in
# ``exercises/solution_4.py``.
#
# 1. ``slopes``: the slope of the final score with respect to each exposure of a plan, by autograd through the episode.
# 2. ``actor_gradient``: the other half of eq. 8 by hand, without autograd, for a linear actor behind a tanh.

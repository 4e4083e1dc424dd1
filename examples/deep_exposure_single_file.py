"""DeepExposure II in one file, in the manner of CleanRL: all of it but the environment, and the update in one place.

python examples/deep_exposure_single_file.py (a task with a known answer: one EV a photo, rewarded by PSNR; two minutes)

python examples/deep_exposure_single_file.py --reward discriminator --learning-rate 3e-4 --ev-penalty 3 --num-photos 256

python examples/deep_exposure_single_file.py --quick (seconds, only to see it run)

Photographs are misexposed afresh in every episode, by an EV uniform in -2..+0.5 stops. The package's own agent,
`agents.DeepExposure`, has the same gradient (a test compares them) and more: critics, other renderings, GPUs, resuming.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
import tyro
from torch import Tensor, nn

import exposure_env  # noqa: F401  (registers the environments)
from exposure_env import Photo, misexposed, sample_photos
from exposure_env.image import clip, expose, luminance
from exposure_env.photos import Misexpose, photo_thumbnail

MAX_EV = 3.0  # exposure of action 1 [stops], the environment's default
EV_RANGE = (-2.0, 0.5)  # of misexposure [stops]
PHOTO, MASK = slice(0, 3), 9  # planes of an observation


@dataclass(frozen=True)
class Args:
    """What to learn, and how."""

    env_id: Literal["Exposure/Global-v0", "Exposure/Local-v0"] = "Exposure/Global-v0"
    reward: Literal["psnr", "discriminator"] = "psnr"  # known, or learned against the agent from unpaired photos
    total_timesteps: int = 25_600  # exposures to try
    num_envs: int = 32
    learning_rate: float = 2e-3  # the actor's; falls to a twentieth
    discriminator_learning_rate: float = 5e-4
    gamma: float = 0.99  # discount factor
    n_batches: int = 8  # mini-batches whose gradients add up to one update (section 2.2)
    batch_size: int = 4  # episodes in a mini-batch
    n_critic: int = 5  # the discriminator's steps per update
    warm_up: int = 40  # updates for which only the discriminator learns: what it says at first would lead astray
    gradient_penalty: float = 10.0  # weight of the penalty on the discriminator's slope
    theta: float = 0.015  # Ornstein-Uhlenbeck noise: how fast an action's noise decays, and its size (section 5.1)
    sigma: float = 0.03
    max_slope: float = 4.0  # limit of a score's slope per stop: PSNR's has none where the photo is right
    ev_penalty: float = 0.0  # what a squared stop costs; with nothing to pull, a learned reward runs away
    num_photos: int = 64  # to retouch; as many others are the experts'
    seed: int = 0
    quick: bool = False

    @property
    def task(self) -> dict[str, Any]:
        segments = {} if self.env_id == "Exposure/Global-v0" else {"max_segments": 4}
        return {"segmenter": "slic", "fusion": "local", "obs_type": "float32"} | segments


# Networks


def convolutions(channels: int, width: int = 16) -> nn.Sequential:
    """(N, C, 64, 64) -> (N, 1): the photo halved, three convolutions of stride 2, one hidden layer."""
    layers: list[nn.Module] = [nn.AvgPool2d(2)]
    for _ in range(3):
        layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        channels, width = width, 2 * width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 4 * 4, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))


class Actor(nn.Module):
    """Observations (M, 64, 64, 12) in [0, 1] -> actions (M,) in (-1, 1); at first 0, which leaves photos untouched."""

    def __init__(self):
        super().__init__()
        self.layers = convolutions(12)
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, planes: Tensor) -> Tensor:
        return torch.tanh(self.layers(planes.permute(0, 3, 1, 2) - 0.5))[:, 0]


class Discriminator(nn.Module):
    """Images (N, 64, 64, 3) in [0, 1] -> scores (N,), higher for those that look like an expert's (section 2.3)."""

    def __init__(self):
        super().__init__()
        self.layers = convolutions(5)

    def forward(self, images: Tensor) -> Tensor:
        light = luminance(images)[:, None]  # its mean and spread are planes, too (section 4)
        statistics = [light.mean((2, 3), keepdim=True), (light.var((2, 3), keepdim=True) + 1e-8).sqrt()]
        planes = torch.cat([images.permute(0, 3, 1, 2), *(each.expand_as(light) for each in statistics)], dim=1)
        return self.layers(planes - 0.5)[:, 0]


# The update


def policy_loss(actor: Callable[[Tensor], Tensor], score: Callable[[Tensor], Tensor], planes: Tensor, lengths: Tensor,
                gamma: float, max_slope: float | None = None, ev_penalty: float = 0.0) -> tuple[Tensor, Tensor]:
    """Minus the sum of all advantages of N finished episodes, to be minimised: eq. (7), (14) and (15) in one.

    An exposure e_t acts on the result through the known transition: an exposed photo is one function of its EV map,
    to which each step adds its own under its segment's mask. So autograd goes from the score to every exposure.

    Args:
        actor: Observations -> actions in (-1, 1).
        score: Images (N, H, W, 3) in [0, 1] -> scores (N,): the value function, D.
        planes: (M, H, W, 12) observations of all steps, episode by episode.
        lengths: (N,) steps of each episode; they add up to M.
        gamma: Discount factor.
        max_slope: Limit of a score's slope at each exposure; None for none.
        ev_penalty: What a squared stop costs, over the whole photo.

    Returns:
        The loss, and the (N, H, W, 3) results, which carry gradients.
    """
    last = lengths.cumsum(0) - 1
    row = torch.arange(len(lengths)).repeat_interleave(lengths)  # the episode of each step
    ahead = last[row] - torch.arange(len(row))  # K - 1 - t
    evs = MAX_EV * actor(planes)
    penalty = ev_penalty * (planes[..., MASK].mean((1, 2)) * evs.square()).sum()
    if max_slope is not None:
        evs = evs.clone()  # the score's slope is limited, not the penalty's
        evs.register_hook(lambda slope: slope.clamp(-max_slope, max_slope))
    factor = gamma**ahead  # A_t = gamma^(K-1-t) [D(S_t+1) - D(S_t)]
    weighted = factor * evs + (1 - factor) * evs.detach()  # the same exposures, their slopes times the factor
    ev_map = torch.zeros_like(planes[last, ..., MASK]).index_add(0, row, weighted[:, None, None] * planes[..., MASK])
    results = clip(expose(planes[last, ..., PHOTO], ev_map))
    return penalty - score(results).sum(), results


def discriminator_loss(discriminator: Discriminator, real: Tensor, fake: Tensor, weight: float) -> Tensor:
    """WGAN-GP's loss, eq. (12): experts' photos high, ours low, and a slope of 1 in between."""
    share = torch.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * fake).requires_grad_()
    slope, = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return discriminator(fake).mean() - discriminator(real).mean() + weight * penalty


# Episodes


Episode = tuple[list[np.ndarray], int]  # observations and photo: no rewards, no next states, as the transition is known


class Player:
    """Plays episodes in a vector environment, with exploring noise."""

    def __init__(self, args: Args, photos: list[Photo]):
        self.args = args
        self.envs = gym.make_vec(args.env_id, args.num_envs, photos=photos, transform=Misexpose(EV_RANGE, local=0.0),
                                 autoreset_mode="same_step", **args.task)
        self.observations, self.infos = self.envs.reset(seed=args.seed)
        self.noise, self.begun = torch.zeros(args.num_envs), [[] for _ in range(args.num_envs)]

    def play(self, actor: Actor, number: int) -> list[Episode]:
        """At least `number` finished episodes."""
        finished: list[Episode] = []
        while len(finished) < number:
            self.noise += -self.args.theta * self.noise + self.args.sigma * torch.randn_like(self.noise)
            with torch.no_grad():
                actions = (actor(torch.as_tensor(self.observations)) + self.noise).clamp(-1, 1)
            for planes, observation in zip(self.begun, self.observations, strict=True):
                planes.append(observation.copy())
            indices = self.infos["photo_index"].copy()
            self.observations, _, over, _, self.infos = self.envs.step(actions[:, None].numpy())
            for i in np.flatnonzero(over):
                finished.append((self.begun[i], int(indices[i])))
                self.begun[i] = []
        return finished


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """The environment's own reward, for tensors [dB]."""
    return -10 * (images - targets).square().mean((1, 2, 3)).clamp(min=1e-10).log10()


def test(actor: Actor, args: Args, photos: list[Photo]) -> tuple[float, float]:
    """The mean absolute error of exposures [stops], and the mean gain in PSNR [dB], on fresh misexposures."""
    fresh = misexposed(photos, args.seed + 1000, ev_range=EV_RANGE, local=0.0)
    env = gym.make(args.env_id, photos=fresh, **args.task)
    errors, gains = [], []
    for i, photo in enumerate(fresh):
        (observation, info), over = env.reset(options={"photo": i}), False
        while not over:
            with torch.no_grad():
                action = actor(torch.as_tensor(observation)[None]).numpy()
            observation, gain, over, _, info = env.step(action)
        errors.append(np.abs(info["evs"][:info["num_segments"]] - photo.ev_map.mean()).mean())
        gains.append(gain)
    return float(np.mean(errors)), float(np.mean(gains))


def train(args: Args) -> Actor:
    torch.manual_seed(args.seed)
    good = [Photo(photo.name, photo_thumbnail(photo.image)) for photo in sample_photos("experts", 2 * args.num_photos)]
    photos, experts = good[::2], torch.as_tensor(np.stack([photo.image for photo in good[1::2]]))
    targets = torch.as_tensor(np.stack([photo.image for photo in photos]))
    actor, discriminator = Actor(), Discriminator()
    optimizer = torch.optim.Adam(actor.parameters(), args.learning_rate)
    trainer = torch.optim.Adam(discriminator.parameters(), args.discriminator_learning_rate, betas=(0.5, 0.9))
    player, done, update, total = Player(args, photos), 0, 0, 256 if args.quick else args.total_timesteps
    began = time.perf_counter()
    while done < total:
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * 0.05 ** (done / total)
        episodes = player.play(actor, args.n_batches * args.batch_size)
        steps = sum(len(planes) for planes, _ in episodes)
        optimizer.zero_grad()
        fakes = []
        for start in range(0, len(episodes), args.batch_size):  # gradients add up; no replay (section 2.2)
            seen, indices = zip(*episodes[start : start + args.batch_size], strict=True)
            planes, lengths = torch.as_tensor(np.concatenate(seen)), torch.tensor([len(planes) for planes in seen])
            score = partial(psnr, targets=targets[list(indices)]) if args.reward == "psnr" else discriminator
            loss, results = policy_loss(actor, score, planes, lengths, args.gamma, args.max_slope,
                                        args.ev_penalty)
            (loss / steps).backward()
            fakes.append(results.detach())
        if args.reward == "psnr" or update >= args.warm_up:
            optimizer.step()
        if args.reward == "discriminator":
            for _ in range(args.n_critic):
                real, spoilt = (experts[torch.randint(len(experts), (len(episodes),))] for _ in range(2))
                spoilt = clip(expose(spoilt, torch.empty(len(spoilt), 1, 1).uniform_(-2.5, 2.5)))
                fake = torch.cat([*fakes, spoilt])  # misexposed experts show what a wrong exposure looks like
                fake = fake[torch.randperm(len(fake))[: len(real)]]
                trainer.zero_grad()
                discriminator_loss(discriminator, real, fake, args.gradient_penalty).backward()
                trainer.step()
        done, update = done + steps, update + 1
        if update % 100 == 0 or done >= total:
            error, gain = test(actor, args, photos)
            print(f"{done:6d} exposures, {time.perf_counter() - began:4.0f} s: error {error:.3f} stops, "
                  f"gain {gain:+.2f} dB", flush=True)
    return actor


if __name__ == "__main__":
    train(tyro.cli(Args, description=__doc__))

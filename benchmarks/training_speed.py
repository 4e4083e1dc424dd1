"""Measure how fast DeepExposure trains: transitions per second, beside a literal loop and TD3.

python benchmarks/training_speed.py (ten minutes)

python benchmarks/training_speed.py --rounds 9 --json FILE (write all rates to FILE)

python benchmarks/training_speed.py --device cuda (put the networks on a GPU, and all episodes but TD3's)

python benchmarks/training_speed.py --quick (half a minute, one round of the small networks)

All learn the same task from the same photos with networks of one size. A sample is a transition: one exposure of one
segment of one photo, played, and learned from once. Times include everything: playing, rendering, scoring, updating.

- II and I: DeepExposure; 64 photos are played at once, and an update takes about 64 episodes. I is the paper's, with
  TD(0) and one step of the critic, like the literal one; "I, shaped" is the recommended one, which does more.
- literal II and literal I: the paper's algorithm as one would first write it. Eight mini-batches of eight episodes; in
  each, step by step: actor forward, next state, its image scored (I: its value), backward. One update after the eight.
- TD3: Stable-Baselines3's, with replay and rewards scored anew; one gradient step on 64 transitions after each step of
  64 environments, so that each transition is learned from once on average; policy_delay=1, so also by the actor.
  "TD3, delayed" leaves policy_delay at Stable-Baselines3's default of 2: half as many gradients of the actor.

Where the discriminator is trained too, each takes the same number of discriminator steps per 64 episodes. The
contenders take turns, round by round, and ratios are taken within a round, because other processes may slow some.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from stable_baselines3.common.logger import configure

from agents.baselines.off_policy import build_off_policy, rollout_steps
from agents.benchmark.splits import Split, misexposed_protocol
from agents.networks import Actor, Critic
from agents.rewards.adversarial import AdversarialCallback
from agents.training.building import build
from agents.training.configuration import PRESETS, TrainConfig
from exposure_env.episode import CHANNELS, EpisodeState, is_done, observe, select
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask

NETWORKS = {"Exposure's": {"width": 32, "halvings": 0}, "small": {"width": 16, "halvings": 1}}
OURS = {  # what each changes in the configuration
    "II": {"value": "discriminator"},
    "I": {"value": "critic", "shaping": False, "critic_steps": 1, "td_lambda": 0.0},
    "I, shaped": {"value": "critic"},
}
RIVALS = {"II": ("literal II", "TD3", "TD3, delayed"), "I": ("literal I", "TD3", "TD3, delayed")}
Rates = dict[str, dict[str, list[float]]]
Update = Callable[[], int]  # plays and learns once; returns the number of transitions


@dataclass(frozen=True)
class BenchmarkTraining:
    """How long to measure."""

    rounds: int = 5  # timed updates of each contender, after one to warm up
    threads: int = 1  # of PyTorch
    device: str = "cpu"  # of the networks, and of all episodes but TD3's; "cuda" for a GPU
    json: Path | None = None  # file for all rates
    quick: bool = False


class Literal:
    """DeepExposure step by step, mini-batch by mini-batch, in plain PyTorch."""

    def __init__(self, config: TrainConfig, task: ExposureTask, game: AdversarialCallback | None):
        torch.manual_seed(config.seed)
        networks = {"width": config.width, "halvings": config.halvings}
        self.config, self.task, self.game, self.rng = config, task, game, np.random.default_rng(config.seed)
        self.actor = Actor(CHANNELS[task.config.planes], task.config.size, **networks).to(config.device)
        self.critic = None
        if config.value == "critic":
            self.critic = Critic(CHANNELS[task.config.planes], task.config.size, **networks).to(config.device)
        self.optimizers = [torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.9))
                           for network, rate in ((self.actor, config.learning_rate),
                                                 (self.critic, config.critic_learning_rate)) if network]

    def update(self) -> int:
        """Play eight mini-batches, then step each optimizer; returns the number of transitions."""
        transitions, made = 0, []
        for _ in range(self.config.n_batches):
            scenes = [self.task.draw(self.rng) for _ in range(self.config.batch_size)]
            device = self.config.device
            columns = (None if array is None else torch.as_tensor(array, device=device)
                       for array in self.task.start(scenes))
            state, noise = EpisodeState(*columns), torch.zeros(len(scenes), device=device)
            while not is_done(state).all():
                noise = 0.985 * noise + self.config.exploration * torch.randn(len(scenes), device=device)
                active = ~is_done(state)
                transitions += int(active.sum())
                after = self.step(select(state, active), noise[active])
                evs, step = state.evs.clone(), state.step.clone()
                evs[active], step[active] = after.evs.detach(), after.step
                state = EpisodeState(*state[:3], evs, step, state.num_segments)
            made.append(self.task.fused(state).cpu().numpy())
        if self.game is not None:
            self.train_discriminator(np.concatenate(made))
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return transitions

    def step(self, state: EpisodeState, noise: torch.Tensor) -> EpisodeState:
        """Choose one exposure for each photo, and add its gradients to the weights'; returns the state after it."""
        seen = self.planes(state)
        evs = self.task.exposure(self.actor(seen)[:, 0] + noise)
        after, last = self.task.advance(state, evs), state.step == state.num_segments - 1
        if self.critic is None:
            value = (self.config.gamma ** (state.num_segments - 1 - state.step) * self.task.score(after)).sum()
        else:
            reward = torch.zeros_like(evs)
            if last.any():
                reward = reward.index_put((last,), self.task.score(select(after, last)))
            q = reward + self.config.gamma * torch.where(last, 0.0, self.critic(self.planes(after)))
            loss = (q.detach() - self.critic(seen)).square().sum()
            loss.backward(inputs=list(self.critic.parameters()))
            value = q.sum()
        penalty = self.config.ev_penalty * evs.square().sum()
        (penalty - value).backward(inputs=list(self.actor.parameters()))
        return after

    def planes(self, state: EpisodeState) -> torch.Tensor:
        """What the networks see, (N, C, H, W)."""
        return observe(state, self.task.local(state), self.task.config.planes).permute(0, 3, 1, 2)

    def train_discriminator(self, made: np.ndarray) -> None:
        """Take as many steps on as many images as the adversarial game does."""
        for _ in range(self.game.n_critic):
            own = made[self.rng.integers(len(made), size=self.game.batch_size - self.game.num_misexposed)]
            fakes = np.concatenate([own, self.game.experts.misexposed(self.game.num_misexposed)])
            self.game.trainer.update(self.game.experts.batch(self.game.batch_size), fakes)


def contenders(config: TrainConfig, protocol: Split, adversarial: bool) -> dict[str, Update]:
    """All contenders by name, each with its own networks, photos and environments."""
    inputs = [Photo(photo.name, photo.image) for photo in protocol.inputs]
    made: dict[str, Update] = {}
    for name, changes in OURS.items():
        settings = replace(config, **changes)
        model, game = build(settings, inputs, protocol.experts)
        model.exposure_env.task.prepare()  # once per training, so it is not timed
        made[name] = learning(model, game if adversarial else None)
        if name in RIVALS:
            model, game = build(settings, inputs, protocol.experts)
            model.exposure_env.task.prepare()
            made[f"literal {name}"] = Literal(settings, model.exposure_env.task, game if adversarial else None).update
    for name, delay in {"TD3": 1, "TD3, delayed": 2}.items():
        model, game = build(config, inputs, protocol.experts)
        model.exposure_env.task.prepare()
        steps = rollout_steps(model.exposure_env.task, config.num_envs, config.n_batches * config.batch_size)
        rival = build_off_policy(
            "td3", model.exposure_env, learning_rate=config.learning_rate, buffer_size=4000, batch_size=config.num_envs,
            train_freq=steps, gradient_steps=steps, policy_delay=delay, width=config.width, halvings=config.halvings,
            relabel=True, seed=config.seed, device=config.device,
        )
        made[name] = learning(rival, game if adversarial else None)
    return made


def learning(model, game: AdversarialCallback | None) -> Update:
    """One rollout and its update, of any algorithm with Stable-Baselines3's interface."""
    model.set_logger(configure(None, []))

    def update() -> int:
        before = model.num_timesteps
        model.learn(1, game, reset_num_timesteps=False)
        return model.num_timesteps - before

    return update


def measure(config: TrainConfig, protocol: Split, adversarial: bool, rounds: int) -> Rates:
    """Transitions per second in each round: {contender: {"cpu": [...], "wall": [...]}}."""
    updates = contenders(config, protocol, adversarial)
    rates: Rates = {name: {"cpu": [], "wall": []} for name in updates}
    for i in range(rounds + 1):
        for name, update in updates.items():
            cpu, wall = time.process_time(), time.perf_counter()
            transitions = update()
            if config.device != "cpu":
                torch.cuda.synchronize()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if i:  # the first warms up
                rates[name]["cpu"].append(transitions / cpu)
                rates[name]["wall"].append(transitions / wall)
    return rates


def spread(values: list[float], digits: int) -> str:
    """Median and range, as text."""
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def lines(rates: Rates) -> list[str]:
    """The table of one measurement."""
    columns = [("II", "cpu"), ("II", "wall"), ("I", "cpu"), ("I", "wall")]
    table = [("", "samples/s, CPU", "samples/s, wall", *(f"{ours} is faster by, {clock}" for ours, clock in columns))]
    for name, rate in rates.items():
        ratios = []
        for ours, clock in columns:
            both = zip(rates[ours][clock], rate[clock], strict=True)
            ratios.append(spread([one / other for one, other in both], 2) if name in RIVALS[ours] else "")
        table.append((name, spread(rate["cpu"], 0), spread(rate["wall"], 0), *ratios))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def machine(threads: int, device: str = "cpu") -> str:
    """The kind of machine, without its name."""
    model, known = platform.machine(), Path("/proc/cpuinfo")
    if known.exists():
        names = [line.split(":")[1].strip() for line in known.read_text().splitlines() if line.startswith("model name")]
        model = f"{names[0] if names else 'unknown'}, {model}"
    gpu = "" if device == "cpu" else f"{torch.cuda.get_device_name(device)}, "
    return f"{gpu}{model}, {os.cpu_count()} cores, {threads} threads, torch {torch.__version__}"


def main(options: BenchmarkTraining) -> None:
    torch.set_num_threads(options.threads)
    rounds, networks = (1, ["small"]) if options.quick else (options.rounds, list(NETWORKS))
    if min(rounds, options.threads) < 1:
        raise SystemExit(f"rounds and threads must be at least 1, not {options.rounds} and {options.threads}")
    protocol, results = misexposed_protocol(), []
    base = replace(PRESETS["planes"], device=options.device, warm_up=0)
    if options.quick:
        base = replace(base, num_envs=8, n_batches=1, discriminator_batch_size=8)
        protocol = Split(*(photos[:32] for photos in protocol))
    print(f"{machine(options.threads, options.device)}; medians and ranges of {rounds} rounds")
    for size in networks:
        config = replace(base, **NETWORKS[size])
        for adversarial in (False, True):
            rates = measure(config, protocol, adversarial, rounds)
            results.append({"networks": size, "discriminator": adversarial, "config": asdict(config), "rates": rates})
            told = "with" if adversarial else "without"
            print(f"\n{size} networks, {told} the discriminator's training", *lines(rates), sep="\n", flush=True)
    if options.json:
        content = {"machine": machine(options.threads, options.device), "rounds": rounds, "results": results}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(BenchmarkTraining, description=__doc__))

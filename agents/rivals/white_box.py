"""The agent of "Exposure" (Hu et al., 2018) for `Exposure/WhiteBox-v0`: which filter is chance, how strong is not.

The choice among the eight filters learns from the policy gradient, with the TD error as its advantage. The parameters
of the chosen filter learn by the gradient through the filter, the reward model and the critic, so the reward must be
differentiable. Actor and critic are made of `networks.Stack`. Every batch holds whole episodes, played afresh; the
paper draws states of unfinished episodes from a memory.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional

from agents.networks import Stack, with_statistics
from agents.rewards.trainer import DiscriminatorTrainer
from exposure_env import rewards
from exposure_env.photos import check_photo, photo_thumbnail
from exposure_env.white_box import (
    FILTERS,
    LAYOUT,
    NUM_PARAMETERS,
    PLACES,
    WhiteBoxEnv,
    apply_filters,
    from_unit,
    observe,
)

NUM_FILTERS = len(FILTERS)
CHANNELS = LAYOUT["used"].stop + 3  # those of the observation, and three statistics of the image


@dataclass(frozen=True)
class WhiteBoxConfig:
    """Settings of a training. The defaults of penalties, exploration and betas are those of Exposure's code."""

    iterations: int = 1000  # batches of whole episodes
    batch_size: int = 64  # episodes in a batch
    learning_rate: float = 1e-4  # Adam's for the actor's parameters
    choice_learning_rate: float | None = None  # and for its choice among the filters; the same if None
    critic_learning_rate: float = 5e-4  # Adam's for the critic
    learning_rate_decay: float = 1.0  # what is left of them at the end of the training, falling exponentially
    reward_scale: float = 1.0  # factor of the scores' differences, before any penalty is taken off
    entropy_penalty: float = 0.05  # weight of what the choice's entropy lacks to log 8; falls to 0 over the training
    exploration: float = 0.05  # probability of a filter drawn evenly, in the training only
    overflow_penalty: float = 1.0  # weight of the mean squared excess of the filtered image over 1
    gamma: float = 1.0  # discount factor
    n_critic: int = 5  # updates of the discriminator in an iteration, where there is one
    warm_up: int = 0  # first iterations, in which the agent itself doesn't learn yet
    averaging: float = 0.0  # what an iteration leaves of the averaged agent, which is the result; 0 takes the latest
    width: int = 32  # channels of the networks' first convolution
    seed: int = 0  # of weights, photos and choices
    device: str = "cpu"  # of the networks

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "n_critic"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate_decay <= 1:
            raise ValueError(f"learning_rate_decay must lie in (0, 1], not {self.learning_rate_decay}")
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging must lie in [0, 1), not {self.averaging}")
        for name in ("exploration", "gamma"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")


class WhiteBoxAgent(nn.Module):
    """Preferences for the filters, and parameters for each; before any training all filters are equally likely.

    Parameters then are 0, but for black-and-white's, which is 0.05: at 0, the end of its range, it would not learn.

    Args:
        size: Side of the images [px].
        width: See `networks.Stack`.
    """

    def __init__(self, size: int = 64, width: int = 32):
        super().__init__()
        self.size = size
        self.chooser, self.tuner = (_fresh_stack(size, num, width) for num in (NUM_FILTERS, NUM_PARAMETERS))
        one_sided = [one.low == 0 for one in FILTERS.values() for _ in range(one.num_parameters)]
        self.tuner.head.bias.data[torch.tensor(one_sided)] = math.atanh(-0.9)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, W, 12) in [0, 1] -> (N, 8) logits, and (N, 39) in (-1, 1) that span the parameters' ranges."""
        planes = with_statistics(observations.permute(0, 3, 1, 2), contrast="std")
        return self.chooser(planes), torch.tanh(self.tuner(planes))

    def predict(self, observation: np.ndarray, state: Any = None, episode_start: np.ndarray | None = None,
                deterministic: bool = True) -> tuple[np.ndarray, Any]:
        """Flat actions (N, 47) for observations (N, size, size, 12), or one for one; uint8, or floats in [0, 1].

        Args:
            observation: What `WhiteBoxEnv` gives.
            state: Handed back as it is.
            episode_start: Not used.
            deterministic: Whether the likeliest filter is taken, rather than one drawn by Torch's generator.
        """
        scale = 255.0 if observation.dtype == np.uint8 else 1.0
        batch = torch.as_tensor(observation, dtype=torch.float32).reshape(-1, *observation.shape[-3:]) / scale
        with torch.inference_mode():
            logits, unit = self(batch.to(next(self.parameters()).device))
            choices = logits.argmax(1) if deterministic else Categorical(logits=logits).sample()
            preferences = 2.0 * functional.one_hot(choices, NUM_FILTERS) - 1.0
            actions = torch.cat([preferences, unit], dim=1).cpu().numpy()
        return actions.reshape(*observation.shape[:-3], -1), state

    def choices(self, photo: np.ndarray, max_steps: int = 5) -> list[tuple[str, np.ndarray]]:
        """The filters that the agent chooses on the photo's thumbnail: their names and parameters, in their own units.

        Args:
            photo: See `photos.check_photo`, also for the errors.
            max_steps: Number of filters.
        """
        small, used, chosen = photo_thumbnail(photo, self.size), np.zeros(NUM_FILTERS, np.float32), []
        for step in range(max_steps):
            action, _ = self.predict(observe(small[None], 1.0 - step / max_steps, used[None]))
            choice, parameters = int(action[0, :NUM_FILTERS].argmax()), from_unit(action[0, NUM_FILTERS:])
            name = [*FILTERS][choice]
            chosen.append((name, parameters[PLACES[name]]))
            small = FILTERS[name].apply(small[None], chosen[-1][1][None])[0].clip(0, 1)
            used[choice] = 1.0
        return chosen

    def retouched(self, photo: np.ndarray, max_steps: int = 5) -> np.ndarray:
        """The photo at its own size, through the filters that the agent chooses on its thumbnail.

        Args:
            photo: See `photos.check_photo`, also for the errors.
            max_steps: Number of filters.

        Returns:
            (H, W, 3) float32 in [0, 1].
        """
        result = check_photo(photo)
        for name, parameters in self.choices(photo, max_steps):
            result = FILTERS[name].apply(result[None], parameters[None])[0].clip(0, 1)
        return result


def fit_white_box(env: WhiteBoxEnv, config: WhiteBoxConfig | None = None, *,
                  trainer: DiscriminatorTrainer | None = None, experts: np.ndarray | None = None,
                  look: Callable[[int, dict[str, float], WhiteBoxAgent], Any] | None = None) -> WhiteBoxAgent:
    """An agent that has learned to retouch the photos of an environment by its reward and its penalty on reuse.

    Args:
        env: The environment; its photos, reward model, `max_steps` and `reuse_penalty` count. Its episode stays.
        config: Settings; None for the defaults.
        trainer: Where the environment's reward model is a discriminator, its trainer: it learns to tell the results.
        experts: (M, size, size, 3) float32 photos in [0, 1] to tell them from.
        look: Function called after each iteration with its number, from 1, and the batch's means: "return", "gain"
            (of the score), "entropy", "reused" (filters in an episode) and "critic_loss"; and the agent so far, which
            is averaged.

    Raises:
        ValueError: If the reward model isn't differentiable, or only one of `trainer` and `experts` is given.
    """
    if not rewards.is_differentiable(env.reward_model):
        raise ValueError(f"reward model {rewards.name_of(env.reward_model)} isn't differentiable, and the parameters "
                         "of the filters learn from its gradient")
    if (trainer is None) != (experts is None):
        raise ValueError("trainer and experts must be given together: a discriminator learns from both")
    config = config or WhiteBoxConfig()
    torch.manual_seed(config.seed)
    rng, size = np.random.default_rng(config.seed), env.observation_space.shape[0]
    agent = WhiteBoxAgent(size, config.width).to(config.device)
    averaged = copy.deepcopy(agent)
    critic = _fresh_stack(size, 1, config.width).to(config.device)
    rate, choice_rate = config.learning_rate, config.choice_learning_rate
    parts = [{"params": agent.tuner.parameters(), "lr": rate},
             {"params": agent.chooser.parameters(), "lr": rate if choice_rate is None else choice_rate}]
    optimizers = [torch.optim.Adam(parts, betas=(0.5, 0.9)),
                  torch.optim.Adam(critic.parameters(), config.critic_learning_rate, betas=(0.5, 0.9))]
    groups = [(group, group["lr"], optimizer is optimizers[0]) for optimizer in optimizers
              for group in optimizer.param_groups]
    for iteration in range(config.iterations):
        done = iteration / config.iterations
        for group, first, agents_own in groups:
            waits = agents_own and iteration < config.warm_up
            group["lr"] = 0.0 if waits else first * config.learning_rate_decay**done
        scenes = env.scenes.make([None] * config.batch_size, [rng] * config.batch_size)
        photos, targets = (None if each[0] is None else torch.as_tensor(np.stack(each), device=config.device)
                           for each in ([scene.image for scene in scenes], [scene.target for scene in scenes]))
        entropy_penalty = config.entropy_penalty * (1 - done)
        results, told = _learn(env, config, entropy_penalty, agent, critic, optimizers, photos, targets)
        if trainer is not None:
            trainer.progress(1 - done)
            for _ in range(config.n_critic):
                trainer.update(experts[rng.integers(len(experts), size=config.batch_size)], results)
        with torch.no_grad():
            for kept, weight in zip(averaged.parameters(), agent.parameters(), strict=True):
                kept.lerp_(weight, 1 - config.averaging)
        if look is not None:
            look(iteration + 1, told, averaged)
    return averaged.eval()


def _fresh_stack(size: int, outputs: int, width: int) -> Stack:
    """A stack whose outputs are 0, and whose features differ from photo to photo as much as the photos do.

    With PyTorch's own weights, a third of a layer's variance is left after each: outputs would be learned that are the
    same for all photos long before any that aren't.
    """
    stack = Stack(CHANNELS, size, outputs, width)
    for layer in (*stack.convolutions, stack.hidden):
        if hasattr(layer, "weight"):
            nn.init.kaiming_normal_(layer.weight, 0.2, nonlinearity="leaky_relu")
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(stack.head.weight)
    nn.init.zeros_(stack.head.bias)
    return stack


def _learn(env: WhiteBoxEnv, config: WhiteBoxConfig, entropy_penalty: float, agent: WhiteBoxAgent, critic: Stack,
           optimizers: list[torch.optim.Optimizer], photos: Tensor,
           targets: Tensor | None) -> tuple[Tensor, dict[str, float]]:
    """Plays one episode on each photo and updates both networks after each step; the results, and means to look at."""
    image, used = photos, torch.zeros(len(photos), NUM_FILTERS, device=photos.device)
    first = score = rewards.score(env.reward_model, photos, photos, targets).detach()
    told = dict.fromkeys(("return", "gain", "entropy", "reused", "critic_loss"), 0.0)
    for step in range(env.max_steps):
        seen = observe(image, 1.0 - step / env.max_steps, used)
        logits, unit = agent(seen)
        chosen = Categorical(probs=torch.lerp(functional.softmax(logits, 1), torch.ones_like(logits) / NUM_FILTERS,
                                              config.exploration))
        choices, entropy = chosen.sample(), chosen.entropy()
        filtered = apply_filters(image, choices, from_unit(unit))
        after, once = filtered.clamp(0, 1), functional.one_hot(choices, NUM_FILTERS).to(used)
        next_score, reused = rewards.score(env.reward_model, after, photos, targets), (used * once).sum(1)
        reward = config.reward_scale * (next_score - score) - env.reuse_penalty * reused
        reward = reward - config.overflow_penalty * functional.relu(filtered - 1).square().mean((1, 2, 3))
        reward = reward - entropy_penalty * (math.log(NUM_FILTERS) - entropy)
        used, target = torch.maximum(used, once), reward
        if step + 1 < env.max_steps:
            following = observe(after, 1.0 - (step + 1) / env.max_steps, used)
            target = reward + config.gamma * _values(critic, following)
        value = _values(critic, seen)
        advantage = (target - value).detach()
        actor_loss = -(target + chosen.log_prob(choices) * advantage).mean()  # pathwise, and the policy gradient
        critic_loss = (value - target.detach()).square().mean()
        _update(optimizers[0], actor_loss, agent)
        _update(optimizers[1], critic_loss, critic)
        image, score = after.detach(), next_score.detach()
        told["return"] += reward.mean().item()
        told["reused"] += reused.mean().item()
        told["entropy"] += entropy.mean().item() / env.max_steps
        told["critic_loss"] += critic_loss.item() / env.max_steps
    told["gain"] = (score - first).mean().item()
    return image, told


def _values(critic: Stack, observations: Tensor) -> Tensor:
    """The critic's values of N states."""
    return critic(with_statistics(observations.permute(0, 3, 1, 2), contrast="std"))[:, 0]


def _update(optimizer: torch.optim.Optimizer, loss: Tensor, net: nn.Module) -> None:
    """Takes a step that changes this network alone, whatever other networks the loss goes through."""
    weights = list(net.parameters())
    for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        weight.grad = slope
    optimizer.step()

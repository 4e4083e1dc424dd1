"""PPO in one file, in the manner of CleanRL; nothing to install besides this package (run with torch 2.13.0).

python examples/clients/cleanrl_ppo.py (a few minutes); with --quick in seconds, only to see it run

Before each update it prints what the episodes that ended gained in the mean [dB of PSNR]. With SAME_STEP an environment
restarts in the step that ends its episode: it shows the next photo, and `infos["final_obs"]` holds the result.
"""

import gymnasium as gym
import numpy as np
import torch
import tyro
from torch import nn
from torch.distributions import Normal

GAMMA, GAE_LAMBDA, CLIP_RANGE, N_EPOCHS, BATCH_SIZE, LEARNING_RATE = 0.99, 0.95, 0.2, 4, 256, 5e-4


class Agent(nn.Module):
    """Policy and value, two heads on one trunk."""

    def __init__(self, planes: int):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(planes, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
                                 nn.Flatten(), nn.Linear(64 * 6 * 6, 256), nn.ReLU(), nn.Linear(256, 3))

    def forward(self, observations):
        """The distribution of actions, (N,), and values, (N,), of observations (N, 64, 64, planes) uint8."""
        mean, log_std, value = self.net(torch.as_tensor(observations).permute(0, 3, 1, 2) / 255).unbind(-1)
        return Normal(mean, (log_std - 1).exp()), value


def bootstrapped(agent, rewards, terminated, truncated, infos):
    """The rewards; where only time ran out, plus the value of the last observation, in place of what never came."""
    if (cut := truncated & ~terminated).any():  # never in ours: an episode ends with its last segment
        rewards[cut] += GAMMA * agent(np.stack(infos["final_obs"][cut]))[1].numpy()
    return rewards


def update(agent, optimizer, steps, following):
    """Advantages by GAE, backwards in time; then some epochs of clipped policy gradient and of value regression."""
    observations, actions, log_probs, values, rewards, done = steps  # each (n_steps, num_envs, ...)
    advantages, running = torch.zeros_like(values), 0.0
    for t in reversed(range(len(values))):
        advantages[t] = running = rewards[t] - values[t] + GAMMA * (following + GAE_LAMBDA * running) * ~done[t]
        following = values[t]
    data = [each.flatten(0, 1) for each in (observations, actions, log_probs, advantages, advantages + values)]
    for rows in torch.cat([torch.randperm(len(data[0])) for _ in range(N_EPOCHS)]).split(BATCH_SIZE):
        seen, taken, log_prob, advantage, returns = (each[rows] for each in data)
        policy, value = agent(seen)
        ratio, advantage = (policy.log_prob(taken) - log_prob).exp(), (advantage - advantage.mean()) / advantage.std()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP_RANGE, 1 + CLIP_RANGE) * advantage).mean()
        optimizer.zero_grad()
        (0.5 * (value - returns).square().mean() - gain).backward()
        nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
        optimizer.step()


def main(total_timesteps: int = 100_000, num_envs: int = 64, n_steps: int = 16, seed: int = 0, quick: bool = False):
    torch.manual_seed(seed)
    envs = gym.make_vec("exposure_env:Exposure/Local-v0", num_envs=num_envs, autoreset_mode="SameStep")
    agent, (seen, _) = Agent(envs.single_observation_space.shape[-1]), envs.reset(seed=seed)
    optimizer = torch.optim.Adam(agent.parameters(), LEARNING_RATE)
    for timesteps in range(0, 2048 if quick else total_timesteps, n_steps * num_envs):
        steps = []
        for _ in range(n_steps):
            with torch.no_grad():
                policy, values = agent(seen)
                actions = policy.sample()
                steps.append([seen, actions, policy.log_prob(actions), values])
                seen, rewards, terminated, truncated, infos = envs.step(actions.clamp(-1, 1)[:, None].numpy())
                rewards = bootstrapped(agent, rewards, terminated, truncated, infos)
                steps[-1] += [rewards, terminated | truncated]
        columns = [torch.as_tensor(np.stack(column)) for column in zip(*steps, strict=True)]
        print(f"{timesteps:7d} steps: {columns[4].sum() / columns[5].sum():+.2f} dB")
        update(agent, optimizer, columns, agent(seen)[1].detach())


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)

"""skrl's PPO with our vector environment, one batch of photos.

python -m pip install skrl==2.1.1 (run with torch 2.13.0 and gymnasium 1.4.0)

python examples/clients/skrl_ppo.py (some minutes); with --quick in seconds, only to see it run

At the end it prints what the last hundred episodes gained in the mean [dB of PSNR]. Models get flat float32 rows from
skrl, whatever the `obs_type`; those of "float32" are in [0, 1] already. It learns from every step, also from those that
only reset an environment, so there must be none: SAME_STEP.
"""

import gymnasium as gym
import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn


class Network(Model):
    """Convolutions and two layers over the planes: one number for each photo."""

    def __init__(self, **spaces):
        super().__init__(**spaces)
        planes = self.observation_space.shape[-1]
        self.net = nn.Sequential(nn.Conv2d(planes, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
                                 nn.Flatten(), nn.Linear(64 * 6 * 6, 256), nn.ReLU(), nn.Linear(256, 1))
        self.log_std = nn.Parameter(torch.tensor([-1.0]))  # of a policy

    def compute(self, inputs, role=""):
        """Means of the actions, or values: (N, 1)."""
        photos = inputs["observations"].view(-1, *self.observation_space.shape)  # (N, 64, 64, planes)
        return self.net(photos.permute(0, 3, 1, 2)), {"log_std": self.log_std}


class Policy(GaussianMixin, Network):
    """Normally distributed actions."""

    def __init__(self, **spaces):
        Network.__init__(self, **spaces)
        GaussianMixin.__init__(self, clip_actions=True)


class Value(DeterministicMixin, Network):
    """Values."""

    def __init__(self, **spaces):
        Network.__init__(self, **spaces)
        DeterministicMixin.__init__(self)


def main(total_timesteps: int = 100_000, num_envs: int = 64, n_steps: int = 16, seed: int = 0, quick: bool = False):
    total_timesteps, num_envs = (512, 16) if quick else (total_timesteps, num_envs)
    set_seed(seed)
    envs = RecordEpisodeStatistics(gym.make_vec("exposure_env:Exposure/Local-v0", num_envs=num_envs, obs_type="float32",
                                                autoreset_mode=AutoresetMode.SAME_STEP))
    wrapped = wrap_env(envs, wrapper="gymnasium")
    about = {"observation_space": wrapped.observation_space, "action_space": wrapped.action_space}
    settings = PPO_CFG(rollouts=n_steps, learning_epochs=4, mini_batches=4, learning_rate=5e-4, value_loss_scale=0.5)
    settings.experiment.write_interval = settings.experiment.checkpoint_interval = 0  # no files
    memory = RandomMemory(memory_size=n_steps, num_envs=num_envs)
    agent = PPO(models={"policy": Policy(**about), "value": Value(**about)}, memory=memory, cfg=settings,
                **about)
    plan = {"timesteps": total_timesteps // num_envs, "headless": True}
    SequentialTrainer(env=wrapped, agents=agent, cfg=plan).train()
    print(f"{np.mean(envs.return_queue):+.2f} dB")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)

"""TorchRL's specs, collector and PPO loss with our vector environment, one batch of photos.

python -m pip install torchrl==0.14.1 (run with tensordict 0.14.3, torch 2.13.0 and gymnasium 1.4.0)

python examples/clients/torchrl_ppo.py (some minutes); with --quick in seconds, only to see it run

Before each update it prints what the episodes that ended gained in the mean [dB of PSNR]. TorchRL's transforms make
floats of "uint8"; the other types go as well. It resets single episodes itself, so `autoreset_mode` is DISABLED.
"""

import gymnasium as gym
import torch
import tyro
from gymnasium.vector import AutoresetMode
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import GymEnv, GymWrapper, ToTensorImage, TransformedEnv, check_env_specs
from torchrl.modules import MLP, ConvNet, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

ID = "exposure_env:Exposure/Local-v0"


def network(out_features: int, *head: nn.Module) -> nn.Module:
    """Convolutions over planes (..., 12, 64, 64), and two layers: (..., out_features)."""
    convolutions = ConvNet(12, num_cells=[32, 64], kernel_sizes=[8, 4], strides=[4, 2], activation_class=nn.ReLU)
    return nn.Sequential(convolutions, MLP(64 * 6 * 6, out_features, num_cells=[256], activation_class=nn.ReLU), *head)


def main(total_timesteps: int = 100_000, num_envs: int = 64, n_steps: int = 16, seed: int = 0, quick: bool = False):
    total_timesteps, num_envs = (512, 16) if quick else (total_timesteps, num_envs)
    torch.manual_seed(seed)
    check_env_specs(GymEnv(ID))  # a single environment is taken by its id
    envs = GymWrapper(gym.make_vec(ID, num_envs=num_envs, autoreset_mode=AutoresetMode.DISABLED))
    check_env_specs(envs)
    envs = TransformedEnv(envs, ToTensorImage(in_keys=["observation"]))  # (..., 64, 64, 12) bytes to (..., 12, 64, 64)
    envs.set_seed(seed)
    parameters = TensorDictModule(network(2, NormalParamExtractor()), ["observation"], ["loc", "scale"])
    actor = ProbabilisticActor(parameters, ["loc", "scale"], spec=envs.action_spec, distribution_class=TanhNormal,
                               return_log_prob=True)
    critic = ValueOperator(network(1), ["observation"])
    advantages, loss = GAE(gamma=0.99, lmbda=0.95, value_network=critic), ClipPPOLoss(actor, critic, critic_coeff=0.5)
    optimizer, size = torch.optim.Adam(loss.parameters(), 5e-4), num_envs * n_steps
    for steps in Collector(envs, actor, frames_per_batch=size, total_frames=total_timesteps // size * size,
                           auto_register_policy_transforms=True):  # TorchRL 0.15's default
        gain = steps["next", "reward"].sum() / steps["next", "done"].sum()  # rewarded is the last step of an episode
        print(f"{gain:+.2f} dB")
        with torch.no_grad():
            batch = advantages(steps).reshape(-1)
        for rows in torch.cat([torch.randperm(size) for _ in range(4)]).split(256):
            losses = loss(batch[rows])
            optimizer.zero_grad()
            (losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]).backward()
            nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
            optimizer.step()


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)

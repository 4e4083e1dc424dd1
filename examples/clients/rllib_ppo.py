"""Ray RLlib's PPO, on its new API stack, with our vector environment: one batch of photos in each env runner.

python -m pip install "ray[rllib]==2.60.0" (it brings gymnasium 1.2.2; run with torch 2.13.0)

python examples/clients/rllib_ppo.py (some minutes); with --quick one small iteration, only to see it run

It prints the mean return of the episodes that ended, their gain [dB of PSNR]. RLlib's convolutions take "float32" only:
of "uint8" they say `Input type (unsigned char) and bias type (float) should be the same`, and for "dict" there is no
default encoder. RLlib expects environments to restart in a step of its own (NEXT_STEP), as ours do by default.
"""

import gymnasium as gym
import ray
import tyro
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig


def main(iterations: int = 50, num_env_runners: int = 0, num_envs: int = 16, seed: int = 0, quick: bool = False):
    filters = [[32, 8, 4], [64, 4, 2]]  # channels, kernel, stride
    network = DefaultModelConfig(conv_filters=filters, conv_activation="relu", head_fcnet_hiddens=[256])
    config = (
        PPOConfig()
        .environment("exposure_env:Exposure/Local-v0", env_config={"obs_type": "float32"})  # and any setting of ours
        .env_runners(num_env_runners=num_env_runners, num_envs_per_env_runner=num_envs,
                     gym_env_vectorize_mode=gym.VectorizeMode.VECTOR_ENTRY_POINT)
        .rl_module(model_config=network)
        .training(train_batch_size_per_learner=256 if quick else 2048, minibatch_size=256, num_epochs=4, lr=5e-4)
        .debugging(seed=seed)
    )  # fmt: skip
    ray.init(include_dashboard=False, log_to_driver=False)
    algorithm = config.build_algo()
    for iteration in range(1 if quick else iterations):
        result = algorithm.train()["env_runners"]
        print(f"iteration {iteration}: {result['num_episodes']} episodes, {result['episode_return_mean']:+.2f} dB")
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)

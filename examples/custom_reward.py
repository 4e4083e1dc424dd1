"""Rewards of one's own, each in a few lines, and two agents that learn from them: PPO and DeepExposure.

python examples/custom_reward.py (a plain function; two minutes on a laptop)

python examples/custom_reward.py --reward cnn (or preferences; or ssim, which needs torchmetrics); --quick to try it
"""

from functools import partial
from typing import Literal

import numpy as np
import torch
import tyro
from stable_baselines3 import PPO
from torch import nn

from agents import DeepExposure, TorchReward, check_reward_model
from agents.evaluation.metrics import psnr
from agents.playing import paired_scenes, play
from agents.preferring import Pairs
from agents.rewards.preferences import Preference, fit_preferences
from agents.vec_env import ExposureVecEnv
from exposure_env import ExposureTask, Photo, misexposed, sample_photos, sample_scenes
from exposure_env.photos import photo_thumbnail


def mid_grey(images):  # a batch (N, H, W, 3) in [0, 1], NumPy or Torch -> N scores
    return -abs(images.mean((1, 2, 3)) - 0.46)


def ssim():
    from torchmetrics.functional.image import structural_similarity_index_measure as measure

    return TorchReward(partial(measure, data_range=1.0, reduction="none"), against="targets", name="SSIM")


def cnn():
    network = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.Conv2d(8, 16, 5, 4), nn.Flatten(), nn.LazyLinear(1))
    photos = misexposed([Photo("", photo_thumbnail(photo.image)) for photo in sample_photos("experts", 128)], 0,
                        ev_range=(-2.0, 2.0))
    good, bad = (torch.tensor(np.stack(images)).permute(0, 3, 1, 2)
                 for images in ([photo.target for photo in photos], [photo.image for photo in photos]))
    network(good)  # now the last layer knows its size
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.softplus(network(bad) - network(good)).mean().backward()
        optimizer.step()
    return TorchReward(network, name="CNN")


def preferences():
    pairs, answers = Pairs(sample_scenes(), np.random.default_rng(0)), []
    for pair in (pairs.draw() for _ in range(200)):  # somebody who likes contrast; or PreferenceFolder(DIR).read()
        left, right = pair.left.thumbnail, pair.right.thumbnail
        answers.append(Preference(left, right, "left" if left.std() > right.std() else "right"))
    return fit_preferences(answers)


def main(reward: Literal["mid_grey", "ssim", "cnn", "preferences"] = "mid_grey", quick: bool = False) -> None:
    torch.manual_seed(0)
    mid_grey.differentiable = True  # so that DeepExposure may use it as its value function
    model = mid_grey if reward == "mid_grey" else {"ssim": ssim, "cnn": cnn, "preferences": preferences}[reward]()
    print(check_reward_model(model, strict=False).text())
    settings = {"reward_model": model, "segmenter": "slic", "max_segments": 4}
    envs = [ExposureVecEnv(num_envs=16, photos=sample_photos("inputs", 256), **settings) for _ in range(2)]
    test = ExposureTask(sample_photos("test", 32), **settings)
    untouched = test.start(paired_scenes(test))
    ppo = PPO("CnnPolicy", envs[0], n_steps=32, batch_size=128, seed=0, device="cpu")
    ours = DeepExposure("CnnPolicy", envs[1], 3e-4, max_slope=4.0, batch_size=4, seed=0, device="cpu",
                        policy_kwargs={"width": 16, "halvings": 1})
    for agent in (ppo, ours):
        told = test.finish(play(agent.learn(200 if quick else 6_000), test, untouched))
        gain = psnr(told.image, told.state.targets) - psnr(untouched.photos, untouched.targets)
        print(f"{type(agent).__name__}: reward {np.mean(told.score - told.input_score):+.4f}, true PSNR "
              f"{gain.mean():+.2f} dB")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)

"""Environment steps per second, and the segmentation that each new photo takes.

The peers are the project's own single environment without compiled functions, alone and in others' vector
environments, and scikit-image's `felzenszwalb`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import skimage
from gymnasium.vector import SyncVectorEnv

from exposure_env import ExposureEnv, ExposureVectorEnv, Photo, kernels, sample_photos
from exposure_env.photos import thumbnail
from exposure_env.segmentation import felzenszwalb
from timing import Line, race, rate

PINNED = dict(segmenter="felzenszwalb", reward_model="psnr", size=64, max_segments=8, order="area", max_ev=3.0,
              space="linear", fusion="mask_pyramid", reward_image="fused", relative=True, planes="full",
              obs_type="uint8")  # of all environments, the peers' too  # fmt: skip
NUM_ENVS, NUM_PEERS = 256, 8
NUM_SCORED = 1024  # episodes at once with a discriminator, which gains from large batches


def segment_64(rounds: int, quick: bool) -> Iterator[Line]:
    """Felzenszwalb's segmentation of thumbnails."""
    images = [thumbnail(photo.image) for photo in sample_photos("inputs", 32)] * (1 if quick else 8)
    felzenszwalb(images[0])

    def theirs() -> None:
        for image in images:
            skimage.segmentation.felzenszwalb(image, scale=300.0, sigma=0.5, min_size=50)

    ratio, note = race(lambda: rate(lambda: [felzenszwalb(image) for image in images], len(images)),
                       lambda: rate(theirs, len(images)), rounds)
    yield Line("segment_64_speed", ratio, "times as fast", f"scikit-image, one thread; photos: {note}")


def env_cached(rounds: int, quick: bool) -> Iterator[Line]:
    """Steps with labels already known and a reward without a network."""
    from stable_baselines3.common.vec_env import SubprocVecEnv

    num = 5 if quick else 40
    mine = steps(batch(), num)
    peer = SyncVectorEnv([lambda: single()] * NUM_PEERS, autoreset_mode="SameStep")
    ratio, note = race(mine, steps(peer, 2 * num), rounds)
    yield Line("env_cached_sync", ratio, "times as fast", f"SyncVectorEnv({NUM_PEERS}), labels known; steps: {note}")
    processes = SubprocVecEnv([lambda: single(own_process=True)] * NUM_PEERS)
    ratio, note = race(mine, steps(processes, 2 * num), rounds)
    processes.close()
    yield Line("env_cached_subproc", ratio, "times as fast",
               f"SubprocVecEnv({NUM_PEERS}), labels known; steps: {note}")


def env_uncached(rounds: int, quick: bool) -> Iterator[Line]:
    """Steps when each episode starts on a photo never seen before."""
    num = 2 if quick else 12
    peer = SyncVectorEnv([lambda: single(transform=Rolled())] * NUM_PEERS, autoreset_mode="SameStep")
    ratio, note = race(steps(batch(transform=Rolled()), num), steps(peer, 4 * num), rounds)
    yield Line("env_uncached_sync", ratio, "times as fast",
               f"SyncVectorEnv({NUM_PEERS}), every photo segmented anew; steps: {note}")


def env_discriminator(rounds: int, quick: bool) -> Iterator[Line]:
    """Steps with a learned reward model, as in training."""
    from agents.rewards.discriminator import DiscriminatorReward

    reward = DiscriminatorReward(device="cpu")
    parameters = sum(parameter.numel() for parameter in reward.network.parameters())
    num = 2 if quick else 16
    ratio, note = race(steps(batch(NUM_SCORED, reward_model=reward), num),
                       steps_alone(single(reward_model=reward), 60 * num), rounds)
    yield Line("env_discriminator", ratio, "times as fast",
               f"a single environment, discriminator of {parameters / 1e6:.2f} M parameters, {NUM_SCORED} episodes "
               f"at once; steps: {note}")


class Rolled:
    """A transform: roll the photo by a random number of pixels, so that its labels are in no cache."""

    def __call__(self, photo: Photo, rng: np.random.Generator) -> Photo:
        """The rolled photo."""
        by = tuple(int(shift) for shift in rng.integers(photo.image.shape[0], size=2))
        images = (None if each is None else np.roll(each, by, (0, 1)) for each in photo[1:])
        return Photo(photo.name, *images)


def single(own_process: bool = False, **settings: Any) -> ExposureEnv:
    """A single environment, labels cached unless there is a transform.

    In a process of its own it turns the compiled functions off for good; in this one, `race` does so while it runs.
    """
    if own_process:
        os.environ["EXPOSURE_KERNELS"] = "0"
    env = ExposureEnv(**(PINNED | settings))
    with kernels.disabled() if own_process else nullcontext():
        env.task.prepare()
    return env


def batch(num_envs: int = NUM_ENVS, **settings: Any) -> ExposureVectorEnv:
    """A vector environment, labels cached unless there is a transform."""
    envs = ExposureVectorEnv(num_envs, autoreset_mode="SameStep", **(PINNED | settings))
    envs.task.prepare()
    return envs


def steps(envs: Any, num: int) -> Callable[[], float]:
    """A function that plays that many steps of a vector environment at random: environment steps per second."""
    envs.reset(seed=0) if not hasattr(envs, "env_method") else envs.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (16, envs.num_envs, 1)).astype(np.float32)

    def play() -> None:
        for i in range(num):
            envs.step(actions[i % 16])

    play()
    return lambda: rate(play, num * envs.num_envs)


def steps_alone(env: ExposureEnv, num: int) -> Callable[[], float]:
    """The same for a single environment."""
    actions = np.random.default_rng(0).uniform(-1, 1, (16, 1)).astype(np.float32)

    def play() -> None:
        env.reset(seed=0)
        for i in range(num):
            if env.step(actions[i % 16])[2]:
                env.reset()

    return lambda: rate(play, num)

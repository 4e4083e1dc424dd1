"""Small games of an agent and a discriminator."""

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.deep_exposure import DeepExposure
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer
from agents.vec_env import ExposureVecEnv
from exposure_env.photos import Photo, sample_photos

SIZE = 16
PHOTOS, EXPERTS = sample_photos("inputs", 6), sample_photos("experts", 6)


def flat(value):
    return Photo("grey", np.full((40, 40, 3), value, np.float32))


def experts(photos=EXPERTS, **options):
    return ExpertPhotos(photos, SIZE, **options)


class Recorder(DiscriminatorTrainer):
    """The trainer, which also notes what it was shown."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.real, self.fake, self.rates = [], [], []

    def update(self, real, fake):
        self.real.append(real)
        self.fake.append(fake)
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        return super().update(real, fake)


def steps(trainer):
    """Optimizer steps taken so far."""
    state = trainer.optimizer.state
    return int(next(iter(state.values()))["step"]) if state else 0


class Steps(BaseCallback):
    """Notes the discriminator's steps when a rollout begins, hence after the one before."""

    def __init__(self, trainer):
        super().__init__()
        self.trainer, self.counts = trainer, []

    def _on_rollout_start(self):
        self.counts.append(steps(self.trainer))

    def _on_training_end(self):
        self.counts.append(steps(self.trainer))

    def _on_step(self):
        return True


def game(photos=PHOTOS, source=None, trainer_options=None, max_segments=2, **options):
    """An environment whose reward learns, its trainer, and the callback that teaches it."""
    judge = DiscriminatorReward(size=SIZE, width=4)
    keys = ("reward_image", "segmenter", "num_envs")
    settings = {key: options.pop(key) for key in keys if key in options}
    env = ExposureVecEnv(photos=photos, reward_model=judge, size=SIZE, max_segments=max_segments,
                         **{"num_envs": 4, **settings})  # fmt: skip
    trainer = Recorder(judge, **(trainer_options or {}))
    return env, trainer, AdversarialCallback(trainer, source or experts(), **{"warm_up": 3, "n_critic": 2, **options})


def agent(env, **options):
    options = {"n_batches": 2, "batch_size": 4, "learning_rate": 1e-3, "seed": 0, "device": "cpu", **options}
    return DeepExposure("CnnPolicy", env, policy_kwargs={"width": 4}, **options)

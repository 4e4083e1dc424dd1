"""Small agents and environments, with episodes to learn from, for all the tests of this folder."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger

from agents.deep_exposure import DeepExposure
from agents.rewards.discriminator import DiscriminatorReward
from agents.vec_env import ExposureVecEnv
from exposure_env.episode import EpisodeState, concatenate, select
from exposure_env.photos import Photo

LOCAL = "exposure_env:Exposure/Local-v0"
SIZE, LN2 = 16, float(np.log(2))


class Brightness:
    """Mean value of the image."""

    differentiable = True

    def __call__(self, images, **context):
        return images.mean((1, 2, 3))


class Indifferent:
    """Zero, whatever the image."""

    differentiable = True

    def __call__(self, images, **context):
        return images.mean((1, 2, 3)) * 0


def stripes(image):
    """As many horizontal stripes as the first value says: 1 at 0, 2 at 0.1, 3 at 0.2, ... Heights differ by a pixel."""
    num = 1 + round(float(image[0, 0, 0]) * 10)
    return np.arange(SIZE)[:, None] * num // SIZE * np.ones((1, SIZE), int)


def halves(image):
    """The upper half, then the lower."""
    return np.arange(SIZE)[:, None] * 2 // SIZE * np.ones((1, SIZE), int)


def textured(num_segments, seed=0, target=False):
    """A photo that `stripes` cuts into as many segments."""
    image = np.random.default_rng(seed).uniform(0.05, 0.45, (SIZE, SIZE, 3)).astype(np.float32)
    image[0, 0, 0] = (num_segments - 1) / 10
    return Photo(f"{num_segments} stripes", image, np.sqrt(image) if target else None)


def grey(value, target=None):
    full = [None if v is None else np.full((SIZE, SIZE, 3), v, np.float32) for v in (value, target)]
    return Photo("grey", *full)


VARYING = [textured(1, 1), textured(3, 2), textured(2, 3), textured(5, 4)]


def vec_env(photos=VARYING, segmenter=stripes, reward_model=None, num_envs=4, **settings):
    settings = {"size": SIZE, "max_segments": 5, "fusion": "local", "obs_type": "float32", **settings}
    return ExposureVecEnv(num_envs=num_envs, photos=photos, segmenter=segmenter,
                          reward_model=reward_model or Brightness(), **settings)  # fmt: skip


def agent(env=None, lively=False, policy="CnnPolicy", width=4, actor="planes", **options):
    """A small agent; a lively one does not start out with the untouched photo."""
    options = {"n_batches": 2, "batch_size": 4, "seed": 0, "device": "cpu", **options}
    model = DeepExposure(policy, env or vec_env(), policy_kwargs={"width": width, "actor": actor}, **options)
    if lively:
        torch.nn.init.normal_(model.policy.actor.stack.head.weight, std=0.5)
        torch.nn.init.constant_(model.policy.actor.stack.head.bias, 0.1)
    return model


def play(env, episodes, rng=None):
    """Finished episodes of random actions, as a NumPy state."""
    rng = rng or np.random.default_rng(0)
    env.seed(0)
    env.reset()
    outcomes, count = [], 0
    while count < episodes:
        env.step(rng.uniform(-0.4, 0.4, (env.num_envs, 1)).astype(np.float32))
        if env.finished is not None:
            outcomes.append(env.finished.state)
            count += len(env.finished.score)
    return select(concatenate(outcomes), np.arange(episodes))


def doubled(state, as_torch=True):
    """In double precision, so that gradients can be compared closely."""
    columns = [None if a is None else np.asarray(a, np.float64) if a.dtype.kind == "f" else a for a in state]
    return EpisodeState(*(None if a is None else torch.as_tensor(a) if as_torch else a for a in columns))


def judged(settings, **options):
    """A lively agent of double precision under a discriminator, and five finished episodes."""
    judge = DiscriminatorReward(size=SIZE, width=4)
    judge.network.double()
    model = agent(vec_env(reward_model=judge, **settings), lively=True, gamma=0.9, **options)
    model.policy.double()
    return model, doubled(play(vec_env(**settings), 5))


def train(model, finished):
    """One update, outside of learn()."""
    model.set_logger(Logger(None, []))
    model.train(finished)


def gradient(model):
    """All gradients of the actor in one row; 0 where there is none."""
    pairs = [(p, p.grad) for p in model.policy.actor.parameters()]
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in pairs]).numpy()


def weights(model):
    return torch.nn.utils.parameters_to_vector(model.policy.actor.parameters()).detach().cpu().numpy().copy()


def assert_same_gradient(one, other):
    assert np.abs(one).max() > 1e-3  # there is something to compare
    np.testing.assert_allclose(one, other, atol=1e-6 * max(np.abs(one).max(), 1))


SETTINGS = pytest.mark.parametrize(
    "settings",
    [{}, {"fusion": "mask_pyramid"}, {"fusion": "mertens", "reward_image": "both", "planes": "paper"}],
    ids=["local", "mask pyramid", "mertens and local"],
)

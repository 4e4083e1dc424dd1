"""The paper's claims: their trainings, and what is measured in them."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from agents.benchmark.claims.trainings import (
    CLAIMS,
    VARIANTS,
    Order,
    agent_of,
    rank_correlations,
    spearman,
    variants_of,
)
from agents.training.configuration import PRESETS
from exposure_env.episode import EpisodeState
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask
from tests.benchmark.claims.small import BASE, finished


def test_every_claim_has_its_trainings():
    assert {variant for claim in CLAIMS.values() for variant in claim.variants} == set(VARIANTS)
    assert len(variants_of()) == len(VARIANTS) and variants_of(["cost", "gradients"]) == ["I", "II", "gradients"]
    assert len({Order(variant, 0, BASE).name for variant in VARIANTS}) == len(VARIANTS)
    with pytest.raises(ValueError, match="'speed'"):
        variants_of(["cost", "speed"])


def test_what_the_trainings_change():
    base = replace(PRESETS["planes"], total_timesteps=123)
    configs = {variant: asdict(Order(variant, 3, base).config) for variant in VARIANTS}
    assert {config["seed"] for config in configs.values()} == {3}
    assert {config["total_timesteps"] for config in configs.values()} == {123}

    def changed(variant):
        return {name for name, value in asdict(base).items() if name != "seed" and configs[variant][name] != value}

    assert changed("II") == set() and changed("I") == {"value"} and changed("II, next image") == {"value_image"}
    one = configs["II, 1 mini-batch"]
    assert (one["n_batches"], one["batch_size"], one["num_envs"]) == (1, 8, 8)
    assert 8 * one["n_critic"] * one["discriminator_batch_size"] == base.n_critic * base.discriminator_batch_size
    assert configs["II, 1 mini-batch, rate over 8"]["learning_rate"] == base.learning_rate / 8
    ours = asdict(PRESETS["paper"])
    assert {name for name in ours if configs["paper"][name] != ours[name]} == {"total_timesteps", "seed"}
    rates = {name for name in ours if configs["paper, quick's rates"][name] != configs["paper"][name]}
    assert rates <= {name for name in ours if "learning_rate" in name} and "learning_rate" in rates


@pytest.mark.parametrize(
    "variant, settings",
    [
        ("II, reward local", {"reward_image": "local"}),
        ("II, reward both", {"reward_image": "both"}),
        ("II, Mertens local", {"fusion": "mertens", "reward_image": "local"}),
    ],
)
def test_the_task_is_changed_as_the_variant_says(variant, settings, protocol):
    model, callbacks = agent_of(Order(variant, 0, BASE), protocol)
    task = model.exposure_env.task
    assert {name: getattr(task.config, name) for name in settings} == settings
    assert callbacks[0].trainer.network is task.reward_model.network and task.photos[0].target is None
    assert model.exposure_env.num_envs == BASE.num_envs


def test_rank_correlations_by_hand():
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 400.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0])) == pytest.approx(-0.5)
    assert spearman(np.array([1.0, 1.0, 1.0]), np.array([3.0, 1.0, 2.0])) is None


def test_the_score_so_far_is_compared_photo_by_photo():
    """Photos of two halves, one of them exposed first; scored by their mean luminance."""
    images = [np.full((64, 64, 3), level, np.float32) for level in (0.2, 0.3, 0.4, 0.5)]
    for image in images:
        image[:, :24] += 0.1
    halves = np.zeros((64, 64), int)
    halves[:, :24] = 1
    task = ExposureTask([Photo("", image) for image in [*images, images[0]]], max_segments=2, fusion="local",
                        segmenter=lambda image: halves, space="encoded",
                        reward_model=lambda images, **context: images.mean((1, 2, 3)))
    state = finished(task, 0.0)
    state = EpisodeState(*(None if column is None else column.numpy() for column in state))
    evs = np.array([[0.1, 0.9], [0.2, 0.3], [0.3, 0.2], [0.4, 0.0], [0.0, 0.0]], np.float32)
    state = state._replace(evs=evs, num_segments=np.array([2, 2, 2, 2, 1]), step=np.array([2, 2, 2, 2, 1]))
    found = rank_correlations(task, state)
    levels = np.array([0.2, 0.3, 0.4, 0.5])
    large = 40 * levels * (2 ** evs[:4, 0] - 1)
    small = 24 * (levels + 0.1) * (2 ** evs[:4, 1] - 1)
    assert found["photos"] == 4 and len(found["score"]) == 2 and len(found["gain"]) == 1
    assert found["score"][0] == pytest.approx(spearman(levels, large + small + 64 * levels))
    assert found["gain"][0] == pytest.approx(spearman(large, large + small)) and found["gain"][0] < 0.9

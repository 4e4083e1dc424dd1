"""DPED: its losses, who learns when, and a task that it solves."""

import inspect

import numpy as np
import pytest
import torch
from torch.nn import functional

from agents.rivals.dped import DPED, fit_dped
from agents.rivals.features import TurnNet
from agents.rivals.games import cross_entropy
from agents.rivals.losses import blurred, grey, total_variation
from exposure_env.image import clip, expose
from exposure_env.rewards import psnr
from tests.rivals.small import DarkPairs

SETTINGS = dict(width=4, num_blocks=1, halvings=1, discriminator_width=4, learning_rate=1e-3, colour_weight=100.0,
                texture_weight=0.1, content_weight=1.0, smoothness_weight=0.1)
BATCH = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def game() -> DPED:
    torch.manual_seed(0)
    return DPED(TurnNet().requires_grad_(False), 32, **SETTINGS)


def test_losses_by_hand(game):
    """Results a tenth brighter than the targets: so are they once blurred, and they vary as much."""
    parts = game.losses(BATCH + 0.1, BATCH)
    assert parts["colour"].item() == pytest.approx(0.01, rel=1e-4)
    assert parts["smoothness"].item() == pytest.approx(total_variation(BATCH).item(), rel=1e-4)
    expected = functional.softplus(-game.discriminator(grey(BATCH + 0.1))).mean()
    assert parts["texture"].item() == pytest.approx(expected.item())
    assert parts["content"] == game.content.distance(BATCH + 0.1, BATCH) > 0
    exact = game.losses(BATCH, BATCH)
    assert exact["colour"] == exact["content"] == 0


def test_the_colour_loss_sees_no_fine_pattern_and_the_discriminator_no_colour(game):
    board = 0.1 * (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))
    results = (BATCH + board).requires_grad_(True)
    assert game.losses(results, BATCH)["colour"] < 1e-6 < functional.mse_loss(results, BATCH)
    game.losses(results, BATCH)["texture"].backward()
    red, green = results.grad[:, 0], results.grad[:, 1]
    assert torch.allclose(red / 0.299, green / 0.587, atol=1e-8) and red.abs().sum() > 0


def test_each_step_changes_only_its_own_network(game):
    content = [weights.clone() for weights in game.content.parameters()]
    results = game.generator(BATCH)
    sum(game.losses(results, 1 - BATCH).values()).backward()
    assert all(weights.grad is not None for weights in game.generator.parameters())
    assert all(weights.grad is None for weights in game.discriminator.parameters())
    told = [game.update(BATCH, 1 - BATCH) for _ in range(2)]
    assert told[1]["colour"] < told[0]["colour"]
    assert told[0].keys() == {"colour", "texture", "content", "smoothness", "discriminator"}
    scores = [game.discriminator(grey(images)) for images in (1 - BATCH, BATCH)]
    before = [told[0]["discriminator"], (cross_entropy(scores[0], True) + cross_entropy(scores[1], False)).item() / 2]
    assert before[1] < before[0]  # it has learned to tell the results from the targets
    assert all((one == other).all() for one, other in zip(content, game.content.parameters(), strict=True))


def test_photos_a_stop_too_dark_are_restored(one_thread, sample_photos):
    retouch = fit_dped(DarkPairs(sample_photos), num_photos=800, learning_rate=2e-3, width=4)
    good = np.stack(sample_photos[:12])
    dark = clip(expose(good, -1.0))
    results = np.stack([retouch(photo) for photo in dark])
    assert psnr(results, targets=good).mean() > psnr(dark, targets=good).mean() + 5
    assert blurred(torch.as_tensor(results - good).permute(0, 3, 1, 2)).abs().mean() < 0.06


def test_the_seed_decides(one_thread, sample_photos):
    one, same, other = (fit_dped(DarkPairs(sample_photos), num_photos=16, seed=seed)(sample_photos[0])
                        for seed in (0, 0, 1))
    assert (one == same).all() and (one != other).any()


def test_settings_that_make_no_sense_are_named(sample_photos):
    for wrong, said in ((dict(learning_rate=0.0), "learning_rate must be positive, not 0.0"),
                        (dict(width=0), "width and num_blocks"), (dict(batch_size=0), "at least 1"),
                        *((dict([(f"{name}_weight", -1.0)]), f"{name}_weight must not be negative, but it is -1.0")
                          for name in ("colour", "texture", "content", "smoothness"))):
        assert wrong.keys() < inspect.signature(fit_dped).parameters.keys()
        with pytest.raises(ValueError, match=said):
            fit_dped(DarkPairs(sample_photos), num_photos=2, **wrong)

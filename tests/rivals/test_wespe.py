"""WESPE: its losses, who learns when, and a task that it solves."""

import inspect

import numpy as np
import pytest
import torch
from torch.nn import functional

from agents.rivals.crops import Crops
from agents.rivals.features import TurnNet
from agents.rivals.losses import blurred, grey, total_variation
from agents.rivals.wespe import WESPE, fit_wespe
from exposure_env.image import clip, expose
from tests.rivals.small import sides

SETTINGS = dict(width=4, num_blocks=1, halvings=1, discriminator_width=4, learning_rate=1e-3,
                discriminator_learning_rate=1e-3, colour_weight=1.0,
                texture_weight=1.0, content_weight=1.0,
                cycle_weight=10.0, smoothness_weight=0.1)
BATCH = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def game() -> WESPE:
    torch.manual_seed(0)
    return WESPE(TurnNet().requires_grad_(False), 32, **SETTINGS)


def test_losses_by_hand(game):
    """The second generator takes away a tenth of what the first, still untrained, left as it was."""
    torch.nn.init.constant_(game.back.layers[-2].bias, np.arctanh(-0.1))
    parts = game.losses(BATCH, game.forth(BATCH))
    assert parts["cycle"].item() == pytest.approx(0.1, rel=1e-4)
    assert parts["content"].item() == pytest.approx(game.content.distance(BATCH - 0.1, BATCH).item(), rel=1e-3)
    assert parts["smoothness"].item() == pytest.approx(total_variation(BATCH).item())
    for name, net, seen in (("colour", game.of_colours, blurred(BATCH)), ("texture", game.of_textures, grey(BATCH))):
        assert parts[name].item() == pytest.approx(functional.softplus(-net(seen)).mean().item())


def test_each_step_changes_only_its_own_networks(game):
    generators, discriminators = (game.forth, game.back), (game.of_colours, game.of_textures)
    sum(game.losses(BATCH, game.forth(BATCH)).values()).backward()
    assert all(weights.grad is not None for net in generators for weights in net.parameters())
    assert all(weights.grad is None for net in discriminators for weights in net.parameters())
    before = [[weights.clone() for weights in net.parameters()] for net in (*generators, *discriminators)]
    content = [weights.clone() for weights in game.content.parameters()]
    told = [game.update(BATCH, 1 - BATCH) for _ in range(4)]  # what is 0 at first holds back what lies before it
    assert told[0].keys() == {"colour", "texture", "content", "cycle", "smoothness", "discriminator"}
    for old, net in zip(before, (*generators, *discriminators), strict=True):
        assert all((one != other).any() for one, other in zip(old, net.parameters(), strict=True))
    assert all((one == other).all() for one, other in zip(content, game.content.parameters(), strict=True))


def test_photos_a_stop_too_dark_are_brightened(one_thread, sample_photos):
    retouch = fit_wespe(*sides(sample_photos), num_photos=800, learning_rate=2e-3, width=4, num_blocks=1)
    good = np.stack(sample_photos[:12])
    dark = clip(expose(good, -1.0))
    gap, gained = good.mean() - dark.mean(), np.mean([retouch(photo) for photo in dark]) - dark.mean()
    assert gap > 0.1 and 0.4 * gap < gained < 1.6 * gap


def test_the_seed_decides(one_thread, sample_photos):
    one, same, other = (fit_wespe(*sides(sample_photos), num_photos=16, seed=seed)(sample_photos[0])
                        for seed in (0, 0, 1))
    assert (one == same).all() and (one != other).any()


def test_settings_that_make_no_sense_are_named(sample_photos):
    source = Crops(sample_photos, 32)
    with pytest.raises(ValueError, match="of one size, not 32 and 16 px"):
        fit_wespe(source, Crops(sample_photos, 16), num_photos=2)
    for wrong, said in ((dict(learning_rate=0.0), "learning_rate must be positive, not 0.0"),
                        (dict(discriminator_learning_rate=-1.0),
                         "discriminator_learning_rate must be positive, not -1.0"),
                        (dict(width=0), "width and num_blocks"), (dict(batch_size=0), "at least 1"),
                        *((dict([(f"{name}_weight", -1.0)]), f"{name}_weight must not be negative, but it is -1.0")
                          for name in ("colour", "texture", "content", "cycle", "smoothness"))):
        assert wrong.keys() < inspect.signature(fit_wespe).parameters.keys()
        with pytest.raises(ValueError, match=said):
            fit_wespe(source, source, num_photos=2, **wrong)

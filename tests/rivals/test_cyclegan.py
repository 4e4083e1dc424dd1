"""CycleGAN: its pool, its losses, who learns when, and a task that it solves."""

import inspect

import numpy as np
import pytest
import torch

from agents.rivals.crops import Crops
from agents.rivals.cyclegan import CycleGAN, ImagePool, fit_cyclegan
from exposure_env.image import clip, expose
from tests.rivals.small import sides

SETTINGS = dict(width=4, num_blocks=1, discriminator_width=4, patch_halvings=2, norm="none", discriminator_norm="none",
                learning_rate=1e-3, discriminator_learning_rate=1e-3, cycle_weight=10.0,
                identity_weight=5.0, pool_size=50)
BATCH = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def numbered(first, num):
    return torch.arange(first, first + num, dtype=torch.float32)[:, None, None, None].expand(num, 3, 2, 2)


def test_the_pool_hands_on_what_fills_it_then_half_of_the_time_something_earlier():
    pool, seen = ImagePool(50, 0), []
    assert (pool.exchanged(numbered(0, 50)) == numbered(0, 50)).all()
    for first in range(50, 1050, 10):
        given = numbered(first, 10)
        back = pool.exchanged(given)
        assert back.shape == given.shape and (back <= first + 9).all()
        seen += (back == given).all(3).all(2).all(1).tolist()
    assert len(pool.images) == 50 and 430 < sum(seen) < 570


def test_what_the_pool_has_handed_out_it_keeps_no_longer():
    """Only those that filled it are handed out twice: at once, and once more."""
    pool = ImagePool(5, 0)
    out = torch.cat([pool.exchanged(numbered(first, 4)) for first in range(0, 200, 4)])[:, 0, 0, 0].tolist()
    twice = {number for number in out if out.count(number) > 1}
    assert twice <= set(range(5)) and len(twice) > 2 and max(map(out.count, out)) == 2


def test_a_pool_of_0_hands_everything_on_and_keeps_no_graph():
    images = numbered(0, 3).clone().requires_grad_(True)
    for pool in (ImagePool(0), ImagePool(2)):
        assert not pool.exchanged(images * 1).requires_grad
    assert (ImagePool(0).exchanged(images) == images).all()


def test_losses_before_any_training_by_hand():
    """Generators change nothing, so cycle and identity are 0, and real and fake are the same photos swapped."""
    torch.manual_seed(0)
    game = CycleGAN(**SETTINGS)
    inputs, experts = BATCH, 1 - BATCH
    parts, retouched, raw = game.generators(inputs, experts)
    assert (retouched == inputs).all() and (raw == experts).all()
    assert parts["cycle"] == parts["identity"] == 0
    scores = [game.of_experts(inputs), game.of_inputs(experts)]
    assert parts["adversary"].item() == pytest.approx(sum((each - 1).square().mean() for each in scores).item())
    loss = game.discriminators(inputs, experts, retouched, raw)
    expected = sum((net(real) - 1).square().mean() + net(fake).square().mean()
                   for net, real, fake in ((game.of_experts, experts, inputs), (game.of_inputs, inputs, experts))) / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_cycle_and_identity_by_hand():
    """Generators that add a tenth and take away two: 0.1 is left of each cycle; and what is good is changed."""
    game = CycleGAN(**SETTINGS)
    for generator, change in ((game.forth, 0.1), (game.back, -0.2)):
        torch.nn.init.constant_(generator.layers[-2].bias, np.arctanh(change))
    parts, retouched, raw = game.generators(BATCH, BATCH)
    assert torch.allclose(retouched, BATCH + 0.1, atol=1e-6) and torch.allclose(raw, BATCH - 0.2, atol=1e-6)
    assert parts["cycle"].item() == pytest.approx(0.1 + 0.1, abs=1e-5)
    assert parts["identity"].item() == pytest.approx(0.1 + 0.2, abs=1e-5)


def test_each_step_changes_only_its_own_networks():
    torch.manual_seed(0)
    game = CycleGAN(**SETTINGS)
    nets = {"generators": (game.forth, game.back), "discriminators": (game.of_experts, game.of_inputs)}
    parts, retouched, raw = game.generators(BATCH, 1 - BATCH)
    parts["adversary"].backward()
    for net in nets["generators"]:
        assert all(weights.grad is not None for weights in net.parameters())
        net.zero_grad()
    assert all(weights.grad is None for net in nets["discriminators"] for weights in net.parameters())
    game.discriminators(BATCH, 1 - BATCH, retouched, raw).backward()
    assert all(weights.grad is None for net in nets["generators"] for weights in net.parameters())
    assert all(weights.grad.abs().sum() > 0 for net in nets["discriminators"] for weights in net.parameters())


def test_without_a_weight_no_pass_is_made_for_the_identity_loss():
    game, passes = CycleGAN(**SETTINGS | {"identity_weight": 0.0}), []
    game.forth.register_forward_hook(lambda *_: passes.append(1))
    told = [game.update(BATCH, 1 - BATCH) for _ in range(2)]
    assert len(passes) == 2 * 2 and told[1]["identity"] == 0 and told[1]["cycle"] > 0


def test_an_update_takes_one_step_of_all_and_tells_its_losses():
    torch.manual_seed(0)
    game = CycleGAN(**SETTINGS)
    before = [weights.clone() for net in (game.forth, game.back, game.of_experts, game.of_inputs)
              for weights in net.parameters()]
    told = [game.update(BATCH, 1 - BATCH) for _ in range(2)]
    after = [weights for net in (game.forth, game.back, game.of_experts, game.of_inputs)
             for weights in net.parameters()]
    assert all((one != other).any() for one, other in zip(before, after, strict=True))
    assert told[0].keys() == {"adversary", "cycle", "identity", "discriminator"} and told[1]["cycle"] > 0


def test_photos_a_stop_too_dark_are_brightened(one_thread, sample_photos):
    retouch = fit_cyclegan(*sides(sample_photos), num_photos=400, width=4, num_blocks=1, patch_halvings=2)
    good = np.stack(sample_photos[:12])
    dark = clip(expose(good, -1.0))
    gap, gained = good.mean() - dark.mean(), np.mean([retouch(photo) for photo in dark]) - dark.mean()
    assert gap > 0.1 and 0.4 * gap < gained < 1.6 * gap


def test_the_seed_decides(one_thread, sample_photos):
    one, same, other = (fit_cyclegan(*sides(sample_photos), num_photos=8, seed=seed)(sample_photos[0])
                        for seed in (0, 0, 1))
    assert (one == same).all() and (one != other).any()


def test_settings_that_make_no_sense_are_named(sample_photos):
    source = Crops(sample_photos, 32)
    for wrong, said in ((dict(learning_rate=0.0), "learning_rate must be positive, not 0.0"),
                        (dict(cycle_weight=-1.0), "cycle_weight must not be negative, but it is -1.0"),
                        (dict(identity_weight=-1.0), "identity_weight must not be negative"),
                        (dict(pool_size=-1), "pool_size must not be negative: -1"),
                        (dict(norm="batch"), "norm must be"), (dict(width=0), "width and num_blocks"),
                        (dict(discriminator_width=0), "width and halvings"),
                        (dict(patch_halvings=4), "patch_halvings=4 crops must be of at least 64 px, not 32"),
                        (dict(discriminator_learning_rate=-1.0),
                         "discriminator_learning_rate must be positive, not -1.0"),
                        (dict(batch_size=0), "at least 1")):
        assert wrong.keys() < inspect.signature(fit_cyclegan).parameters.keys()
        with pytest.raises(ValueError, match=said):
            fit_cyclegan(source, source, num_photos=4, **wrong)

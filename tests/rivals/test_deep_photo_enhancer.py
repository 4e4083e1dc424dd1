"""The Deep Photo Enhancer: its network, its critics, the weight that adapts itself, and a task that it can solve."""

import numpy as np
import pytest
import torch
from torch import nn

from agents.rivals.crops import Crops
from agents.rivals.deep_photo_enhancer import AdaptiveWeight, Critic, Enhancer, GlobalUNet, fit_deep_photo_enhancer
from agents.rivals.translation import Translation
from exposure_env.photos import Misexpose, Photo, sample_photos, thumbnail

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = 16
GOOD = [thumbnail(photo.image, SIZE) for photo in sample_photos("experts", 48)]
DARK = [Misexpose((-1.5, -1.5), local=0.0)(Photo("", image), np.random.default_rng(0)).image for image in GOOD]
SETTINGS = {"width": 4, "halvings": 2, "critic_width": 8, "n_critic": 1, "learning_rate": 2e-3,
            "critic_learning_rate": 2e-3, "identity_weight": 20.0, "cycle_weight": 200.0}


def stirred():
    """A network that changes photos."""
    torch.manual_seed(0)
    net = GlobalUNet(4)
    nn.init.normal_(net.last.weight, std=0.05)
    return net


def random(shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Sums(nn.Module):
    """Images in, the sum of each out, times a factor: of C H W values the slope is factor * sqrt(C H W)."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images):
        return self.factor * images.sum((1, 2, 3))


class TestNetwork:
    def test_untrained_it_changes_nothing(self):
        images = random((2, 3, 24, 40))
        torch.testing.assert_close(GlobalUNet()(images), images)

    @pytest.mark.parametrize("shape", [(1, 1), (3, 33), (16, 16), (21, 64)])
    def test_images_of_any_size(self, shape):
        assert stirred()(random((1, 3, *shape))).shape == (1, 3, *shape)

    def test_every_pixel_knows_of_the_whole_image(self):
        """Two images alike on the left; convolutions alone would see 60 px from there, and it is 120 px off."""
        image = random((1, 3, 16, 160))
        other = image.clone()
        other[..., 130:] = 1.0
        change = (stirred()(image) - stirred()(other))[..., :8]
        assert change.abs().max() > 1e-4

    def test_all_of_it_learns(self):
        net = stirred()
        net(random((2, 3, 16, 16))).square().mean().backward()
        assert all(weight.grad.abs().max() > 0 for weight in net.parameters())

    @pytest.mark.parametrize("settings", [{"width": 0}, {"halvings": 0}])
    def test_numbers_below_one_are_refused(self, settings):
        with pytest.raises(ValueError, match="must be at least 1, not"):
            GlobalUNet(**settings)

    def test_a_large_photo_keeps_its_size_and_stays_in_range(self):
        result = Translation(stirred(), SIZE)(random((90, 61, 3)).numpy())
        assert result.shape == (90, 61, 3) and 0 <= result.min() <= result.max() <= 1


class TestAdaptiveWeight:
    def test_it_doubles_above_and_halves_below_an_interval_and_starts_to_count_anew(self):
        adaptive, seen = AdaptiveWeight(10.0, window=3, low=0.08, high=0.2), []
        for penalty in [0.3] * 6 + [0.15] * 4 + [0.0] * 3:
            adaptive.see(penalty)
            seen.append(adaptive.weight)
        # after the fourth 0.15 and two zeros the mean of three is 0.05
        assert seen == [10, 10, 20, 20, 20, 40, 40, 40, 40, 40, 40, 20, 20]


class TestCritic:
    def test_the_penalty_by_hand(self):
        critic, images = Critic(SIZE, 4, 1e-3), random((2, 3, 4, 3))  # 36 values
        for factor, excess in ((0.5, 2.0), (0.25, 0.5), (0.1, 0.0)):
            critic.net = Sums(factor)
            assert critic.penalty(images, 1 - images).item() == pytest.approx(excess, abs=1e-5)

    def test_it_learns_to_tell_good_from_dark_and_its_slopes_stay_near_one(self):
        torch.manual_seed(0)
        critic = Critic(SIZE, 8, 2e-3, window=10)
        real, fake = (torch.as_tensor(np.stack(each)).permute(0, 3, 1, 2) for each in (GOOD, DARK))
        gaps = [critic.update(real, fake) for _ in range(60)]
        distance = (real - fake).square().sum((1, 2, 3)).sqrt().mean().item()  # more would take slopes above 1
        assert abs(gaps[0]) < 0.3 and 0.3 * distance < gaps[-1] < 1.3 * distance
        assert critic.penalty(real, fake).item() < 0.3


class TestTraining:
    def test_losses_by_hand_before_any_training(self):
        """Nothing is changed yet, so identity and cycle lose nothing, and what is scored are the photos."""
        torch.manual_seed(0)
        game = Enhancer(SIZE, **SETTINGS)
        dark, good = random((2, 3, SIZE, SIZE)) / 2, random((2, 3, SIZE, SIZE), 1)
        with torch.no_grad():
            scores = game.of_experts.score(dark) + game.of_inputs.score(good)
            apart = game.of_experts.score(good) - game.of_experts.score(dark)
        told = game.update(dark, good)
        assert told["identity"] == told["cycle"] == 0 and told["adversary"] == pytest.approx(-scores.item(), abs=1e-5)
        assert told["experts"] == pytest.approx(apart.item(), abs=1e-5)
        assert game.update(dark, good)["identity"] > 0

    def test_it_learns_to_brighten_photos_that_are_too_dark(self):
        seen = []
        retouch = fit_deep_photo_enhancer(Crops(DARK[:32], SIZE), Crops(GOOD[:32], SIZE, 1), num_photos=800,
                                          batch_size=8, look=lambda num, _: seen.append(num), **SETTINGS)
        errors = [[np.square(image - good).mean() for image in (dark, retouch(dark))]
                  for dark, good in zip(DARK[32:], GOOD[32:], strict=True)]
        assert 10 * np.log10([before / after for before, after in errors]).mean() > 3  # dB
        assert seen == list(range(8, 801, 8))

    def test_the_same_seed_gives_the_same_enhancer(self):
        results = [fit_deep_photo_enhancer(Crops(DARK, SIZE), Crops(GOOD, SIZE), num_photos=12, batch_size=4, seed=seed,
                                           **SETTINGS)(DARK[0]) for seed in (0, 0, 1)]
        np.testing.assert_array_equal(results[0], results[1])
        assert np.abs(results[0] - results[2]).max() > 0

    def test_bad_settings_are_refused(self):
        sources = Crops(DARK, SIZE), Crops(GOOD, SIZE)
        with pytest.raises(ValueError, match="not 0 and 8"):
            fit_deep_photo_enhancer(*sources, num_photos=0)
        with pytest.raises(ValueError, match="identity_weight must not be negative"):
            fit_deep_photo_enhancer(*sources, num_photos=8, identity_weight=-1.0)

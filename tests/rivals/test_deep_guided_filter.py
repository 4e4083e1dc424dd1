"""The Deep Guided Filter: the filter by hand, the network at any size, and a task that it can solve."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from agents.baselines.regression import FreshPairs
from agents.rivals.deep_guided_filter import (
    AdaptiveNorm,
    GuidedNet,
    fit_deep_guided_filter,
    retouched,
)
from agents.rivals.guided_filter import corrected, linear_models
from exposure_env.photos import Misexpose, Photo, sample_photos, thumbnail

pytestmark = pytest.mark.usefixtures("one_thread")
DARK = Misexpose((-1.5, -1.5), local=0.0)
GOOD = [Photo(photo.name, thumbnail(photo.image, 32)) for photo in sample_photos("experts", 24)]


def stirred(**settings):
    """A network that changes photos."""
    torch.manual_seed(0)
    net = GuidedNet(16, width=4, **settings)
    for last in (net.correction[-1], net.change[-1]):
        torch.nn.init.normal_(last.weight, std=0.3)
    for module in net.modules():
        if isinstance(module, AdaptiveNorm):
            torch.nn.init.constant_(module.parts, 0.5)
    return net.eval()


class TestFilter:
    def test_a_target_that_is_linear_in_its_guide_is_found(self):
        guide = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
        slopes, offsets = linear_models(guide, 0.5 * guide - 0.2, epsilon=1e-9)
        np.testing.assert_allclose(slopes, 0.5, atol=1e-3)
        np.testing.assert_allclose(offsets, -0.2, atol=1e-3)

    def test_by_hand(self):
        """One row 0, 1, 0 of radius 1: windows at the ends have two pixels, the middle one three."""
        guide = torch.tensor([0.0, 1.0, 0.0]).reshape(1, 1, 1, 3)
        target = torch.tensor([3.0, 5.0, 0.0]).reshape(1, 1, 1, 3)
        slopes, offsets = linear_models(guide, target, epsilon=0.0)
        # slopes of the windows 2, 3.5 and 5; offsets 3, 1.5 and 0; and the means of those
        np.testing.assert_allclose(slopes[0, 0, 0], [2.75, 3.5, 4.25], atol=1e-5)
        np.testing.assert_allclose(offsets[0, 0, 0], [2.25, 1.5, 0.75], atol=1e-5)

    def test_what_varies_little_is_averaged(self):
        guide = torch.full((1, 1, 8, 8), 0.5)
        slopes, offsets = linear_models(guide, torch.full((1, 1, 8, 8), 0.3))
        assert not slopes.any()
        np.testing.assert_allclose(offsets, 0.3, atol=1e-6)

    def test_a_correction_keeps_the_edges_of_a_larger_photo(self):
        """What is to be made half as bright on a thumbnail becomes so at full size, to the pixel."""
        photo = np.random.default_rng(0).random((40, 60, 3)).astype(np.float32)
        small = torch.as_tensor(thumbnail(photo, 20)).permute(2, 0, 1)[None]
        result = corrected(photo, *linear_models(small, -0.5 * small, epsilon=1e-9), lambda planes: planes)
        np.testing.assert_allclose(result, photo / 2, atol=1e-3)


class TestNetwork:
    def test_untrained_it_changes_nothing(self):
        photo = np.random.default_rng(0).random((37, 50, 3)).astype(np.float32)
        np.testing.assert_allclose(retouched(GuidedNet(), photo), photo, atol=1e-6)

    @pytest.mark.parametrize("shape", [(1, 1, 3), (3, 70, 3), (16, 16, 3), (64, 33, 3)])
    def test_photos_of_any_size_stay_in_range(self, shape):
        result = retouched(stirred(), np.random.default_rng(0).random(shape).astype(np.float32))
        assert result.shape == shape and result.dtype == np.float32 and 0 <= result.min() <= result.max() <= 1

    def test_photos_are_retouched_as_in_the_training(self):
        net, photo = stirred(), np.random.default_rng(0).random((32, 48, 3)).astype(np.float32)
        planes = torch.as_tensor(photo).permute(2, 0, 1)[None]
        with torch.inference_mode():
            expected = net(planes)[0].clamp(0, 1).permute(1, 2, 0)
        assert np.abs(expected.numpy() - photo).max() > 0.05
        np.testing.assert_allclose(retouched(net, photo), expected, atol=1e-5)

    def test_guide_and_correction_both_learn(self):
        net, photos = stirred(), torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        functional.mse_loss(net.train()(photos), 0.5 * photos).backward()
        assert all(weight.grad.abs().max() > 0 for weight in net.parameters())


class TestTraining:
    def test_it_learns_to_brighten_photos_that_are_too_dark(self):
        seen = []
        retouch = fit_deep_guided_filter(FreshPairs(GOOD[:16], DARK, 32), num_photos=800, width=8, side=16,
                                         batch_size=16, learning_rate=1e-2, look=lambda num, _: seen.append(num))
        gains = []
        for photo in GOOD[16:]:
            dark = DARK(photo, np.random.default_rng(0)).image
            before, after = (np.square(each - photo.image).mean() for each in (dark, retouch(dark)))
            gains.append(10 * np.log10(before / after))
        assert np.mean(gains) > 4  # dB
        assert seen == list(range(16, 801, 16))

    def test_the_same_seed_gives_the_same_filter(self):
        results = [fit_deep_guided_filter(FreshPairs(GOOD, DARK, 32), num_photos=8, batch_size=4, width=4, seed=seed)(
            GOOD[0].image) for seed in (0, 0, 1)]
        np.testing.assert_array_equal(results[0], results[1])
        assert np.abs(results[0] - results[2]).max() > 0

    def test_amounts_below_one_are_refused(self):
        with pytest.raises(ValueError, match="not 0 and 32"):
            fit_deep_guided_filter(FreshPairs(GOOD, DARK, 32), num_photos=0)

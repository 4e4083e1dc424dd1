import math

import numpy as np
import pytest
import torch

from agents.networks import Actor, Critic, Discriminator, Stack, statistics, with_statistics
from agents.planes import halved
from agents.training.configuration import PRESETS


def constant(*rgb, size=4):
    return torch.tensor(rgb, dtype=torch.float64)[None, :, None, None].expand(1, 3, size, size)


def half_black_half_white(size=4):
    images = torch.zeros(1, 3, size, size, dtype=torch.float64)
    images[..., size // 2 :] = 1
    return images


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


class TestStatistics:
    def test_of_one_colour(self):
        # luminance 0.27 * 0.2 + 0.67 * 0.4 + 0.06 * 0.6; saturation (0.6 - 0.2) / (min(0.8, 1.2) + 0.01)
        expected = [[0.358, 0.0, 0.4 / 0.81]]
        np.testing.assert_allclose(statistics(constant(0.2, 0.4, 0.6)), expected, atol=1e-12)

    def test_of_a_light_colour_count_from_white(self):
        # high + low = 1.6, so white is nearer: 0.4 / (0.4 + 0.01)
        assert statistics(constant(0.6, 1.0, 0.8))[0, 2] == pytest.approx(0.4 / 0.41)

    def test_of_half_black_half_white(self):
        # the luminance is 0 or 1 with equal weight: mean 1/2, variance 1/4, standard deviation 1/2
        np.testing.assert_allclose(statistics(half_black_half_white()), [[0.5, 0.25, 0.0]], atol=1e-12)
        np.testing.assert_allclose(statistics(half_black_half_white(), "std"), [[0.5, 0.5, 0.0]], atol=1e-7)

    def test_images_are_clipped_first(self):
        np.testing.assert_array_equal(statistics(constant(-1.0, 0.5, 7.0)), statistics(constant(0.0, 0.5, 1.0)))
        outside = half_black_half_white() * 9 - 4
        np.testing.assert_allclose(statistics(outside), [[0.5, 0.25, 0.0]], atol=1e-12)

    def test_each_image_has_its_own(self):
        batch = torch.cat([constant(0.2, 0.4, 0.6), half_black_half_white()])
        np.testing.assert_allclose(statistics(batch), [[0.358, 0, 0.4 / 0.81], [0.5, 0.25, 0]], atol=1e-12)

    @pytest.mark.parametrize("contrast", ["variance", "std"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_are_the_same_whether_or_not_gradients_are_wanted(self, contrast, dtype):
        images = torch.rand(64, 3, 32, 32, dtype=dtype, generator=torch.Generator().manual_seed(0))
        images *= torch.linspace(0, 1.2, 64, dtype=dtype)[:, None, None, None]  # black ones, and some that are clipped
        plain, differentiable = statistics(images, contrast), statistics(images.requires_grad_(True), contrast)
        assert differentiable.requires_grad and not plain.requires_grad and plain.dtype == dtype
        if dtype == torch.float32:  # the variance is computed in 64 bits either way
            np.testing.assert_array_equal(plain, differentiable.detach())
        np.testing.assert_allclose(plain, differentiable.detach(), rtol=1e-12)

    @pytest.mark.parametrize("contrast", ["variance", "std"])
    def test_gradient(self, contrast):
        images = torch.rand(2, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
        assert torch.autograd.gradcheck(lambda x: statistics(x, contrast), images.requires_grad_(True))

    def test_gradient_of_the_mean_luminance_is_the_weight_of_the_channel_per_pixel(self):
        images = constant(0.2, 0.4, 0.6).clone().requires_grad_(True)
        statistics(images)[0, 0].backward()
        np.testing.assert_allclose(images.grad[0, :, 1, 2], np.array([0.27, 0.67, 0.06]) / 16, atol=1e-12)

    def test_standard_deviation_of_a_flat_image_has_a_finite_gradient(self):
        images = constant(0.3, 0.3, 0.3).clone().requires_grad_(True)
        statistics(images, "std").sum().backward()
        assert torch.isfinite(images.grad).all()


class TestPlanes:
    def test_statistics_follow_the_planes_as_constants(self):
        planes = torch.cat([constant(0.2, 0.4, 0.6), half_black_half_white(), constant(0.5, 0.5, 0.5)], dim=1)
        together = with_statistics(planes, (0, 3))
        assert together.shape == (1, 15, 4, 4)
        np.testing.assert_array_equal(together[:, :9], planes)
        for plane, value in enumerate([0.358, 0, 0.4 / 0.81, 0.5, 0.25, 0], start=9):
            np.testing.assert_allclose(together[0, plane], value, atol=1e-12)

    def test_contrast_is_handed_on(self):
        assert with_statistics(half_black_half_white(), contrast="std")[0, 4, 0, 0] == pytest.approx(0.5, abs=1e-7)

    def test_halving_averages_blocks(self):
        planes = torch.arange(16.0).reshape(1, 1, 4, 4)
        assert halved(planes, 0) is planes
        np.testing.assert_array_equal(halved(planes, 1)[0, 0], [[2.5, 4.5], [10.5, 12.5]])
        np.testing.assert_array_equal(halved(planes, 2)[0, 0], [[7.5]])


class TestNetworks:
    @pytest.mark.parametrize("channels", [9, 12])
    @pytest.mark.parametrize("halvings", [0, 1])
    def test_actor_leaves_photos_alone_at_first(self, channels, halvings):
        actions = Actor(channels, 16, width=4, halvings=halvings)(torch.rand(5, channels, 16, 16))
        assert actions.shape == (5, 1) and (actions == 0).all()

    def test_actor_stays_in_bounds_and_differs_between_photos_once_its_head_is_not_zero(self):
        torch.manual_seed(0)
        actor = Actor(12, 16, width=4)
        torch.nn.init.normal_(actor.stack.head.weight)
        actions = actor(torch.rand(50, 12, 16, 16) * torch.rand(50, 1, 1, 1))
        assert (actions.abs() < 1).all() and actions.std() > 0.01
        torch.nn.init.constant_(actor.stack.head.bias, 100)
        assert (actor(torch.rand(5, 12, 16, 16)) == 1).all()

    def test_shapes_of_critic_and_discriminator(self):
        assert Critic(9, 16, width=4)(torch.rand(5, 9, 16, 16)).shape == (5,)
        assert Discriminator(16, width=4)(torch.rand(5, 16, 16, 3)).shape == (5,)  # channels last

    def test_discriminator_sees_the_statistics_of_the_shrunken_image(self):
        # A pixel-wide chequerboard and its mean are the same after one halving, and not before.
        board = torch.from_numpy(np.indices((16, 16)).sum(0) % 2).float()[None, :, :, None].expand(1, 16, 16, 3)
        for halvings, same in ((1, True), (0, False)):
            network = Discriminator(16, width=4, halvings=halvings)
            assert torch.allclose(network(board), network(torch.full_like(board, 0.5)), atol=1e-6) == same

    def test_number_of_parameters_of_the_presets(self):
        def count(channels, widths):
            convolutions = sum(16 * a * b + b for a, b in zip([channels, *widths], widths, strict=False))
            return convolutions + (16 * widths[-1] * 128 + 128) + (128 + 1)

        for name, widths in (("paper", [32, 64, 128, 256]), ("quick", [16, 32, 64])):
            config = PRESETS[name]
            sizes = {"width": config.width, "halvings": config.halvings}
            assert parameters(Discriminator(64, **sizes)) == count(6, widths)
            assert parameters(Actor(9, 64, **sizes)) == count(18, widths)
            assert parameters(Actor(12, 64, **sizes)) == count(21, widths)
            assert parameters(Critic(9, 64, **sizes)) == count(15, widths)
        assert count(6, [32, 64, 128, 256]) == 1_216_225  # Exposure's, about 1.22 million
        assert count(6, [16, 32, 64]) == 173_937

    @pytest.mark.parametrize("size", [8, 9, 16, 20, 63])
    def test_sizes_that_are_no_power_of_two_work(self, size):
        assert Stack(3, size, 2, 4)(torch.rand(1, 3, size, size)).shape == (1, 2)

    @pytest.mark.parametrize("size, halvings, side", [(7, 0, 7), (4, 0, 4), (8, 1, 4), (31, 2, 7)])
    def test_too_small_sizes_are_refused(self, size, halvings, side):
        with pytest.raises(ValueError, match=rf"8 px or more after {halvings} halvings, not {side}"):
            Stack(3, size, 1, 4, halvings)

    def test_gradient_reaches_every_pixel(self):
        torch.manual_seed(0)
        images = torch.rand(2, 16, 16, 3, requires_grad=True)
        Discriminator(16, width=4)(images).sum().backward()
        assert (images.grad != 0).all() and math.isfinite(images.grad.sum())

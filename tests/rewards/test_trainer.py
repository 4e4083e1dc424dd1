"""How a discriminator learns: the losses, the penalties, and going on where it stopped."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.trainer import DiscriminatorTrainer
from tests.rewards.small import SIZE, Linear, images, reward, through_a_file

pytestmark = pytest.mark.usefixtures("one_thread")


class TestPenalty:
    @pytest.mark.parametrize("slope, two_sided, one_sided", [(0.5, 0.25, 0), (1, 0, 0), (2, 1, 1), (4, 9, 9)])
    def test_of_a_linear_critic(self, slope, two_sided, one_sided):
        real, fake = torch.from_numpy(images(seed=1)), torch.from_numpy(images(seed=2))
        for sided, expected in ((False, two_sided), (True, one_sided)):
            trainer = DiscriminatorTrainer(DiscriminatorReward(Linear(slope)), one_sided=sided)
            penalty, mean_slope = trainer.penalty(real, fake)
            assert penalty.item() == pytest.approx(expected, abs=1e-5)
            assert mean_slope.item() == pytest.approx(slope, abs=1e-6)

    def test_lies_between_real_and_fake(self):
        class Square(nn.Module):  # score |x|^2 / 2: the slope is the length of x, so it tells where x is
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.tensor(0.5))

            def forward(self, images):
                return self.scale * images.square().sum((1, 2, 3))

        trainer = DiscriminatorTrainer(DiscriminatorReward(Square()))
        length = np.sqrt(SIZE * SIZE * 3)
        slopes = []
        for _ in range(50):
            _, slope = trainer.penalty(torch.ones(1, SIZE, SIZE, 3), torch.full((1, SIZE, SIZE, 3), 0.5))
            slopes.append(slope.item() / length)
        assert 0.5 <= min(slopes) < 0.6 and 0.9 < max(slopes) <= 1 + 1e-6
        _, slope = trainer.penalty(torch.ones(1, SIZE, SIZE, 3), torch.ones(1, SIZE, SIZE, 3))
        assert slope.item() == pytest.approx(length, rel=1e-6)

    def test_reported_with_its_weight_and_pushes_the_slope_to_one(self):
        network = Linear(2.0)
        trainer = DiscriminatorTrainer(DiscriminatorReward(network), gradient_penalty=3.0, drift=0, learning_rate=1e-2)
        same = images()
        metrics = trainer.update(same, same)
        assert metrics["penalty"] == pytest.approx(3.0, abs=1e-4) and metrics["slope"] == pytest.approx(2, abs=1e-5)
        for _ in range(300):  # real and fake are the same, so only the penalty acts
            trainer.update(same, same)
        assert network.weight.norm().item() == pytest.approx(1, abs=0.02)

    def test_one_sided_leaves_a_gentle_slope_alone(self):
        for one_sided in (True, False):
            network = Linear(0.5)
            trainer = DiscriminatorTrainer(DiscriminatorReward(network), one_sided=one_sided)
            trainer.penalty(torch.from_numpy(images(seed=1)), torch.from_numpy(images(seed=2)))[0].backward()
            # d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w| = -2 w at |w| = 1/2
            expected = torch.zeros(192) if one_sided else -2 * network.weight.detach()
            np.testing.assert_allclose(network.weight.grad, expected, atol=1e-5)

    @pytest.mark.parametrize("slope", [0.5, 1, 3])
    def test_of_a_linear_critic_relativistic(self, slope):
        trainer = DiscriminatorTrainer(DiscriminatorReward(Linear(slope)), loss="relativistic", gradient_penalty=3.0)
        penalty, mean_slope = trainer.penalty(torch.from_numpy(images(seed=1)), torch.from_numpy(images(seed=2)))
        assert penalty.item() == pytest.approx(slope**2, rel=1e-5)  # (s^2 + s^2) / 2
        assert mean_slope.item() == pytest.approx(slope, rel=1e-5)
        metrics = trainer.update(images(seed=1), images(seed=2))
        assert metrics["penalty"] == pytest.approx(3 * slope**2, rel=1e-5)

    def test_relativistic_is_half_the_squared_slope_on_real_images_and_half_that_on_fake_ones(self):
        class Square(nn.Module):  # score |x|^2 / 2: the gradient at x is x
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.tensor(0.5))

            def forward(self, images):
                return self.scale * images.square().sum((1, 2, 3))

        trainer = DiscriminatorTrainer(DiscriminatorReward(Square()), loss="relativistic")
        real, fake = torch.full((2, SIZE, SIZE, 3), 0.5), torch.full((2, SIZE, SIZE, 3), 0.1)
        real[1] = 1
        numbers = SIZE * SIZE * 3
        r1, r2 = numbers * (0.5**2 + 1) / 2, numbers * 0.1**2
        penalty, slope = trainer.penalty(real, fake)
        assert penalty.item() == pytest.approx(r1 / 2 + r2 / 2, rel=1e-5)
        assert slope.item() == pytest.approx(np.sqrt(numbers) * (0.5 + 1 + 0.1 + 0.1) / 4, rel=1e-5)

    def test_relativistic_pulls_the_slope_to_zero_where_real_and_fake_are_alike(self):
        network = Linear(1.0)
        trainer = DiscriminatorTrainer(DiscriminatorReward(network), loss="relativistic", learning_rate=1e-2)
        same = images()
        for _ in range(200):
            trainer.update(same, same)
        assert network.weight.norm().item() < 0.05


class TestUpdate:
    def test_relativistic_loss_compares_pairs(self):
        class Corner(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.tensor(4.0))

            def forward(self, images):
                return self.weight * images[:, 0, 0, 0]

        real, fake = np.zeros((2, 2, SIZE, SIZE, 3), np.float32)
        real[:, 0, 0, 0], fake[:, 0, 0, 0] = [1.0, 0.0], [0.5, 0.25]  # scores 4, 0 and 2, 1
        network = Corner()
        trainer = DiscriminatorTrainer(DiscriminatorReward(network), loss="relativistic", gradient_penalty=0, drift=0)
        metrics = trainer.update(real, fake)
        assert set(metrics) == {"loss", "real", "fake", "slope", "penalty"}
        # log(1 + e^-(4-2)) and log(1 + e^-(0-1)); all pairs or a difference of means would give something else
        assert metrics["loss"] == pytest.approx((0.126928 + 1.313262) / 2, abs=1e-5)
        assert (metrics["real"], metrics["fake"]) == (2, 1.5) and metrics["penalty"] == 0
        # d loss / d weight = -(0.5 sigmoid(-2) - 0.25 sigmoid(1)) / 2 with 0.5 and -0.25 the differences of corners
        expected = -(0.5 * 0.119203 - 0.25 * 0.731059) / 2
        assert network.weight.grad.item() == pytest.approx(expected, abs=1e-5)

    def test_relativistic_scores_rise_above_fake_ones(self):
        judge = reward()
        trainer = DiscriminatorTrainer(judge, learning_rate=1e-3, loss="relativistic", gradient_penalty=0.1)
        for step in range(60):
            trainer.update(images(8, 0.4, 0.8, 2 * step, 16), images(8, 0.0, 0.3, 2 * step + 1, 16))
        assert judge(images(8, 0.4, 0.8, 998, 16)).min() > judge(images(8, 0.0, 0.3, 999, 16)).max()

    def test_an_unknown_loss_is_an_error(self):
        with pytest.raises(ValueError, match='loss must be.*"relativistic", not \'hinge\''):
            DiscriminatorTrainer(reward(), loss="hinge")

    def test_loss_is_fake_minus_real(self):
        network = Linear(1.5, offset=0.25)
        real, fake = images(seed=1), images(seed=2)
        score_real, score_fake = (network(torch.from_numpy(x)).mean().item() for x in (real, fake))
        metrics = DiscriminatorTrainer(DiscriminatorReward(network)).update(real, fake)
        assert set(metrics) == {"loss", "real", "fake", "slope", "penalty"}
        assert metrics["real"] == pytest.approx(score_real, abs=1e-6)
        assert metrics["fake"] == pytest.approx(score_fake, abs=1e-6)
        assert metrics["loss"] == pytest.approx(score_fake - score_real, abs=1e-6)
        assert metrics["penalty"] == pytest.approx(10 * 0.5**2, abs=1e-4)

    def test_real_scores_rise_above_fake_ones(self):
        judge = reward()
        trainer = DiscriminatorTrainer(judge, learning_rate=1e-3)
        for step in range(60):
            metrics = trainer.update(images(8, 0.4, 0.8, 2 * step, 16), images(8, 0.0, 0.3, 2 * step + 1, 16))
        unseen_real, unseen_fake = judge(images(8, 0.4, 0.8, 998, 16)), judge(images(8, 0.0, 0.3, 999, 16))
        assert unseen_real.min() > unseen_fake.max() and metrics["loss"] < 0

    def test_drift_brings_the_offset_of_real_scores_to_zero(self):
        offsets = {}
        for drift in (0.0, 1.0):
            network = Linear(1.0, offset=1.0)
            trainer = DiscriminatorTrainer(DiscriminatorReward(network), drift=drift, learning_rate=1e-2)
            black = np.zeros((4, SIZE, SIZE, 3), np.float32)  # its score is the offset
            for _ in range(300):
                trainer.update(black, black)
            offsets[drift] = network.offset.item()
        assert offsets[0.0] == 1 and abs(offsets[1.0]) < 0.02

    def test_arrays_and_tensors_alike(self):
        real, fake = images(seed=1, size=16), images(seed=2, size=16)
        metrics = []
        for kind in (np.asarray, torch.as_tensor):
            torch.manual_seed(3)
            metrics.append(DiscriminatorTrainer(reward()).update(kind(real), kind(fake)))
        assert metrics[0] == metrics[1]

    def test_same_seed_same_weights_and_another_seed_other_weights(self):
        weights = {}
        for run, seed in (("one", 0), ("other", 0), ("third", 1)):
            torch.manual_seed(7)
            judge = reward()
            trainer = DiscriminatorTrainer(judge, seed=seed, learning_rate=1e-3)
            for step in range(3):
                trainer.update(images(seed=step, size=16), images(seed=step + 9, size=16))
            weights[run] = torch.nn.utils.parameters_to_vector(judge.network.parameters()).detach()
        np.testing.assert_array_equal(weights["one"], weights["other"])
        assert (weights["one"] != weights["third"]).any()

    def test_no_gradient_reaches_the_images(self):
        fake = torch.from_numpy(images(seed=1, size=16)).requires_grad_(True)
        DiscriminatorTrainer(reward()).update(images(size=16), fake)
        assert fake.grad is None

    @pytest.mark.parametrize("other", [(3, 16, 16, 3), (4, 8, 8, 3)])
    def test_different_shapes_are_an_error(self, other):
        with pytest.raises(ValueError, match=r"real.*fake.*\(4, 16, 16, 3\)"):
            DiscriminatorTrainer(reward()).update(images(size=16), np.zeros(other, np.float32))

    def test_a_loss_that_is_not_finite_is_an_error_before_the_weights_are_touched(self):
        judge = reward()
        before = [parameter.clone() for parameter in judge.network.parameters()]
        with pytest.raises(ValueError, match="loss is nan"):
            DiscriminatorTrainer(judge).update(images(size=16), np.full((4, 16, 16, 3), np.nan, np.float32))
        assert all((a == b).all() for a, b in zip(before, judge.network.parameters(), strict=True))

    @pytest.mark.parametrize("weights", [{"gradient_penalty": -1.0}, {"drift": -0.5}])
    def test_negative_weights_are_an_error(self, weights):
        with pytest.raises(ValueError, match=f"negative.*{next(iter(weights.values()))}"):
            DiscriminatorTrainer(reward(), **weights)

    def test_learning_rate_follows_its_schedule(self):
        trainer = DiscriminatorTrainer(reward(), learning_rate=lambda remaining: 0.1 * remaining)
        rates = []
        for remaining in (1.0, 0.5, 0.25):
            trainer.progress(remaining)
            rates.append(trainer.optimizer.param_groups[0]["lr"])
        assert rates == pytest.approx([0.1, 0.05, 0.025])
        assert trainer.optimizer.param_groups[0]["betas"] == (0.5, 0.9)


class TestState:
    def updates(self, trainer, first, last):
        trainer.progress(0.5)
        return [trainer.update(images(seed=i, size=16), images(seed=i + 50, size=16)) for i in range(first, last)]

    @pytest.mark.parametrize("options", [{}, {"loss": "relativistic"}], ids=str)
    @pytest.mark.parametrize("spectral_norm", [False, True])
    @pytest.mark.parametrize("way", [through_a_file, lambda state: state], ids=["file", "memory"])
    def test_another_trainer_goes_on_bit_for_bit(self, options, spectral_norm, way):
        def trainer(seed):
            torch.manual_seed(seed)
            judge = reward(spectral_norm=spectral_norm)
            return judge, DiscriminatorTrainer(judge, learning_rate=1e-3, seed=seed, **options)

        judge, original = trainer(0)
        self.updates(original, 0, 3)
        state = way(original.state_dict())
        expected = self.updates(original, 3, 6)  # does not touch the state
        for _ in range(2):  # nor does the other's training
            other_judge, other = trainer(1)
            other.load_state_dict(state)
            assert self.updates(other, 3, 6) == expected
            for name, tensor in judge.network.state_dict().items():
                np.testing.assert_array_equal(other_judge.network.state_dict()[name], tensor)

    def test_a_state_of_something_else_is_an_error(self):
        trainer = DiscriminatorTrainer(reward())
        other = DiscriminatorTrainer(reward(width=8)).state_dict()
        without = {key: value for key, value in trainer.state_dict().items() if key != "optimizer"}
        for state in (other, without, {}):
            with pytest.raises(ValueError, match="not the state of a trainer with such a network"):
                copy.deepcopy(trainer).load_state_dict(state)

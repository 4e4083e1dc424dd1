"""A plain network that learns EV maps from pairs."""

import cv2
import numpy as np
import pytest
import torch

from agents.baselines.regression import FieldNet, FreeRegression, FreshPairs, Regression, enlarged, fit_field
from agents.evaluation.judging import evaluate
from agents.playing import play
from exposure_env.image import clip, expose
from exposure_env.photos import Backlight, Misexpose, Photo, sample_photos, thumbnail
from exposure_env.task import ExposureTask
from tests.baselines.photos import grey

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = 16
DARKER = Misexpose((-1.0, -1.0), local=0.0)
EXPERTS = [Photo(photo.name, thumbnail(photo.image, SIZE)) for photo in sample_photos("experts", 12)]


def stirred(seed=0):
    """A network with an EV map of its own for every photo."""
    torch.manual_seed(seed)
    net = FieldNet(SIZE).eval()
    torch.nn.init.normal_(net.head.weight, std=0.3)
    return net


def paired_task(max_segments=3):
    rng = np.random.default_rng(0)
    return ExposureTask([DARKER(photo, rng) for photo in EXPERTS[:4]], size=SIZE, max_segments=max_segments)


def begun(task):
    return task.start(task.scenes(range(4), [np.random.default_rng(0)] * 4))


class TestNetwork:
    def test_untrained_it_leaves_photos_untouched(self):
        assert not FieldNet(64)(torch.rand(2, 64, 64, 3)).any()
        with pytest.raises(ValueError, match="at least 16 px, not 8"):
            FieldNet(8)

    def test_maps_are_enlarged_as_misexposures_are(self):
        coarse = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
        expected = cv2.resize(coarse, (40, 24), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(enlarged(torch.tensor(coarse[None]), 24, 40)[0], expected, atol=1e-5)


class TestPairs:
    def test_good_photos_are_exposed_wrongly_and_rounded(self):
        wrong, good = FreshPairs(EXPERTS, DARKER, SIZE).batch(20)
        assert wrong.shape == good.shape == (20, SIZE, SIZE, 3) and wrong.dtype == good.dtype == torch.float32
        np.testing.assert_allclose(wrong, clip(expose(good, -1.0)), atol=0.5001 / 255)
        np.testing.assert_allclose(wrong * 255, (wrong * 255).round(), atol=1e-4)

    @pytest.mark.parametrize("how", [Misexpose(), Backlight()])
    def test_afresh_each_time_in_the_degradations_own_way(self, how):
        photo = EXPERTS[3]
        wrong, good = FreshPairs([photo], how, SIZE).batch(60)
        assert len({image.numpy().tobytes() for image in wrong}) == 60
        rng = np.random.default_rng(1)
        own = [how(photo, rng).image.mean() for _ in range(60)]
        assert wrong.mean((1, 2, 3)).mean() == pytest.approx(np.mean(own), abs=float(4 * np.std(own) / 60**0.5))
        either = [bool((image == torch.as_tensor(photo.image)).all()) for image in good]
        assert 15 < sum(either) < 45  # the others are mirrored
        assert all((image.flip(1) == torch.as_tensor(photo.image)).all()
                   for image, upright in zip(good, either, strict=True) if not upright)

    def test_real_pairs_stay_as_they_are_and_targets_are_good(self):
        spoilt = Photo("spoilt", grey(0.9), grey(0.3), np.zeros((SIZE, SIZE), np.float32))
        real = Photo("real", grey(0.1), grey(0.6))
        wrong, good = FreshPairs([spoilt, real], DARKER, SIZE).batch(40)
        for its, target in zip(wrong[:, 0, 0, 0], good[:, 0, 0, 0], strict=True):
            image = real.image if target == real.target[0, 0, 0] else expose(spoilt.target, -1.0)
            assert its == pytest.approx(image[0, 0, 0], abs=0.5001 / 255)
        assert set(good[:, 0, 0, 0].tolist()) == {real.target[0, 0, 0], spoilt.target[0, 0, 0]}

    def test_larger_photos_are_cropped_light_and_target_alike(self):
        columns = np.linspace(0.1, 0.9, 20, dtype=np.float32)[None, :, None] * np.ones((20, 1, 3), np.float32)
        wrong, good = FreshPairs([Photo("ramp", columns)], Misexpose((0.0, 0.0), local=0.0), SIZE).batch(50)
        np.testing.assert_allclose(wrong, good, atol=0.5001 / 255)
        left = good[:, 0].amin(1)[:, 0]
        assert {round(float(value), 3) for value in left} == {round(float(value), 3) for value in columns[0, :5, 0]}

    def test_the_seed_decides(self):
        first, again, other = (FreshPairs(EXPERTS, Misexpose(), SIZE, seed).batch(4)[0] for seed in (0, 0, 1))
        assert torch.equal(first, again) and not torch.equal(first, other)

    def test_what_makes_no_sense(self):
        with pytest.raises(ValueError, match=r"of one size, at least 16 px, not \[\]"):
            FreshPairs([], DARKER, SIZE)
        with pytest.raises(ValueError, match=r"not \[\(8, 8\)\]"):
            FreshPairs([Photo("small", grey(0.2, 8))], DARKER, SIZE)
        with pytest.raises(ValueError, match=r"\(16, 16\), \(20, 20\)"):
            FreshPairs([Photo("a", grey(0.2, 16)), Photo("b", grey(0.2, 20))], DARKER, SIZE)


class TestTraining:
    def test_it_recovers_one_exposure(self):
        seen = []
        net = fit_field(FreshPairs(EXPERTS, DARKER, SIZE), num_photos=1590, batch_size=16,
                        look=lambda photos, its: seen.append((photos, its.training)))
        assert seen == [(16 * step, False) for step in range(1, 101)]
        task = paired_task()
        for kind in (Regression, FreeRegression):
            evaluation = evaluate(kind(net), task)
            assert np.mean([record.evs[0] for record in evaluation.records]) == pytest.approx(1, abs=0.1)
            untouched = evaluate(kind(FieldNet(SIZE)), task)
            assert evaluation.values("psnr").mean() > untouched.values("psnr").mean() + 8

    def test_the_seed_decides(self):
        first, again, other = (fit_field(FreshPairs(EXPERTS, DARKER, SIZE), num_photos=8, batch_size=4, seed=seed)
                               for seed in (0, 0, 1))
        weights = [net.layers[0].weight for net in (first, again, other)]
        assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
        with pytest.raises(ValueError, match="not 0 and 4"):
            fit_field(FreshPairs(EXPERTS, DARKER, SIZE), num_photos=0, batch_size=4)

    def test_looking_changes_nothing(self):
        def look(photos, net):
            net(torch.zeros(2, SIZE, SIZE, 3))

        watched, alone = (fit_field(FreshPairs(EXPERTS, DARKER, SIZE), num_photos=12, batch_size=4, look=each)
                          for each in (look, None))
        assert torch.equal(watched.head.weight, alone.head.weight) and watched.head.weight.any()

    def test_in_encoded_values_too(self):
        """Of photographs: a single pair would have a perfect match, where PSNR's slope is infinite."""
        pairs = FreshPairs(EXPERTS, DARKER, SIZE)
        net = fit_field(pairs, num_photos=1600, batch_size=16, space="encoded")
        wrong, good = pairs.batch(20)
        ratio = float(good.mean() / wrong.mean())  # in linear light it would be 2
        assert Regression(net).ev_maps(wrong.numpy()).mean() == pytest.approx(np.log2(ratio), abs=0.1)


class TestPolicies:
    def test_segments_get_the_mean_of_the_map(self):
        policy, task = Regression(stirred(), max_ev=1.0), paired_task()
        state = begun(task)
        maps, plan = policy.ev_maps(state.photos), policy.plan(state)
        assert np.ptp(maps) > 0.3 and abs(policy.coarse(state.photos)).max() <= 1
        for labels, its, evs in zip(state.labels, maps, plan.evs, strict=True):
            assert evs[0] == pytest.approx(its[labels == 0].mean(), abs=1e-5)
        task.config = task.config.__class__(size=SIZE, max_segments=3, max_ev=1.0)
        np.testing.assert_allclose(play(policy, task, state).evs, plan.evs, atol=0.02)

    def test_the_free_map_is_rendered_itself(self):
        policy, task = FreeRegression(stirred()), paired_task()
        evaluation = evaluate(policy, task)
        state = begun(task)
        expected = clip(expose(state.photos, policy.ev_maps(state.photos)))
        for record, image, coarse in zip(evaluation.records, expected, policy.coarse(state.photos), strict=True):
            np.testing.assert_allclose(record.image, image, atol=1e-6)
            np.testing.assert_allclose(record.evs, coarse.flatten(), atol=1e-6)
            assert len(record.areas) == len(record.true_evs) == 9 and sum(record.areas) == pytest.approx(1)
            np.testing.assert_allclose(record.true_evs, 1.0, atol=1e-6)

"""Policies judged on whole photos, at full size."""

import numpy as np
import pytest

from agents.baselines.untrained import ConstantEV, FixedBracket, Identity
from agents.benchmark import tables as tables
from agents.benchmark.splits import folds
from agents.evaluation.whole_photos import best_constant, best_evs, evaluate_full_size, psnr_by_ev
from exposure_env.fusion import mertens
from exposure_env.image import clip, expose
from exposure_env.photos import PairedPhotos, Photo
from exposure_env.task import ExposureTask


def test_the_table_of_exposures_is_what_a_retouch_measures(sample_photos):
    pairs = [Photo(str(i), np.round(clip(expose(p, -0.7)) * 255).astype(np.float32) / 255, p)
             for i, p in enumerate(sample_photos[12:])]
    task, evs = ExposureTask(pairs), np.array([-1.3, 0.0, 0.7])
    quick = psnr_by_ev(pairs, evs)
    for ev, expected in zip(evs, quick.T, strict=True):
        measured = evaluate_full_size(ConstantEV(ev), task, pairs).values("psnr")
        np.testing.assert_allclose(measured, expected, atol=0.02)
    np.testing.assert_allclose(best_evs(pairs), 0.7, atol=0.05)
    assert best_constant(pairs) == pytest.approx(0.7, abs=0.05) == best_constant(pairs, of="mse")


def test_a_constant_for_other_photos_is_fitted_by_the_squared_error():
    """Two photos that match at 0 EV and one at +1: by PSNR a match outweighs the rest, by the error it doesn't."""
    grey = np.full((8, 8, 3), 51 / 255, np.float32)
    brighter = np.round(clip(expose(grey, 2.0)) * 255).astype(np.float32) / 255
    pairs = [Photo("a", grey, grey), Photo("b", grey, brighter)]
    assert best_constant(pairs) in (pytest.approx(0, abs=0.03), pytest.approx(2, abs=0.03))
    assert 0.9 < best_constant(pairs, of="mse") < 1.7
    with pytest.raises(ValueError, match='"psnr" or "mse", not \'ssim\''):
        best_constant(pairs, of="ssim")


def test_a_bracket_is_blended_whole_at_full_size(sample_photos):
    photo = Photo("a", sample_photos[0], sample_photos[0])
    evaluation = evaluate_full_size(FixedBracket(), ExposureTask([photo], max_segments=2), [photo])
    evs = np.array([[0, -1, 1, -2, 2]], np.float32)
    expected = mertens(photo.image[None], np.zeros((1, 64, 64), int), evs)[0]
    assert abs(evaluation.records[0].image / 255 - expected).mean() < 0.01  # a level or two
    assert evaluation.records[0].evs == evs[0].tolist() and evaluation.records[0].image.dtype == np.uint8


def test_real_pairs_give_the_known_figures(real_folder):
    folder = real_folder / "fivek_pairs"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    pairs = list(PairedPhotos(folder / "input", folder / "expert_c", max_side=None))
    task = ExposureTask(pairs)
    assert evaluate_full_size(Identity(), task, pairs).values("psnr").mean() == pytest.approx(18.71, abs=0.01)
    constant = best_constant(pairs)
    assert psnr_by_ev(pairs, np.array([constant])).mean() == pytest.approx(21.63, abs=0.05)
    grid = np.linspace(-3, 3, 601)
    by_ev = psnr_by_ev(pairs, grid)
    assert by_ev.max(1).mean() == pytest.approx(24.31, abs=0.05)
    left_out = [by_ev[i, abs(grid - best_constant([pairs[j] for j in range(len(pairs)) if j not in fold], of="mse"))
                .argmin()] for fold in folds(len(pairs)) for i in fold]
    assert 20.5 < np.mean(left_out) < 21.63

"""Batches of experts' photos."""

import numpy as np
import pytest

from agents.rewards.experts import mirrored
from exposure_env.image import expose
from exposure_env.photos import Misexpose, Photo
from tests.rewards.games import SIZE, experts, flat

pytestmark = pytest.mark.usefixtures("one_thread")


class TestExpertPhotos:
    def test_batches_are_crops_of_the_photos_half_of_them_mirrored(self):
        # Thumbnails of 18 px whose red channel tells the column and whose green the row: 3 x 3 crops of 16 px.
        rows, columns = np.indices((18, 18), np.float32) / 18
        photo = Photo("ramp", np.stack([columns, rows, np.full_like(rows, 0.5)], axis=-1))
        batch = experts([photo]).batch(1000)
        assert batch.shape == (1000, SIZE, SIZE, 3) and batch.dtype == np.float32
        flipped = batch[:, 0, 0, 0] > batch[:, 0, -1, 0]
        assert 440 < flipped.sum() < 560
        upright = np.where(flipped[:, None, None, None], batch[:, :, ::-1], batch)
        corners = np.rint(upright[:, 0, 0, :2] * 18).astype(int)[:, ::-1]  # row, column
        for image, (y, x) in zip(upright, corners, strict=True):
            np.testing.assert_array_equal(image, photo.image[y : y + SIZE, x : x + SIZE])
        seen, counts = np.unique(corners, axis=0, return_counts=True)
        assert seen.tolist() == [[y, x] for y in range(3) for x in range(3)] and counts.min() > 70

    def test_all_photos_are_shown(self):
        values = [0.1, 0.3, 0.5, 0.9]
        shown = experts([flat(value) for value in values]).batch(200)[:, 0, 0, 0].round(4)
        found, counts = np.unique(shown, return_counts=True)
        np.testing.assert_allclose(found, values, atol=1e-6)
        assert counts.min() > 25

    def test_misexposed_ones_are_the_photos_at_other_exposures(self):
        photo = flat(0.4)
        spoilt = experts([photo], misexposure=Misexpose((1.0, 1.0), local=0.0)).misexposed(8)
        assert spoilt.shape == (8, SIZE, SIZE, 3) and spoilt.dtype == np.float32
        np.testing.assert_allclose(spoilt, expose(photo.image[:SIZE, :SIZE], 1.0)[None].repeat(8, 0), atol=0.5 / 255)
        by_default = experts([photo]).misexposed(200)[:, 0, 0, 0]
        low, high = (float(expose(np.array([[[0.4]]]), ev)[0, 0, 0]) for ev in (-2.5, 2.5))
        assert low - 0.003 < by_default.min() < 0.2 and 0.8 < by_default.max() <= min(high, 1)
        assert len(np.unique(by_default)) > 50 and 70 < (by_default < 0.4).sum() < 130

    def test_same_seed_same_batches(self):
        one, other, third = (experts(seed=seed) for seed in (1, 1, 2))
        for make in ("batch", "misexposed", "batch"):
            ours, theirs, different = (getattr(source, make)(6) for source in (one, other, third))
            np.testing.assert_array_equal(ours, theirs)
            assert (ours != different).any()

    def test_none_is_an_empty_batch(self):
        assert experts().batch(0).shape == experts().misexposed(0).shape == (0, SIZE, SIZE, 3)

    def test_no_photos_are_an_error(self):
        with pytest.raises(ValueError, match="experts is empty"):
            experts([])

    def test_photos_of_integers_are_read_as_the_environment_reads_them(self):
        photo = Photo("grey", np.full((40, 40, 3), 51, np.uint8))
        np.testing.assert_allclose(experts([photo]).batch(2), 0.2, atol=1e-6)

    def test_mirrored(self):
        images = np.random.default_rng(0).random((400, 2, 3, 3)).astype(np.float32)
        turned = mirrored(images, np.random.default_rng(1))
        flipped = (turned != images).any((1, 2, 3))
        assert 160 < flipped.sum() < 240
        np.testing.assert_array_equal(turned[flipped], images[flipped][:, :, ::-1])

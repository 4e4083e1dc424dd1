"""Pairs of retouches: the same for the same seed, drawn as promised, small and large alike."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from agents.preferring import Pairs, PhotoFiles
from exposure_env.files import ImageFile, save_image
from exposure_env.photos import Photo, sample_photos, sample_scenes, thumbnail

PHOTOS = sample_photos("test", 4)
BLACK = Photo("night", np.zeros((20, 30, 3), np.float32))


def drawn(count, seed=0, photos=PHOTOS):
    pairs = Pairs(photos, np.random.default_rng(seed))
    return [pairs.draw() for _ in range(count)]


@pytest.fixture(scope="module")
def many():
    return drawn(60)


def evs(pair):
    return np.stack([pair.left.plan.evs, pair.right.plan.evs])


def test_a_seed_gives_the_same_pairs_again(many):
    again, other = drawn(5), drawn(5, seed=1)
    for first, second in zip(many, again, strict=False):
        assert first.photo == second.photo and np.array_equal(evs(first), evs(second))
        assert np.array_equal(first.left.shown, second.left.shown)
    assert not any(np.array_equal(first.right.plan.evs, second.right.plan.evs)
                   for first, second in zip(many, other, strict=False))


def test_all_photos_have_their_turn(many):
    assert {pair.photo for pair in many} == {photo.name for photo in PHOTOS}


def test_plans_differ_as_a_whole_by_0_8_stops_and_by_0_5_between_segments(many):
    means = np.concatenate([evs(pair).mean(1) for pair in many])
    assert means.std() == pytest.approx(0.83, abs=0.15)  # 0.8² + 0.5² / 6 = 0.83²
    within = np.concatenate([(evs(pair) - evs(pair).mean(1, keepdims=True)).ravel() for pair in many])
    assert within.std() == pytest.approx(0.46, abs=0.06)  # 0.5² 5/6 = 0.46²
    assert abs(np.concatenate([evs(pair).ravel() for pair in many])).max() <= 3
    assert all(1 <= evs(pair).shape[1] <= 6 for pair in many)


def test_which_one_is_left_is_chance(many):
    brighter = sum(pair.left.thumbnail.mean() > pair.right.thumbnail.mean() for pair in many)
    assert 15 < brighter < 45  # of 60: four standard deviations


def test_there_is_something_to_choose(many):
    assert min(abs(pair.left.thumbnail - pair.right.thumbnail).mean() for pair in many) >= 0.02


def test_what_is_recorded_is_what_is_shown(many):
    for side in (side for pair in many for side in (pair.left, pair.right)):
        assert side.thumbnail.shape == (64, 64, 3) and side.thumbnail.dtype == np.float32
        assert side.shown.dtype == np.uint8
        assert abs(thumbnail(side.shown, 64) - side.thumbnail).mean() < 0.01


def test_retouches_are_shown_at_640_pixels_and_small_photos_at_their_own_size(many):
    sizes = {photo.name: photo.image.shape for photo in PHOTOS}
    assert all(pair.left.shown.shape == pair.right.shown.shape == sizes[pair.photo] for pair in many)
    large = next(photo for photo in sample_scenes() if photo.image.shape == (500, 741, 3))
    (pair,) = drawn(1, photos=[large])
    assert pair.left.shown.shape == (432, 640, 3)


def test_a_photo_whose_retouches_all_look_the_same_is_left_out():
    pairs = Pairs([BLACK, PHOTOS[0]], np.random.default_rng(0))
    assert {pairs.draw().photo for _ in range(12)} == {PHOTOS[0].name}
    assert pairs.left_out == ["night: its retouches all look the same"]


def test_where_no_photo_is_left_this_is_said():
    pairs = Pairs([BLACK], np.random.default_rng(0))
    for _ in range(2):
        with pytest.raises(ValueError, match="none of the photos can be shown"):
            pairs.draw()
    assert len(pairs.left_out) == 1
    with pytest.raises(ValueError, match="empty"):
        Pairs([], np.random.default_rng(0))


def test_files_are_read_when_looked_at_and_a_broken_one_is_named(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (90, 1280, 3)).astype(np.uint8)
    save_image(tmp_path / "wide.png", ImageFile(pixels))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 and nothing more")
    photos = PhotoFiles([tmp_path / name for name in ("wide.png", "broken.jpg", "gone.png")])
    assert len(photos) == 3 and photos[0].name == "wide"
    assert photos[0].image.shape == (45, 640, 3) and photos[0].image.dtype == np.float32
    assert [photo.name for photo in photos[:1]] == ["wide"]
    pairs = Pairs(photos, np.random.default_rng(0))
    assert {pairs.draw().photo for _ in range(12)} == {"wide"}
    assert len(pairs.left_out) == 2
    assert all(sum(name in reason for reason in pairs.left_out) == 1 for name in ("broken.jpg", "gone.png"))
    assert str(tmp_path) not in "".join(pairs.left_out)


def test_threads_draw_pairs_of_their_own():
    pairs = Pairs(PHOTOS, np.random.default_rng(0))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: pairs.draw(), range(12)))
    assert {evs(pair).tobytes() for pair in found} == {evs(pair).tobytes() for pair in drawn(12)}

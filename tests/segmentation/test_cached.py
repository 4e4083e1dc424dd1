"""Labels kept in memory, and those of many photos at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from exposure_env.segmentation import cached, segment, segment_many
from tests.segmentation.small import Counting, mosaic, quarters, steps


def test_random_order_is_drawn_after_the_cache():
    image, rng = quarters([0.1, 0.4, 0.7, 1.0]), np.random.default_rng(0)
    drawn = [segment(image, order="random", rng=rng) for _ in range(20)]
    assert len(np.unique(drawn, axis=0)) > 5
    again = np.random.default_rng(0)
    assert np.array_equal(drawn, [segment(image, order="random", rng=again) for _ in range(20)])


def test_a_hit_equals_fresh_work_and_is_the_callers_own():
    image, counting = mosaic(9), Counting()
    fresh = segment(image, counting)
    expected = fresh.copy()
    fresh[:] = -1
    hit = segment(image.astype(np.float64), counting)  # the same content
    assert counting.calls == 1
    assert np.array_equal(hit, expected)
    hit[:] = -1
    assert np.array_equal(segment(image, counting), expected)
    assert counting.calls == 1


def test_what_differs_is_worked_on_again():
    image, counting = mosaic(9), Counting()
    changed = image.copy()
    changed[5, 5, 0] = 1 - changed[5, 5, 0]
    segment(image, counting)
    segment(changed, counting)
    segment(image.reshape(32, 128, 3), counting)
    segment(image, counting, max_segments=2)
    segment(image, counting, order="luminance")  # hit: the order comes after
    assert counting.calls == 4
    assert not np.array_equal(segment(image, scale=300), segment(image, scale=30))


def test_memory_is_bounded_and_forgets_the_oldest(monkeypatch, empty_memory):
    monkeypatch.setattr(cached, "CACHE_PHOTOS", 2)
    counting = Counting()
    for seed in (0, 1, 0, 2):  # 1 is the one not seen for longest
        segment(mosaic(seed), counting)
    assert counting.calls == 3
    assert len(empty_memory) == 2
    segment(mosaic(0), counting)
    assert counting.calls == 3
    segment(mosaic(1), counting)
    assert counting.calls == 4


def test_unhashable_callables_and_options_work_without_cache(empty_memory):
    class Unhashable(Counting):
        __hash__ = None

    counting = Unhashable()
    assert np.array_equal(segment(mosaic(0), counting), segment(mosaic(0), counting))
    assert counting.calls == 2
    segment(mosaic(0), lambda photo, levels: np.digitize(photo[..., 0], levels), levels=[0.3, 0.6])
    assert not empty_memory


def test_threads_share_the_cache():
    images = [mosaic(seed, (16, 16)) for seed in range(4)]
    expected = [segment(image).tolist() for image in images]
    failures = []

    def work():
        for _ in range(50):
            failures.extend(i for i, image in enumerate(images) if segment(image).tolist() != expected[i])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("most", [1, 8])
def test_random_orders_are_drawn_in_sequence(sample_photos, most):
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    expected = [segment(photo, order="random", rng=one, max_segments=most) for photo in sample_photos]
    found = segment_many(sample_photos, order="random", rng=other, max_segments=most)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert one.random() == other.random()


def test_many_share_the_folder(sample_photos, tmp_path):
    expected = segment_many(sample_photos, directory=tmp_path, scale=50.0)
    assert len(list(tmp_path.iterdir())) == len(sample_photos)
    cached._memory.clear()
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    found = [segment(photo, directory=tmp_path, scale=50.0) for photo in sample_photos]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert before == {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}


def test_callables_run_in_the_caller_s_thread(sample_photos):
    seen = []

    def halves(image):
        seen.append(threading.current_thread())
        return np.indices(image.shape[:2])[0] // 32

    assert len(segment_many(sample_photos[:12], halves)) == 12
    assert seen == [threading.current_thread()] * 12


def test_malformed_arguments_of_many(sample_photos):
    for options, message in (
        ({"segmenter": "watershed"}, "watershed"), ({"order": "size"}, "size"), ({"order": "random"}, "rng=None"),
        ({"max_segments": 0}, "max_segments"), ({"scale": -1}, "scale"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            segment_many(sample_photos[:3], **options)
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        segment_many([*sample_photos[:3], np.zeros((4, 4))])


def test_a_full_memory_is_shared_by_threads(monkeypatch):
    monkeypatch.setattr(cached, "CACHE_PHOTOS", 2)
    images = [steps(np.random.default_rng(seed), (8, 8), 4) for seed in range(6)]
    expected = [segment(image, scale=1).tolist() for image in images]

    def work(seed):
        for index in np.random.default_rng(seed).integers(0, len(images), 300):
            assert segment(images[index], scale=1).tolist() == expected[index]
            assert len(cached._memory) <= 3  # one more while another thread makes room

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(cached._memory) == 2

import threading
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import skimage
from scipy import ndimage

from exposure_env.image import luminance
from exposure_env.segmentation import (
    SEGMENTERS,
    cached,
    felzenszwalb,
    luminance_bands,
    merge_segments,
    order_segments,
    segment,
    slic,
)


@pytest.fixture(autouse=True)
def empty_memory(monkeypatch):
    memory = OrderedDict()
    monkeypatch.setattr(cached, "_memory", memory)
    return memory


def grey(values):
    """(H, W, 3) float32 image with three equal channels."""
    return np.repeat(np.array(values, np.float32)[..., None], 3, axis=2)


def quarters(colours, size=64):
    """Square image whose quarters, row by row, have the four grey values."""
    return grey(np.kron(np.reshape(colours, (2, 2)), np.ones((size // 2, size // 2))))


def mosaic(seed, shape=(64, 64), tiles=16):
    """Noisy tiles of random colours, the cells of random points."""
    rng = np.random.default_rng(seed)
    centres = rng.random((tiles, 2)) * shape
    pixels = np.stack(np.indices(shape), axis=-1)[:, :, None]
    nearest = ((pixels - centres) ** 2).sum(axis=-1).argmin(axis=-1)
    return (0.9 * rng.random((tiles, 3))[nearest] + 0.1 * rng.random((*shape, 3))).astype(np.float32)


def is_labels(labels, image, most=None):
    count = labels.max() + 1
    return (
        labels.dtype == np.int32
        and labels.shape == image.shape[:2]
        and np.array_equal(np.unique(labels), np.arange(count))
        and (most is None or count <= most)
    )


def same_partition(one, other):
    """Whether two label maps differ in their numbering only."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(one)) == len(np.unique(other))


# Ward merging


def test_merges_worked_out_by_hand():
    # Cost of two segments of n pixels each is n/2 * 3 d^2 (three equal channels), d the difference in grey.
    # 2 pixels a segment: 0.0|0.1: 3 * 0.01; 0.1|0.5: 3 * 0.16; 0.5|0.75: 3 * 0.0625.
    # Then {0.0, 0.1} has 4 pixels and mean 0.05; against 0.5 (2 pixels): 8/6 * 3 * 0.2025 > 3 * 0.0625.
    labels = np.array([[0, 0, 1, 1, 2, 2, 3, 3]])
    image = grey([[0.0, 0.0, 0.1, 0.1, 0.5, 0.5, 0.75, 0.75]])
    assert merge_segments(labels, image, 4).tolist() == labels.tolist()
    assert merge_segments(labels, image, 3).tolist() == [[0, 0, 0, 0, 1, 1, 2, 2]]
    assert merge_segments(labels, image, 2).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert merge_segments(labels, image, 1).tolist() == [[0] * 8]


def test_area_counts_in_the_cost():
    # 6 pixels of 0.5 between 6 of 0.3 (cost 3 * 3 * 0.04 = 0.36) and 1 of 0.8 (6/7 * 3 * 0.09 = 0.231): the single
    # pixel goes first although its colour is farther away.
    labels = np.array([[0] * 6 + [1] * 6 + [2]])
    image = grey([[0.3] * 6 + [0.5] * 6 + [0.8]])
    assert merge_segments(labels, image, 2).tolist() == [[0] * 6 + [1] * 7]


def test_only_neighbours_merge_even_if_others_are_equal():
    labels = np.array([[0, 1, 2]])
    image = grey([[0.2, 0.6, 0.2]])  # 0 and 2 are equal but apart
    assert merge_segments(labels, image, 2).tolist() == [[0, 0, 1]]  # equal costs: the pair of smallest labels


def test_diagonal_pixels_are_neighbours():
    labels = np.array([[0, 1], [2, 3]])
    image = grey([[0.2, 0.9], [0.6, 0.2]])
    assert merge_segments(labels, image, 3).tolist() == [[0, 1], [2, 0]]
    image = grey([[0.9, 0.2], [0.2, 0.6]])
    assert merge_segments(labels, image, 3).tolist() == [[0, 1], [1, 2]]


def test_colour_counts_not_only_luminance():
    image = np.zeros((1, 3, 3), np.float32)
    image[0, 0, 0] = 0.5
    image[0, 1, 0], image[0, 1, 1] = 0.4, 0.1  # distance to the left 0.02, to the right 0.02 + 0.16
    assert merge_segments(np.array([[0, 1, 2]]), image, 2).tolist() == [[0, 0, 1]]


def test_labels_may_have_gaps_and_keep_their_order():
    labels = np.array([[900, -7, 30]])
    image = grey([[0.1, 0.9, 0.5]])
    merged = merge_segments(labels, image, 8)
    assert merged.tolist() == [[2, 0, 1]]
    assert merged.dtype == np.int32


def brute_force_merge(labels, image, max_segments):
    """The definition, literally: masks and means from scratch for every pair in every round."""
    labels = labels.copy()
    height, width = labels.shape
    while len(names := np.unique(labels)) > max_segments:
        adjacent = set()
        for y in range(height):
            for x in range(width):
                for v in range(max(y - 1, 0), min(y + 2, height)):
                    for u in range(max(x - 1, 0), min(x + 2, width)):
                        adjacent.add((labels[y, x], labels[v, u]))
        costs = {}
        for i in names:
            for j in names:
                if i < j and (i, j) in adjacent:
                    one, other = image[labels == i].astype(float), image[labels == j].astype(float)
                    both = np.concatenate([one, other])
                    # Ward's cost by its meaning: growth of the squared error
                    costs[i, j] = sum(s * ((a - a.mean(0)) ** 2).sum() for s, a in ((1, both), (-1, one), (-1, other)))
        kept, gone = min(costs, key=costs.get)
        labels[labels == gone] = kept
    return labels


@pytest.mark.parametrize("seed", range(12))
def test_merge_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 8, 2)
    labels = rng.integers(0, 9, shape)  # mostly segments of several parts
    image = rng.random((*shape, 3)).astype(np.float32)
    for most in (1, 2, 4):
        assert same_partition(merge_segments(labels, image, most), brute_force_merge(labels, image, most))


def test_the_cap_is_met_exactly_and_merging_nests():
    image = mosaic(0)
    fine = felzenszwalb(image, scale=50, min_size=20)
    assert fine.max() + 1 > 12
    coarser = fine
    for most in (12, 8, 5, 2, 1):
        merged = merge_segments(fine, image, most)
        assert merged.max() + 1 == most
        assert same_partition(merged, merge_segments(coarser, image, most))  # greedy: each cap goes through the last
        coarser = merged


def test_every_pixel_a_segment():
    image = mosaic(1, (12, 12))
    merged = merge_segments(np.arange(144).reshape(12, 12), image, 3)
    assert is_labels(merged, image) and merged.max() == 2


# Segmenters


def test_felzenszwalb_finds_four_quarters():
    image = quarters([0.1, 0.4, 0.7, 1.0])
    assert felzenszwalb(image, sigma=0).tolist() == np.kron([[0, 1], [2, 3]], np.ones((32, 32), int)).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_felzenszwalb_segments_are_8_connected_before_and_after_merging(seed):
    image = mosaic(seed)
    for labels in (felzenszwalb(image), segment(image, max_segments=4)):
        for label in range(labels.max() + 1):
            assert ndimage.label(labels == label, np.ones((3, 3)))[1] == 1


def test_min_size_is_meant_for_64x64():
    for size in (32, 64, 128):
        image = mosaic(2, (size, size))
        areas = np.bincount(felzenszwalb(image, scale=1, min_size=100).ravel())
        assert areas.min() >= 100 * (size / 64) ** 2
    assert len(areas) > 1
    image = mosaic(2)
    least = [np.bincount(felzenszwalb(image, scale=0, min_size=n).ravel()).min() for n in (0, 100)]
    assert least[0] < 10 < 100 <= least[1]


def test_felzenszwalb_equals_scikit_image_on_the_same_uint8_photo():
    pixels = (mosaic(3) * 255).round().astype(np.uint8)
    expected = skimage.segmentation.felzenszwalb(pixels, scale=300, sigma=0.5, min_size=50)
    for dtype in (np.float32, np.float64):
        assert np.array_equal(felzenszwalb((pixels / 255).astype(dtype)), expected)


def test_bands_hold_equal_areas_from_dark_to_bright():
    luma = np.random.default_rng(0).permutation(64).reshape(8, 8)
    labels = luminance_bands(grey(luma / 64), bands=4)
    assert np.array_equal(labels, luma // 16)
    assert labels.dtype == np.int32


def test_bands_weigh_channels_as_luminance_does():
    image = np.eye(3, dtype=np.float32)[None]  # red 0.2126, green 0.7152, blue 0.0722
    assert luminance_bands(image, bands=3).tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_bands_keep_a_large_black_or_white_area_apart(extreme):
    image = grey([[extreme] * 90 + [0.5] * 10])
    labels = luminance_bands(image)
    assert labels.tolist() == [[0] * 90 + [1] * 10 if extreme == 0 else [1] * 90 + [0] * 10]


def test_slic_gives_about_as_many_as_asked():
    image = quarters([0.1, 0.4, 0.7, 1.0])
    assert same_partition(slic(image, segments=4), np.kron([[0, 1], [2, 3]], np.ones((32, 32), int)))


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize("shape", [(64, 64), (64, 1), (1, 64), (1, 1), (2, 3), (40, 90)])
@pytest.mark.parametrize("content", ["black", "white", "noise"])
@pytest.mark.parametrize("most", [1, 3])
def test_any_photo_gives_valid_labels(name, shape, content, most):
    image = {"black": np.zeros, "white": np.ones, "noise": np.random.default_rng(0).random}[content]((*shape, 3))
    labels = segment(image, name, max_segments=most)
    assert is_labels(labels, image, most)
    if content != "noise" and name != "slic":
        assert not labels.any()


def test_segmenting_is_deterministic_and_leaves_the_photo_alone():
    image = mosaic(5)
    before = image.copy()
    for name in SEGMENTERS:
        first = SEGMENTERS[name](image)
        assert np.array_equal(first, SEGMENTERS[name](image.copy()))
        assert np.array_equal(first, SEGMENTERS[name](np.asfortranarray(image)))
    assert np.array_equal(image, before)


# Order

LABELS = np.array([[2, 2, 0, 0, 0, 1, 3, 3]])
IMAGE = grey([[0.2, 0.2, 0.9, 0.9, 0.9, 0.2, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("area", [1, 1, 0, 0, 0, 3, 2, 2]),  # areas 3, then 2 and 2 by position, then 1
        ("luminance", [0, 0, 3, 3, 3, 1, 2, 2]),  # 0.2 and 0.2 by position, 0.5, 0.9
        ("label", [2, 2, 0, 0, 0, 1, 3, 3]),
    ],
)
def test_orders_and_ties(order, expected):
    ordered = order_segments(LABELS, IMAGE, order)
    assert ordered.tolist() == [expected]
    assert ordered.dtype == np.int32
    if order != "label":  # the numbers given do not matter
        assert order_segments(70 - 9 * LABELS, IMAGE, order).tolist() == [expected]


def test_label_order_closes_gaps():
    assert order_segments(10 * LABELS - 5, IMAGE, "label").tolist() == LABELS.tolist()


def test_random_order_comes_from_rng():
    def draw(seed):
        return order_segments(LABELS, IMAGE, "random", np.random.default_rng(seed)).tolist()

    assert draw(3) == draw(3)
    drawn = [draw(seed) for seed in range(200)]
    assert len(np.unique(drawn, axis=0)) == 24  # every order of four segments occurs
    assert all(same_partition(np.array(labels), LABELS) for labels in drawn)


def test_random_order_is_drawn_after_the_cache():
    image, rng = quarters([0.1, 0.4, 0.7, 1.0]), np.random.default_rng(0)
    drawn = [segment(image, order="random", rng=rng) for _ in range(20)]
    assert len(np.unique(drawn, axis=0)) > 5
    again = np.random.default_rng(0)
    assert np.array_equal(drawn, [segment(image, order="random", rng=again) for _ in range(20)])


def test_default_order_is_by_area():
    areas = np.bincount(segment(mosaic(6)).ravel())
    assert len(areas) > 2
    assert np.all(np.diff(areas) <= 0)


def test_luminance_order_of_a_photo_is_dark_to_bright():
    image = mosaic(6)
    labels = segment(image, order="luminance")
    means = ndimage.mean(luminance(image), labels, np.arange(labels.max() + 1))
    assert len(means) > 2
    assert np.all(np.diff(means) > 0)


# Callables and the cap


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64, np.int16])
def test_a_callable_is_relabelled_capped_and_ordered(dtype):
    image = quarters([0.0, 0.1, 0.5, 1.0], size=4)
    given = np.kron([[7, 9], [1, 40]], np.ones((2, 2))).astype(dtype)
    labels = segment(image, lambda photo: given, order="label")
    assert labels.tolist() == np.kron([[1, 2], [0, 3]], np.ones((2, 2), int)).tolist()
    capped = segment(image, lambda photo: given, max_segments=3)
    assert capped.tolist() == np.kron([[0, 0], [1, 2]], np.ones((2, 2), int)).tolist()
    assert is_labels(labels, image) and is_labels(capped, image)


def test_a_callable_gets_options_and_a_copy_of_the_photo():
    def spoiler(photo, threshold):
        assert photo.dtype == np.float32
        labels = (photo[..., 0] > threshold).astype(int)
        photo[:] = 0
        return labels

    image = quarters([0.1, 0.4, 0.7, 1.0])
    before = image.copy()
    assert segment(image, spoiler, threshold=0.2).sum() == 32 * 32
    assert segment(image, spoiler, threshold=0.5).sum() == 2 * 32 * 32
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (np.zeros((64, 63), int), r"\(64, 63\)"),
        (np.zeros((1, 64, 64), int), r"\(1, 64, 64\)"),
        (np.zeros((64, 64)), "float64"),
        (np.zeros((64, 64), bool), "bool"),
        (None, r"\(\)"),
    ],
)
def test_what_a_callable_returns_is_checked(result, message):
    with pytest.raises(ValueError, match=message):
        segment(mosaic(0), lambda photo: result)


def test_bands_are_capped_by_ward_merging():
    image = mosaic(8)
    labels = segment(image, "luminance_bands", bands=12, max_segments=5, order="label")
    assert labels.max() == 4
    assert same_partition(labels, brute_force_merge(luminance_bands(image, bands=12), image, 5))


# Cache


class Counting:
    def __init__(self):
        self.calls = 0

    def __call__(self, photo):
        self.calls += 1
        return (photo[..., 0] > 0.5).astype(np.int64)


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


def test_disk_cache_serves_the_next_run(tmp_path, monkeypatch, empty_memory):
    folder = tmp_path / "made" / "on demand"
    expected = segment(mosaic(0), directory=folder)
    assert [file.suffix for file in folder.iterdir()] == [".npz"]  # nothing temporary is left
    empty_memory.clear()
    monkeypatch.setitem(SEGMENTERS, "felzenszwalb", None)  # would fail if called
    labels = segment(mosaic(0), directory=folder)
    assert np.array_equal(labels, expected)
    assert is_labels(labels, mosaic(0))
    assert np.array_equal(segment(mosaic(0), directory=str(folder)), expected)


def test_disk_cache_tells_photos_and_settings_apart(tmp_path):
    run = partial(segment, directory=tmp_path)
    run(mosaic(0))
    run(mosaic(1))
    run(mosaic(0), max_segments=2)
    run(mosaic(0), scale=100.0)
    run(mosaic(0), "slic")
    run(mosaic(0), order="luminance")  # the same file
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "one byte", "shape", "gap", "too many", "pickle"])
def test_damaged_file_is_recomputed_with_a_warning(tmp_path, empty_memory, damage):
    expected = segment(mosaic(0), directory=tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    if damage == "one byte":
        middle = len(good) // 2
        file.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
    elif damage in ("empty", "text", "truncated"):
        file.write_bytes({"empty": b"", "text": b"labels\n", "truncated": good[:-30]}[damage])
    else:
        labels = {
            "shape": expected[:-1],
            "gap": expected * 2,
            "too many": np.arange(64 * 64).reshape(64, 64),
            "pickle": expected.astype(object),
        }[damage]
        np.savez(file, labels=labels)
    empty_memory.clear()
    with pytest.warns(UserWarning, match=file.name) as caught:
        assert np.array_equal(segment(mosaic(0), directory=tmp_path), expected)
    assert caught[0].filename == __file__
    assert file.read_bytes() == good
    empty_memory.clear()
    assert np.array_equal(segment(mosaic(0), directory=tmp_path), expected)  # no warning: those are errors


@pytest.mark.parametrize("most", [256, 257])
def test_many_segments_survive_the_cache(tmp_path, empty_memory, most):
    image = mosaic(0, (32, 32))
    run = partial(segment, image, "slic", segments=1024, max_segments=most, directory=tmp_path)
    expected = run()
    assert expected.max() + 1 == most
    assert np.array_equal(run(), expected)
    empty_memory.clear()
    assert np.array_equal(run(), expected)


def test_callables_stay_off_the_disk(tmp_path):
    segment(mosaic(0), Counting(), directory=tmp_path)
    assert not list(tmp_path.iterdir())


# Bad input


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4)), r"\(4, 4\)"),
        (np.zeros((4, 4, 4)), r"\(4, 4, 4\)"),
        (np.zeros((0, 4, 3)), r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), "uint8"),
        (np.full((4, 4, 3), 255.0), "255"),
        (np.full((4, 4, 3), -0.5), "-0.5"),
        (np.full((4, 4, 3), np.nan), "nan"),
    ],
)
def test_malformed_image(image, message):
    labels = np.zeros((4, 4), int)
    doors = [segment, *SEGMENTERS.values()]
    doors += [lambda i: merge_segments(labels, i, 2), lambda i: order_segments(labels, i)]
    for door in doors:
        with pytest.raises(ValueError, match=message):
            door(image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_segments": 0}, "max_segments .* 0"),
        ({"max_segments": 2.5}, "2.5"),
        ({"segmenter": "watershed"}, "watershed"),
        ({"segmenter": None}, "None"),
        ({"segmenter": ["slic"]}, "slic"),
        ({"order": "size"}, "size"),
        ({"order": "random"}, "rng=None"),
        ({"scale": -1}, "scale .* -1"),
        ({"sigma": float("nan")}, "sigma .* nan"),
        ({"min_size": float("inf")}, "min_size .* inf"),
        ({"segmenter": "luminance_bands", "bands": 0}, "bands .* 0"),
        ({"segmenter": "slic", "segments": 0}, "segments .* 0"),
    ],
)
def test_malformed_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        segment(mosaic(0), **arguments)


def test_malformed_labels():
    for function in (lambda labels: merge_segments(labels, IMAGE, 2), lambda labels: order_segments(labels, IMAGE)):
        with pytest.raises(ValueError, match=r"\(1, 7\)"):
            function(LABELS[:, :-1])
        with pytest.raises(ValueError, match="float64"):
            function(LABELS * 1.0)


# Real photographs


def test_real_photographs(real_photos):
    counts = []
    for image in (photo for photo in real_photos if photo.shape == (64, 64, 3)):
        fine = felzenszwalb(image)
        labels = segment(image)
        assert is_labels(labels, image, 8)
        assert labels.max() + 1 == min(fine.max() + 1, 8)
        assert np.all(np.diff(np.bincount(labels.ravel())) <= 0)
        assert all(ndimage.label(labels == k, np.ones((3, 3)))[1] == 1 for k in range(labels.max() + 1))
        small = segment(image, max_segments=3)
        assert is_labels(small, image, 3)
        for name in ("luminance_bands", "slic"):
            assert is_labels(segment(image, name), image, 8)
        counts.append(labels.max() + 1)
    assert np.mean(counts) > 3

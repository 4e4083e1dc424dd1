from functools import partial

import numpy as np
import pytest

from exposure_env.segmentation import SEGMENTERS, segment
from tests.segmentation.small import Counting, is_labels, mosaic


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

"""Folders of photos retouched: which photos, and all as one by one."""

import numpy as np
import pytest

from agents.retouching.batch import find_photos, make_jobs
from agents.saved_agent import Agent, load_agent
from exposure_env.files import ImageFile, save_image
from exposure_env.photos import check_photo
from tests.retouching.small import contents, photo, run, times


def test_a_folder_means_the_photos_in_it(photos, out, capsys):
    assert [path.name for path in find_photos([photos])] == ["a.png", "b.JPG", "c.tif"]
    assert run(photos, photos / "sub" / "d.png", "-o", out) == 0
    assert set(contents(out)) == {"a.png", "b.JPG", "c.tif", "d.png"}
    assert "Skipped" not in capsys.readouterr().out


def test_a_folder_without_photos_is_named(tmp_path, out, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", "-o", out) == 2
    assert f"no photo in {tmp_path / 'empty'}" in capsys.readouterr().err and not out.exists()


def test_the_folder_itself_is_no_place_for_the_results(photos, capsys):
    before = contents(photos / "sub"), times(photos)
    assert run(photos, "-o", photos) == 2
    assert "would be overwritten" in capsys.readouterr().err and (contents(photos / "sub"), times(photos)) == before


@pytest.mark.parametrize("names", [("a.nef", "b/a.tif"), ("a.jpg", "b/A.JPG"), ("a.nef", "b/a.dng")])
def test_results_of_one_name_are_refused(tmp_path, names):
    with pytest.raises(ValueError, match="one file name"):
        make_jobs([tmp_path / name for name in names], tmp_path / "out")


def test_many_give_the_same_as_one_by_one(photos, tmp_path, out):
    save_image(photos / "0.jpg", ImageFile(photo("coffee", 901, 333)))
    save_image(photos / "1.tif", ImageFile(photo("coffee", 333, 901, np.uint16)))
    assert run(photos, "-o", out) == 0
    for path in find_photos([photos]):
        assert run(path, "-o", tmp_path / "single") == 0
    assert contents(out) == contents(tmp_path / "single")


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (64, 64), (63, 190), (700, 431)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("fit", ["squeeze", "letterbox"])
def test_a_plan_of_bytes_is_that_of_the_same_photo_as_floats(shape, dtype, fit):
    agent = load_agent()
    agent = Agent(agent.policy, agent.segmenter, agent.settings | {"thumbnail": fit})
    pixels = np.ascontiguousarray(photo("coffee", *shape[::-1], dtype))
    assert agent.plan(pixels).to_json() == agent.plan(check_photo(pixels)).to_json()

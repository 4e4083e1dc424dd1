"""The parts of a report: kept pictures, folders that are swapped in whole, drawings, and the names of pages."""

import io
import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from agents.benchmark.kept_pictures import keep_pictures, read_pictures
from agents.benchmark.making import make_benchmark
from agents.benchmark.report.content import command_of
from agents.benchmark.report.drawings import INK, short, spread_out, svg
from agents.benchmark.report.names import file_names, printable
from agents.benchmark.report.pictures import Pictures, are_of_segments, ev_map, segments_of
from agents.benchmark.report.writing import MARK, WHAT, write_folder
from agents.locks import locked
from agents.retouching.contact_sheet import BRIGHTER, DARKER
from tests.benchmark.reports import contents

GOOD = {MARK: json.dumps({"what": WHAT}).encode(), "a/b.txt": b"new"}


def test_small_results_are_kept_to_the_level_and_large_ones_nearly(tmp_path):
    rng = np.random.default_rng(0)
    small = rng.random((64, 64, 3), dtype=np.float32)
    large = np.linspace(0, 255, 400 * 1000).reshape(400, 1000, 1).repeat(3, 2).astype(np.uint8)
    keep_pictures(tmp_path / "a.pictures", [small, large])
    first, second = (np.asarray(Image.open(io.BytesIO(data))) for data in read_pictures(tmp_path / "a.pictures", 2))
    assert np.array_equal(first, np.round(small * 255)) and second.shape == (200, 500, 3)
    assert abs(second.astype(int) - large[::2, ::2]).max() < 8
    keep_pictures(tmp_path / "b.pictures", [small, large])
    assert (tmp_path / "a.pictures").read_bytes() == (tmp_path / "b.pictures").read_bytes()
    assert read_pictures(tmp_path / "none.pictures", 2) is None


def test_pictures_are_stored_once_and_smaller_where_asked(tmp_path):
    keep_pictures(tmp_path / "a.pictures", [np.random.default_rng(0).random((64, 64, 3))] * 2)
    one, same = read_pictures(tmp_path / "a.pictures", 2)
    exact, small = Pictures(), Pictures(50)
    assert exact.add(one) == exact.add(same) and [*exact.files.values()] == [one]
    small.add(one)
    assert small.size < exact.size / 3


def test_ev_maps_have_the_colours_of_their_exposures_and_room_for_numbers():
    labels = np.zeros((8, 8), int)
    labels[:, 5:] = 1
    segments = segments_of(labels, (80, 80, 3))
    assert segments.areas.tolist() == [5 / 8, 3 / 8]
    for (left, top), label in zip(segments.places, (0, 1), strict=True):
        assert labels[int(top / 100 * 8), int(left / 100 * 8)] == label
    image = np.asarray(Image.open(io.BytesIO(ev_map(segments, [-2.0, 2.0], 2.0))).convert("RGB"))
    assert tuple(image[5, 5]) == DARKER and tuple(image[5, 28]) == BRIGHTER and image.shape == (32, 32, 3)
    lying = segments_of(labels, (40, 80, 3), "letterbox")
    assert lying.labels.shape == (4, 8)


def test_exposures_of_a_bracket_are_not_taken_for_those_of_segments():
    segments = segments_of(np.arange(4).reshape(2, 2).repeat(4, 0).repeat(4, 1), (8, 8, 3))
    assert are_of_segments({"areas": [0.25] * 4, "evs": [1.0] * 4}, segments)
    assert not are_of_segments({"areas": [1.0, 0, 0, 0], "evs": [1.0] * 4}, segments)
    assert not are_of_segments({"areas": [], "evs": []}, segments)


def test_a_report_is_replaced_whole_or_stays(tmp_path):
    write_folder(tmp_path / "r", GOOD)
    (tmp_path / "r" / "a" / "beside.txt").write_text("")
    write_folder(tmp_path / "r", GOOD)
    assert contents(tmp_path / "r") == GOOD
    with pytest.raises(OSError):
        write_folder(tmp_path / "r", {**GOOD, "file": b"", "file/below": b""})
    assert contents(tmp_path / "r") == GOOD
    with locked((tmp_path / "r").resolve(), ""), pytest.raises(ValueError, match="another process is writing"):
        write_folder(tmp_path / "r", GOOD)
    assert {path.name for path in tmp_path.iterdir()} == {"r", ".r.lock"}


def test_a_report_that_a_killed_process_had_moved_away_comes_back(tmp_path):
    write_folder(tmp_path / "r", GOOD)
    (tmp_path / "r").rename(tmp_path / ".r.0.old")
    (tmp_path / ".r.1.new").mkdir()
    with pytest.raises(OSError):
        write_folder(tmp_path / "r", {"file": b"", "file/below": b""})
    assert contents(tmp_path / "r") == GOOD
    assert {path.name for path in tmp_path.iterdir()} == {"r", ".r.lock"}


def test_pages_of_any_names_are_unlike_and_safe():
    names = ["A b", "a-b", "a_b", "../../etc", "<b>", "\N{SNOWMAN}", "...", "é", "e", "x" * 99]
    found = file_names(names, "system")
    assert found["A b"] == "system-a-b.html" and found["a-b"] == "system-a-b-2.html"
    assert found["../../etc"] == "system-etc.html" and found["é"] == "system-e.html"
    assert len({*found.values()}) == len(names) and all(len(name) < 64 for name in found.values())
    assert printable("a\nb\udc80\u202e") == "a?b??"
    assert short("a\n" + 40 * "b") == "a?" + 25 * "b" + "…" and short("II") == "II"


def test_labels_are_moved_as_little_as_it_takes():
    assert spread_out([0.1, 0.5], 0.1) == pytest.approx([0.1, 0.5])
    assert spread_out([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread_out([0.0, 0.05, 0.9], 0.1) == pytest.approx([-0.025, 0.075, 0.9])


def test_drawings_take_the_colours_of_the_page_and_names_as_they_are():
    def paint(axes):
        axes.plot([0, 1], [0, 1], color=INK)
        axes.set_title("$a<b>$ & _x_")

    drawing = svg("mine", (3, 2), paint)
    assert drawing == svg("mine", (3, 2), paint) and INK not in drawing and "currentColor" in drawing
    root = ET.fromstring(drawing)
    assert "$a<b>$ & _x_" in {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert ids and len(ids) == len(set(ids)) and all(each.startswith("mine-") for each in ids)
    assert "width" not in root.attrib and "dc:date" not in drawing


@pytest.mark.parametrize("given, said", [
    ({}, ""), ({"budget": "small"}, " --budget 0.25"), ({"budget": 0.5}, " --budget 0.5"),
    ({"timesteps": 900}, " --timesteps 900"),
    ({"budget": "small", "max_segments": 2}, " --budget 0.25 --max-segments 2"),
])  # fmt: skip
def test_the_command_has_the_budget_as_it_was_given(given, said):
    assert command_of(make_benchmark("sample-v1", **given), []) == f"exposure benchmark sample-v1{said} --report REPORT"

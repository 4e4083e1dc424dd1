"""`exposure retouch --contact-sheet`, and what is on the sheet."""

import numpy as np
import pytest
from PIL import Image

from agents.retouching import contact_sheet as sheets
from agents.retouching.contact_sheet import MARGIN, SIDE, Row, ev_colors, sheet, small
from agents.saved_agent import load_agent
from exposure_env.files import ImageFile, load_image, save_image
from exposure_env.retouch import RetouchPlan
from tests.retouching.small import contents, photo, run

LEFTS = [MARGIN + place * (SIDE + sheets.GAP) for place in range(3)]
FIRST = MARGIN + 2 * sheets.LINE  # top of the first row


def read(path):
    return load_image(path).pixels


def row(height=20, width=30, evs=(1.0, -2.0), name="a.png", labels=((0, 1),)):
    before, after = np.full((height, width, 3), 10, np.uint8), np.full((height, width, 3), 200, np.uint8)
    return Row(name, before, after, RetouchPlan(labels, evs))


def ink(picture, rows, columns):
    """The number of dark pixels, as of type, in a part of a picture."""
    return int((picture[rows, columns].max(-1) < 128).sum())


class TestTheSheet:
    def test_rows_of_before_after_and_segments(self):
        picture = sheet([row(), row(40, 256)])
        assert picture.dtype == np.uint8
        assert picture.shape == (FIRST + 20 + 40 + 2 * sheets.LINE + MARGIN, LEFTS[2] + SIDE + MARGIN, 3)
        for top, height, width in [(FIRST, 20, 30), (FIRST + 20 + sheets.LINE, 40, 256)]:
            before, after, segments = (picture[top : top + height, left : left + width] for left in LEFTS)
            assert (before == 10).all() and (after == 200).all()
            colors = ev_colors(np.array([1.0, -2.0]), 2.0)
            assert (segments[:, : width // 2 - 1] == colors[0]).all()
            assert (segments[:, width // 2 + 1 :] == colors[1]).all()
            assert (segments[:, width // 2] == sheets.BORDER).all()
            assert (picture[top : top + height, LEFTS[0] + width : LEFTS[1]] == sheets.PAPER).all()

    def test_colours_of_exposures_by_hand(self):
        ours = ev_colors(np.array([-2.0, 0.0, 1.0, 2.0, 9.0]), 2.0)
        assert [*map(tuple, ours[[0, 1, 3]])] == [sheets.DARKER, sheets.SAME, sheets.BRIGHTER]
        assert (ours[4] == ours[3]).all()  # beyond the range
        np.testing.assert_allclose(ours[2], np.add(sheets.SAME, sheets.BRIGHTER) / 2, atol=0.5)

    def test_texts_are_inside(self):
        """Headings, a legend of the range of EVs, and under each row the file's name and the EVs."""
        picture, caption = sheet([row()]), slice(FIRST + 20, FIRST + 20 + sheets.LINE)
        for left in LEFTS:
            assert ink(picture, slice(MARGIN, MARGIN + sheets.LINE), slice(left, left + SIDE)) > 40
        legend = picture[MARGIN + sheets.LINE : FIRST, LEFTS[2] : LEFTS[2] + SIDE]
        for color in (sheets.DARKER, sheets.SAME, sheets.BRIGHTER):
            assert (abs(legend.astype(int) - color).max(-1) < 3).any()
        name, evs = slice(LEFTS[0], LEFTS[2] - 1), slice(LEFTS[2], LEFTS[2] + SIDE)
        assert ink(picture, caption, name) > 20 and ink(picture, caption, evs) > 20
        assert (picture[caption, LEFTS[2] + SIDE :] == sheets.PAPER).all()
        assert ink(sheet([row(name="a much longer name.png")]), caption, name) > 2 * ink(picture, caption, name)
        assert ink(sheet([row(evs=[0.0], labels=[[0]])]), caption, evs) < ink(picture, caption, evs)

    @pytest.mark.parametrize("name", ["x" * 300 + ".png", "gr\u00fcn \u65e5\u672c.png", "two\nlines\udcff.png"])
    def test_whatever_the_name_it_stays_in_its_place(self, name):
        picture = sheet([row(name=name)])
        assert picture.shape == sheet([row()]).shape
        caption = slice(FIRST + 20, FIRST + 20 + sheets.LINE)
        assert ink(picture, caption, slice(LEFTS[0], LEFTS[2] - sheets.GAP)) > 40
        assert ink(picture, caption, slice(LEFTS[2] - sheets.GAP, LEFTS[2])) == 0

    def test_eight_exposures_fit_below_their_segments(self):
        evs = [-2.9, -2.8, 2.9, 2.8, -1.7, 1.5, 0.4, -0.9]
        text = " ".join(f"{ev:+.1f}" for ev in evs)
        assert sheets._fitting(text, SIDE, sheets._font()) == text

    def test_a_letterbox_is_cut_to_the_photo(self):
        """The thumbnail of a wide photo has segments above and below it that aren't there."""
        labels = np.array([[0] * 4, [1] * 4, [1] * 4, [2] * 4])
        wide = row(20, 40)._replace(plan=RetouchPlan(labels, [2.0, -2.0, 2.0], thumbnail="letterbox"))
        segments = sheet([wide])[FIRST : FIRST + 20, LEFTS[2] : LEFTS[2] + 40]
        assert (segments == sheets.DARKER).all()

    @pytest.mark.parametrize(("shape", "expected"), [((512, 1024, 3), (128, 256)), ((10, 4, 3), (10, 4)),
                                                     ((2000, 1, 3), (256, 1))])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_small_pictures(self, shape, expected, dtype):
        pixels = np.full(shape, np.iinfo(dtype).max * 2 // 5, dtype)
        ours = small(pixels)
        assert ours.dtype == np.uint8 and ours.shape == (*expected, 3) and (ours == 102).all()
        pixels[:] = 0
        assert (ours == 102).all()  # a picture of its own


class TestTheCommand:
    def test_all_photos_are_on_it_also_those_that_are_skipped(self, photos, out, tmp_path, capsys):
        place = tmp_path / "sheets" / "sheet.png"
        assert run(photos / "a.png", "-o", out, "--contact-sheet", place) == 0
        single, plan = read(place), load_agent().plan(read(photos / "a.png"))
        assert (single[FIRST : FIRST + 60, LEFTS[0] : LEFTS[0] + 90] == read(photos / "a.png")).all()
        assert (single[FIRST : FIRST + 60, LEFTS[1] : LEFTS[1] + 90] == read(out / "a.png")).all()
        assert single.shape[0] == FIRST + 60 + sheets.LINE + MARGIN
        before = contents(out)
        assert run(photos, "-o", out, "--contact-sheet", place) == 0
        assert "Skipped: 1 of 3" in capsys.readouterr().out and contents(out)["a.png"] == before["a.png"]
        three = read(place)
        assert three.shape[0] == FIRST + 3 * (60 + sheets.LINE) + MARGIN
        most = max(1.0, np.ceil(2 * max(abs(load_agent().plan(read(photos / name)).evs).max()
                                        for name in ("a.png", "b.JPG", "c.tif"))) / 2)
        seen = three[FIRST : FIRST + 60, LEFTS[2] : LEFTS[2] + 90].reshape(-1, 3)
        assert {*map(tuple, seen.tolist())} - {sheets.BORDER} <= {*map(tuple, ev_colors(plan.evs, most).tolist())}
        (out / "b.JPG").unlink()
        assert run(photos, "-o", out, "--contact-sheet", tmp_path / "again.png") == 0
        np.testing.assert_array_equal(read(tmp_path / "again.png")[: FIRST + 60], three[: FIRST + 60])

    def test_results_are_the_same_with_and_without(self, photos, out, tmp_path):
        assert run(photos, "-o", out) == 0
        assert run(photos, "-o", tmp_path / "with", "--contact-sheet", tmp_path / "sheet.jpg") == 0
        assert contents(out) == contents(tmp_path / "with")
        with Image.open(tmp_path / "sheet.jpg") as picture:
            assert picture.format == "JPEG" and picture.width == LEFTS[2] + SIDE + MARGIN

    def test_it_shows_the_strength(self, photos, out, tmp_path):
        for strength in ("0", "2"):
            place = tmp_path / f"{strength}.png"
            assert run(photos / "a.png", "-o", out, "--strength", strength, "--contact-sheet", place) == 0
        part = slice(FIRST, FIRST + 60)
        none, double = read(tmp_path / "0.png")[part], read(tmp_path / "2.png")[part]
        pictures = [none[:, left : left + 90] for left in LEFTS]
        np.testing.assert_array_equal(pictures[0], pictures[1])
        colors = {*map(tuple, pictures[2].reshape(-1, 3).tolist())}
        assert colors - {sheets.BORDER} == {sheets.SAME} and (double[:, LEFTS[1] : LEFTS[1] + 90] != pictures[1]).any()

    def test_failures_and_files_of_others_are_left_out(self, photos, out, tmp_path, capsys):
        out.mkdir()
        (out / "a.png").write_text("mine")
        (photos / "c.tif").write_bytes(b"II*\0")
        assert run(photos, "-o", out, "--contact-sheet", tmp_path / "sheet.png") == 1
        assert read(tmp_path / "sheet.png").shape[0] == FIRST + 60 + sheets.LINE + MARGIN
        assert capsys.readouterr().err.count("failed: ") == 2
        assert run(photos / "c.tif", "-o", out, "--contact-sheet", tmp_path / "empty.png") == 1
        assert not (tmp_path / "empty.png").exists()

    def test_the_first_of_many_are_on_it(self, photos, out, tmp_path, monkeypatch):
        monkeypatch.setattr(sheets, "MOST", 2)
        assert run(photos, "-o", out, "--contact-sheet", tmp_path / "sheet.png") == 0
        assert read(tmp_path / "sheet.png").shape[0] == FIRST + 2 * (60 + sheets.LINE) + MARGIN

    @pytest.mark.parametrize(("place", "message"), [
        ("sheet.tif", "must end in one of .png, .jpg, .jpeg, not 'sheet.tif'"),
        ("photos/a.png", "a photo, a result or a folder"),
        ("out/a.png", "a photo, a result or a folder"),
        ("folder.png", "a photo, a result or a folder"),
        ("photos/sheet.png", "among the photos"),
    ])
    def test_where_it_can_not_be(self, photos, out, tmp_path, capsys, place, message):
        before = contents(photos / "sub")
        (tmp_path / "folder.png").mkdir()
        assert run(photos, "-o", out, "--contact-sheet", tmp_path / place) == 2
        assert message in capsys.readouterr().err and not out.exists() and contents(photos / "sub") == before

    def test_a_sheet_that_can_not_be_written_is_a_failure_and_the_results_stay(self, photos, out, tmp_path, capsys,
                                                                                monkeypatch):
        def full(path, *arguments, **options):
            if path.name == "sheet.png":
                raise OSError(28, "No space left on device", str(path))
            save_image(path, *arguments, **options)

        monkeypatch.setattr(sheets.files, "save_image", full)
        assert run(photos, "-o", out, "--contact-sheet", tmp_path / "sheet.png") == 1
        assert "failed: " in (errors := capsys.readouterr().err) and "No space left" in errors
        assert len(contents(out)) == 3 and not (tmp_path / "sheet.png").exists()


def test_a_large_photo_leaves_a_small_picture_only(tmp_path, out):
    """What waits for the end of the batch are pictures of 256 pixels, not photos."""
    from agents.retouching import Journal, make_jobs, retouch

    save_image(tmp_path / "a.png", ImageFile(photo("coffee", 1200, 800)))
    out.mkdir()
    jobs, agent = make_jobs([tmp_path / "a.png"], out), load_agent()
    (done,) = retouch(agent, jobs, Journal(out, agent), jobs)
    assert done.row.before.shape == done.row.after.shape == (171, 256, 3) and done.row.before.base is None
    assert next(iter(retouch(agent, jobs, Journal(out, agent)))).row is None

"""The report of a benchmark: what it says, what it refuses, and what it does with names that users gave."""

import json
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.benchmark.making import make_benchmark
from agents.benchmark.report import check_report, write_report
from agents.benchmark.report.content import read_content
from agents.benchmark.report.writing import MARK
from agents.benchmark.results import read_cells
from agents.benchmark.tables import runs, table
from agents.cli import main
from exposure_env.image import clip, expose
from tests.benchmark.conftest import as_file
from tests.benchmark.reports import changed, contents, copied, text_of
from tests.repository import ROOT


@pytest.fixture(scope="module")
def report(done, tmp_path_factory) -> Path:
    return write_report(done, tmp_path_factory.mktemp("reports") / "report").parent


class Addresses(HTMLParser):
    """All that a page links to or loads."""

    def __init__(self, page: Path):
        super().__init__()
        self.found, self.ids = [], []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.found += [given[name] for name in ("href", "src", "xlink:href") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        self.found += [given["value"]] if tag == "option" and "." in given.get("value", "") else []


def test_its_first_page_says_what_the_table_says(done, report):
    said, found = text_of(report / "index.html"), table(runs(read_cells(done.out)))
    for line in found.lines():
        assert " ".join(line) in said  # all columns, formatted as in the text
    ranked = sorted(found.rows, key=lambda row: -row.gain.mean)
    places = [said.index(f"{place} {row.method} {row.gain.mean:+.2f}") for place, row in enumerate(ranked, 1)]
    assert places == sorted(places)
    version = read_cells(done.out)[0]["settings"]["photos"]
    assert "uneven-v1" in said and version in said and "8 photos of 2 photographs" in said
    assert "exposure benchmark uneven-v1 --photos PHOTOS --methods 'II' 'best single EV'".replace("'II'", "II") in said


def test_every_link_leads_somewhere_and_no_id_comes_twice(report):
    pages = sorted(report.glob("*.html"))
    names = {page.name for page in pages}
    assert {"index.html", "system-ii.html", "system-best-single-ev.html"} <= names and len(names) == 1 + 5 + 2
    for page in pages:
        parsed = Addresses(page)
        assert len(parsed.ids) == len(set(parsed.ids))
        for address in parsed.found:
            path, _, place = address.partition("#")
            if address != "data:,":
                target = report / path if path else page
                assert target.is_file(), address
                assert not place or place in Addresses(target).ids, address


def test_pictures_are_those_of_the_results_without_loss(done, report):
    page = (report / "system-best-single-ev.html").read_text()
    with zipfile.ZipFile(Path(done.out) / "best_single_EV-seed0.pictures") as kept:
        originals = {kept.read(name) for name in kept.namelist()}
    shown = {(report / name).read_bytes() for name in re.findall(r'class="result" src="([^"]+)"', page)}
    assert shown == originals and len(shown) == 8
    identity = (report / "system-identity.html").read_text()
    inputs, results = (re.findall(rf'class="{kind}" src="([^"]+)"', identity) for kind in ("input", "result"))
    assert inputs == results  # stored once, as they are alike to the bit
    with Image.open(report / inputs[0]) as image:
        assert image.size == (64, 64)


def test_exposures_stand_on_their_segments(done, report):
    cell = json.loads((Path(done.out) / "II-seed0.json").read_text())
    page = (report / "system-ii.html").read_text()
    for place, photo in enumerate(cell["photos"]):
        case = page.split(f'data-place="{place}"')[1].split("</li>")[0]
        marks = re.findall(r'<span class="mark"[^>]*>([^<]*)</span>', case)
        assert {float(mark) for mark in marks} <= {round(ev, 1) for ev in photo["evs"]}
        assert marks and "EVs " + ", ".join(f"{ev:+.2f}" for ev in photo["evs"]) in case


def test_the_same_cells_give_the_same_bytes_in_another_process(done, report, tmp_path):
    program = ("import sys\nfrom pathlib import Path\nfrom agents.benchmark.making import make_benchmark\n"
               "from agents.benchmark.report import write_report\n"
               "write_report(make_benchmark('uneven-v1', Path(sys.argv[1]), out=sys.argv[2], quick=True), sys.argv[3])")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", program, done.folders["photos"], done.out, tmp_path / "again"],
                   check=True, env=environment)
    assert contents(tmp_path / "again") == contents(report)


@pytest.mark.filterwarnings("error")
def test_names_are_escaped_and_make_safe_files(done, photos, tmp_path):
    benchmark = copied(done, tmp_path / "cells")
    for number, name in enumerate(['<script>alert(1)</script>', '../x', '"quoted" & \'so\'', "$x^2$\n{{ 7 * 7 }}",
                                  "long " * 40]):
        changed(tmp_path / "cells" / "identity-seed0.json", tmp_path / "cells" / f"odd{number}.json", method=name)
    folder = tmp_path / "deep" / "report"
    write_report(benchmark, folder)
    assert [path.name for path in folder.parent.iterdir() if path.name[0] != "."] == ["report"]
    names = {path.name for path in folder.rglob("*.html")}
    assert names == {path.name for path in folder.glob("*.html")} and len(names) == 1 + 10 + 2
    assert {"system-script-alert-1-script.html", "system-x.html", "system-quoted-so.html"} <= names
    for page in folder.glob("*.html"):
        said = page.read_text()
        assert said.count("<script") == 1 and "alert(1)</script>" not in said  # its own
        assert set(re.findall(r"<img[^>]*?\balt=\"[^\"]*\" (\S+)", said)) <= {'loading="lazy">'}
    index = (folder / "index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in index and "$x^2$?{{ 7 * 7 }}" in index


def test_photos_of_odd_names_have_pages_of_their_own(sample_photos, tmp_path):
    names = ["a b", "A-b", "a.b", "..b", "<i>&\"'", "\N{SNOWMAN}", "b\N{COMBINING ACUTE ACCENT}", "x" * 90]
    for image, name in zip(sample_photos, [*names, *"defg"], strict=False):
        as_file(tmp_path / "photos" / f"{name}.png", image)
    benchmark = make_benchmark("uneven-v1", tmp_path / "photos", out=tmp_path / "cells", quick=True)
    for cell in benchmark.cells(["identity"]):
        benchmark.run_cell(cell)
    write_report(benchmark, tmp_path / "report")
    content = read_content(benchmark)
    assert len(content.photographs) == len([*(tmp_path / "report").glob("photograph-*.html")]) >= 2
    for page in (tmp_path / "report").glob("*.html"):
        assert all((tmp_path / "report" / address.partition("#")[0]).exists()
                   for address in Addresses(page).found if address != "data:,")


def test_with_several_seeds_numbers_are_of_all_and_pictures_of_the_lowest(done, tmp_path):
    benchmark = copied(done, tmp_path / "cells")
    first = tmp_path / "cells" / "II-seed0.json"
    cell = changed(first, tmp_path / "cells" / "II-seed1.json", seed=1)
    for photo in cell["photos"]:
        photo["psnr"] += 3
    (tmp_path / "cells" / "II-seed1.json").write_text(json.dumps(cell))
    page = write_report(benchmark, tmp_path / "report").with_name("system-ii.html")
    (row,) = [row for row in table(runs(read_cells(benchmark.out))).rows if row.method == "II"]
    said, photo = text_of(page), json.loads(first.read_text())["photos"][0]
    assert f"gain {row.gain.mean:+.2f} dB" in said
    assert "means over 2 seeds; pictures and EVs are those of seed 0" in said
    gain = photo["psnr"] - photo["input_psnr"]
    assert f"{gain + 1.5:+.2f} dB ({gain:+.2f}, {gain + 3:+.2f})" in said


def test_cells_without_pictures_are_no_error_and_damaged_pictures_are_named(done, tmp_path):
    benchmark = copied(done, tmp_path / "cells")
    (tmp_path / "cells" / "II-seed0.pictures").unlink()
    write_report(benchmark, tmp_path / "report")
    assert text_of(tmp_path / "report" / "system-ii.html").count("no picture kept") == 8
    assert "no picture kept" not in text_of(tmp_path / "report" / "system-paired.html")
    before = contents(tmp_path / "report")
    path = tmp_path / "cells" / "paired-seed0.pictures"
    for content, told in ((b"no zip", "holds no pictures"), (path.read_bytes()[:-200], "holds no pictures")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"paired-seed0.pictures {told}"):
            write_report(benchmark, tmp_path / "report")
    with zipfile.ZipFile(path, "w") as kept:
        kept.writestr("0.webp", b"")
    with pytest.raises(ValueError, match="must hold the pictures of 8 photos, not 1"):
        write_report(benchmark, tmp_path / "report")
    assert contents(tmp_path / "report") == before


@pytest.mark.filterwarnings("error")
def test_systems_without_segments_and_brackets_have_no_ev_map(done, tmp_path):
    benchmark = copied(done, tmp_path / "cells")
    (tmp_path / "mine.py").write_text("def brighten(photo):\n    return photo ** 0.7\n")
    benchmark.agents["brighten"] = [f"{tmp_path / 'mine.py'}:brighten"]
    try:
        for cell in benchmark.cells(["brighten", "fixed bracket"]):
            benchmark.run_cell(cell)
        write_report(benchmark, tmp_path / "report")
    finally:
        benchmark.agents.clear()  # the dict is that of `done`, too
    said = text_of(tmp_path / "report" / "system-brighten.html")
    assert said.count("no segments and no EVs") == 8 and "not trained here" in text_of(tmp_path / "report/index.html")
    said = text_of(tmp_path / "report" / "system-fixed-bracket.html")
    assert said.count("blended: EVs +0.00, -1.00, +1.00, -2.00, +2.00") == 8
    assert "--agent brighten=AGENT" in text_of(tmp_path / "report/index.html")


def test_whole_photos_are_shown_and_runs_that_lack_folds_are_named(tmp_path, sample_photos):
    root = tmp_path / "pairs"
    for number in range(6):
        image = np.tile(sample_photos[number], (2, 9, 1))  # 128x576, larger than pictures are kept
        as_file(root / "input" / f"a{number}.png", clip(expose(image, -1.0)))
        as_file(root / "target" / f"a{number}.png", image)
    benchmark = make_benchmark("fivek", None, root / "input", root / "target", out=tmp_path / "cells", quick=True)
    for cell in benchmark.cells(["identity", "best single EV"]):
        if cell.method == "identity" or cell.fold < 2:
            benchmark.run_cell(cell)
    write_report(benchmark, tmp_path / "report")
    said = text_of(tmp_path / "report" / "index.html")
    assert "best single EV, seed 0: 2 of the folds" in said and "6 photos of 6 photographs" in said
    assert not (tmp_path / "report" / "system-best-single-ev.html").exists()
    assert "--inputs INPUTS --targets TARGETS" in said
    shown = re.findall(r'class="result" src="([^"]+)"', (tmp_path / "report" / "system-identity.html").read_text())
    with Image.open(tmp_path / "report" / shown[0]) as image:
        assert image.size == (500, 111) and len(shown) == 6


def test_a_folder_of_something_else_is_left_alone_and_told_before_anything_runs(photos, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("")
    command = ["benchmark", "uneven-v1", "--photos", str(photos), "--quick", "--methods", "identity"]
    for place, told in (("taken", "is not empty and holds no report"), ("file", "is a file")):
        status = main([*command, "--out", str(tmp_path / "cells"), "--report", str(tmp_path / place)])
        assert status == 2 and told in capsys.readouterr().err
    assert not (tmp_path / "cells").exists()
    assert (tmp_path / "taken" / "thesis.tex").read_text() == "years of work"


def test_without_jinja_an_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ValueError, match=r'pip install "deepexposure-gym\[report\]"'):
        check_report(tmp_path / "report")


def test_the_command_writes_a_report_of_all_that_is_finished(done, photos, report, tmp_path, capsys):
    benchmark = copied(done, tmp_path / "cells")
    command = ["benchmark", "uneven-v1", "--photos", str(photos), "--quick", "--methods", "identity", "--out",
               benchmark.out, "--report", str(tmp_path / "report")]
    assert main(command) == 0
    assert f"Report: {tmp_path / 'report' / 'index.html'}" in capsys.readouterr().err
    written = contents(tmp_path / "report")
    assert written == contents(report) and json.loads(written[MARK])["protocol"] == "uneven-v1"
    assert main([*command, "--reference", "II"]) == 0
    assert "compared with II" in text_of(tmp_path / "report" / "index.html")


def test_nothing_finished_and_other_photos_are_told(done, fivek, tmp_path):
    with pytest.raises(ValueError, match="no run in .* is finished"):
        write_report(make_benchmark("uneven-v1", out=tmp_path / "none", quick=True), tmp_path / "report")
    other = make_benchmark("uneven-v1", fivek / "fivek_pairs" / "input", out=Path(done.out), quick=True)
    with pytest.raises(ValueError, match="made of other photos"):
        write_report(other, tmp_path / "report")
    assert not (tmp_path / "report").exists()

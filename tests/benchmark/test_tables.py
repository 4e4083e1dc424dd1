"""The benchmark's tables and figure."""

import csv
import io

import numpy as np
import pytest

from agents.benchmark import tables as tables
from agents.benchmark.cells import read_cells
from agents.evaluation.metrics import interval, iqm
from tests.benchmark.small import cell


def test_rows_by_hand():
    gains = [1.0, 2.0, 3.0, 8.0]
    cells = [cell("II", seed, [15 + gain]) for seed, gain in enumerate(gains)]
    cells += [cell("paired", 0, [20.0]), cell("identity", 0, [15.0])]
    rows = {row.method: row for row in tables.rows(tables.runs(cells))}
    assert list(rows) == ["paired", "II", "identity"]
    ours = rows["II"]
    assert ours.psnr == 18.5 and ours.gain == 2.5 and ours.share == 0.5 and ours.seeds == 4
    assert ours.interval == interval(gains, statistic=iqm) and ours.interval[0] < 2.5 < ours.interval[1]
    assert (ours.cpu_seconds, ours.peak_mb) == (2.0, 400) and np.isnan(rows["identity"].cpu_seconds)
    assert rows["paired"].interval is None and rows["identity"].share == 0
    assert np.isnan(tables.rows(tables.runs(cells[:2]))[0].share)  # without a ceiling


def test_folds_are_joined_and_a_run_that_lacks_one_is_left_out():
    cells = [cell("II", 0, [20.0] * 3 if fold else [26.0] * 3, fold, peak_mb=300 + fold) for fold in range(5)]
    cells += [cell("II", 1, [20.0], fold) for fold in range(4)]
    (run,) = tables.runs(cells)
    assert run.seed == 0 and run.gain == pytest.approx(6.2)  # (26 + 4 * 20) / 5 - 15
    assert run.results["cpu_seconds"] == 10 and run.results["peak_mb"] == 304
    assert run.results["curve"] == [[0, 15.0], [50, pytest.approx(21.2)]]
    with pytest.raises(ValueError, match=r"not of \['fivek', 'misexposed'\]"):
        tables.runs([*cells, cell("II", 0, [20.0])])


def test_tables_as_text_markdown_and_csv(done):
    finished = tables.runs(read_cells(done.out))
    rows = tables.rows(finished)
    assert [row.method for row in rows] == ["paired", "II", "identity", "constant EV", "best single EV"]
    lines = tables.format_text(rows).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines) == 6
    markdown = tables.format_markdown(rows).splitlines()
    assert len(markdown) == 7 and {line.count("|") for line in markdown} == {len(tables.HEADINGS) + 1}
    raw = list(csv.DictReader(io.StringIO(tables.format_csv(finished))))
    assert [line["method"] for line in raw] == [row.method for row in rows]
    for line, row in zip(raw, rows, strict=True):
        assert float(line["psnr"]) == pytest.approx(row.psnr, abs=1e-3)
    assert raw[2]["cpu_seconds"] == "" and "curve" not in raw[0]
    by_method = {row.method: row for row in rows}
    assert by_method["identity"].gain == pytest.approx(0, abs=1e-3)
    assert by_method["best single EV"].gain > max(1, by_method["constant EV"].gain)


def test_the_figure_has_a_line_and_a_dot_for_each(done, tmp_path):
    figure = tables.figure(tables.runs(read_cells(done.out)))
    curves, plane = figure.axes
    thick = [line.get_label() for line in curves.get_lines() if line.get_linewidth() > 2]
    assert thick == ["paired", "II"] and len(plane.collections) == 5
    assert [text.get_text() for text in plane.texts][:3] == ["identity", "constant EV", "best single EV"]
    figure.savefig(tmp_path / "figure.png")
    tables.figure([]).savefig(tmp_path / "empty.png")  # of no runs, an empty one without a complaint

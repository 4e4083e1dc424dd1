"""The benchmark's tables."""

import csv
import io
import math

import numpy as np
import pytest

from agents.benchmark import tables as tables
from agents.benchmark.results import read_cells
from agents.evaluation.statistics import crossed, student
from tests.benchmark.small import cell, photo_entry

GAINS = [1.0, 2.0, 3.0, 8.0]


def rows(cells, reference=None):
    return {row.method: row for row in tables.table(tables.runs(cells), reference).rows}


def columns(table):
    headings, *lines = table.lines()
    return {line[0]: dict(zip(headings, line, strict=True)) for line in lines}


def test_rows_by_hand():
    cells = [cell("II", seed, [15 + gain]) for seed, gain in enumerate(GAINS)]
    cells += [cell("paired", 0, [20.0]), cell("identity", 0, [15.0])]
    found = rows(cells)
    assert list(found) == ["paired", "II", "identity"]
    ours = found["II"]
    assert ours.psnr == 18.5 and ours.gain == student(GAINS) and ours.gain.n == 4
    assert ours.gain.mean == 3.5 and ours.gain.low == pytest.approx(3.5 - 3.1824 * np.std(GAINS, ddof=1) / 2, abs=1e-3)
    assert (ours.cpu_seconds, ours.peak_mb) == (2.0, 400) and math.isnan(found["identity"].cpu_seconds)
    assert math.isnan(found["paired"].gain.low) and math.isnan(ours.share)


def test_over_seeds_and_photos_by_hand():
    gains = np.array([[1.0, 4.0, 2.0], [2.0, 4.0, 3.0]])
    cells = [cell("II", seed, 15 + each) for seed, each in enumerate(gains)]
    cells += [cell("I", 0, 15 + gains[0]), cell("oracle", 0, 15 + gains[1])]
    found = rows(cells)
    assert found["II"].crossed == pytest.approx(crossed(gains))
    assert found["oracle"].crossed == pytest.approx(student(gains[1]))  # it has no seeds
    assert found["I"].crossed is None  # one seed can't tell how others do


def test_comparisons_by_photo_are_in_the_csv_and_their_interval_over_photos_in_the_text_too():
    gains = np.array([[1.0, 4.0, 2.0], [2.0, 4.0, 3.0]])
    cells = [cell("paired", seed, 15 + each) for seed, each in enumerate(gains)]
    cells += [cell("II", seed, 15 + each + [0.5, -0.1, 0.2]) for seed, each in enumerate(gains)]
    cells += [cell("oracle", 0, 15 + gains[0] + 5), cell("I", 7, 15 + gains[1])]
    found = rows(cells)
    ours = found["II"]
    assert ours.to_reference_crossed == pytest.approx(crossed(np.tile([0.5, -0.1, 0.2], (2, 1))))
    # photo a: 1.5 and 2.5 against 1 and 2, three of four; b: none; c: 2.2 and 3.2 against 2 and 3, three of four
    assert ours.improvement.mean == pytest.approx(0.5) and ours.improvement.n == 2
    assert ours.improvement_crossed.low < 0.5 < ours.improvement_crossed.high
    assert ours.iqm.mean == pytest.approx(np.mean([2.2, 2.5, 3.2, 3.9])) and ours.iqm_crossed.n == 2
    assert found["oracle"].improvement.mean == 1 and found["oracle"].iqm_crossed is not None
    assert found["I"].iqm_crossed is None and math.isnan(found["I"].iqm.low)  # one seed
    assert found["I"].to_reference_crossed is found["I"].improvement is None  # no seed in common
    table = tables.table(tables.runs(cells))
    low, high = ours.to_reference_crossed[1:3]
    assert columns(table)["II"]["minus paired, over photos too"] == f"{low:+.2f} to {high:+.2f}"
    line = {each["method"]: each for each in csv.DictReader(io.StringIO(table.csv()))}["II"]
    assert (line["improvement_mean"], line["to_reference_crossed_low"]) == ("0.5", f"{low:.4f}")


def test_crops_of_one_photograph_count_as_one():
    cells = [cell("II", seed, []) for seed in range(2)]
    for seed, each in enumerate(cells):
        gains = {"a_0": 1.0, "a_1": 3.0, "b_0": 5.0, "b_1": 5.0 + seed}
        each["photos"] = [photo_entry(15 + gain, name=name) for name, gain in gains.items()]
    assert rows(cells)["II"].crossed == pytest.approx(crossed(np.array([[2.0, 5.0], [2.0, 5.5]])))


def test_differences_are_paired_by_seed():
    cells = [cell("paired", seed, [16 + seed]) for seed in range(3)]
    cells += [cell("II", seed, [15.5 + seed + 0.1 * seed]) for seed in (1, 2, 3)] + [cell("oracle", 0, [20.0])]
    found = rows(cells)
    assert found["II"].to_reference == pytest.approx(student([-0.4, -0.3])) and found["II"].to_reference.n == 2
    assert found["paired"].to_reference is None
    assert found["oracle"].to_reference == pytest.approx(student([4.0, 3.0, 2.0]))  # the same for every seed
    other = rows(cells, "oracle")
    assert other["II"].to_reference == pytest.approx(student([-3.4, -2.3, -1.2]))
    assert other["oracle"].to_reference is None
    assert tables.table(tables.runs(cells[3:])).reference == "II"  # the first learner
    assert {row.to_reference for row in rows(cells, "td3").values()} == {None}


def test_without_a_common_seed_or_a_learner_there_is_no_difference():
    assert rows([cell("paired", 0, [16.0]), cell("II", 1, [17.0])])["II"].to_reference is None
    baselines = tables.table(tables.runs([cell("identity", 0, [15.0]), cell("oracle", 0, [18.0])]))
    assert baselines.reference is None and not [name for name in baselines.lines()[0] if "minus" in name]
    assert rows([cell("identity", 0, [15.0]), cell("oracle", 0, [18.0])], "identity")["oracle"].to_reference.mean == 3


def test_local_minus_global():
    """A method that gives the whole photo one EV is named after the one that it is compared with."""
    gains = {"II": [2.0, 2.5], "II, global": [1.5, 1.9], "I": [1.0, 1.0]}
    cells = [cell(method, seed, [15 + gain], learned=True) for method, each in gains.items()
             for seed, gain in enumerate(each)]
    found = columns(tables.table(tables.runs(cells)))
    low, high = student([0.5, 0.6])[1:3]
    assert found["II"]["local minus global"] == f"+0.55 ({low:+.2f} to {high:+.2f})"
    assert found["I"]["local minus global"] == found["II, global"]["local minus global"] == "-"
    cells = [each for each in cells if each["settings"]["method"] != "II, global"]
    assert "local minus global" not in columns(tables.table(tables.runs(cells)))["II"]


def test_nearness_to_the_experts_is_compared_seed_by_seed_too():
    cells = [cell(method, seed, [16.0]) for method in ("II", "warm start") for seed in (0, 1)]
    for each, luminance in zip(cells, (0.5, 0.6, 0.9, 0.8), strict=True):  # the experts' is 0.4 and 0.6
        each["photos"][0]["statistics"] = [luminance, 0.2, 0.3]
    found = rows(cells, "warm start")
    runs = {(run.method, run.seed): run.results["distance"] for run in tables.runs(cells)}
    gaps = [runs["II", seed] - runs["warm start", seed] for seed in (0, 1)]
    assert found["II"].nearer == student(gaps) and found["II"].nearer.mean < 0 and found["warm start"].nearer is None
    heading = "distance minus warm start's"
    assert columns(tables.table(tables.runs(cells), "warm start"))["II"][heading].startswith(f"{np.mean(gaps):+.4f} (")
    assert heading not in columns(tables.table(tables.runs(cells), "paired"))["II"]


def test_the_share_is_of_the_regressions_gain_and_says_so():
    cells = [cell("II", seed, [15 + gain]) for seed, gain in enumerate(GAINS)]
    assert not [name for name in tables.table(tables.runs(cells)).lines()[0] if "of the" in name]
    cells += [cell("regression", seed, [15 + gain], learned=True) for seed, gain in enumerate((4.0, 10.0))]
    heading, found = "of the gain of regression", columns(tables.table(tables.runs(cells)))
    assert found["II"][heading] == "50 %" and found["regression"][heading] == "100 %"
    cells = [cell("regression", 0, [14.0]), cell("II", 0, [16.0])]  # a share of a loss says nothing
    assert heading not in columns(tables.table(tables.runs(cells)))["II"]


def test_correlations_of_old_cells_are_made_from_their_photos():
    """Their files hold the exposures, but not these correlations."""
    old = cell("II", 0, [])
    old["photos"] = [photo_entry(18, (1.0, 0.5, 0.2), (0.2, 0.5, 1.0)),
                     photo_entry(19, (0.1, 0.2), (1.0, 2.0), name="b")]
    assert "ev_step_correlation" not in old["results"]
    ours = rows([old])["II"]
    first = np.corrcoef([1.0, 0.5, 0.2], [0.2, 0.5, 1.0])[0, 1]
    assert ours.within_photo_ev_correlation == pytest.approx((first + 1) / 2, abs=1e-4)
    assert ours.ev_step_correlation == 0
    removed = cell("a method that was removed since", 0, [], learned=True)
    removed["photos"] = old["photos"]
    assert list(rows([removed, old])) == ["II", "a method that was removed since"]


def test_folds_are_joined_and_a_run_that_lacks_one_is_left_out():
    cells = [cell("II", 0, [20.0] * 3 if fold else [26.0] * 3, fold, peak_mb=300 + fold) for fold in range(5)]
    cells += [cell("II", 1, [20.0], fold) for fold in range(4)]
    (run,) = tables.runs(cells)
    assert run.seed == 0 and run.gain == pytest.approx(6.2)  # (26 + 4 * 20) / 5 - 15
    assert run.results["cpu_seconds"] == 10 and run.results["peak_mb"] == 304 and len(run.photographs) == 15
    assert run.results["curve"] == [[0, 15.0], [50, pytest.approx(21.2)]]
    with pytest.raises(ValueError, match=r"not of \['fivek', 'misexposed'\]"):
        tables.runs([*cells, cell("II", 0, [20.0])])


def test_runs_tested_on_other_photos_are_refused():
    with pytest.raises(ValueError, match="same photos, but those of II, seed 1, differ from those of II, seed 0"):
        tables.runs([cell("II", 0, [20.0]), cell("II", 1, [20.0, 21.0])])


def test_tables_as_text_markdown_and_csv(done):
    finished = tables.runs(read_cells(done.out))
    table = tables.table(finished)
    assert [row.method for row in table.rows] == ["paired", "II", "identity", "constant EV", "best single EV"]
    assert table.reference == "paired"
    *lines, blank, mark = table.text().splitlines()
    assert blank == "" and mark == table.stamp
    assert len({len(line) for line in lines}) == 1 and len(lines) == 6
    *markdown, blank, mark = table.markdown().splitlines()
    assert blank == "" and mark == table.stamp
    assert len(markdown) == 7 and {line.count("|") for line in markdown} == {len(table.lines()[0]) + 1}
    for heading in ("95 % over seeds", "over seeds and photos", "minus paired", "within photos", "with step", "seeds"):
        assert heading in lines[0] and heading in markdown[0]
    raw = list(csv.DictReader(io.StringIO(tables.runs_csv(finished))))
    assert [line["method"] for line in raw] == [row.method for row in table.rows]
    for line, row in zip(raw, table.rows, strict=True):
        assert float(line["psnr"]) == pytest.approx(row.psnr, abs=1e-3)
    assert raw[2]["cpu_seconds"] == "" and "curve" not in raw[0] and "ev_step_correlation" in raw[0]
    by_method = {row.method: row for row in table.rows}
    assert by_method["identity"].gain.mean == pytest.approx(0, abs=1e-3)
    assert by_method["best single EV"].gain.mean > max(1, by_method["constant EV"].gain.mean)


def test_the_table_as_csv():
    cells = [cell("II", seed, [15 + gain, 16 + gain]) for seed, gain in enumerate(GAINS)]
    cells += [cell("I", 0, [17.0, 17.0])]
    table = tables.table(tables.runs(cells))
    first, ours = csv.DictReader(io.StringIO(table.csv()))
    assert (first["method"], ours["method"], ours["reference"], ours["gain_n"]) == ("I", "II", "I", "4")
    for name in ("gain", "crossed"):
        numbers = [float(ours[f"{name}_{part}"]) for part in ("mean", "low", "high", "n")]
        assert numbers == pytest.approx(getattr(table.rows[1], name), abs=1e-4)
    assert (first["gain_low"], first["to_reference_mean"], ours["to_reference_mean"]) == ("", "", "-0.5")


def test_colour_difference_and_lpips_have_columns_where_they_were_measured_and_intersection_is_in_the_csv():
    cells = [cell("identity", 0, [15.0, 16.0]), cell("II", 0, [17.0, 18.0])]
    assert not {"ΔE", "LPIPS"} & set(columns(tables.table(tables.runs(cells)))["II"])
    for photo, value in zip(cells[1]["photos"], (3.0, 4.0), strict=True):
        photo |= {"delta_e": value, "lpips": value / 10}
    table = tables.table(tables.runs(cells))
    assert columns(table)["II"]["ΔE"] == "3.50" and columns(table)["identity"]["ΔE"] == "-"
    assert columns(table)["II"]["LPIPS"] == "0.350" and columns(table)["identity"]["LPIPS"] == "-"
    line = {each["method"]: each for each in csv.DictReader(io.StringIO(table.csv()))}["II"]
    # of luminance 0.5 for 0.4 and 0.6 nothing, of contrast 0.2 for 0.2 and 0.3 half, of saturation 0.3 for 0.3 all
    assert (line["delta_e"], line["intersection"]) == ("3.5", "0.5")

"""The tables and the figure of the paper's claims, by hand."""

import csv
import io

from agents.benchmark.claims import tables as claims_tables
from agents.benchmark.claims.tables import Measured, figure, format_csv, tables
from agents.evaluation.statistics import student


def cell(variant, seed, gain, **results):
    base = {"timesteps": 1000, "updates": 5, "cpu_seconds": 4.0, "peak_mb": 900.0, "learning_mb": 100.0 + seed,
            "parameters": 1234, "fusion": "local", "input_psnr": 15.0, "mean_abs_ev": 0.5,
            "psnr": {"local": 15 + gain, "mask_pyramid": 15.5, "mertens": 14.0},
            "intermediate": {"photos": 9, "score": [0.5, None], "gain": [0.25 * seed]}, "gradients": []}
    return Measured(variant, seed, base | results)


def test_tables_by_hand():
    cells = [cell("II", 0, 1.0), cell("II", 1, 2.0), cell("II, reward local", 0, 3.0), cell("I", 0, -1.0)]
    made = {table.claim: table for table in tables(cells)}
    assert list(made) == ["intermediate", "accumulation", "cost", "reward_image", "presets"]
    assert [table.claim for table in tables(cells, ["cost"])] == ["cost"]
    row = dict(zip(made["accumulation"].headings, made["accumulation"].rows[0], strict=True))
    low, high = student([1.0, 2.0])[1:3]  # 1.5 and 12.71 * 0.5 to both sides
    assert row["95 % interval"] == f"{low:+.2f} to {high:+.2f}" == "-4.85 to +7.85"
    assert (row["PSNR [dB]"], row["gain [dB]"], row["spread"], row["seeds"]) == ("16.50", "+1.50", "0.71", "2")
    assert row["CPU [s per 1000]"] == "4.00"
    ours, local = made["reward_image"].rows
    assert ours[2] == "+1.50" and local[2:7] == ("+3.00", "-", "+0.50", "+3.00", "-1.00")
    assert [line[0] for line in made["cost"].rows] == ["I", "II"] and made["cost"].rows[1][4] == "100"
    at = {line[1]: line for line in made["intermediate"].rows}
    assert at["0"][2:4] == ("0.50", "-") and at["1"][2:4] == ("-", "0.12")
    for table in made.values():
        lines = table.text().splitlines()
        assert len(lines) == len(table.rows) + 2 and len({len(line) for line in lines[1:]}) == 1
        assert table.markdown().count("|") == (len(table.rows) + 2) * (len(table.headings) + 1)


def test_gradients_in_tables_csv_and_figure(tmp_path):
    names = ("I", "I, shaped", "pathwise")
    moments = [{"timesteps": t, "cosines": {one: {other: value for other in names} for one in names},
                "norms": {"I": 1.0, "I, shaped": 2.0, "pathwise": 4.0}, "halves": dict.fromkeys(names, 0.5)}
               for t, value in ((10, 0.2), (20, 0.4), (30, None))]
    cells = [cell("gradients", 0, 0.0, gradients=moments), cell("II", 0, 1.0)]
    (table,) = tables(cells, ["gradients"])
    assert table.rows[1] == ("I, shaped", "0.30", "-", "0.30", "0.30", "0.50", "2.00", "3", "1")  # of one training
    (table,) = tables([*cells, cell("gradients", 1, 0.0, gradients=moments[:1])], ["gradients"])
    low, high = student([0.3, 0.2])[1:3]  # the means of two trainings
    assert table.rows[1][1:3] == ("0.27", f"{low:+.2f} to {high:+.2f}") and table.rows[1][-2:] == ("4", "2")
    raw = list(csv.DictReader(io.StringIO(format_csv(cells, "gradients"))))
    values = {line["name"]: line["value"] for line in raw if line["variant"] == "gradients"}
    assert values["gradients/1/cosines/I/pathwise"] == "0.4" and values["gradients/2/cosines/I/pathwise"] == ""
    assert {line["variant"] for line in raw} == {"gradients"} and "intermediate/photos" not in values
    drawn = figure(cells)
    assert [len(axes.get_lines()) for axes in drawn.axes] == [2, 2, 2, 2, 2, 2]
    assert list(drawn.axes[0].get_lines()[0].get_ydata())[:2] == [0.2, 0.4]
    drawn.savefig(tmp_path / "figure.png")
    figure([]).savefig(tmp_path / "empty.png")
    assert claims_tables.tables([]) == []

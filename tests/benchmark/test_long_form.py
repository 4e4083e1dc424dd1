"""The long form: every score of every photo, one a line."""

import csv
import io

import pytest

from agents.benchmark import tables
from agents.benchmark.long_form import long_form, read_long_form
from agents.evaluation.scores import difference, mean
from tests.benchmark.small import cell, photo_entry


def cropped(method, seed, gains):
    """A cell that tested crops with the given gains [dB]."""
    return cell(method, seed, []) | {"photos": [photo_entry(15 + gain, name=name) for name, gain in gains.items()]}


GAINS = {("I", 0): [1.0, 3.0, 5.0, 5.0], ("I", 4): [2.0, 3.0, 4.0, 4.0], ("II", 0): [1.5, 3.5, 5.0, 5.0],
         ("II", 4): [2.0, 4.0, 5.0, 5.0], ("identity", 0): [0.0] * 4}
CELLS = [cropped(*run, dict(zip(("a_0", "a_1", "b_0", "b_1"), gains, strict=True))) for run, gains in GAINS.items()]


def test_every_photo_of_every_run_has_its_lines():
    lines = list(csv.reader(io.StringIO(long_form(CELLS))))
    assert lines[0] == ["model", "dataset", "metric", "score", "seed", "photo", "photograph"]
    assert lines[1] == ["I", "misexposed", "gain", "1.0", "0", "a_0", "a"]
    assert ["II", "misexposed", "psnr", "20.0", "4", "b_0", "b"] in lines
    assert len(lines) == 1 + 5 * 4 * 4


def test_an_unknown_ssim_is_left_out():
    small = cropped("II", 0, {"a_0": 1.0})
    small["photos"][0]["ssim"] = None
    assert [line.split(",")[2] for line in long_form([small]).splitlines()[1:]] == ["gain", "psnr", "mse"]


def test_read_again_it_gives_the_tables_numbers():
    """Crops of one photograph count once, as there."""
    found = read_long_form(long_form(CELLS))
    rows = {row.method: row for row in tables.table(tables.runs(CELLS), "I").rows}
    assert found["I"].seeds == (0, 4) and found["I"].photos == ("a", "b")
    for method in ("I", "II"):
        assert tuple(mean(found[method]).over_seeds) == pytest.approx(tuple(rows[method].gain))
        assert mean(found[method]).over_both == rows[method].crossed
    ours = difference(found["II"], found["I"])
    assert tuple(ours.over_seeds) == pytest.approx(tuple(rows["II"].to_reference))
    assert ours.over_both == rows["II"].to_reference_crossed
    assert not found["identity"].learned and found["II"].learned
    assert read_long_form(long_form(CELLS), "psnr")["identity"].values.tolist() == [[15.0, 15.0]]


@pytest.mark.parametrize(("text", "metric", "message"), [
    ("model,dataset,metric,score,seed\n", "gain", "want the columns .*, but 'photo' is missing"),
    (long_form(CELLS), "lpips", r"one of \['gain', 'mse', 'psnr', 'ssim'\], not 'lpips'"),
    (long_form(CELLS) + "I,fivek,gain,1.0,0,a_0,a\n", "gain", r"one data set, not of \['fivek', 'misexposed'\]"),
    (long_form(CELLS) + "I,misexposed,gain,1.0,0,c_0,c\n", "gain", "only one of seed 4 and seed 0 has 'c'"),
    (long_form(CELLS).replace(",1.0,0,a_0", ",high,0,a_0"), "gain", "could not convert string to float: 'high'"),
])
def test_what_makes_no_sense_is_refused(text, metric, message):
    with pytest.raises(ValueError, match=message):
        read_long_form(text, metric)

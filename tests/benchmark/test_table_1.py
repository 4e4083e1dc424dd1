"""The paper's Table 1 beside finished cells."""

import math

import numpy as np
import pytest

from agents.benchmark.cells import Cell
from agents.benchmark.making import make_benchmark
from agents.benchmark.results import read_cells
from agents.benchmark.table_1 import PAPER, records, table_1
from agents.evaluation.metrics import mse, mse_uint8_wrapped
from exposure_env.photos import PairedPhotos
from tests.benchmark.small import cell


def entries(*pairs):
    return [{"mse": error, "psnr": 20.0, "mse_wrapped": wrapped, "psnr_wrapped": 28.0} for error, wrapped in pairs]


def test_means_over_the_photos_of_all_folds_then_over_seeds():
    cells = [cell("II", seed, [], fold) for seed in (0, 1) for fold in (0, 1)]
    for each, photos in zip(cells, (entries((1000, 90)), entries((400, 99), (400, 99)), entries((300, 100)), []),
                            strict=True):
        each["photos"] = photos
    (record,) = records(cells)
    assert record.mse == 450 and record.mse_wrapped == 98  # of (600 and 300), (96 and 100)
    assert (record.method, record.psnr, record.psnr_wrapped) == ("II", 20, 28)


def test_the_papers_come_first_finished_or_not_and_old_cells_have_no_wrapped_numbers():
    lines = [line.split(" | ") for line in table_1([cell("identity", 0, [15.0], 0), cell("I", 0, [16.0], 0)])
             .splitlines()]
    assert [line[0].strip("| ") for line in lines[2:]] == [*PAPER, "identity"]
    rows = {line[0].strip("| "): line[1:] for line in lines[2:]}
    assert rows["I"] == ["16.00", "1.00", "-", "-", "95.44", "28.38 |"]
    assert rows["DPED"] == ["-"] * 4 + ["99.04", "28.20 |"] and rows["identity"][-1] == "- |"


def test_the_papers_mse_and_psnr_belong_together():
    """To 0.01 dB, as its photos' errors hardly differ, which is strange in itself; FI's MSE is a misprint for 105.2."""
    for error, decibels in PAPER.values():
        assert 10 * math.log10(255**2 / error) == pytest.approx(decibels, abs=0.06)


def test_cells_of_several_protocols_or_none_are_refused():
    with pytest.raises(ValueError, match="one protocol, not of \\[\\]"):
        records([])
    with pytest.raises(ValueError, match="'fivek', 'misexposed'"):
        records([cell("I", 0, [16.0], 0), cell("I", 0, [16.0])])


def test_identitys_numbers_are_those_of_the_files(fivek, tmp_path):
    benchmark = make_benchmark("fivek", fivek, out=tmp_path, quick=True)
    for fold in range(5):
        benchmark.run_cell(Cell("identity", 0, fold))
    (record,) = records(read_cells(tmp_path))
    pairs = PairedPhotos(fivek / "fivek_pairs" / "input", fivek / "fivek_pairs" / "expert_c", max_side=None)
    levels = [[np.rint(image * 255).astype(np.uint8)[None] for image in photo[1:3]] for photo in pairs]
    assert record.mse == pytest.approx(np.mean([mse(*pair) for pair in levels]), abs=0.01)
    assert record.mse_wrapped == pytest.approx(np.mean([mse_uint8_wrapped(*pair) for pair in levels]), abs=0.01)

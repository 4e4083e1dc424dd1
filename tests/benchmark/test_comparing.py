"""Two methods compared: paired by seed and photograph, with an interval and a verdict."""

import numpy as np
import pytest

from agents.benchmark.comparing import compared
from agents.benchmark.tables import runs
from agents.evaluation.statistics import crossed, student
from tests.benchmark.small import cell

GAINS = {"II": [[20.0, 22.0, 25.0], [20.2, 22.1, 25.4]], "I": [[19.0, 21.1, 24.2], [19.3, 21.2, 24.1]]}


def finished(**more):
    cells = [cell(method, seed, psnrs) for method, group in (GAINS | more).items() for seed, psnrs in enumerate(group)]
    return runs([*cells, cell("identity", 0, [15.0, 15.0, 15.0])])


def test_the_difference_is_paired_by_seed_and_photograph():
    found = compared(finished(), "II", "I")
    differences = np.array(GAINS["II"]) - np.array(GAINS["I"])
    assert found.difference == pytest.approx(crossed(differences)) and not found.regression
    assert (found.seeds, found.photographs, found.better) == (2, 3, 1.0)
    worse = compared(finished(), "I", "II")
    assert worse.regression and worse.difference.mean == pytest.approx(-found.difference.mean)
    assert "PSNR of I minus II: -0.967 (-" in worse.text() and "2 seeds and 3 photographs" in worse.text()
    assert worse.text().endswith("I is better on 0% of the photographs: worse")


def test_what_has_no_seed_is_the_same_for_all_seeds_and_one_seed_is_compared_over_photographs():
    found = compared(finished(), "II", "identity")
    assert found.difference == pytest.approx(crossed(np.array(GAINS["II"]) - 15.0)) and found.seeds == 2
    alone = compared(finished(), "identity", "identity")
    assert alone.difference[:3] == (0, 0, 0) and not alone.regression
    one = compared(finished(q=[[20.0, 20.0, 23.0]]), "II", "q")
    assert one.difference == pytest.approx(student([0.0, 2.0, 2.0])) and one.seeds == 1


def test_a_wide_interval_is_no_regression():
    found = compared(finished(q=[[19.0, 22.5, 25.0]]), "q", "II")
    assert found.difference.mean < 0 < found.difference.high and not found.regression
    assert "no clear difference" in found.text()


def test_what_can_not_be_compared_is_named():
    with pytest.raises(ValueError, match=r"'td3' has no finished run: .*\['I', 'II', 'identity'\]"):
        compared(finished(), "II", "td3")
    with pytest.raises(ValueError, match="no finished run"):
        compared([], "II", "I")
    apart = runs([cell("II", 0, [20.0, 21.0]), cell("I", 1, [20.0, 21.0])])
    with pytest.raises(ValueError, match=r"'II' and 'I' have no seed in common: \[0\] and \[1\]"):
        compared(apart, "II", "I")
    with pytest.raises(ValueError, match="a single photograph gives no interval"):
        compared(runs([cell("II", 0, [20.0]), cell("I", 0, [20.0])]), "II", "I")

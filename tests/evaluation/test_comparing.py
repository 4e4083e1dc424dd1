"""Policies compared: scores between doing nothing and knowing the answer, and their table."""

import math

import pytest

from agents.baselines.untrained import AutoExposure, ConstantEV, Identity, Oracle
from agents.evaluation.comparing import PolicyRow, compare, contestants, format_table, normalised_score
from agents.evaluation.judging import Evaluation
from exposure_env.photos import sample_photos
from exposure_env.task import ExposureTask
from tests.evaluation.small import PHOTOS, Record, record


def with_psnr(*values):
    return Evaluation([record(name=str(i), psnr=value) for i, value in enumerate(values)], 3.0)


class TestScores:
    def test_by_hand(self):
        identity, oracle = with_psnr(10, 20), with_psnr(20, 30)
        for agent, score in [((10, 20), 0), ((20, 30), 1), ((24, 16), 0.5), ((0, 20), -0.5)]:
            assert normalised_score(with_psnr(*agent), identity, oracle) == pytest.approx(score)
        assert math.isnan(normalised_score(identity, identity, identity))

    def test_photos_must_be_the_same(self):
        with pytest.raises(ValueError, match="same photos"):
            normalised_score(with_psnr(1), with_psnr(1, 2), with_psnr(1))

    def test_policies_come_in_the_order_they_must(self):
        task = ExposureTask(PHOTOS, size=32)
        constant = ConstantEV.fit(task)
        rows = compare({"best": Oracle(task, steps=20), "constant": constant, "none": Identity()}, task)
        assert [row.name for row in rows] == ["best", "constant", "none"]
        best, middle, none = rows
        assert none.psnr <= middle.psnr < best.psnr and none.score == 0 <= middle.score < best.score == 1
        assert (best.evaluation.values("psnr") >= middle.evaluation.values("psnr")).all()
        assert (best.evaluation.values("psnr") >= none.evaluation.values("psnr")).all()
        assert best.ev_correlation > 0.5 and math.isnan(middle.ev_correlation)

    def test_without_an_oracle_there_is_no_score_and_without_identity_there_is(self):
        task = ExposureTask(PHOTOS[:3], size=16)
        (row,) = compare({"none": Identity()}, task)
        assert math.isnan(row.score)
        assert compare({"best": Oracle(task, steps=5)}, task)[0].score == 1

    def test_contestants_are_fitted_and_compared_in_one_go(self):
        training, experts = ExposureTask(sample_photos("inputs", 8), size=32, max_ev=2.5), sample_photos("experts", 4)
        policies = contestants(Record(), training, experts)
        assert list(policies) == ["identity", "constant EV", "auto-exposure", "fixed bracket", "agent", "oracle"]
        assert policies["constant EV"].ev == ConstantEV.fit(training).ev
        assert policies["auto-exposure"].target == AutoExposure.fit(experts).target
        assert {getattr(policies[name], "max_ev", 2.5) for name in list(policies)[1:4]} == {2.5}
        rows = compare(policies, ExposureTask(PHOTOS, size=32, max_ev=2.5))
        assert [row.name for row in rows] == list(policies) and rows[4].psnr == rows[0].psnr
        assert max(rows, key=lambda row: row.psnr).name == "oracle"

    def test_the_table_to_the_letter(self):
        nothing = Evaluation([], 3.0)
        rows = [PolicyRow("identity", 16.583, 0.7841, 0.0, math.nan, nothing),
                PolicyRow("x", 9.0, 1, math.nan, -0.5, nothing)]
        assert format_table(rows).splitlines() == [
            "policy    PSNR [dB]   SSIM  score  EV correlation",
            "identity      16.58  0.784   0.00               -",
            "x              9.00  1.000      -           -0.50",
        ]

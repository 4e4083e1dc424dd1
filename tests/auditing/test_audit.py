import json

import numpy as np
import pytest

from agents.auditing import audit_reward, best_plans, regret
from agents.auditing.audit import NEUTRAL, changed, start
from agents.auditing.report import audit_all
from agents.baselines.untrained import Identity, Oracle
from agents.evaluation.metrics import psnr
from exposure_env import ExposureTask, rewards, sample_photos
from exposure_env.photos import Photo, photo_thumbnail
from exposure_env.rewards import MeanLuminance


@pytest.fixture(scope="module")
def task():
    return ExposureTask(sample_photos("test", 8), "slic", max_segments=5)


def by_psnr(task, plan):
    return psnr(task.fused(plan), plan.targets).mean()


def test_the_search_is_as_good_as_the_oracles_gradient_and_needs_none(task):
    state = start(task)
    oracle = by_psnr(task, Oracle(task, steps=150).plan(state))
    assert by_psnr(task, best_plans(task, state, rewards.psnr)) >= oracle - 0.05
    blind = rewards.resolve_reward(lambda images, targets: -((images - targets) ** 2).mean((1, 2, 3)))
    assert not blind.differentiable
    assert by_psnr(task, best_plans(task, state, blind)) >= oracle - 0.1


def test_a_known_plan_is_found_again():
    photos = sample_photos("experts", 4)
    dark = [Photo(photo.name, (photo.image * 0.5).astype(np.float32), photo.image) for photo in photos]
    task = ExposureTask(dark, "slic", max_segments=3, space="encoded")
    plan = best_plans(task, start(task), rewards.psnr)
    there = np.arange(3) < plan.num_segments[:, None]
    np.testing.assert_allclose(plan.evs[there], 1.0, atol=0.06)  # twice the encoded values


def test_psnr_is_not_misspecified_and_a_mean_brightness_is(task):
    true = audit_reward("psnr", task)
    assert abs(true.misspecification.mean) <= 0.05 and true.verdict == "trust" and true.preferred == 1
    level = audit_reward(MeanLuminance(0.46), task)
    assert level.misspecification.low > 3 and level.verdict != "trust"
    assert level.responses["saturation"].scores == pytest.approx([0] * 7, abs=0.05)  # it can't see colours


def test_responses_are_0_where_nothing_is_changed(task):
    responses = audit_reward("entropy", task).responses
    assert responses.keys() == NEUTRAL.keys()
    for how, response in responses.items():
        assert response.scores[response.amounts.index(NEUTRAL[how])] == pytest.approx(0, abs=1e-6)
    assert responses["contrast"].scores[0] < 0 < responses["contrast"].scores[-1]


def test_a_reward_is_perfectly_correlated_with_itself_and_inversely_with_its_opposite(task):
    def opposite(images, targets):
        return ((images - targets) ** 2).mean((1, 2, 3))

    told = audit_reward("psnr", task, {"same": "negative_mse", "opposite": opposite}).correlations
    assert told == {"same": pytest.approx(1), "opposite": pytest.approx(-1)}


def test_regret_of_doing_nothing_adds_up_and_that_of_the_optimum_is_none(task):
    state = start(task)
    ideal, untouched = by_psnr(task, best_plans(task, state, rewards.psnr)), psnr(state.photos, state.targets).mean()
    told = regret(Identity(), "entropy", task)
    assert told.misspecification.mean + told.optimisation.mean == pytest.approx(ideal - untouched, abs=1e-3)
    assert told.reward_missed.mean > 0

    class Playing(Identity):
        """The best plans, action by action."""

        def __init__(self):
            self.evs_now, self.step = best_plans(task, state, rewards.psnr).evs, 0

        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            step = min(self.step, self.evs_now.shape[1] - 1)
            self.step += 1
            return self.evs_now[:, step : step + 1] / task.config.max_ev, state

    told = regret(Playing(), "psnr", task)
    assert (told.optimisation.mean, told.reward_missed.mean) == pytest.approx((0, 0), abs=1e-3)


@pytest.mark.parametrize("how", NEUTRAL)
def test_changes_do_what_they_say(how):
    photos = np.stack([photo_thumbnail(photo.image, 32) for photo in sample_photos("experts", 2)])
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(changed(photos, how, NEUTRAL[how], rng), photos, atol=1e-5)
    assert np.abs(changed(photos, how, NEUTRAL[how] + 0.5, rng) - photos).mean() > 0.003
    with pytest.raises(ValueError, match="beauty"):
        changed(photos, "beauty", 1.0, rng)


def test_a_report_of_several_is_a_table_a_figure_a_json_and_storyboards(tmp_path):
    report = audit_all(("psnr", "mean_luminance"), None, None, 4, "slic", 3, None, ("ssim",), 0)
    names = report.write(tmp_path / "audit")
    assert names == ["audit.md", "audit.json", "audit.png", "optimum_psnr.png", "optimum_mean_luminance.png"]
    assert all((tmp_path / "audit" / name).stat().st_size > 100 for name in names)
    told = json.loads((tmp_path / "audit" / "audit.json").read_text())["audits"]
    assert [each["name"] for each in told] == ["psnr", "mean_luminance"] and told[0]["verdict"] == "trust"
    assert "misspecification" in report.text().splitlines()[0]


def test_an_agents_regret_is_in_the_report(tmp_path):
    from agents.saved_agent import SHIPPED

    report = audit_all(("psnr",), None, None, 3, "slic", 3, SHIPPED, (), 0)
    assert "optimisation error" in report.text() and report.regrets["psnr"].misspecification.mean == 0


@pytest.mark.parametrize("options, message", [
    ({"most": 1}, "2 or more"), ({"targets": "somewhere"}, "--photos with --targets"),
    ({"names": ("beauty",)}, "beauty"),
])
def test_what_makes_no_sense_is_named(options, message):
    given = {"names": ("psnr",), "photos": None, "targets": None, "most": 3, "segmenter": "slic", "max_segments": 2,
             "model": None, "others": (), "seed": 0} | options
    with pytest.raises(ValueError, match=message):
        audit_all(**given)


def test_photos_without_targets_are_refused():
    with pytest.raises(ValueError, match="no target"):
        audit_reward("psnr", ExposureTask(sample_photos("experts", 3)))

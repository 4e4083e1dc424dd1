"""The paper's claims: their trainings, their measurements, their tables; mostly against numbers worked out by hand."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.benchmark.cells import QUICK
from agents.benchmark.claims import tables as claims_tables
from agents.benchmark.claims.gradients import compare_gradients, cosine, gradient
from agents.benchmark.claims.tables import Measured, figure, format_csv, tables
from agents.benchmark.claims.trainings import (
    CLAIMS,
    VARIANTS,
    Order,
    agent_of,
    measure,
    rank_correlations,
    spearman,
    variants_of,
)
from agents.benchmark.protocols import Split
from agents.deep_exposure.gradients import GRADIENTS
from agents.evaluation.metrics import interval
from agents.training.building import build
from agents.training.configuration import PRESETS
from exposure_env.episode import EpisodeState, select
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask

ROOT = Path(__file__).parents[1]
BASE = replace(PRESETS["quick"], device="cpu", **QUICK)


@pytest.fixture(scope="module")
def protocol(sample_photos):
    photos = [Photo(f"{i}", image, image) for i, image in enumerate(sample_photos[:12])]
    return Split(photos, photos, photos)


def finished(task: ExposureTask, evs: float) -> EpisodeState:
    """All photos of a task, every segment given the same exposure; Torch."""
    rng = np.random.default_rng(0)
    state = task.start([task.scene(i, rng) for i in range(len(task.photos))])
    slots = np.arange(state.evs.shape[1]) < state.num_segments[:, None]
    state = state._replace(evs=(slots * evs).astype(np.float32), step=state.num_segments, targets=None)
    return EpisodeState(*(None if column is None else torch.as_tensor(column) for column in state))


def test_every_claim_has_its_trainings():
    assert {variant for claim in CLAIMS.values() for variant in claim.variants} == set(VARIANTS)
    assert len(variants_of()) == len(VARIANTS) and variants_of(["cost", "gradients"]) == ["I", "II", "gradients"]
    assert len({Order(variant, 0, BASE).name for variant in VARIANTS}) == len(VARIANTS)
    with pytest.raises(ValueError, match="'speed'"):
        variants_of(["cost", "speed"])


def test_what_the_trainings_change():
    base = replace(PRESETS["quick"], total_timesteps=123)
    configs = {variant: asdict(Order(variant, 3, base).config) for variant in VARIANTS}
    assert {config["seed"] for config in configs.values()} == {3}
    assert {config["total_timesteps"] for config in configs.values()} == {123}

    def changed(variant):
        return {name for name, value in asdict(base).items() if name != "seed" and configs[variant][name] != value}

    assert changed("II") == set() and changed("I") == {"value"} and changed("II, next image") == {"value_image"}
    one = configs["II, 1 mini-batch"]
    assert (one["n_batches"], one["batch_size"], one["num_envs"]) == (1, 8, 8)
    assert 8 * one["n_critic"] * one["discriminator_batch_size"] == base.n_critic * base.discriminator_batch_size
    assert configs["II, 1 mini-batch, rate over 8"]["learning_rate"] == base.learning_rate / 8
    ours = asdict(PRESETS["paper"])
    assert {name for name in ours if configs["paper"][name] != ours[name]} == {"total_timesteps", "seed"}
    rates = {name for name in ours if configs["paper, quick's rates"][name] != configs["paper"][name]}
    assert rates <= {name for name in ours if "learning_rate" in name} and "learning_rate" in rates


@pytest.mark.parametrize(
    "variant, settings",
    [
        ("II, reward local", {"reward_image": "local"}),
        ("II, reward both", {"reward_image": "both"}),
        ("II, Mertens local", {"fusion": "mertens", "reward_image": "local"}),
    ],
)
def test_the_task_is_changed_as_the_variant_says(variant, settings, protocol):
    model, callbacks = agent_of(Order(variant, 0, BASE), protocol)
    task = model.exposure_env.task
    assert {name: getattr(task.config, name) for name in settings} == settings
    assert callbacks[0].trainer.network is task.reward_model.network and task.photos[0].target is None
    assert model.exposure_env.num_envs == BASE.num_envs


def test_rank_correlations_by_hand():
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 400.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0])) == pytest.approx(-0.5)
    assert spearman(np.array([1.0, 1.0, 1.0]), np.array([3.0, 1.0, 2.0])) is None


def test_the_score_so_far_is_compared_photo_by_photo():
    """Photos of two halves, one of them exposed first; scored by their mean luminance."""
    images = [np.full((64, 64, 3), level, np.float32) for level in (0.2, 0.3, 0.4, 0.5)]
    for image in images:
        image[:, :24] += 0.1
    halves = np.zeros((64, 64), int)
    halves[:, :24] = 1
    task = ExposureTask([Photo("", image) for image in [*images, images[0]]], max_segments=2, fusion="local",
                        segmenter=lambda image: halves, space="encoded",
                        reward_model=lambda images, **context: images.mean((1, 2, 3)))
    state = finished(task, 0.0)
    state = EpisodeState(*(None if column is None else column.numpy() for column in state))
    evs = np.array([[0.1, 0.9], [0.2, 0.3], [0.3, 0.2], [0.4, 0.0], [0.0, 0.0]], np.float32)
    state = state._replace(evs=evs, num_segments=np.array([2, 2, 2, 2, 1]), step=np.array([2, 2, 2, 2, 1]))
    found = rank_correlations(task, state)
    levels = np.array([0.2, 0.3, 0.4, 0.5])
    large = 40 * levels * (2 ** evs[:4, 0] - 1)
    small = 24 * (levels + 0.1) * (2 ** evs[:4, 1] - 1)
    assert found["photos"] == 4 and len(found["score"]) == 2 and len(found["gain"]) == 1
    assert found["score"][0] == pytest.approx(spearman(levels, large + small + 64 * levels))
    assert found["gain"][0] == pytest.approx(spearman(large, large + small)) and found["gain"][0] < 0.9


def test_cosines_by_hand():
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])) == pytest.approx(0.5**0.5)
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])) is None


def test_gradients_of_the_forms(protocol, one_thread):
    """Of one segment all forms are the same gradient; of many, II's one-step gradient is not the whole one."""
    for segments in (1, 6):
        forms = {}
        for name, changes in {"II, final": {}, "II, next": {"value_image": "next"}, "pathwise": {"value": "pathwise"},
                              "I": {"value": "critic", "shaping": False}}.items():
            config = replace(BASE, gamma=1.0, ev_penalty=0.0, max_segments=segments, **changes)
            form, _ = build(config, protocol.inputs, protocol.experts)
            if forms:
                form.policy.actor = forms["II, final"].policy.actor
                form.set_env(forms["II, final"].env, force_reset=False)
            else:
                torch.nn.init.normal_(form.policy.actor.stack.head.weight, std=0.1)
            forms[name] = form
        states = finished(forms["II, final"].exposure_env.task, 0.2)
        found = compare_gradients(forms, states)
        cosines = found["cosines"]
        assert all(cosines[name][name] == pytest.approx(1, abs=1e-5) for name in forms)
        assert cosines["I"]["pathwise"] == pytest.approx(cosines["pathwise"]["I"], abs=1e-5)
        if segments == 1:
            assert min(min(row.values()) for row in cosines.values()) > 0.9999
            assert np.ptp(list(found["norms"].values())) < 1e-3 * found["norms"]["I"]
        else:
            assert max(cosines[name]["I"] for name in ("II, final", "pathwise")) < 0.999
    loss, _ = GRADIENTS["discriminator"](forms["II, next"], states)  # the form's own loss, all episodes at once
    weights = list(forms["II, next"].policy.actor.parameters())
    whole = torch.cat([part.flatten() for part in torch.autograd.grad(-loss, weights)])
    assert torch.allclose(gradient(forms["II, next"], states), whole, atol=1e-5 * float(whole.abs().max()))
    halves = torch.arange(len(states.step)).tensor_split(2)
    first, second = (gradient(forms["I"], select(states, half)) for half in halves)
    assert found["halves"]["I"] == pytest.approx(cosine(first, second), abs=1e-5)


def test_measurements_of_real_trainings():
    first = measure(Order("gradients", 0, BASE))
    moments = first["gradients"]
    assert len(moments) == 5 and moments[-1]["timesteps"] == first["timesteps"] >= BASE.total_timesteps
    assert set(moments[0]["norms"]) == {"I", "I, shaped", "II, final", "II, next", "pathwise"}
    assert first["updates"] >= 5 and first["learning_mb"] >= 0 < first["cpu_seconds"]
    second = measure(Order("II", 0, BASE))
    assert second["gradients"] == [] and second["parameters"] < first["parameters"]
    assert second["input_psnr"] == first["input_psnr"] == pytest.approx(16.6, abs=0.5)
    assert len(second["intermediate"]["score"]) == BASE.max_segments > len(second["intermediate"]["gain"])
    json.dumps([first, second], allow_nan=False)


# tables


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
    low, high = interval([1.0, 2.0])
    assert row["95 % interval"] == f"{low:+.2f} to {high:+.2f}" == "+1.00 to +2.00"
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
    assert table.rows[1] == ("I, shaped", "0.30", "+0.20 to +0.40", "0.30", "0.30", "0.50", "2.00", "3")
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


def test_finished_trainings_are_kept_and_checked(tmp_path):
    """The command itself: a second call trains nothing, another seed's file stays, other settings are refused."""
    def command(*arguments):
        return subprocess.run(
            [sys.executable, ROOT / "examples" / "paper_claims.py", "--quick", "--out", tmp_path, "--only", "cost",
             *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=200,
            env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1",
                 "MPLBACKEND": "agg"})

    done = command("--seeds", "3")
    assert done.returncode == 0, done.stderr
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*seed3.json")}
    assert {path.name for path in files} == {"I-seed3.json", "II-seed3.json"}
    again = command("--seeds", "3", "--table", tmp_path / "table")
    assert again.returncode == 0 and "2 trainings, 2 of them finished already" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert {path.name for path in (tmp_path / "table").iterdir()} == {"claims.md", "claims_cost.csv", "claims.png"}
    content = json.loads((tmp_path / "I-seed3.json").read_text())
    content["settings"]["config"]["gamma"] = 0.5
    (tmp_path / "I-seed3.json").write_text(json.dumps(content))
    refused = command("--seeds", "3")
    assert refused.returncode != 0 and "I-seed3.json" in refused.stderr and "Traceback" not in refused.stderr

"""Agents of one's own in the benchmark: files and functions, their rows, and what is wrong with them."""

import re
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3

import exposure_env  # noqa: F401 - registers the environments
from agents import DeepExposure, enter_benchmark
from agents.benchmark.cells import Benchmark, Cell
from agents.benchmark.entrants import find_source, load_entrant, parse_agents
from agents.benchmark.making import make_benchmark
from agents.benchmark.results import read_cell, read_cells
from agents.benchmark.tables import runs, table
from agents.playing import paired_scenes
from agents.vec_env import ExposureVecEnv

OWN = '''
import numpy as np

def brighten(photo):
    return np.clip(photo * 1.2, 0, 1)

def as_it_is(photo):
    photo *= 1  # its own copy
    return photo

def half(photo):
    return photo[::2]

def levels(photo):
    return photo * 255

def nothing(photo):
    return photo * np.nan

class Dark:
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full((len(observation), 1), -0.5, np.float32), state

class Lost(Dark):
    def predict(self, observation, **kwargs):
        return np.full((len(observation), 1), np.nan), None

class Wide(Dark):
    def predict(self, observation, **kwargs):
        return np.zeros((len(observation), 2)), None

number = 3
'''


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("own") / "mine.py"
    path.write_text(OWN)
    return path


@pytest.fixture(scope="module")
def ppo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "ppo.zip"
    env = gym.make("Exposure/Local-v0")
    PPO("CnnPolicy", env, n_steps=4, batch_size=4, policy_kwargs=small()).save(path)
    return path


def small() -> dict:
    """Arguments of a small policy; anew, since some algorithms add to them."""
    return {"features_extractor_kwargs": {"features_dim": 4}}


def entering(done: Benchmark, tmp_path: Path, agents: dict) -> Benchmark:
    return replace(done, out=str(tmp_path), agents={name: [*map(str, given)] for name, given in agents.items()})


def test_an_agent_is_given_by_its_name_and_a_name_again_is_a_further_seed(done, tmp_path):
    agents = parse_agents(["PPO=a.zip", "mine = here:there", "PPO=b=c.zip"])
    assert agents == {"PPO": ["a.zip", "b=c.zip"], "mine": ["here:there"]}
    assert entering(done, tmp_path, agents).cells([*agents], seeds=[7]) == [
        Cell("PPO", 0), Cell("PPO", 1), Cell("mine", 0)]
    for wrong in ("PPO", "=a.zip", "PPO="):
        with pytest.raises(ValueError, match=f"NAME=model.zip or NAME=module:attribute, not '{wrong}'"):
            parse_agents([wrong])
    for name, words in {"II": "'II' is a method of the benchmark's own", "warm_START": "'warm start' is",
                        "a/b": "'a/b'", "": "''", ".x": "'.x'"}.items():
        with pytest.raises(ValueError, match=words):
            entering(done, tmp_path, {name: ["a.zip"]})


def test_a_zip_and_a_function_get_their_rows_and_nothing_else_is_run(done, ppo, own, tmp_path):
    benchmark = entering(done, tmp_path, {"PPO": [ppo], "bright": [f"{own}:brighten"], "dark": [f"{own}:Dark"]})
    benchmark.run_cell(Cell("identity", 0))
    before = benchmark.path(Cell("identity", 0)).stat().st_mtime_ns
    for cell in benchmark.cells([*benchmark.agents]):
        benchmark.run_cell(cell)
    rows = {row.method: row for row in table(runs(read_cells(tmp_path))).rows}
    assert [*rows] == ["identity", "PPO", "bright", "dark"]  # own agents come last
    assert benchmark.path(Cell("identity", 0)).stat().st_mtime_ns == before
    trial = benchmark.trial(Cell("bright", 0))
    scenes = paired_scenes(trial.task)
    targets = np.stack([scene.target for scene in scenes]).astype(float)
    for name, factor in (("identity", 1.0), ("bright", 1.2)):  # by hand
        results = np.clip(np.stack([scene.image for scene in scenes]) * np.float32(factor), 0, 1)
        psnrs = -10 * np.log10(((results - targets) ** 2).mean((1, 2, 3)))
        kept = [photo["psnr"] for photo in read_cell(benchmark.path(Cell(name, 0)))["photos"]]
        np.testing.assert_allclose(kept, psnrs, atol=1e-3)
        assert rows[name].psnr == pytest.approx(psnrs.mean(), abs=1e-3)
    assert rows["dark"].mean_abs_ev == pytest.approx(1.5) and np.isnan(rows["bright"].mean_abs_ev)
    assert all(row.crossed.low <= row.gain.mean <= row.crossed.high for row in rows.values())
    text = table(runs(read_cells(tmp_path)), "PPO").text()
    assert "minus PPO" in text


def test_seeds_of_an_own_agent_have_intervals_over_seeds(done, own, tmp_path):
    benchmark = entering(done, tmp_path, {"mine": [f"{own}:as_it_is", f"{own}:brighten"]})
    for cell in [*benchmark.cells(["mine"]), Cell("identity", 0)]:
        benchmark.run_cell(cell)
    identity, mine = table(runs(read_cells(tmp_path)), "identity").rows
    assert identity.gain.n == 1 and mine.gain.n == 2 and mine.gain.low < mine.gain.mean < mine.gain.high
    assert mine.to_reference.n == 2 and mine.to_reference.mean == pytest.approx(mine.gain.mean, abs=1e-4)


def test_another_file_is_not_taken_for_the_finished_one(done, own, tmp_path):
    path = tmp_path / "changing.py"
    path.write_text(OWN)
    benchmark = entering(done, tmp_path / "out", {"mine": [f"{path}:brighten"]})
    (cell,) = benchmark.cells(["mine"])
    benchmark.run_cell(cell)
    assert benchmark.finished(cell)
    assert entering(done, tmp_path / "out", {"mine": [f"{own}:brighten"]}).finished(cell)  # the same, elsewhere
    kept = read_cell(benchmark.path(cell))["settings"]
    assert kept["agent"].startswith("brighten of ") and str(tmp_path) not in str(kept)
    with pytest.raises(ValueError, match="agent was 'brighten of .*', now 'Dark of"):
        entering(done, tmp_path / "out", {"mine": [f"{own}:Dark"]}).finished(cell)
    path.write_text(OWN.replace("1.2", "1.3"))
    with pytest.raises(ValueError, match="agent was"):
        benchmark.finished(cell)
    assert "agent" not in benchmark.settings(Cell("identity", 0)) | benchmark.settings(Cell("II", 0))


@pytest.mark.parametrize("kind", [A2C, SAC, TD3, DDPG])
def test_algorithms_are_told_apart_by_their_files(done, kind, tmp_path):
    env = gym.make("Exposure/Local-v0")
    sizes = {} if kind is A2C else {"buffer_size": 10}
    model = kind("CnnPolicy", env, policy_kwargs=small(), seed=1, **sizes)
    model.save(tmp_path / "model.zip")
    loaded = load_entrant(find_source(str(tmp_path / "model.zip")), done.trial(Cell("identity", 0)).task)
    observation = env.reset(seed=0)[0]
    assert type(loaded) is kind
    np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0],
                                  model.predict(observation, deterministic=True)[0])


def test_our_own_agents_are_entered_by_zip_and_by_file(done, tmp_path):
    DeepExposure("CnnPolicy", ExposureVecEnv(num_envs=2), policy_kwargs={"width": 4}).save(tmp_path / "deep.zip")
    task = done.trial(Cell("identity", 0)).task
    assert type(load_entrant(find_source(str(tmp_path / "deep.zip")), task)) is DeepExposure
    benchmark = entering(done, tmp_path / "out", {"again": [Path(done.out) / "II-seed0.safetensors"]})
    benchmark.run_cell(Cell("again", 0))
    again, first = (read_cell(path)["photos"] for path in (benchmark.path(Cell("again", 0)), done.path(Cell("II", 0))))
    np.testing.assert_allclose([photo["psnr"] for photo in again], [photo["psnr"] for photo in first], atol=2e-3)


def test_agents_of_other_spaces_are_named_and_so_are_files_that_are_none(done, tmp_path):
    task = done.trial(Cell("identity", 0)).task
    models = {"cart": DQN("MlpPolicy", "CartPole-v1", buffer_size=10), "pendulum": PPO("MlpPolicy", "Pendulum-v1"),
              "nine": PPO("CnnPolicy", gym.make("Exposure/Local-v0", planes="paper"), policy_kwargs=small()),
              "larger": PPO("CnnPolicy", gym.make("Exposure/Local-v0", size=96), policy_kwargs=small())}
    for name, model in models.items():
        model.save(tmp_path / f"{name}.zip")
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name, words in {"cart.zip": "the action space of .*cart.zip must be Box.*, not Discrete",
                        "pendulum.zip": r"action space of .*pendulum.zip must be .*, not Box\(-2.0",
                        "nine.zip": r"observation space of .*nine.zip must be .*\(64, 64, 12\).*, not Box.*\(9, 64, 64",
                        "larger.zip": r"observation space of .*larger.zip .*not Box.*\(12, 96, 96",
                        "text.zip": "text.zip is not a model that Stable-Baselines3 saved",
                        "text.safetensors": "text.safetensors is not a safetensors file"}.items():
        with pytest.raises(ValueError, match=words):
            load_entrant(find_source(str(tmp_path / name)), task)


@pytest.mark.parametrize("source, words", [
    ("nowhere.zip", "there is no agent at nowhere.zip"), ("nowhere.py:f", "there is no file nowhere.py"),
    ("nowhere", "not 'nowhere'"), ("no.such.module:f", "there is no module 'no.such.module'"),
    ("nosuchmodule:f", "there is no module 'nosuchmodule'"), ("sys:path", "there is no module 'sys'"),
])
def test_what_is_not_there_is_named(source, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        find_source(source)


@pytest.mark.parametrize("attribute, words", [
    ("missing", "has no 'missing'"), ("number", "must have a predict, or be a function from photo to photo, not 3"),
    ("nothing", "it makes values that are not finite"), ("half", r"must make floats of shape .*, not float32 of shape"),
    ("levels", r"values in \[0, 1\], not from .* to .*: clip or scale"), ("Lost", "action must be finite"),
    ("Wide", r"action has shape \(.*, 2\), want \(.*, 1\)"),
])
def test_results_that_make_no_sense_are_named_and_leave_no_cell(done, own, tmp_path, attribute, words):
    benchmark = entering(done, tmp_path, {"wrong": [f"{own}:{attribute}"]})
    with pytest.raises(ValueError, match=words):
        benchmark.run_cell(Cell("wrong", 0))
    assert not benchmark.path(Cell("wrong", 0)).exists()


def test_what_is_wrong_with_one_agent_is_told_and_the_others_go_on(done, own, tmp_path):
    benchmark = entering(done, tmp_path, {"lost": ["nowhere.zip"], "nan": [f"{own}:nothing"],
                                          "good": [f"{own}:brighten"]})
    errors = dict(benchmark.run([*benchmark.cells([*benchmark.agents]), Cell("identity", 0)], jobs=2))
    assert errors[Cell("good", 0)] is None is errors[Cell("identity", 0)]
    assert "there is no agent at nowhere.zip" in errors[Cell("lost", 0)]
    assert errors[Cell("nan", 0)].endswith("it makes values that are not finite")
    assert {cell["settings"]["method"] for cell in read_cells(tmp_path)} == {"good", "identity"}


def test_an_agent_enters_from_python_in_a_call(photos, own, tmp_path):
    options = {"photos": photos, "out": tmp_path, "quick": True}
    made = enter_benchmark("uneven-v1", {"bright": f"{own}:brighten"}, **options)
    assert [row.method for row in made.rows] == ["bright"] and "bright" in made.text()
    with pytest.raises(ValueError, match="wrong-seed0: ValueError: of the photo"):
        enter_benchmark("uneven-v1", {"wrong": f"{own}:nothing"}, **options)
    assert [row.method for row in enter_benchmark("uneven-v1", {}, **options).rows] == ["bright"]


def test_a_function_is_tested_at_full_size_where_the_protocol_is(fivek, own, tmp_path):
    benchmark = make_benchmark("fivek", fivek, out=tmp_path, quick=True, agents={"mine": [f"{own}:as_it_is"]})
    for cell in (Cell("mine", 0, 0), Cell("identity", 0, 0)):
        benchmark.run_cell(cell)
    mine, identity = (read_cell(benchmark.path(Cell(name, 0, 0))) for name in ("mine", "identity"))
    assert mine["results"]["psnr"] == identity["results"]["psnr"] == mine["results"]["input_psnr"]
    assert mine["photos"][0]["evs"] == []

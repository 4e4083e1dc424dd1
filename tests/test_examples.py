"""Every example and benchmark runs, says what it did, and writes where it was told to."""

import json
import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from agents.benchmark.cells import QUICK
from agents.json_files import read_json
from agents.saved_agent import load_agent
from exposure_env.files import ImageFile, save_image
from tests.programs import start
from tests.repository import ROOT

PROGRAMS = sorted(path.relative_to(ROOT).as_posix() for folder in ("benchmarks", "examples")
                  for path in (ROOT / folder).glob("*.py") if '"__main__"' in path.read_text("utf-8"))
ARGUMENTS = {  # the environments are measured by a test of their own, on a smaller scale
    "benchmarks/speed.py": ["--only", "blend_24mp", "blend_50mp", "blend_error", "blend_64", "segment_64",
                            "first_calls"],
}  # fmt: skip
CACHES = {".git", "__pycache__", ".pytest_cache", ".ruff_cache"}
ANNOUNCED = re.compile(r"[\w*]+\.(?:png|jpg|json|csv|safetensors|mp4|gif|zip)\b")


def repository() -> set[str]:
    """All files of the repository, but for caches."""
    found = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in CACHES]
        found |= {os.path.join(folder, name) for name in files}
    return found


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """A function that runs a program in this process, in a folder of its own: what it prints, or its complaint."""
    monkeypatch.chdir(tmp_path)

    def run(program: str, *arguments) -> str:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        capsys.readouterr()
        runpy.run_path(str(ROOT / program), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A function that runs a program with --quick, once: what it printed, and where it was told to write, if it was."""
    runs = {}

    def run(program: str) -> tuple[str, Path | None]:
        if program not in runs:
            runs[program] = with_quick(program, tmp_path_factory.mktemp("quick"))
        return runs[program]

    return run


def with_quick(program: str, folder: Path) -> tuple[str, Path | None]:
    """With --quick and, where there is one, --out; whatever file its last words name must be there."""
    before, cwd, out = repository(), folder / "cwd", folder / "out"
    cwd.mkdir()
    source = (ROOT / program).read_text()
    writes = re.search(r"^    out: ", source, re.MULTILINE) is not None or '"--out"' in source
    arguments = [*(["--out", out] if writes else []), *ARGUMENTS.get(program, [])]
    done = start(ROOT / program, "--quick", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr
    assert repository() <= before, "it wrote into the repository"
    if writes:
        assert out.exists() and not list(cwd.iterdir()), "it wrote elsewhere than to --out"
        announced = ANNOUNCED.findall(done.stdout)
        assert announced, "it doesn't say what it wrote"
        for pattern in announced:
            files = list(out.rglob(pattern)) if out.is_dir() else [out]
            assert files and all(file.stat().st_size for file in files), pattern
    return done.stdout, out if writes else None


def test_there_are_examples_and_benchmarks():
    assert {"examples/quickstart.py", "examples/solvable.py", "benchmarks/speed.py",
            "benchmarks/training_speed.py"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program, quick):
    assert quick(program)[0].strip(), "it says nothing"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_shows_how_to_call_it(program):
    source = (ROOT / program).read_text()
    assert source.startswith('"""') and f"python {program}" in source.split('"""')[1]
    assert "--quick" in source.split('"""')[1]


# What they say and keep


def test_speed_of_environments_is_measured_and_written_where_asked(tmp_path, monkeypatch, capsys):
    """Few environments and processes: each process loads Torch."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import environments
    import speed

    measured = "env_cached", "env_uncached", "env_discriminator"
    assert {*ARGUMENTS["benchmarks/speed.py"][1:], *measured} == set(speed.MEASUREMENTS)
    for name, count in {"NUM_ENVS": 32, "NUM_PEERS": 2, "NUM_SCORED": 32}.items():
        monkeypatch.setattr(environments, name, count)
    speed.main(speed.BenchmarkSpeed(measured, json=tmp_path / "speed.json", table=tmp_path, quick=True))
    figures = json.loads((tmp_path / "speed.json").read_text())
    names = {"env_cached_sync", "env_cached_subproc", "env_uncached_sync", "env_discriminator"}
    assert figures.keys() == {"machine", *names} and all(figures[name] > 0 for name in names)
    assert all(f"| `{name}` |" in (tmp_path / "speed.md").read_text() for name in names)
    assert names <= {line.split()[0] for line in capsys.readouterr().out.splitlines()}


def errors(printed: str) -> tuple[float, ...]:
    """Of the agent and of the best constant EV."""
    return tuple(map(float, re.search(r"agent ([\d.]+), best constant EV ([\d.]+) stops", printed).groups()))


def test_solvable_reports_two_errors_in_stops(quick):
    agent, constant = errors(quick("examples/solvable.py")[0])
    assert 0.5 < constant < 0.75  # a uniform draw from 2.5 stops is 0.625 off its median, on average
    assert 0 < agent < 2


def test_solvable_tile_by_tile(here, one_thread):
    agent, constant = errors(here("examples/solvable.py", "--segments", "4", "--value", "critic",
                                  "--total-timesteps", "256"))
    assert 0.5 < constant < 0.75 and 0 < agent < 2


def test_measurements_of_real_trainings(quick):
    """Of the paper's claims: their files hold all that there is to measure."""
    out = quick("examples/paper_claims.py")[1]
    first, second = (read_json(out / f"{name}-seed0.json")["results"] for name in ("gradients", "II"))
    moments = first["gradients"]
    assert len(moments) == 5 and moments[-1]["timesteps"] == first["timesteps"] >= QUICK["total_timesteps"]
    assert set(moments[0]["norms"]) == {"I", "I, shaped", "II, final", "II, next", "pathwise"}
    assert first["updates"] >= 5 and first["learning_mb"] >= 0 < first["cpu_seconds"]
    assert second["gradients"] == [] and second["parameters"] < first["parameters"]
    assert second["input_psnr"] == first["input_psnr"] == pytest.approx(16.6, abs=0.5)
    assert len(second["intermediate"]["score"]) == QUICK["max_segments"] > len(second["intermediate"]["gain"])
    json.dumps([first, second], allow_nan=False)


def test_finished_trainings_are_kept_and_checked(quick, here, tmp_path):
    """A second call trains nothing and leaves the other claim's training alone; other settings are refused."""
    program, out = "examples/paper_claims.py", quick("examples/paper_claims.py")[1]
    files = {path: path.stat().st_mtime_ns for path in out.glob("*-seed0.json")}
    assert {path.name for path in files} == {"I-seed0.json", "II-seed0.json", "gradients-seed0.json"}
    again = here(program, "--quick", "--out", out, "--only", "cost", "--table", tmp_path / "table")
    assert "2 trainings, 2 of them finished already" in again
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert {path.name for path in (tmp_path / "table").iterdir()} == {"claims.md", "claims_cost.csv", "claims.png"}
    content = json.loads((out / "I-seed0.json").read_text())
    changed = json.loads(json.dumps(content))
    changed["settings"]["config"]["gamma"] = 0.5
    (tmp_path / "I-seed0.json").write_text(json.dumps(changed))
    with pytest.raises(SystemExit, match="I-seed0.json"):
        here(program, "--quick", "--out", tmp_path, "--only", "cost")


def test_quickstart_with_photos_of_ones_own(here, one_thread, tmp_path):
    rng = np.random.default_rng(0)
    for i, name in enumerate(("astronaut", "chelsea", "coffee", "rocket", "astronaut", "coffee")):
        photo = getattr(skimage.data, name)()
        for folder, gain in {"photos": 0.5, "experts": 1.0}.items():
            top, left = rng.integers(0, 60, 2)
            pixels = (photo[top : top + 200, left : left + 260] * gain).astype(np.uint8)
            (tmp_path / folder).mkdir(exist_ok=True)
            save_image(tmp_path / folder / f"{i}_{name}.{'jpg' if i % 2 else 'png'}", ImageFile(pixels))
    folders = ("--photos", tmp_path / "photos", "--experts", tmp_path / "experts")
    printed = here("examples/quickstart.py", "--quick", *folders)
    (folder,) = (tmp_path / "runs").iterdir()
    assert "6 photos and 4 experts' photos" in printed and "oracle" in printed
    assert np.isfinite(load_agent(folder).plan(np.full((30, 20, 3), 0.2, np.float32)).evs).all()
    results = sorted(folder.glob("retouched_*.png"))
    assert results and all(min(Image.open(path).size) > 100 for path in results)
    with pytest.raises(SystemExit, match="another run's"):
        here("examples/quickstart.py", "--quick", *folders, "--out", folder)


def test_quickstart_wants_both_folders_or_none(here, tmp_path):
    with pytest.raises(SystemExit, match="--experts"):
        here("examples/quickstart.py", "--quick", "--photos", tmp_path)
    assert not list(tmp_path.iterdir())

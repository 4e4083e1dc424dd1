"""Every example and benchmark runs, says what it did, and writes where it was told to."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from agents.saved_agent import load_agent
from exposure_env.files import ImageFile, save_image

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(path.relative_to(ROOT).as_posix() for folder in ("benchmarks", "examples")
                  for path in (ROOT / folder).glob("*.py") if '"__main__"' in path.read_text("utf-8"))
CACHES = {".git", "__pycache__", ".pytest_cache", ".ruff_cache"}
ANNOUNCED = re.compile(r"[\w*]+\.(?:png|jpg|json|csv|safetensors|mp4|gif|zip)\b")


def repository() -> set[str]:
    """All files of the repository, but for caches."""
    found = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in CACHES]
        found |= {os.path.join(folder, name) for name in files}
    return found


def start(program: str, *arguments, cwd: Path) -> subprocess.CompletedProcess:
    """`python program ...` in another folder, as a user who has installed the package starts it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "COLUMNS": "120"}
    return subprocess.run([sys.executable, ROOT / program, *map(str, arguments)], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def quick():
    """What a program printed when it ran with --quick, by its path; filled by `test_program`."""
    return {}


def test_there_are_examples_and_benchmarks():
    assert {"examples/quickstart.py", "examples/solvable.py", "benchmarks/speed.py",
            "benchmarks/training_speed.py"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program, tmp_path, quick):
    """With --quick and, where there is one, --out; whatever file its last words name must be there."""
    before, cwd, out = repository(), tmp_path / "cwd", tmp_path / "out"
    cwd.mkdir()
    source = (ROOT / program).read_text()
    writes = re.search(r"^    out: ", source, re.MULTILINE) is not None or '"--out"' in source
    done = start(program, "--quick", *(["--out", out] if writes else []), cwd=cwd)
    quick[program] = done.stdout
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


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_shows_how_to_call_it(program):
    source = (ROOT / program).read_text()
    assert source.startswith('"""') and f"python {program}" in source.split('"""')[1]
    assert "--quick" in source.split('"""')[1]


def test_solvable_reports_two_errors_in_stops(tmp_path, quick):
    printed = quick.get("examples/solvable.py") or start("examples/solvable.py", "--quick", cwd=tmp_path).stdout
    agent, constant = map(float, re.search(r"agent ([\d.]+), best constant EV ([\d.]+) stops", printed).groups())
    assert 0.5 < constant < 0.75  # a uniform draw from 2.5 stops is 0.625 off its median, on average
    assert 0 < agent < 2


def test_solvable_tile_by_tile(tmp_path):
    printed = start("examples/solvable.py", "--quick", "--segments", "4", "--value", "critic", cwd=tmp_path).stdout
    agent, constant = map(float, re.search(r"agent ([\d.]+), best constant EV ([\d.]+) stops", printed).groups())
    assert 0.5 < constant < 0.75 and 0 < agent < 2


def test_quickstart_with_photos_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    for i, name in enumerate(("astronaut", "chelsea", "coffee", "rocket", "astronaut", "coffee")):
        photo = getattr(skimage.data, name)()
        for folder, gain in {"photos": 0.5, "experts": 1.0}.items():
            top, left = rng.integers(0, 60, 2)
            pixels = (photo[top : top + 200, left : left + 260] * gain).astype(np.uint8)
            (tmp_path / folder).mkdir(exist_ok=True)
            save_image(tmp_path / folder / f"{i}_{name}.{'jpg' if i % 2 else 'png'}", ImageFile(pixels))
    folders = ("--photos", tmp_path / "photos", "--experts", tmp_path / "experts")
    done = start("examples/quickstart.py", "--quick", *folders, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert "6 photos and 4 experts' photos" in done.stdout and "oracle" in done.stdout
    assert np.isfinite(load_agent(folder).plan(np.full((30, 20, 3), 0.2, np.float32)).evs).all()
    results = sorted(folder.glob("retouched_*.png"))
    assert results and all(min(Image.open(path).size) > 100 for path in results)
    again = start("examples/quickstart.py", "--quick", *folders, "--out", folder, cwd=tmp_path)
    assert again.returncode != 0 and "another run's" in again.stderr


def test_quickstart_wants_both_folders_or_none(tmp_path):
    done = start("examples/quickstart.py", "--quick", "--photos", tmp_path, cwd=tmp_path)
    assert done.returncode != 0 and "--experts" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())

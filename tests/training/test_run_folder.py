"""What a run begins with, and everything that may have happened to its folder meanwhile."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agents.cli import main
from agents.saved_agent import FILE_NAME
from agents.training.checkpoints import CHECKPOINT
from agents.training.configuration import config_of
from agents.training.run_log import PROGRESS
from exposure_env.photos import Photo
from tests.repository import ROOT
from tests.training.small import EXPERTS, KEPT, PHOTOS, assert_same_runs, copied, files, run, weights

pytestmark = pytest.mark.usefixtures("one_thread")


# Nothing that a run's folder holds may import anything

JUDGE = """
from pathlib import Path
Path(__file__).with_suffix(".was_imported").touch()
class Judge:
    def __call__(self, images):
        return images.mean((1, 2, 3))
"""


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A module that could be imported, and leaves a trace if it is."""
    path = tmp_path / "hidden_judge.py"
    path.write_text(JUDGE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "hidden_judge:Judge"
    assert not path.with_suffix(".was_imported").exists() and "hidden_judge" not in sys.modules


@pytest.mark.parametrize("name", ["reward", "fusion", "noise", "task_preset"])
def test_a_configuration_never_imports_anything(stopped, tmp_path, judge, name, capsys):
    folder = copied(stopped.folder, tmp_path / "run")
    settings = json.loads((folder / "config.json").read_text()) | {name: judge}
    (folder / "config.json").write_text(json.dumps(settings))
    before = files(folder)
    assert main(["train", "--resume", str(folder)]) == 2
    assert judge in capsys.readouterr().err and files(folder) == before
    with pytest.raises(ValueError, match=judge):
        run(tmp_path / "new", replace(KEPT, **{name: judge}))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("settings, message", [
    ({"seed": "x"}, "seed must be an integer, not 'x'"), ({"width": None}, "width must be an integer, not None"),
    ({"adam_betas": 5}, "adam_betas must be 2 values, each a finite number, not 5"),
    ({"adam_betas": [0.5]}, "adam_betas must be 2 values"), ({"adam_betas": [0.5, "x"]}, "adam_betas must be 2 values"),
    ({"learning_rate": float("nan")}, "learning_rate must be a finite number, not nan"),
    ({"learning_rate": 10**400}, "learning_rate must be a finite number"),
    ({"spectral_norm": 1}, "spectral_norm must be True or False, not 1"),
    ({"seed": True}, "seed must be an integer"), ({"n_batches": 2.5}, "n_batches must be an integer"),
    ({"value": ["q"]}, "value must be one of"), ({"max_slope": "x"}, "max_slope must be a finite number or None"),
    ({"width": 100_000}, "width must be at most 1024"), ({"num_envs": 10**9}, "num_envs must be at most"),
    ({"halvings": 60}, "halvings must be at most"), ({"pool_size": 10**12}, "pool_size must be at most"),
])  # fmt: skip
def test_settings_of_the_wrong_kind(settings, message):
    with pytest.raises(ValueError, match=message):
        config_of(json.loads(json.dumps(asdict(KEPT) | settings)))


@pytest.mark.parametrize("content", ["[" * 100_000, '{"folders": ' + "[" * 100_000, "5", '{"folders": 5}', "nul",
                                     '{"folders": {"photos": 5}}', '{"folders": {"secrets": "/"}}',
                                     '{"numbers": 5, "folders": {}}', '{"numbers": {"photos": {}}}'])
@pytest.mark.parametrize("name", ["config.json", "photos.json"])
def test_files_of_the_wrong_kind(stopped, tmp_path, name, content, capsys):
    folder = copied(stopped.folder, tmp_path)
    (folder / name).write_text(content)
    before = files(folder)
    assert main(["train", "--resume", str(folder)]) == 2
    assert capsys.readouterr().err.startswith("exposure: ") and files(folder) == before


# Killed before the first checkpoint


@pytest.mark.parametrize("left", [
    ["photos.json"], ["photos.json", "config.json"], ["photos.json", "config.json", PROGRESS],
    ["photos.json", "config.json", PROGRESS, FILE_NAME],
], ids=" ".join)
@pytest.mark.parametrize("resume", [False, True], ids=["again", "resumed"])
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(whole, tmp_path, left, resume):
    for name in left:
        content = b"" if name == PROGRESS else (whole.folder / name).read_bytes()
        (tmp_path / name).write_bytes(content)
    if resume and "config.json" not in left:
        with pytest.raises(ValueError, match="holds no run"):
            run(tmp_path, KEPT, resume=True)
        return
    run(tmp_path, KEPT, resume=resume)
    assert_same_runs(whole.folder, tmp_path)


@pytest.mark.parametrize("kept", [[CHECKPOINT], [FILE_NAME], [FILE_NAME, "config.json", "photos.json", PROGRESS]],
                         ids=" ".join)
def test_what_was_learned_is_never_overwritten(whole, tmp_path, kept):
    for name in kept:
        (tmp_path / name).write_bytes((whole.folder / name).read_bytes())
    before = files(tmp_path)
    with pytest.raises(ValueError, match="choose another folder"):
        run(tmp_path, KEPT)
    assert {path: data for path, data in files(tmp_path).items() if path.suffix != ".lock"} == before


def test_a_lost_checkpoint_is_named(whole, tmp_path):
    copied(whole.folder, tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    with pytest.raises(ValueError, match=f"there is no {tmp_path / CHECKPOINT}"):
        run(tmp_path, KEPT, resume=True)


def test_what_a_kill_at_the_very_end_left_undone_is_done(whole, tmp_path):
    """Killed while the curves were drawn, and once before while a storyboard was written."""
    folder = copied(whole.folder, tmp_path)
    (folder / "curves.png").unlink()
    (folder / "storyboards").mkdir()
    left = [folder / f".curves.png.{'0' * 32}.part", folder / "storyboards" / f".000004.png.{'0' * 32}.part"]
    for path in left:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    before = weights(folder)
    assert run(folder, KEPT, resume=True).untouched
    assert (folder / "curves.png").stat().st_size > 5000 and weights(folder) == before
    assert not any(path.exists() for path in left)


# Two at once

CHILD = """
from agents.startup import collect_less
collect_less()
import json, sys, time
from pathlib import Path
import torch
from agents.training.configuration import config_of
from tests.training.small import run
torch.set_num_threads(1)
print("ready", flush=True)
sys.stdin.readline()  # so that both begin at the same moment
try:
    run(Path(sys.argv[1]), config_of(json.loads(sys.argv[2])))
except ValueError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)], ids=["same seed", "other seeds"])
def test_of_two_trainings_in_one_folder_one_goes_on_and_the_other_says_why_not(tmp_path, seeds):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "run"),
                              json.dumps(asdict(replace(KEPT, seed=seed)))], env=environment, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for seed in seeds]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=100)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], errors
    assert "another process trains in" in "".join(errors) or "holds another run" in "".join(errors)
    winner = seeds[[process.returncode for process in both].index(0)]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["seed"] == winner
    assert weights(tmp_path / "run") == weights(run(tmp_path / "alone", replace(KEPT, seed=winner)).folder)


# Photos that change


class Overwrite(BaseCallback):
    """Turns all photos black, in place, after the first step."""

    def __init__(self, *sets: list[Photo]):
        super().__init__()
        self.sets = sets

    def _on_step(self) -> bool:
        for photos in self.sets:
            for photo in photos:
                photo.image[:] = 0
        return True


def test_photos_overwritten_in_place_do_not_change_the_training(whole, tmp_path):
    sets = [[Photo(photo.name, photo.image.copy()) for photo in photos] for photos in (PHOTOS, EXPERTS)]
    run(tmp_path / "run", KEPT, [Overwrite(*sets)], photos=sets[0], experts=sets[1])
    assert not any(photo.image.any() for photo in sets[0])
    assert weights(tmp_path / "run") == weights(whole.folder)


@pytest.mark.parametrize("name", ["photos", "experts"])
def test_a_run_whose_photos_have_changed_does_not_go_on(stopped, tmp_path, name):
    folder = copied(stopped.folder, tmp_path)
    (folder / ".run.lock").touch()
    before, changed = files(folder), list({"photos": PHOTOS, "experts": EXPERTS}[name])
    changed[1] = Photo(changed[1].name, np.sqrt(changed[1].image))
    with pytest.raises(ValueError, match=rf"these have changed since: \['{name}'\]"):
        run(folder, KEPT, resume=True, **{name: changed})
    assert files(folder) == before


def test_weights_that_are_compressed_are_no_checkpoint(stopped, tmp_path):
    """A small file must not unpack to a large one."""
    import zipfile

    folder = copied(stopped.folder, tmp_path)
    with zipfile.ZipFile(folder / CHECKPOINT) as old, zipfile.ZipFile(folder / "new", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, bytes(len(old.read(name))) if "/data/" in name else old.read(name))
    os.replace(folder / "new", folder / CHECKPOINT)
    with pytest.raises(ValueError, match="compressed"):
        run(folder, KEPT, resume=True)
    assert torch.get_num_threads() == 1

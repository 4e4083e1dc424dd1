"""`exposure train --resume`: the run's folder is all it needs."""

import contextlib

import numpy as np
import pytest

from agents.cli import main
from agents.training.run import train
from agents.training.run_folder import read_config, read_folders
from exposure_env.files import ImageFile, save_image
from exposure_env.photos import FolderPhotos
from tests.training.small import (
    EXPERTS,
    HELD_OUT,
    KEPT,
    PHOTOS,
    StopAfter,
    assert_same_runs,
    copied,
    files,
)

pytestmark = pytest.mark.usefixtures("one_thread")


SETTINGS = [word for name in ("total_timesteps", "device", "num_envs", "n_batches", "batch_size", "width", "warm_up",
                              "n_critic", "discriminator_batch_size", "checkpoint_every", "critic_steps")
            for word in (f"--{name.replace('_', '-')}", str(getattr(KEPT, name)))] + ["--warm-start", "3"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of photos, as somebody has them."""
    root = tmp_path_factory.mktemp("folders")
    for kind, photos in {"photos": PHOTOS, "experts": EXPERTS, "held_out": HELD_OUT}.items():
        (root / kind).mkdir()
        for photo in photos:
            pixels = (photo.image * 255).round().astype(np.uint8)
            save_image(root / kind / f"{photo.name.replace('/', '_')}.png", ImageFile(pixels))
    return root


@pytest.fixture(scope="module")
def by_command(folders):
    """Run folder that the command made, which was given relative paths."""
    with contextlib.chdir(folders):
        given = ["--photos", "photos", "--experts", "experts", "--held-out", "held_out"]
        assert main(["train", *given, "--out", "whole", "quick", *SETTINGS]) == 0
    return folders / "whole"


@pytest.fixture(scope="module")
def cut(by_command, tmp_path_factory):
    """Folder of the same run, stopped."""
    names = ("photos", "experts", "held_out")
    photos = {name: FolderPhotos(by_command.parent / name) for name in names}
    folders = {name: str(by_command.parent / name) for name in names}
    return train(read_config(by_command), folder=tmp_path_factory.mktemp("cut") / "run", callbacks=[StopAfter(12)],
                 folders=folders, progress_bar=False, **photos).folder


def test_the_command_needs_the_run_only(by_command, cut, tmp_path, monkeypatch, capsys):
    assert read_folders(by_command) == read_folders(cut)
    copied(cut, tmp_path / "cut")
    monkeypatch.chdir(tmp_path)  # relative paths mean nothing here
    capsys.readouterr()
    assert main(["train", "--resume", "cut"]) == 0
    out = capsys.readouterr().out
    assert "6 photos, 6 experts' photos; writing to cut" in out and "finished" not in out
    assert_same_runs(by_command, tmp_path / "cut")

    before = files(tmp_path / "cut")
    assert main(["train", "--resume", "cut"]) == 0
    assert "This run is finished" in capsys.readouterr().out
    assert main(["train", "--resume", "cut", "quick", *SETTINGS, "--seed", "4"]) == 2
    assert "seed is 4, not 0" in capsys.readouterr().err
    assert main(["train", "--resume", "cut", "--out", "other"]) == 2
    assert "leave out --out" in capsys.readouterr().err
    assert main(["train", "--resume", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert files(tmp_path / "cut") == before and {path.name for path in tmp_path.iterdir()} == {"cut"}


def test_the_command_finds_photos_that_have_moved(by_command, cut, tmp_path, capsys):
    copied(cut, tmp_path / "cut")
    known = (cut / "photos.json").read_text()
    (tmp_path / "cut" / "photos.json").write_text(known.replace(str(by_command.parent), str(tmp_path / "gone")))
    assert main(["train", "--resume", str(tmp_path / "cut")]) == 2
    assert "gone" in capsys.readouterr().err
    moved = [word for name in ("photos", "experts", "held_out")
             for word in (f"--{name.replace('_', '-')}", str(by_command.parent / name))]
    assert main(["train", *moved, "--resume", str(tmp_path / "cut")]) == 0
    assert_same_runs(by_command, tmp_path / "cut")

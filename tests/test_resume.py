"""A run that was stopped, killed or cut off goes on as if nothing had happened, bit for bit."""

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from stable_baselines3.common.callbacks import BaseCallback

from agents.cli import main
from agents.saved_agent import FILE_NAME
from agents.training.building import build
from agents.training.checkpoints import CHECKPOINT, Checkpoints, Randomness, read_checkpoint, write_checkpoint
from agents.training.configuration import TrainConfig
from agents.training.run import read_config, read_folders, train
from agents.training.run_log import PROGRESS, ProgressLog
from exposure_env.files import ImageFile, save_image
from exposure_env.photos import FolderPhotos, Misexpose, Photo, sample_photos
from exposure_env.task import ExposureTask

ROOT = Path(__file__).parents[1]
PHOTOS, EXPERTS = sample_photos("inputs", 6), sample_photos("experts", 6)
TINY = TrainConfig(total_timesteps=80, device="cpu", num_envs=4, n_batches=1, batch_size=4, width=4, max_segments=4,
                   discriminator_batch_size=4, warm_up=2, n_critic=1, checkpoint_every=2, critic_steps=2)
PAIRED = {"reward": "psnr", "max_slope": 10.0}
TIMES = {"time/fps", "time/time_elapsed"}

pytestmark = pytest.mark.usefixtures("one_thread")


class StopAfter(BaseCallback):
    """Asks SB3 for the end after some steps, in the midst of episodes."""

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps

    def _on_step(self) -> bool:
        return self.n_calls < self.steps




def run(folder, config=TINY, callbacks=(), **options):
    return train(config, options.pop("photos", PHOTOS), EXPERTS, folder, callbacks, progress_bar=False, **options)


def weights(folder) -> str:
    """sha256 of all weights of the agent in a folder."""
    digest = hashlib.sha256()
    with safe_open(folder / FILE_NAME, "pt") as file:
        for name in sorted(file.keys()):
            digest.update(name.encode() + file.get_tensor(name).numpy().tobytes())
    return digest.hexdigest()


def progress(folder) -> list[dict[str, str]]:
    """The rows of progress.csv, but for the times."""
    rows = csv.DictReader((folder / PROGRESS).read_text().splitlines())
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def assert_same(ours, theirs, path=""):
    """Equal in structure, types and values, to the bit."""
    assert type(ours) is type(theirs), path
    if isinstance(ours, dict):
        assert list(ours) == list(theirs), path
        for name in ours:
            assert_same(ours[name], theirs[name], f"{path}/{name}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), path
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{path}[{i}]")
    elif isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs), path
    else:
        assert ours == theirs, path


def assert_same_runs(one, other):
    """Two folders hold the same agent, the same log, and the same state to the last random number."""
    assert weights(one) == weights(other)
    assert progress(one) == progress(other)
    assert_same(read_checkpoint(one / CHECKPOINT), read_checkpoint(other / CHECKPOINT))


# Stopped and resumed


@pytest.mark.parametrize("changes", [
    {"value": "critic"}, {"value": "discriminator"}, {"value": "pathwise"}, {"value": "q"},
    {"value": "critic", **PAIRED}, {"value": "critic", "reset_noise": False, "td_lambda": 0.5},
    {"value": "discriminator", "noise": "gaussian"},
], ids=lambda changes: "-".join(map(str, changes.values())))
def test_a_run_that_goes_on_ends_where_one_that_was_never_stopped_ends(tmp_path, changes):
    config = replace(TINY, **changes)
    whole = run(tmp_path / "whole", config)
    stopped = run(tmp_path / "cut", config, [StopAfter(13)])
    assert 2 < stopped.model.num_updates < whole.model.num_updates and stopped.model.num_timesteps == 52
    kept = read_checkpoint(tmp_path / "cut" / CHECKPOINT)["model"]
    assert kept["n_updates"] == 2 and bool((kept["env"]["envs"]["episodes"]["step"] > 0).any())  # amid episodes
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    resumed = run(tmp_path / "cut", config, resume=True)
    assert resumed.model.num_timesteps == whole.model.num_timesteps and not resumed.untouched
    assert_same_runs(tmp_path / "whole", tmp_path / "cut")


def test_twice_interrupted_by_ctrl_c(tmp_path):
    class Interrupt(StopAfter):
        def _on_step(self) -> bool:
            if self.n_calls == self.steps:
                raise KeyboardInterrupt
            return True

    run(tmp_path / "whole")
    assert run(tmp_path / "cut", callbacks=[Interrupt(9)]).interrupted
    assert run(tmp_path / "cut", callbacks=[Interrupt(8)], resume=True).interrupted
    assert len(progress(tmp_path / "cut")) > read_checkpoint(tmp_path / "cut" / CHECKPOINT)["model"]["n_updates"] > 0
    run(tmp_path / "cut", resume=True)
    assert_same_runs(tmp_path / "whole", tmp_path / "cut")


def test_stopped_before_the_first_update(tmp_path):
    run(tmp_path / "whole")
    run(tmp_path / "cut", callbacks=[StopAfter(1)])
    assert progress(tmp_path / "cut") == []
    run(tmp_path / "cut", resume=True)
    assert_same_runs(tmp_path / "whole", tmp_path / "cut")


def test_photos_drawn_afresh_in_every_episode(tmp_path):
    """Their pixels, targets and EV maps are nowhere but in the state."""
    photos = [photo._replace(target=None, ev_map=None) for photo in EXPERTS]
    config = replace(TINY, value="critic", **PAIRED)

    def learned(*stops):
        state = None
        for last in (*stops, None):
            model, _ = build(config, [photo._replace(target=photo.image) for photo in photos], EXPERTS)
            env = model.exposure_env
            transformed = replace(env.task.config, transform=Misexpose())
            env.envs.task = ExposureTask(env.task.photos, reward_model=env.task.reward_model, **vars(transformed))
            random_numbers = Randomness()
            if state is not None:
                torch.manual_seed(1), np.random.seed(1)
                model.load_state_dict(state["model"])
                random_numbers.load_state_dict(state["randomness"])
            parts = {"model": model, "randomness": random_numbers}
            keeper = Checkpoints(tmp_path / "state.pt", parts, 1)
            keeper.written = model.num_updates - (state is None)
            model.learn(config.total_timesteps - model.num_timesteps, [keeper, StopAfter(last or 1000)],
                        reset_num_timesteps=state is None)
            state = read_checkpoint(tmp_path / "state.pt")
        return state

    whole, cut = learned(), learned(11)
    shown = whole["model"]["env"]["envs"]
    assert shown["scenes"][0]["ev_map"].abs().max() > 0.1 and shown["episodes"]["targets"].shape == (4, 64, 64, 3)
    assert_same(whole, cut)


def test_a_finished_run_is_left_as_it_is(tmp_path):
    whole = run(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = run(tmp_path, resume=True)
    assert again.untouched and not again.interrupted and not whole.untouched
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert again.model.num_timesteps == whole.model.num_timesteps
    for name, tensor in whole.model.policy.state_dict().items():
        assert torch.equal(again.model.policy.state_dict()[name], tensor)


def test_tensorboard_shows_every_update_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, callbacks=[StopAfter(16)])
    assert len(progress(tmp_path)) > read_checkpoint(tmp_path / CHECKPOINT)["model"]["n_updates"] > 0
    time.sleep(1.1)  # TensorBoard sorts files by their names, which hold whole seconds
    run(tmp_path, resume=True)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    steps = [event.step for event in events.Scalars("train/actor_loss")]
    assert steps == [int(row["time/total_timesteps"]) for row in progress(tmp_path)]


# Killed

CHILD = """
import json, sys
import torch
from pathlib import Path
from agents.training.configuration import TrainConfig
from agents.training.run import train
from exposure_env.photos import sample_photos
torch.set_num_threads(1)
config = TrainConfig(**json.loads(sys.argv[2]))
train(config, sample_photos("inputs", 6), sample_photos("experts", 6), sys.argv[1], progress_bar=False)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("value", ["critic", "discriminator"])
def test_a_real_kill(tmp_path, value):
    config = replace(TINY, value=value, total_timesteps=260, checkpoint_every=3, misexposed_range=(-2.5, 2.5))
    settings = json.dumps({name: kept for name, kept in vars(config).items() if name != "misexposed_range"})
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "cut"), settings], env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (tmp_path / "cut" / CHECKPOINT).exists() and (tmp_path / "cut" / PROGRESS).exists():
            if len((tmp_path / "cut" / PROGRESS).read_text().splitlines()) >= 6:  # a header and five updates
                break
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert 3 <= read_checkpoint(tmp_path / "cut" / CHECKPOINT)["model"]["n_updates"] <= len(progress(tmp_path / "cut"))
    resumed = run(tmp_path / "cut", config, resume=True)
    run(tmp_path / "whole", config)
    assert resumed.model.num_updates > 10
    assert_same_runs(tmp_path / "whole", tmp_path / "cut")


def test_what_a_kill_left_half_written_does_no_harm(tmp_path):
    run(tmp_path / "whole")
    run(tmp_path / "cut", callbacks=[StopAfter(13)])
    half = (tmp_path / "cut" / CHECKPOINT).read_bytes()[:5000]
    names = [CHECKPOINT, FILE_NAME, PROGRESS, "config.json"]
    left = [tmp_path / "cut" / f".{name}.{0:032x}.part" for name in names]
    for path in left:
        path.write_bytes(half)
        os.utime(path, (0, 0))  # an hour ago
    with open(tmp_path / "cut" / PROGRESS, "a") as file:
        file.write("1,2,0.")
    run(tmp_path / "cut", resume=True)
    assert_same_runs(tmp_path / "whole", tmp_path / "cut")
    assert not any(path.exists() for path in left)


# What is refused


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("stopped")
    run(folder, callbacks=[StopAfter(13)])
    return folder


def copied(folder, to):
    for path in folder.iterdir():
        if path.is_file():
            (to / path.name).write_bytes(path.read_bytes())
    return to


def test_other_settings_are_named(stopped):
    before = {path: path.read_bytes() for path in stopped.iterdir() if path.is_file()}
    with pytest.raises(ValueError, match="gamma is 0.5, not 0.99.*width is 8, not 4") as caught:
        run(stopped, replace(TINY, width=8, gamma=0.5), resume=True)
    assert "seed" not in str(caught.value)
    with pytest.raises(ValueError, match="photos is 5, not 6"):
        run(stopped, photos=PHOTOS[:5], resume=True)
    with pytest.raises(ValueError, match="held_out is 2, not None"):
        run(stopped, held_out=EXPERTS[:2], resume=True)
    assert {path: path.read_bytes() for path in stopped.iterdir() if path.is_file()} == before


def test_the_configuration_is_read_back(stopped, tmp_path):
    assert read_config(stopped) == TINY
    folder = copied(stopped, tmp_path)
    kept = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**kept, "colour": 1}))
    with pytest.raises(ValueError, match="another version.*colour"):
        read_config(folder)


@pytest.mark.parametrize("name", ["config.json", "photos.json", CHECKPOINT])
def test_what_is_missing_is_named(stopped, tmp_path, name):
    folder = copied(stopped, tmp_path)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=name):
        run(folder, resume=True)
    with pytest.raises(ValueError, match="nowhere"):
        run(tmp_path / "nowhere", resume=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_checkpoint_is_refused(stopped, tmp_path):
    whole = (stopped / CHECKPOINT).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # in the midst of some tensor: nobody would notice
    path = copied(stopped, tmp_path) / CHECKPOINT
    for damaged in (b"", b"no checkpoint", whole[: len(whole) // 2], whole[:-30], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged, or no checkpoint") as caught:
            run(tmp_path, resume=True)
        assert str(path) in str(caught.value)
    path.write_bytes(whole)
    run(tmp_path, replace(TINY), resume=True)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"format": "deepexposure-gym checkpoint, version 1", "model": Evil()}, tmp_path / CHECKPOINT)
    with pytest.raises(ValueError, match="no checkpoint"):
        read_checkpoint(tmp_path / CHECKPOINT)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(ValueError, match="Evil"):
        write_checkpoint(tmp_path / CHECKPOINT, {"model": Evil()})


def test_checkpoints_of_other_things_are_refused(stopped, tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="must be of format"):
        read_checkpoint(tmp_path / "other.pt")
    state = read_checkpoint(stopped / CHECKPOINT)
    folder = copied(stopped, tmp_path)
    for broken in ({name: part for name, part in state.items() if name != "game"},
                   {**state, "model": {}}, {**state, "model": {**state["model"], "policy": {}}},
                   {**state, "randomness": {}}, {**state, "game": {}}):
        write_checkpoint(folder / CHECKPOINT, broken)
        with pytest.raises(ValueError, match="another kind of run|not the state|states of generators"):
            run(folder, resume=True)


# The pieces


def test_a_checkpoint_holds_what_was_put_in(tmp_path):
    state = {"a": np.arange(6, dtype=np.int64).reshape(2, 3)[:, ::-1], "b": [1, 2.5, None, "x", True], "c": (1, 2),
             "d": {"e": torch.ones(2), "f": np.float32(0.1), "g": np.zeros((0, 3), np.float32)}}
    write_checkpoint(tmp_path / "state.pt", state)
    kept = read_checkpoint(tmp_path / "state.pt")
    np.testing.assert_array_equal(kept["a"], state["a"])
    assert (kept["b"], kept["c"]) == (state["b"], state["c"])
    assert kept["d"]["e"].tolist() == [1, 1] and kept["d"]["f"] == float(np.float32(0.1))
    assert kept["d"]["g"].shape == (0, 3) and [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_random_numbers_go_on():
    def draw():
        return random.random(), random.gauss(0, 1), np.random.normal(), np.random.rand(), torch.rand(3).tolist()

    numbers = Randomness()
    random.gauss(0, 1), np.random.normal()  # each keeps the second of a pair for later
    state = numbers.state_dict()
    expected = [draw() for _ in range(3)]
    random.seed(8), np.random.seed(8), torch.manual_seed(8)
    numbers.load_state_dict(state)
    assert [draw() for _ in range(3)] == expected


def test_the_log_goes_on_and_forgets_what_came_after_the_checkpoint(tmp_path):
    path = tmp_path / "progress.csv"
    log = ProgressLog(path)
    for row in ({"a": 1.5}, {"a": 2, "b, or c": "x, y"}, {"a": 3, "d": 4}):
        log.write(row, dict.fromkeys(row))
    log.close()
    assert path.read_text() == 'a,"b, or c",d\n1.5,,\n2,"x, y",\n3,,4\n'
    log = ProgressLog(path, rows=2)
    assert path.read_text() == 'a,"b, or c",d\n1.5,,\n2,"x, y",\n'
    log.write({"d": 7, "a": 6}, {"a": None, "d": None})
    log.write({"a": 8, "e": 9, "hidden": 1}, {"a": None, "e": None, "hidden": ("csv",)})
    log.close()
    assert path.read_text() == 'a,"b, or c",d,e\n1.5,,,\n2,"x, y",,\n6,,7,\n8,,,9\n'
    ProgressLog(path).close()
    assert path.read_text() == ""


def test_checkpoints_are_written_only_of_healthy_runs_and_soon_after(tmp_path):
    healthy, written = iter([True, False, False, *[True] * 20]), []
    model, game = build(TINY, PHOTOS, EXPERTS)
    keeper = Checkpoints(tmp_path / "state.pt", {"model": model}, 2, lambda: next(healthy), written.append)
    model.learn(TINY.total_timesteps, [game, keeper])
    assert written[:2] == [0, 4]  # due at 2, and again at 3
    assert written[-1] == model.num_updates == keeper.written
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Checkpoints(tmp_path / "state.pt", {}, 0)


def test_a_photo_that_is_no_photo_is_told_as_such(tmp_path):
    """Errors that have nothing to do with the numbers are passed on as they are."""
    broken = [*EXPERTS[:3], Photo("broken", np.full((20, 20, 3), np.nan, np.float32))]
    with pytest.raises(ValueError, match="broken"):
        run(tmp_path / "run", photos=broken)


# The command


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of photos, as somebody has them."""
    root = tmp_path_factory.mktemp("folders")
    for kind, photos in {"photos": PHOTOS, "experts": EXPERTS, "held_out": EXPERTS[:2]}.items():
        (root / kind).mkdir()
        for photo in photos:
            pixels = (photo.image * 255).round().astype(np.uint8)
            save_image(root / kind / f"{photo.name.replace('/', '_')}.png", ImageFile(pixels))
    return root


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_the_command_needs_the_run_only(folders, tmp_path, monkeypatch, capsys):
    names = ("total_timesteps", "device", "num_envs", "n_batches", "batch_size", "width", "warm_up", "n_critic",
             "discriminator_batch_size", "checkpoint_every", "critic_steps")
    settings = [word for name in names for word in (f"--{name.replace('_', '-')}", str(getattr(TINY, name)))]
    monkeypatch.chdir(folders)  # relative paths, which mean nothing elsewhere
    given = ["--photos", "photos", "--experts", "experts", "--held-out", "held_out"]
    assert main(["train", *given, "--out", str(tmp_path / "whole"), "quick", *settings]) == 0
    paths = {name: str(folders / name) for name in ("photos", "experts", "held_out")}
    assert read_folders(tmp_path / "whole") == paths
    photos, experts, held_out = (FolderPhotos(path) for path in paths.values())
    train(read_config(tmp_path / "whole"), photos, experts, tmp_path / "cut", [StopAfter(12)], progress_bar=False,
          held_out=held_out, folders=paths)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["train", "--resume", "cut"]) == 0
    out = capsys.readouterr().out
    assert "6 photos, 6 experts' photos; writing to cut" in out and "finished" not in out
    assert_same_runs(tmp_path / "whole", tmp_path / "cut")

    before = {path: path.read_bytes() for path in (tmp_path / "cut").rglob("*") if path.is_file()}
    assert main(["train", "--resume", "cut"]) == 0
    assert "This run is finished" in capsys.readouterr().out
    assert main(["train", "--resume", "cut", "quick", *settings, "--seed", "4"]) == 2
    assert "seed is 4, not 0" in capsys.readouterr().err
    assert main(["train", "--resume", "cut", "--out", "other"]) == 2
    assert "leave out --out" in capsys.readouterr().err
    assert main(["train", "--resume", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "cut").rglob("*") if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "cut"}


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_the_command_finds_photos_that_have_moved(folders, tmp_path, capsys):
    paths = {name: str(tmp_path / "gone" / name) for name in ("photos", "experts")}
    photos, experts = FolderPhotos(folders / "photos"), FolderPhotos(folders / "experts")
    train(TINY, photos, experts, tmp_path / "cut", [StopAfter(9)], progress_bar=False, folders=paths)
    assert main(["train", "--resume", str(tmp_path / "cut")]) == 2
    assert "gone" in capsys.readouterr().err
    moved = ["--photos", str(folders / "photos"), "--experts", str(folders / "experts")]
    assert main(["train", *moved, "--resume", str(tmp_path / "cut")]) == 0
    train(TINY, photos, experts, tmp_path / "whole", progress_bar=False)
    assert_same_runs(tmp_path / "whole", tmp_path / "cut")

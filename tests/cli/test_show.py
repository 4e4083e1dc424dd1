"""`exposure show`, from a file to a picture."""

import pytest
from PIL import Image

from tests.cli.small import run


def test_show_draws_one_panel_for_each_segment(folders, tmp_path, capsys):
    photo = folders / "photos" / "2_coffee.png"
    assert run("show", photo, "-o", tmp_path / "new" / "story.png") == 0
    with Image.open(tmp_path / "new" / "story.png") as picture:
        assert picture.format == "PNG" and picture.width > 200
        assert len(picture.convert("L").getcolors(256)) > 50
    assert str(tmp_path / "new" / "story.png") in capsys.readouterr().out


def test_show_of_a_broken_photo_is_one_line(tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0nothing")
    assert run("show", tmp_path / "broken.jpg", "-o", tmp_path / "story.png") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "broken.jpg" in errors and not (tmp_path / "story.png").exists()


def test_show_compares_with_a_target(folders, tmp_path):
    photo = folders / "photos" / "2_coffee.png"
    assert run("show", photo, "-o", tmp_path / "alone.png") == 0
    assert run("show", photo, "--target", folders / "targets" / photo.name, "-o", tmp_path / "both.png") == 0
    with Image.open(tmp_path / "alone.png") as alone, Image.open(tmp_path / "both.png") as both:
        assert both.height == alone.height and both.width == alone.width + 202


def test_show_animates_an_episode_and_a_training(folders, trained, tmp_path, capsys):
    photo, out = folders / "photos" / "2_coffee.png", tmp_path / "new" / "episode.gif"
    assert run("show", photo, "--animate", "-o", out) == 0
    assert str(out) in capsys.readouterr().out
    agents = [trained, trained / "agent.safetensors"]
    assert run("show", photo, "--animate", "-o", tmp_path / "training.gif", "--training", *agents) == 0
    with Image.open(out) as episode, Image.open(tmp_path / "training.gif") as training:
        assert episode.n_frames > 7 and training.size == episode.size
        assert training.n_frames == len(agents) + 5


@pytest.mark.parametrize(("options", "message"), [
    (["--animate", "-o", "episode.png"], "end in one of .gif, .mp4, not 'episode.png'"),
    (["--training", "RUN"], "add --animate"),
    (["--animate", "--training", "RUN", "--model", "RUN"], "not by both"),
    (["--animate", "--training", "RUN"], "just one agent: train with --snapshots N"),
    (["--animate", "--training", "nowhere", "RUN"], "no agent in nowhere"),
], ids=lambda value: str(value)[-30:])  # fmt: skip
def test_what_cannot_be_animated_is_one_line(folders, trained, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    given = [trained if option == "RUN" else option for option in options]
    assert run("show", folders / "photos" / "2_coffee.png", *given) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and message in errors and not list(tmp_path.iterdir())

"""`exposure show`, from a file to a picture."""

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

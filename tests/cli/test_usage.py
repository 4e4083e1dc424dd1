"""`exposure` as a program, its help, and its complaints."""

import re

import pytest

from agents.cli import main
from exposure_env.files import load_image
from tests.cli.small import in_process, run


@pytest.mark.parametrize("command", ["retouch", "show", "evaluate"])
def test_an_unknown_model_is_one_line_and_status_2(folders, tmp_path, capsys, command):
    photo = [] if command == "evaluate" else [folders / "photos" / "1_chelsea.png", "-o", tmp_path / "out.png"]
    assert run(command, *photo, "--model", tmp_path / "nowhere") == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith(f"exposure: no agent at {tmp_path / 'nowhere'}")
    assert not captured.out and not list(tmp_path.iterdir())


def test_as_a_program(folders, trained, tmp_path):
    process = in_process("retouch", folders / "photos" / "3_rocket.png", tmp_path / "no.png", "-o", "out", "--model",
                         trained, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "no.png" in err and "Traceback" not in err
    assert "3_rocket.png" in out and load_image(tmp_path / "out" / "3_rocket.png").pixels.shape == (240, 300, 3)


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["retouch", "photo.jpg"], ["train", "quick", "--no-such", "1"]])
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "exposure" in "".join(capsys.readouterr())


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "quick", "--help"],
                                       ["retouch", "--help"], ["evaluate", "--help"], ["show", "--help"],
                                       ["benchmark", "--help"]])
def test_help_explains_what_happens_by_default(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.count("usage:") == 1 and ("-o PATH" in shown) == (arguments[0] in ("retouch", "show"))
    assert re.search(r"shipped|sample photos|exposures to try|storyboard|Retouch photos", shown)

"""`exposure evaluate`, from files to a table."""

import re

import pytest

from exposure_env.files import load_image, save_image
from tests.cli.small import run


def test_evaluate_prints_a_table(trained, folders, capsys):
    capsys.readouterr()
    assert run("evaluate", "--model", trained, "--photos", folders / "photos", "--targets", folders / "targets") == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert re.split(r"\s{2,}", lines[0]) == ["policy", "PSNR [dB]", "SSIM", "score", "EV correlation"]
    rows = {fields[0]: fields[1:] for fields in (re.split(r"\s{2,}", line) for line in lines[1:])}
    assert list(rows) == ["identity", "constant EV", "auto-exposure", "fixed bracket", "agent", "oracle"]
    psnr = {name: float(fields[0]) for name, fields in rows.items()}
    assert psnr["oracle"] > psnr["identity"] + 5 and psnr["constant EV"] > psnr["identity"] + 5  # all one stop too dark
    assert (rows["identity"][2], rows["oracle"][2]) == ("0.00", "1.00")
    assert len({len(line) for line in lines}) == 1, "the columns are not aligned"


def test_evaluate_of_photos_without_a_partner_names_them(trained, folders, tmp_path, capsys):
    (tmp_path / "targets").mkdir()
    save_image(tmp_path / "targets" / "else.png", load_image(folders / "targets" / "1_chelsea.png"))
    with pytest.warns(UserWarning, match="left out") as warned:
        status = run("evaluate", "--model", trained, "--photos", folders / "photos", "--targets", tmp_path / "targets")
    assert status == 2 and "0_astronaut.png" in str(warned[0].message) and "else.png" in str(warned[1].message)
    assert str(tmp_path / "targets") in capsys.readouterr().err
    assert run("evaluate", "--model", trained, "--photos", folders / "photos") == 2
    assert "--targets" in capsys.readouterr().err

"""`exposure benchmark`, from files to a table."""

import os
import re
import signal
import time

import pytest

from agents.benchmark.protocols import OLD_NAMES, PROTOCOLS
from tests.cli.small import in_process, run


def test_benchmark_prints_a_table_and_writes_it(folders, tmp_path, capsys):
    arguments = ["benchmark", "fivek", "--inputs", folders / "six_photos", "--targets", folders / "six_targets",
                 "--quick", "--out", tmp_path / "cells", "--methods", "identity", "best single EV"]
    for kind in ("photos", "targets"):
        (folders / f"six_{kind}").mkdir()
        for i, path in enumerate([*sorted((folders / kind).iterdir())] * 2):
            if i < 6:
                (folders / f"six_{kind}" / f"{i}.png").write_bytes(path.read_bytes())
    assert run(*arguments, "--table", tmp_path / "table") == 0
    captured = capsys.readouterr()
    *lines, blank, mark = captured.out.strip().splitlines()
    assert blank == "" and mark.startswith("Protocol fivek, version 1, fingerprint ") and "(12 files, " in mark
    assert [re.split(r"\s{2,}", line)[0] for line in lines] == ["method", "identity", "best single EV"]
    gains = [float(re.split(r"\s{2,}", line)[2]) for line in lines[1:]]
    assert gains[0] == 0 and gains[1] > 5  # all one stop too dark
    assert "10 cells" in captured.err and "10/10" in captured.err
    assert {path.name for path in (tmp_path / "table").iterdir()} == {
        "fivek.csv", "fivek_long.csv", "fivek_table.csv", "fivek.md", "fivek.png"}
    assert run(*arguments) == 0  # nothing is left to do
    again = capsys.readouterr()
    assert again.out == captured.out and "0 of them still to run" in again.err
    assert "minus" not in lines[0] and run(*arguments, "--reference", "identity") == 0
    compared = capsys.readouterr().out.splitlines()
    assert "minus identity" in compared[0] and f"{gains[1]:+.2f}" in re.split(r"\s{2,}", compared[2])[5]
    assert run(*arguments, "--reference", "II") == 2  # before anything is run
    assert "one of ['best single EV', 'identity'], not 'II'" in (errors := capsys.readouterr().err)
    assert errors.count("\n") == 1
    chosen = {"segmenter": "luminance_bands", "max-segments": "2", "fusion": "local"}  # a part of the cells' settings
    assert run(*arguments, *(text for name, value in chosen.items() for text in (f"--{name}", value))) == 2
    error = capsys.readouterr().err
    assert "now 'luminance_bands'" in error and "now 2" in error and "now 'local'" in error
    (folders / "six_photos" / "6.png").write_bytes((folders / "six_photos" / "0.png").read_bytes())
    assert run(*arguments) == 2
    assert "photos was '12 files" in (error := capsys.readouterr().err) and "now '13 files" in error


def test_an_own_agent_gets_a_row_and_two_methods_are_compared(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def black(photo):\n    return 0 * photo\n\ndef same(photo):\n    return photo\n")
    out, mine = tmp_path / "cells", tmp_path / "mine.py"
    arguments = ["benchmark", "uneven-v1", "--quick", "--out", out]
    assert run(*arguments, "--methods", "identity") == 0
    capsys.readouterr()
    assert run(*arguments, "--agent", f"black={mine}:black", "--agent", f"lost={mine}:lost") == 1
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines() if line][:-1] == ["method", "identity", "black"]
    assert "2 cells in" in captured.err and f"failed: lost-seed0: ValueError: {mine} has no 'lost'" in captured.err
    assert run(*arguments, "--agent", f"black={mine}:same", "--agent", f"same={mine}:same") == 1
    captured = capsys.readouterr()
    assert "agent was 'black of" in captured.err and captured.out.splitlines()[-3].startswith("same ")
    for ours, theirs, status, verdict in (("black", "identity", 1, "worse"), ("identity", "black", 0, "better"),
                                          ("same", "identity", 0, "no clear difference")):
        assert run("benchmark", "compare", out, ours, theirs) == status
        assert (told := capsys.readouterr().out).strip().endswith(verdict) and f"of {ours} minus {theirs}: " in told
    assert run("benchmark-compare", out, "black", "identity") == 1
    assert run("benchmark", "compare", out, "black", "II") == 2 == run("benchmark", "compare", mine, "black", "same")
    assert run(*arguments, "--agent", "II=mine.zip") == 2 == run(*arguments, "--shard", "3/2")
    errors = capsys.readouterr().err
    assert "'II' has no finished run" in errors and f"no folder {mine}" in errors
    assert "give your agent another name" in errors and "not '3/2'" in errors


def test_benchmark_knows_all_protocols_and_says_so(capsys):
    with pytest.raises(SystemExit):
        run("benchmark", "--help")
    shown = capsys.readouterr().out
    assert f"{{{','.join([*PROTOCOLS, *OLD_NAMES])}}}" in shown


def test_benchmark_names_what_is_missing(tmp_path, capsys):
    for arguments, words in {("fivek",): "--photos", ("fivek", "--photos", tmp_path): "fivek_pairs",
                             ("misexposed", "--photos", tmp_path / "nowhere"): "nowhere",
                             ("misexposed", "--methods", "magic"): "magic"}.items():
        assert run("benchmark", *arguments, "--out", tmp_path / "cells") == 2
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1 and errors.startswith("exposure: ") and words in errors
    assert not (tmp_path / "cells").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM is POSIX's")
def test_sigterm_after_the_last_line_does_not_kill(tmp_path):
    """While Python takes its modules down, which is most of a second; 143 if it came before the command had ended."""
    arguments = ["benchmark", "sample-v1", "--quick", "--methods", "identity", "--seeds", "0", "--out", tmp_path]
    assert run(*arguments) == 0
    process = in_process(*arguments, cwd=tmp_path)
    assert any(line.startswith("Protocol ") for line in iter(process.stdout.readline, ""))  # the last
    time.sleep(0.1)  # it has returned by now, and is at its modules
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode in (0, 143)


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is POSIX's")
def test_an_interrupted_benchmark_leaves_no_process_and_no_half_cell(folders, tmp_path):
    process = in_process("benchmark", "misexposed", "--quick", "--timesteps", "10000000", "--methods", "II", "--seeds",
                         "0", "--out", tmp_path / "cells", cwd=tmp_path,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 100
    while not (tmp_path / "cells").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (tmp_path / "cells").exists()  # the cell is at work
    process.send_signal(signal.SIGINT)  # to the command alone: it must end its processes
    err = process.communicate(timeout=60)[1]  # also waits for the pipes that a process left over would hold
    assert process.returncode == 130 and "Traceback" not in err
    assert not [path for path in (tmp_path / "cells").iterdir() if path.suffix != ".lock"]

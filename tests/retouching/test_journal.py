"""Folders retouched again: what is skipped, and what is done anew."""

import json
import os

import pytest

from agents.retouching import journal
from agents.retouching.batch import make_jobs
from agents.retouching.journal import JOURNAL, Journal
from agents.saved_agent import load_agent
from exposure_env.files import ImageFile, load_image, save_image
from tests.retouching.small import contents, photo, run, times


def test_a_second_run_does_only_what_is_new(photos, out, capsys):
    assert run(photos, "-o", out) == 0
    before = contents(out), times(out)
    save_image(photos / "new.png", ImageFile(photo("rocket", 60, 90)))
    capsys.readouterr()
    assert run(photos, "-o", out) == 0
    printed = capsys.readouterr().out
    assert "Skipped: 3 of 4" in printed and printed.count(" EV\n") == 1 and "new.png" in printed
    after = contents(out), times(out)
    assert [{name: each[name] for name in before[0]} for each in after] == list(before) and "new.png" in after[0]


def test_a_changed_photo_is_done_anew(photos, out, capsys):
    assert run(photos, "-o", out) == 0
    old = contents(out)
    save_image(photos / "a.png", ImageFile(255 - load_image(photos / "a.png").pixels))
    os.utime(photos / "c.tif", ns=(0, 5))  # perhaps changed: better once too often
    capsys.readouterr()
    assert run(photos, "-o", out) == 0
    printed = capsys.readouterr().out
    assert "Skipped: 1 of 3" in printed and "b.JPG  " not in printed and "c.tif  " in printed
    assert [old[name] == data for name, data in sorted(contents(out).items())] == [False, True, True]


def test_another_photo_of_the_same_name_is_done_anew(photos, tmp_path, out):
    """From another memory card; even one of the same size and time."""
    assert run(photos / "a.png", "-o", out) == 0
    (tmp_path / "card").mkdir()
    stat = (photos / "a.png").stat()
    (tmp_path / "card" / "a.png").write_bytes((photos / "sub" / "d.png").read_bytes()[: stat.st_size])
    save_image(tmp_path / "card" / "a.png", ImageFile(photo("rocket", 90, 60)))
    os.utime(tmp_path / "card" / "a.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    old = contents(out)
    assert run(tmp_path / "card" / "a.png", "-o", out) == 0 and contents(out) != old


def test_another_agent_does_all_anew_and_the_first_once_more(photos, out, other_agent, capsys):
    results = []
    for model in ((), ("--model", other_agent), (), ()):
        assert run(photos, "-o", out, *model) == 0
        results.append((contents(out), capsys.readouterr().out.count(" EV\n")))
    assert [count for _, count in results] == [3, 3, 3, 0]
    assert results[0][0] == results[2][0] == results[3][0] != results[1][0]


def test_another_strength_does_all_anew_and_the_first_once_more(photos, out, capsys):
    results = []
    for strength in ((), ("--strength", "0.5"), ("--strength", "0.5"), ("--strength", "1"), ()):
        assert run(photos, "-o", out, *strength) == 0
        results.append((contents(out), capsys.readouterr().out.count(" EV\n")))
    assert [count for _, count in results] == [3, 3, 0, 3, 0]
    assert results[0][0] == results[3][0] == results[4][0] != results[1][0]


def test_another_version_of_the_package_does_all_anew(photos, out, capsys, monkeypatch):
    assert run(photos, "-o", out) == 0
    monkeypatch.setattr(journal, "__version__", "99.0")
    capsys.readouterr()
    assert run(photos, "-o", out) == 0 and capsys.readouterr().out.count(" EV\n") == 3


def test_overwrite_does_all_anew(photos, out, capsys):
    assert run(photos, "-o", out) == 0
    before = times(out)
    capsys.readouterr()
    assert run(photos, "-o", out, "--overwrite") == 0
    assert capsys.readouterr().out.count(" EV\n") == 3 and not set(before.values()) & set(times(out).values())


@pytest.mark.parametrize("model", [False, True])
def test_a_result_that_somebody_changed_is_kept(photos, out, other_agent, capsys, model):
    """Also when the agent changed: a photographer's own work is worth more than a new result."""
    assert run(photos, "-o", out) == 0
    save_image(out / "a.png", ImageFile(photo("rocket", 5, 4)))
    (out / "c.tif").unlink()
    before = contents(out)
    capsys.readouterr()
    arguments = (photos, "-o", out, *(("--model", other_agent) if model else ()))
    assert run(*arguments) == 1
    errors = capsys.readouterr().err
    assert "a.png is there already" in errors and "--overwrite" in errors and "b.JPG" not in errors
    assert contents(out)["a.png"] == before["a.png"] and (out / "c.tif").exists()
    assert run(*arguments, "--overwrite") == 0 and contents(out)["a.png"] != before["a.png"]
    assert run(*arguments) == 0


def test_a_file_of_somebody_else_is_kept(photos, out, capsys):
    out.mkdir()
    (out / "a.png").write_text("mine")
    assert run(photos / "a.png", "-o", out) == 1
    assert (out / "a.png").read_text() == "mine" and "a.png is there already" in capsys.readouterr().err


def test_without_its_journal_no_result_is_taken_for_up_to_date(photos, out):
    assert run(photos, "-o", out) == 0
    (out / JOURNAL).unlink()
    assert run(photos, "-o", out) == 1


def test_a_journal_cut_short_spoils_one_line_only(photos, out, capsys):
    assert run(photos / "a.png", photos / "c.tif", "-o", out) == 0
    (out / JOURNAL).write_bytes((out / JOURNAL).read_bytes()[:-20])  # the last line, on c.tif
    (out / "c.tif").unlink()
    for expected in ("Skipped: 1 of 2", "Skipped: 2 of 2"):
        capsys.readouterr()
        assert run(photos / "a.png", photos / "c.tif", "-o", out) == 0
        assert expected in capsys.readouterr().out


def test_plans_belong_to_their_results(photos, out, other_agent, capsys):
    one = photos / "a.png", "-o", out
    assert run(*one) == 0 and not (out / "a.json").exists()
    assert run(*one, "--plans") == 0 and (first := (out / "a.json").read_bytes())
    capsys.readouterr()
    assert run(*one, "--plans") == 0 and run(*one) == 0 and capsys.readouterr().out.count("Skipped: 1") == 2
    assert run(*one, "--model", other_agent) == 0 and (out / "a.json").read_bytes() == first  # now of another agent
    assert run(*one, "--model", other_agent, "--plans") == 0 and (out / "a.json").read_bytes() != first
    (out / "a.json").write_text(json.dumps({"mine": 1}))
    assert run(*one, "--model", other_agent, "--plans") == 1 and "mine" in (out / "a.json").read_text()


def test_a_kill_before_the_result_takes_its_place_leaves_what_is_done_anew(photos, out):
    """At the worst moment: noted already, and not yet there; an older result may be."""
    assert run(photos / "a.png", "-o", out) == 0
    (job,) = make_jobs([photos / "a.png"], out)
    os.utime(photos / "a.png", ns=(0, 5))
    journal = Journal(out, load_agent())
    complete = out / f".a.png.{'0' * 32}.part"
    complete.write_bytes(b"new" * 100)
    journal.note(job, journal.key(job), None, complete)
    assert Journal(out, load_agent()).standing(job) == "to do"
    job.target.unlink()
    assert Journal(out, load_agent()).standing(job) == "to do"
    os.replace(complete, job.target)
    assert Journal(out, load_agent()).standing(job) == "done"

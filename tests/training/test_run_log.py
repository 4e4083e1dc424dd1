"""The log of a run as a CSV file."""

from agents.training.run_log import ProgressLog


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

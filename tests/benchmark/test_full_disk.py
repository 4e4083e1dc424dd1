"""A disk that is full, as a limit on the size of files has it: what doesn't fit is named, the rest is kept."""

import signal

import pytest

from agents.benchmark.results import read_cells
from tests.cli.small import in_process

resource = pytest.importorskip("resource", reason="needs a system with limits on files")

LIMIT = 55_000  # bytes of a file


def test_a_cell_that_can_not_be_written_is_named_and_stops_no_other(done, photos, tmp_path):
    """The learner's agent is larger than the limit, cells and pictures are not; `done` has compiled what they run."""
    arguments = ["benchmark", "uneven-v1", "--photos", photos, "--quick", "--methods", "identity", "constant EV", "II",
                 "--seeds", "0", "--timesteps", "40", "--out", "out"]

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python has it; so writing fails as on a full disk

    process = in_process(*arguments, cwd=tmp_path, preexec_fn=small_files)
    table, errors = process.communicate(timeout=300)
    assert process.returncode == 1 and "failed: II-seed0: OSError: [Errno 27]" in errors, errors
    assert sorted(cell["settings"]["method"] for cell in read_cells(tmp_path / "out")) == ["constant EV", "identity"]
    assert [line.split()[0] for line in table.partition("\n\n")[0].splitlines()[1:]] == [
        "identity", "constant"]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.endswith((".part", "II-seed0.json"))
                and path.stat().st_size]
    process = in_process(*arguments, cwd=tmp_path)  # there is room again
    assert "3 cells in out, 1 of them still to run" in process.communicate(timeout=300)[1] and process.returncode == 0

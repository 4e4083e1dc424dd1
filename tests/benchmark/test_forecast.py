"""The time that is left, worked out by hand."""

import json

import pytest

from agents.benchmark.cells import Cell
from agents.benchmark.forecast import Forecast, wall_seconds
from agents.benchmark.making import make_benchmark
from tests.benchmark import small


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def benchmark(tmp_path):
    return make_benchmark("uneven-v1", out=tmp_path)


def test_nothing_is_said_before_there_is_a_ground_for_it(benchmark):
    clock, cells = Clock(), [Cell("II", seed) for seed in range(3)]
    forecast = Forecast(benchmark, cells, 1, clock)
    assert forecast.text() == ""
    clock.now = 50.0
    forecast.over(cells[0], fine=False)  # an error at once says nothing of how long others take
    assert forecast.text() == ""
    clock.now = 650.0
    forecast.over(cells[1])
    assert forecast.text() == "about 10 min left"


def test_cells_begin_when_others_are_over(benchmark):
    """Two at once: seeds 0 and 1 from 0 s, seed 2 from 600 s, seed 3 from 660 s, seed 4 when one of them is over."""
    clock, cells = Clock(), [Cell("II", seed) for seed in range(5)]
    forecast = Forecast(benchmark, cells, 2, clock)
    clock.now = 600.0
    forecast.over(cells[0])
    assert forecast.text() == "about 20 min left"  # seed 1 is due; then two and one
    clock.now = 660.0
    forecast.over(cells[1])  # 630 s each: until 1230 s, 1290 s and 1860 s
    assert forecast.text() == "about 20 min left"
    clock.now = 1290.0
    forecast.over(cells[3])  # seed 2 runs late
    forecast.over(cells[2])
    assert forecast.text() == "about 11 min left"
    clock.now = 1930.0
    assert forecast.text() == "less than a minute left"
    forecast.over(cells[4])
    assert forecast.text() == ""


def test_methods_of_which_nothing_is_known_make_it_a_lower_bound(benchmark):
    clock = Clock()
    cells = [Cell("identity", 0), Cell("oracle", 0), *(Cell(name, seed) for seed in (0, 1) for name in ("II", "I"))]
    forecast = Forecast(benchmark, cells, 1, clock)
    clock.now = 30.0
    forecast.over(cells[0])
    assert forecast.text() == ""  # baselines run together
    forecast.over(cells[1])
    clock.now = 7230.0
    forecast.over(cells[2])
    assert forecast.text() == "more than 2.0 h left"
    clock.now += 3600.0
    forecast.over(cells[3])
    assert forecast.text() == "about 3.0 h left"


def test_finished_cells_of_other_seeds_tell_what_to_expect(benchmark, tmp_path):
    for seed, seconds in enumerate((100.0, 140.0)):
        content = small.cell("II", seed, [20.0, 21.0], wall_seconds=seconds)
        (tmp_path / f"II-seed{seed}.json").write_text(json.dumps(content))
    (tmp_path / "identity-seed0.json").write_text(json.dumps(small.cell("identity", 0, [15.0, 16.0])))
    assert wall_seconds(benchmark) == {"II": 120.0}
    assert Forecast(benchmark, [Cell("II", 2), Cell("II", 3)], 1, Clock()).text() == "about 4 min left"
    assert Forecast(benchmark, [Cell("II", 2), Cell("II", 3)], 2, Clock()).text() == "about 2 min left"

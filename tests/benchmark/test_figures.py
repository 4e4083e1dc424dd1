"""The benchmark's figure."""

from agents.benchmark import tables as tables
from agents.benchmark.figures import figure
from agents.benchmark.results import read_cells
from tests.benchmark.small import cell


def test_the_figure_has_a_line_and_a_dot_for_each(done, tmp_path):
    drawn = figure(tables.runs(read_cells(done.out)))
    curves, plane = drawn.axes
    thick = [line.get_label() for line in curves.get_lines() if line.get_linewidth() > 2]
    assert thick == ["paired", "II"] and len(plane.collections) == 5
    assert [text.get_text() for text in plane.texts][:3] == ["identity", "constant EV", "best single EV"]
    drawn.savefig(tmp_path / "figure.png")
    figure([]).savefig(tmp_path / "empty.png")  # of no runs, an empty one without a complaint


def test_any_number_of_methods_has_a_colour_also_those_removed_since():
    cells = [cell(f"method {i}", 0, [16.0], learned=True) for i in range(30)]
    curves, plane = figure(tables.runs(cells)).axes
    assert len([line for line in curves.get_lines() if line.get_linewidth() > 2]) == len(plane.collections) == 30

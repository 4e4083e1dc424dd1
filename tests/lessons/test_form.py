"""Every lesson has the form of a lesson; every exercise fails unsolved and passes solved."""

import ast
import re

import pytest

from tests.lessons import EXERCISES, LESSONS

NAMES = sorted(path.stem for path in LESSONS.glob("lesson_*.py"))
NUMBERS = [name[7] for name in NAMES]


def test_there_are_six_lessons():
    assert NUMBERS == list("123456")


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_has_the_form_of_a_lesson(name):
    source = (LESSONS / f"{name}.py").read_text("utf-8")
    title, line, _, goal, *_ = ast.get_docstring(ast.parse(source)).splitlines()
    assert title.startswith(f"Lesson {name[7]}: ") and line == "=" * len(title) and goal.startswith("**Goal.** ")
    assert "def main" not in source and "input(" not in source and not re.search(r"^(from|import).*\b_\w", source, re.M)
    assert 2 <= len(re.findall(r"plt\.(?:subplots|figure)\(", source)) <= 3
    assert len(re.findall(r"picture\s+(?:# )?to\s+(?:# )?remember", source)) == 1
    assert source.split("# What to remember\n")[1].split("# Exercises\n")[0].count("\n# - ") == 3
    for heading, under in re.findall(r"^# (.+)\n# (-{4,})$", source, re.M):
        assert len(heading) == len(under), heading
    for cell in source.split("# %%\n"):  # no cell ends in a value, which a notebook would show
        last = ast.parse(cell).body[-1:]
        said = last and isinstance(last[0], ast.Expr) and not isinstance(last[0].value, ast.Constant)
        assert not said or ast.unparse(last[0]).split("(")[0] in {"print", "show", "plt.show"}, cell
    assert f"exercises/exercise_{name[7]}.py" in source and f"exercises/solution_{name[7]}.py" in source


@pytest.mark.parametrize("name", NAMES[3:])
def test_a_cell_with_a_figure_shows_it(name):
    for cell in (LESSONS / f"{name}.py").read_text("utf-8").split("# %%\n")[1:]:
        assert "plt." not in cell or cell.rstrip().endswith("plt.show()"), cell


@pytest.mark.parametrize("number", NUMBERS)
def test_an_exercise_fails_unsolved_and_passes_solved(number, start, tmp_path):
    unsolved, solved = (start(EXERCISES / f"{kind}_{number}.py", cwd=tmp_path) for kind in ("exercise", "solution"))
    assert unsolved.returncode == 1 and not unsolved.stdout
    assert re.search(r"(AssertionError|NotImplementedError): \w", unsolved.stderr)
    assert number not in "123" or "NotImplementedError" in unsolved.stderr
    assert solved.returncode == 0 and solved.stdout == "All checks pass.\n", solved.stderr

"""Where the lessons are."""

from tests.repository import ROOT

LESSONS = ROOT / "examples" / "lessons"
EXERCISES = LESSONS / "exercises"

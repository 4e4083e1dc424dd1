"""How good is a policy? Every photo is played once and measured, next to the baselines."""

from agents.evaluation.comparing import compare, contestants, format_table, normalised_score
from agents.evaluation.judging import Evaluation, evaluate
from agents.evaluation.statistics import Interval, crossed, paired, student

__all__ = [
    "Evaluation", "Interval", "compare", "contestants", "crossed", "evaluate", "format_table", "normalised_score",
    "paired", "student",
]  # fmt: skip

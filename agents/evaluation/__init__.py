"""How good is a policy? Every photo is played once and measured, next to the baselines."""

from agents.evaluation.comparing import compare, contestants, format_table, normalised_score
from agents.evaluation.judging import Evaluation, evaluate
from agents.evaluation.scores import (
    Estimate,
    Profile,
    Scores,
    difference,
    interquartile_mean,
    mean,
    performance_profile,
    probability_of_improvement,
)
from agents.evaluation.statistics import Interval, crossed, paired, student

__all__ = [
    "Estimate", "Evaluation", "Interval", "Profile", "Scores", "compare", "contestants", "crossed", "difference",
    "evaluate", "format_table", "interquartile_mean", "mean", "normalised_score", "paired", "performance_profile",
    "probability_of_improvement", "student",
]  # fmt: skip

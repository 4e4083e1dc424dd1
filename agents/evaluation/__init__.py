"""How good is a policy? Every photo is played once and measured, next to the baselines."""

from agents.evaluation.comparing import compare, contestants, format_table, normalised_score
from agents.evaluation.judging import Evaluation, evaluate

__all__ = ["Evaluation", "compare", "contestants", "evaluate", "format_table", "normalised_score"]

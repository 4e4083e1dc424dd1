"""How good a policy is: every photo played once and measured, beside the baselines."""

from agents.evaluation.comparing import compare, contestants, format_table, normalised_score
from agents.evaluation.judging import Evaluation, evaluate

__all__ = ["Evaluation", "compare", "contestants", "evaluate", "format_table", "normalised_score"]

"""Retouches to choose between: random pairs, and a page in the browser that asks which of the two is better.

The page is not re-exported here: it needs the extra `play`, which mere pairs do not.
"""

from agents.preferring.pairs import Pair, Pairs, PhotoFiles, Retouch, random_plans

__all__ = ["Pair", "Pairs", "PhotoFiles", "Retouch", "random_plans"]

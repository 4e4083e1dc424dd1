"""Retouching by a sequence of named filters, after "Exposure" (Hu et al., 2018): each step says what it does."""

from exposure_env.white_box.env import WhiteBoxEnv
from exposure_env.white_box.filters import FILTERS, NUM_PARAMETERS, PLACES, Filter, apply_filters, from_unit
from exposure_env.white_box.planes import LAYOUT, observe

__all__ = [
    "FILTERS", "LAYOUT", "NUM_PARAMETERS", "PLACES", "Filter", "WhiteBoxEnv", "apply_filters", "from_unit", "observe",
]  # fmt: skip

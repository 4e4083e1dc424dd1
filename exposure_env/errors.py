"""Errors that callers handle differently from others."""


class NotFinite(ValueError):
    """NaN or infinity where a number should be finite: in training, a sign that it has diverged."""

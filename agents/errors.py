"""Errors that callers tell from others."""


class Diverged(RuntimeError):
    """The training is beyond repair."""

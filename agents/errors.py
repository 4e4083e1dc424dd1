"""Errors that callers can tell from others."""


class Diverged(RuntimeError):
    """The error of a training that is beyond repair."""

"""Errors that callers tell from others."""


class NotFinite(ValueError):
    """A number that should be finite is NaN or infinite: in a training, the sign that it has gone astray."""

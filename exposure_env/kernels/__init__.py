"""The slow parts, compiled by numba: a twin for each definition decorated with `acceleration.accelerated`."""

from exposure_env.acceleration import available, disabled, enabled, load

__all__ = ["available", "disabled", "enabled", "load"]

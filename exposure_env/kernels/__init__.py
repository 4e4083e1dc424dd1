"""The slow parts, compiled by numba: a twin for each definition that needs one, and the switch between the two."""

from exposure_env.kernels.switch import accelerated, available, compiled, disabled, enabled, load

__all__ = ["accelerated", "available", "compiled", "disabled", "enabled", "load"]

"""Training runs: a configuration, a folder, and everything written to it.

Nothing is re-exported here: `run` loads TensorBoard and matplotlib, which a mere configuration does not need.
"""

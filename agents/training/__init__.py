"""Training runs: a configuration, a folder, and all that is written there.

Nothing is handed on from here: `run` loads TensorBoard and matplotlib, and who wants a configuration needs neither.
"""

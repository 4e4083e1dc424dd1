"""Agents, reward models that learn, and the tools to train and judge them."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "DeepExposure": "agents.deep_exposure",
    "DiscriminatorReward": "agents.rewards",
    "DiscriminatorTrainer": "agents.rewards",
    "evaluate": "agents.evaluation",
    "load_agent": "agents.saved_agent",
    "train": "agents.training.run",
}
__all__ = [*_PUBLIC]  # noqa: PLE0604 - all names are strings


def __getattr__(name: str) -> Any:
    """The public names, each loaded when it is first asked for: who retouches a photo doesn't wait for TensorBoard."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'agents' has no attribute {name!r}: there are {__all__}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

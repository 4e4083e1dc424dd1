"""Agents, reward models that learn, and tools to train and evaluate them."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "DeepExposure": "agents.deep_exposure",
    "DiscriminatorReward": "agents.rewards",
    "DiscriminatorTrainer": "agents.rewards",
    "enter_benchmark": "agents.benchmark.entering",
    "evaluate": "agents.evaluation",
    "TorchReward": "agents.rewards",
    "check_reward_model": "agents.rewards",
    "load_agent": "agents.saved_agent",
    "load_reward": "agents.rewards",
    "train": "agents.training.run",
    "train_against": "agents.training.against",
}
__all__ = [*_PUBLIC]  # noqa: PLE0604 - all names are strings


def __getattr__(name: str) -> Any:
    """A public name, imported on first use: retouching a photo should not have to wait for TensorBoard."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'agents' has no attribute {name!r}: there are {__all__}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

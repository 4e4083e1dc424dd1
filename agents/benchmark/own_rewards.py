"""Reward models of one's own in the benchmark: each trains a DeepExposure, which gets a row of its own.

The agent is the one of the row "pathwise", warm start included: only the discriminator gives way to a reward that stays
as it is. Where no gradient flows from it, it is the one of the row "q", which needs none. No photo that it sees has a
target.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agents.benchmark.entrants import DIGITS, attribute_of, check_name, find_source
from agents.benchmark.fingerprints import checksum
from agents.rewards.saved import FILE_NAME
from exposure_env.rewards import is_differentiable, resolve_reward, reward_names

PREFIX = "reward "  # the methods' names begin so
CHANGES = {"value": "pathwise"}  # in the shared configuration


def parse_rewards(options: Iterable[str]) -> dict[str, str]:
    """The sources of reward models by the names of their methods, from options "NAME=SOURCE".

    Raises:
        ValueError: If an option has another form, or a name is given twice or can't be a file's.
    """
    rewards: dict[str, str] = {}
    for option in options:
        name, _, source = (part.strip() for part in option.partition("="))
        if not (name and source):
            raise ValueError(f"a reward is given as NAME=SOURCE, such as mine=module:attribute, not {option!r}")
        check_name(PREFIX + name, rewards)
        rewards[PREFIX + name] = source
    return rewards


def reward_fingerprint(source: str) -> str:
    """What tells a reward model from others: a registered name; a checksum of its file; or of its module's source.

    Of "process:..." it is the text itself.

    Raises:
        ValueError: If there is no such file or module.
    """
    if source in reward_names() or source.startswith("process:"):
        return source
    path = Path(source)
    if path.exists():
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            raise ValueError(f"there is no reward model in {source}: it needs a {FILE_NAME}")
        return checksum(path)[:DIGITS]
    return find_source(source).fingerprint


def load_reward_model(source: str) -> Any:
    """The reward model that a source stands for: as `resolve_reward` knows them, or "file.py:attribute".

    Raises:
        ValueError: If there is none.
    """
    module, _, attribute = source.rpartition(":")
    return resolve_reward(attribute_of(find_source(source)) if module.endswith(".py") and attribute else source)


def value_for(reward: Any) -> str:
    """The form of DeepExposure that learns from a reward model: "pathwise", or "q" if no gradient flows."""
    return CHANGES["value"] if is_differentiable(reward) else "q"

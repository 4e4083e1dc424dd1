"""The settings of Stable-Baselines3's algorithms in the benchmark, as sb3.yml beside this file has them."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

PLACE = Path(__file__).with_name("sb3.yml")
PACKAGES = {"TQC": "sb3_contrib"}  # where an algorithm is that isn't in stable_baselines3
PREFIX = "SB3 "  # the methods' names begin so: "TD3" and "td3" would be the same file on some systems


def read_blocks(place: Path = PLACE) -> dict[str, dict[str, Any]]:
    """The blocks of settings by the names of the algorithms, such as PPO."""
    return yaml.safe_load(place.read_text("utf-8"))


def package_of(name: str) -> str:
    """The package that an algorithm is in."""
    return PACKAGES.get(name, "stable_baselines3")


def missing(name: str) -> str:
    """What to say of an algorithm that isn't installed."""
    return f'{name} is in sb3-contrib: pip install "deepexposure-gym[contrib]"'


SB3 = {PREFIX + name: block for name, block in read_blocks().items()}
LACKING = {name for name in SB3 if not find_spec(package_of(name.removeprefix(PREFIX)))}  # what isn't installed

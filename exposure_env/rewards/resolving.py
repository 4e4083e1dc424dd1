"""From what a user gives as a reward to a reward model."""

import os
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from exposure_env.image import Array
from exposure_env.rewards import scorer
from exposure_env.rewards.combined import WeightedReward
from exposure_env.rewards.compared import ciede2000, negative_mse, psnr, ssim
from exposure_env.rewards.model import as_reward_model
from exposure_env.rewards.plain import MeanLuminance, colourfulness, entropy, unclipped, well_exposedness
from exposure_env.rewards.process import PREFIX, ProcessReward
from exposure_env.rewards.references import SlicedWasserstein

REWARDS: dict[str, Any] = {  # by name; of a class, an instance is made with its default arguments
    reward.__name__: reward
    for reward in (psnr, negative_mse, ssim, ciede2000, well_exposedness, unclipped, entropy, colourfulness)
} | {"mean_luminance": MeanLuminance, "sliced_wasserstein": SlicedWasserstein}
for _reward in REWARDS.values():
    _reward.differentiable, _reward.version, _reward.keeps_images = True, 0, True
ciede2000.lower_better = True  # type: ignore[attr-defined]

# Other packages' entry points: functions that make a reward model, by its name; and those that make one of a path
NAMES, OPENERS = "exposure_env.rewards", "exposure_env.reward_files"


def resolve_reward(spec: Any) -> Callable[..., Array]:
    """The reward model that `spec` stands for.

    Args:
        spec: A reward model; a plain function over a batch of images; a name in `REWARDS` or of an installed package;
            the path of a file or folder that an installed package can open, such as a run's; "module:attribute"
            (imported now; a class is instantiated without arguments); "process:/path/to/python module:attribute" (see
            `ProcessReward`); or a dict of any of these, by name where it is a string, with their weights. The keys
            must be strings: {"psnr": 0.5, "my.module:score": 0.5}.

    Raises:
        ValueError: If nothing of that name exists, its module fails, or `spec` can't be called.
    """
    if isinstance(spec, Mapping):
        if wrong := [name for name in spec if not isinstance(name, str)]:
            raise ValueError(f"the keys of a weighted reward must be names, not {wrong[0]!r}: for objects, see "
                             "exposure_env.rewards.WeightedReward")
        return WeightedReward({name: resolve_reward(name) for name in spec}, spec)
    if isinstance(spec, os.PathLike):
        return _opened(os.fspath(spec))
    if isinstance(spec, str):
        spec = _named(spec)
    if isinstance(spec, type):
        raise ValueError(f"a reward model must be an object, not the class {spec.__name__}: give {spec.__name__}()")
    if not callable(spec):
        raise ValueError(f"a reward model must be callable, a name, a path or a dict of weights, not {spec!r}")
    return as_reward_model(spec)


def reward_names() -> list[str]:
    """All names of reward models: ours, and those of installed packages."""
    return sorted({*REWARDS, *(entry.name for entry in entry_points(group=NAMES))})


def _named(spec: str) -> Any:
    if spec in REWARDS:
        found = REWARDS[spec]
        return found() if isinstance(found, type) else found
    for entry in entry_points(group=NAMES):
        if entry.name == spec:
            return _loaded(entry)()
    if spec.startswith(PREFIX):
        return ProcessReward.named(spec)
    if os.path.exists(spec):
        return _opened(spec)
    return _imported(spec)


def _opened(path: str) -> Any:
    """What the first package that knows such a file or folder makes of it."""
    refused = []
    for entry in entry_points(group=OPENERS):
        try:
            return _loaded(entry)(path)
        except (ValueError, OSError) as error:
            refused.append(str(error))
    raise ValueError("; ".join(refused) or f"no installed package makes a reward model of {path!r}")


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # another package may fail in any way when it is imported
        raise ValueError(f"reward {entry.name!r} can't be loaded: {type(error).__name__}: {error}") from error


def _imported(spec: str) -> Any:
    try:
        return scorer.found(spec)
    except Exception as error:  # a user's module may fail in any way when it is imported
        raise ValueError(f"reward {spec!r} is neither one of {reward_names()}, nor a file or folder, nor a "
                         f'"module:attribute" that can be imported: {type(error).__name__}: {error}') from error

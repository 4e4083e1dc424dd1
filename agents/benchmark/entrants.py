"""Agents of one's own in the benchmark: files of trained agents, and whatever a Python module holds.

They are tested as they are, on the protocol's test photos, with its segments and its rendering.
"""

import re
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from stable_baselines3 import A2C, DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file

from agents.benchmark.fingerprints import checksum, source_of
from agents.benchmark.trials import Trial, cell_content
from agents.deep_exposure import DeepExposure
from agents.playing import Policy
from agents.policy import ExposurePolicy
from agents.rivals.crops import Retouch
from agents.saved_agent import ACTION_SPACE, FILE_NAME, load_agent
from exposure_env.observations import observation_space
from exposure_env.task import ExposureTask

FILES = (".zip", ".safetensors")
NAMES = re.compile(r"[\w][\w ,.+-]*")  # they become the names of files
TELLTALES = {  # settings that only one of the algorithms keeps in its file, the most particular first
    "clip_range": PPO, "gae_lambda": A2C, "target_entropy": SAC, "target_policy_noise": TD3,
}  # fmt: skip
DIGITS = 16  # of a checksum: enough to tell files apart


class Source(NamedTuple):
    """Where an agent is: in a file, or in a module under a name."""

    path: Path  # of the agent's file, or of the module's
    module: str | None = None  # the module's name, or None if it is known by its file
    attribute: str | None = None  # None for the file of an agent

    @property
    def fingerprint(self) -> str:
        """What tells this agent from others: a checksum of the file, or of the module's source and the attribute."""
        if self.attribute is None:
            return checksum(self.path)[:DIGITS]
        return f"{self.attribute} of {source_of(self.path)[:DIGITS]}"


def parse_agents(options: Iterable[str]) -> dict[str, list[str]]:
    """The sources of each agent, by its name, from options "NAME=SOURCE"; a name given again is a further seed.

    Raises:
        ValueError: If an option has another form.
    """
    agents: dict[str, list[str]] = {}
    for option in options:
        name, _, source = (part.strip() for part in option.partition("="))
        if not (name and source):
            raise ValueError(f"an agent is given as NAME=model.zip or NAME=module:attribute, not {option!r}")
        agents.setdefault(name, []).append(source)
    return agents


def check_name(name: str, taken: Iterable[str]) -> None:
    """Checks the name of an agent of one's own.

    Args:
        name: The name.
        taken: Names of the benchmark's own methods.

    Raises:
        ValueError: If it is one of those, or would be no name of a file.
    """
    if not NAMES.fullmatch(name):
        raise ValueError(f"an agent's name is made of letters, digits, spaces and _ , . + -, unlike {name!r}")
    same = [other for other in taken if _plain(other) == _plain(name)]
    if same:
        raise ValueError(f"{same[0]!r} is a method of the benchmark's own: give your agent another name than {name!r}")


def _plain(name: str) -> str:
    """What is left of a name in a file's name, on a system that doesn't tell capitals from small letters."""
    return name.replace(",", "").replace(" ", "_").casefold()


def find_source(text: str) -> Source:
    """The source that "model.zip", "run folder", "module:attribute" or "file.py:attribute" stands for; none is loaded.

    Raises:
        ValueError: If there is no such file or module.
    """
    path = Path(text)
    if path.suffix in FILES or path.is_dir():
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            raise ValueError(f"there is no agent at {path}: give a model's zip, or a run folder or its {FILE_NAME}")
        return Source(path)
    module, _, attribute = text.rpartition(":")
    if not (module and attribute.isidentifier()):
        raise ValueError(f"an agent is a .zip, a .safetensors, a run folder or module:attribute, not {text!r}")
    if module.endswith(".py"):
        if not Path(module).is_file():
            raise ValueError(f"there is no file {module}")
        return Source(Path(module), None, attribute)
    _look_here()
    try:
        spec = find_spec(module)
    except (ImportError, ValueError) as error:  # its package is missing, or the name is none
        raise ValueError(f"there is no module {module!r}: {error}") from error
    if spec is None or not spec.has_location:
        raise ValueError(f"there is no module {module!r}: they are looked for in this folder and where Python does")
    return Source(Path(spec.origin), module, attribute)


def load_entrant(source: Source, task: ExposureTask) -> Policy | Retouch:
    """The policy, or the function from photo to photo, that a source holds.

    Args:
        source: Where it is. A zip of Stable-Baselines3 can run code when it is loaded, as a module does.
        task: The task that it is going to play.

    Raises:
        ValueError: If it isn't there, or its spaces are not the task's.
    """
    if source.attribute is not None:
        found = attribute_of(source)
    elif source.path.suffix == ".zip":
        found = _model(source.path)
    else:
        found = load_agent(source.path).policy
    if isinstance(found, BaseAlgorithm | ExposurePolicy):
        _check_spaces(found, task, source.path)
    return found


def run_entrant(trial: Trial, source: Source) -> dict[str, Any]:
    """Tests an agent of one's own; see `trials.run_learner`.

    Raises:
        ValueError: If it can't be loaded, its actions or photos are not finite or of another shape, or its photos leave
            [0, 1].
    """
    task = trial.task
    return cell_content(trial, trial.evaluate(load_entrant(source, task), task), {})


def _look_here() -> None:
    """Makes modules of the working directory importable, as they are for `python -m`."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def attribute_of(source: Source) -> Any:
    """What a module holds under the name, a policy or a function; a class is instantiated.

    Raises:
        ValueError: If there is nothing of that name, or it is something else.
    """
    module = _module(source)
    if not hasattr(module, source.attribute):
        raise ValueError(f"{source.path} has no {source.attribute!r}")
    found = getattr(module, source.attribute)
    found = found() if isinstance(found, type) else found
    if not (callable(found) or hasattr(found, "predict")):
        raise ValueError(f"{source.attribute!r} in {source.path} must have a predict, or be a function from photo to "
                         f"photo, not {found!r:.200}")
    return found


def _module(source: Source) -> ModuleType:
    if source.module is not None:
        _look_here()
        return import_module(source.module)
    spec = spec_from_file_location(source.path.stem, source.path)
    module = sys.modules[spec.name] = module_from_spec(spec)  # where pickles look for its classes
    spec.loader.exec_module(module)
    return module


def _model(path: Path) -> BaseAlgorithm:
    """A model of Stable-Baselines3 or a `DeepExposure`, from its zip.

    The file doesn't say of which algorithm it is, but its settings and its policy do.
    """
    try:
        data, _, _ = load_from_zip_file(path, device="cpu")
    except Exception as error:  # a damaged zip fails in many ways, all of them without the file's name
        raise ValueError(f"{path} is not a model that Stable-Baselines3 saved: {error}") from error
    _check_action_space((data or {}).get("action_space"), path)
    policy = data.get("policy_class")
    if isinstance(policy, type) and issubclass(policy, ExposurePolicy):
        return DeepExposure.load(path, device="cpu")
    for name, kind in TELLTALES.items():
        if name in data:
            kind = DDPG if kind is TD3 and data.get("policy_delay") == 1 else kind
            return kind.load(path, device="cpu", custom_objects={"buffer_size": 1})  # it is to play, not to learn
    raise ValueError(f"{path} is of an algorithm that is not known here: give a PPO, A2C, SAC, TD3, DDPG or "
                     "DeepExposure, or a module:attribute that loads it")


def _check_action_space(space: Any, path: Path) -> None:
    if not (isinstance(space, spaces.Box) and space == ACTION_SPACE):
        raise ValueError(f"the action space of {path} must be {ACTION_SPACE}, not {space}")


def _check_spaces(agent: BaseAlgorithm | ExposurePolicy, task: ExposureTask, path: Path) -> None:
    own = agent.observation_space
    kind = "dict" if isinstance(own, spaces.Dict) else "float32" if own.dtype == np.float32 else "uint8"
    space = observation_space(task.config, kind)
    _check_action_space(agent.action_space, path)
    if not _alike(own, space):
        raise ValueError(f"the observation space of {path} must be {space}, not {own}")


def _alike(own: spaces.Space, wanted: spaces.Space) -> bool:
    """Whether spaces are the same, where channels may come first, as Stable-Baselines3 has them."""
    if isinstance(own, spaces.Dict) and isinstance(wanted, spaces.Dict):
        return own.keys() == wanted.keys() and all(_alike(own[name], wanted[name]) for name in own)
    if not isinstance(own, spaces.Box) or not isinstance(wanted, spaces.Box):
        return False
    first = wanted.shape if len(wanted.shape) < 3 else (wanted.shape[-1], *wanted.shape[:-1])
    return own.dtype == wanted.dtype and own.shape in (wanted.shape, first)

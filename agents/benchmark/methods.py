"""What each method changes in the shared configuration."""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from agents.benchmark.protocols import PROTOCOLS
from agents.benchmark.sb3_settings import LACKING, SB3, missing
from agents.training.configuration import PRESETS

MISEXPOSED = {"misexposed": 0.5, "misexposed_local": 1.0}  # half of the discriminator's fakes are misexposed experts
# Without a warm start a pull towards small exposures has to keep the game from running away
NO_WARM_START = {"warm_start": 0, "reference_penalty": 0.0, "ev_penalty": 3.0, **MISEXPOSED}
SHAPED = {"shaping": True, "critic_steps": 8}  # without a warm start, form I has to be told more than the end
_PLANES, _RECOMMENDED = (asdict(PRESETS[name]) for name in ("planes", "recommended"))
PLANES = {  # the preset `planes`, in what it changes in the preset `recommended`, except plan and budget
    name: value for name, value in _PLANES.items()
    if value != _RECOMMENDED[name] and name not in ("segmenter", "max_segments", "total_timesteps")
}  # fmt: skip
FULL_SIZE = tuple(name for name, protocol in PROTOCOLS.items() if protocol.full_size)  # tested on whole photos
FOLDED = tuple(name for name, protocol in PROTOCOLS.items() if protocol.folds)  # tested fold by fold
GLOBAL, GLOBAL_NAME = {"max_segments": 1}, ", global"  # one EV for the whole photo; how such methods' names end
WARM_START = "warm start"
USUAL = PRESETS["recommended"].total_timesteps
PATHS = {"I": "critic", "II": "discriminator"}
ALONE = {"budget": 0, "learning_rate": 0.0, "warm_up": 0, "n_critic": 1}  # a game of one update, which changes nothing
METHODS: dict[str, dict[str, Any]] = {  # what each learner changes; "budget" and "most": see `length`
    # Rewarded by the PSNR itself: what the policy can learn in as many updates, told what is good
    "paired": NO_WARM_START | {"gamma": 1.0, "reward": "psnr", "max_slope": 4.0, "learning_rate": 1e-3, "budget": 8,
                               "ev_penalty": 0.0},
    WARM_START: dict(ALONE),
    "pathwise": {"value": "pathwise"},
    **{form: {"value": value} for form, value in PATHS.items()},
    "q": {"value": "q"},
    **{name: PLANES | {"budget": 4 / 3} for name in ("ddpg", "td3")},  # networks and budget of SB3's own agents
    # Supervised yardsticks, see `YARDSTICKS`; here a step is a photo
    "regression": {"budget": 2},
    "experts only": {"budget": 2},
    # Systems after other papers, from photo to photo, see `rivals.RIVALS`; likewise
    "Exposure": {"budget": 0.5, "most": 4500},  # later its discriminator knows some hundred photographs by heart
    "CycleGAN": {"budget": 0.3},
    "DPED": {"budget": 0.5},
    "WESPE": {"budget": 0.3},
    "DPE": {"budget": 0.3},
    "DGF, paired": {"budget": 2},
    # SB3's own algorithms, see `sb3.build_sb3`; they play the game of the preset `planes`
    **{name: PLANES | {"num_envs": block["n_envs"], "budget": block["n_timesteps"] / USUAL}
       for name, block in SB3.items()},
    # Run only if named: the yardsticks' EV maps themselves; one EV for the whole photo
    "regression, free": {"budget": 2},
    "experts only, free": {"budget": 2},
    WARM_START + GLOBAL_NAME: ALONE | GLOBAL,
    **{f"{form}, global": {"value": value, "budget": 0.2, **GLOBAL} for form, value in PATHS.items()},
    "regression, global": {"budget": 2, **GLOBAL},
    # Without a warm start; the dial of the trade-off between PSNR and the distance to the experts as a set; with
    # misexposed fakes
    **{f"{form}, no warm start": {"value": value, "budget": 2, "learning_rate": 5e-4, **NO_WARM_START, **SHAPED}
       for form, value in PATHS.items()},
    **{f"II, reference {weight}": {"value": "discriminator", "reference_penalty": float(weight)}
       for weight in (0, 3, 30, 100)},
    "II, misexposed 0.5": {"value": "discriminator", **MISEXPOSED},
    "II, demonstrations 1": {"value": "discriminator", "reference_penalty": 0.0, "demonstration_weight": 1.0},
    # What shaping is worth, the network on all planes, a long budget
    "I, shaping": {"value": "critic", "shaping": True},
    **{f"{form}, planes": PLANES | {"value": value, "budget": 4 / 3} for form, value in PATHS.items()},
    **{f"{form}, long": {"value": value, "budget": 3} for form, value in PATHS.items()},
}
MAIN = ("paired", WARM_START, "pathwise", "I", "II", "q", "ddpg", "td3", "regression", "experts only")  # by default
OFF_POLICY: dict[str, dict[str, Any]] = {  # further arguments of `build_off_policy`
    # A step takes 64 transitions, so each is learned from two or three times. Without a potential, or with critics no
    # faster than the actor, both run into the EV limit at once; with them they overshoot, and mostly recover late.
    "ddpg": {"gradient_steps": 16, "shaping": True, "noise": "gaussian"},
    "td3": {"gradient_steps": 16, "shaping": True, "noise": "gaussian", "policy_delay": 16},
}
YARDSTICKS: dict[str, dict[str, Any]] = {  # what a plain network learns from, and whether its EV map is bound to a plan
    "regression": {"learns": "inputs", "free": False},  # the inputs whose good version is known
    "experts only": {"learns": "experts", "free": False},  # no input, only experts' photos exposed wrongly
    "regression, free": {"learns": "inputs", "free": True},
    "experts only, free": {"learns": "experts", "free": True},
    "regression, global": {"learns": "inputs", "free": False},
}
ALL = tuple(PROTOCOLS)
BASELINES = {  # each with the protocols that have it
    "identity": ALL,
    "constant EV": ALL,
    "constant EV on the test": FOLDED,
    "auto-exposure": ALL,
    "grey rule": ALL,
    "grey rule, global": ALL,
    "fixed bracket": ALL,
    "FI, entropy": ALL,
    "CLAHE": ALL,
    "histogram matching": ALL,
    "best single EV": ALL,
    "oracle": ALL,
}

RIVALS = ("Exposure", "CycleGAN", "DPED", "WESPE", "DPE", "DGF, paired")
GROUPS = {"main": MAIN, "rivals": RIVALS, "sb3": tuple(SB3), "baselines": tuple(BASELINES)}  # names for several
GROUPS["all"] = tuple(name for group in GROUPS.values() for name in group)


def named(names: Sequence[str], known: Collection[str]) -> list[str]:
    """The methods that names of methods and groups stand for, each once; of a group those that are known and installed.

    Raises:
        ValueError: If one is neither a known method nor a group, or it isn't installed.
    """
    if unknown := [name for name in names if name not in known and name not in GROUPS]:
        raise ValueError(f"methods must be among {[*known]}, or the groups {', '.join(GROUPS)}, not {unknown[0]!r}")
    if lacking := [name for name in names if name in LACKING]:
        raise ValueError(missing(lacking[0]))
    meant = [[each for each in GROUPS[name] if each in known and each not in LACKING] if name in GROUPS else [name]
             for name in names]
    return [*dict.fromkeys(name for group in meant for name in group)]


def changes(method: str) -> dict[str, Any]:
    """What a learner or a baseline changes in the shared configuration, besides the length of a training."""
    own = METHODS.get(method, GLOBAL if method.endswith(GLOBAL_NAME) else {})
    return {name: value for name, value in own.items() if name not in ("budget", "most")}


def length(method: str, total: int, share: float = 1.0) -> int:
    """The exposures in a training of a method, or its photos; 0 for a warm start alone.

    Args:
        method: Its "budget" is a multiple of those in the configuration, 1 by default; "most" is a limit.
        total: Exposures in the configuration.
        share: Fraction of the protocol's budget that these are; so much of the limit holds.
    """
    own = METHODS.get(method, {})
    return round(min(own.get("budget", 1) * total, own.get("most", math.inf) * share))


def known_methods(protocol: str) -> list[str]:
    """The methods of a protocol. A free EV map is no plan, so it has no rendering at full size."""
    free = [name for name, how in YARDSTICKS.items() if how["free"]]
    learners = [name for name in METHODS if protocol not in FULL_SIZE or name not in free]
    return [*learners, *(name for name, only in BASELINES.items() if protocol in only)]

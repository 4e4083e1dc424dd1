"""What each protocol and each method changes in the shared configuration."""

from dataclasses import asdict
from typing import Any

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
OLD_NAMES = {"misexposed": "uneven-v1"}  # protocols by the names that they had
PROTOCOLS: dict[str, dict[str, Any]] = {  # what each changes in the preset; the first three are the plan of all methods
    # Good photographs exposed wrongly by us, the truth known: unevenly from place to place, or as in backlight. Plans
    # that know the truth reach most with these segments, see benchmarks/segmenters.py.
    "uneven-v1": {"segmenter": "slic", "max_segments": 8, "fusion": "mask_pyramid", "degradation": "uneven"},
    "backlit-v1": {"segmenter": "luminance_bands", "max_segments": 4, "fusion": "mask_pyramid",
                   "degradation": "backlit"},
    # An expert's retouches of photos that are mostly a little dark. So few pairs teach little more than one EV for all
    # photos, and only in a short training.
    "fivek": {"segmenter": "felzenszwalb", "max_segments": 6, "fusion": "mask_pyramid", "degradation": "dim",
              "warm_start": 100, "ev_prior": "mean", "ev_penalty": 10.0, "learning_rate": 2e-4,
              "total_timesteps": 6_000},
    # Real exposures, a dark and a normal frame of each scene: 3.3 to 5.5 stops apart
    "brackets-v1": {"segmenter": "felzenszwalb", "max_segments": 6, "fusion": "mask_pyramid", "max_ev": 6.0,
                    "degradation": "dark", "warm_start": 300, "total_timesteps": 12_000},
}
FULL_SIZE = ("fivek", "brackets-v1")  # protocols of pairs: tested fold by fold, on whole photos at full size
GLOBAL, GLOBAL_NAME = {"max_segments": 1}, ", global"  # one EV for the whole photo; how such methods' names end
WARM_START = "warm start"
PATHS = {"I": "critic", "II": "discriminator"}
ALONE = {"budget": 0, "learning_rate": 0.0, "warm_up": 0, "n_critic": 1}  # a game of one update, which changes nothing
METHODS: dict[str, dict[str, Any]] = {  # what each learner changes; "budget" multiplies total_timesteps
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
    "Exposure": {"budget": 0.5},
    "CycleGAN": {"budget": 0.3},
    "DPED": {"budget": 0.5},
    "WESPE": {"budget": 0.3},
    "DPE": {"budget": 0.3},
    "DGF, paired": {"budget": 2},
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
    "constant EV on the test": FULL_SIZE,
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


def changes(method: str) -> dict[str, Any]:
    """What a learner or a baseline changes in the shared configuration."""
    return METHODS.get(method, GLOBAL if method.endswith(GLOBAL_NAME) else {})


def known_methods(protocol: str) -> list[str]:
    """The methods of a protocol. A free EV map is no plan, so it has no rendering at full size."""
    free = [name for name, how in YARDSTICKS.items() if how["free"]]
    learners = [name for name in METHODS if protocol not in FULL_SIZE or name not in free]
    return [*learners, *(name for name, only in BASELINES.items() if protocol in only)]


def protocol_name(name: str) -> str:
    """The present name of a protocol.

    Raises:
        ValueError: If there is no such protocol.
    """
    name = OLD_NAMES.get(name, name)
    if name not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {[*PROTOCOLS, *OLD_NAMES]}, not {name!r}")
    return name

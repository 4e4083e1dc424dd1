"""One training of the benchmark, or one baseline: how it is set up, measured and written down."""

import math
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

try:
    import resource
except ImportError:  # not on Windows
    resource = None

import numpy as np
import torch
from scipy.stats import wasserstein_distance
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from agents.baselines import AutoExposure, ConstantEV, FixedBracket, Identity, Oracle
from agents.checkpoint import save_agent
from agents.configuration import TrainConfig, build, decay, task_settings
from agents.evaluation import NUM_FITTED, Evaluation, PhotoRecord, Policy, evaluate
from agents.full_size import as_levels, best_constant, best_evs, evaluate_full_size
from agents.metrics import psnr
from agents.networks import statistics
from agents.off_policy import build_off_policy
from agents.policy import ExposurePolicy
from agents.protocols import Protocol
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask

PROTOCOLS: dict[str, dict[str, Any]] = {  # what each protocol changes in the preset
    "misexposed": {},
    # What an expert does to a photo can't be told well from so few: mostly one EV for all, and not for long.
    "fivek": {"total_timesteps": 12_000, "ev_prior": "mean", "ev_penalty": 4.0, "learning_rate": 5e-4,
              "misexposed": 0.25},
}
METHODS: dict[str, dict[str, Any]] = {  # what each learner changes in the shared configuration
    "paired": {"value": "pathwise", "reward": "psnr", "max_slope": 4.0, "ev_penalty": 0.0, "learning_rate": 1e-3},
    "pathwise": {"value": "pathwise"},
    "I": {"value": "critic"},
    "II": {"value": "discriminator"},
    "q": {"value": "q"},
    "ddpg": {},
    "td3": {},
    # Run by name only: the knob of the perception-distortion trade-off, what shaping is worth, a long budget
    **{f"II, penalty {weight}": {"value": "discriminator", "ev_penalty": weight} for weight in (0.1, 0.3, 3.0)},
    "I, no shaping": {"value": "critic", "shaping": False},
    **{f"{form}, long": {"value": value, "total_timesteps": 120_000}
       for form, value in {"I": "critic", "II": "discriminator"}.items()},
}
MAIN = ("paired", "pathwise", "I", "II", "q", "ddpg", "td3")  # run by default
OFF_POLICY: dict[str, dict[str, Any]] = {  # their further arguments of `build_off_policy`
    # On 64 transitions each: every transition is learned from two or three times. Without a potential, or with critics
    # no faster than the actor, both run into the EV limit at once; with them they overshoot, and mostly come back late.
    "ddpg": {"gradient_steps": 16, "shaping": True, "noise": "gaussian"},
    "td3": {"gradient_steps": 16, "shaping": True, "noise": "gaussian", "policy_delay": 16},
}
BASELINES = {  # and the protocols that have them
    "identity": ("misexposed", "fivek"),
    "constant EV": ("misexposed", "fivek"),
    "constant EV on the test": ("fivek",),
    "auto-exposure": ("misexposed", "fivek"),
    "fixed bracket": ("misexposed", "fivek"),
    "best single EV": ("misexposed", "fivek"),
    "oracle": ("misexposed", "fivek"),
}
NUM_POINTS = 10  # of the learning curve, besides the untrained agent
STATISTICS = ("luminance", "contrast", "saturation")


class Trial(NamedTuple):
    """What is to be run."""

    method: str
    config: TrainConfig
    protocol: Protocol
    training: list[Photo]  # with targets, for constants
    full_size: bool  # whether the test photos are measured whole, rather than as thumbnails

    @property
    def task(self) -> ExposureTask:
        """The test photos, in the agents' task."""
        return self.task_of(self.protocol.test)

    def task_of(self, photos: list[Photo]) -> ExposureTask:
        """The agents' task on any photos."""
        return ExposureTask(photos, preset=self.config.task_preset, **task_settings(self.config))

    def evaluate(self, policy: Policy | list[Policy], task: ExposureTask) -> Evaluation:
        """A policy on the test photos."""
        return evaluate_full_size(policy, task, self.protocol.test) if self.full_size else evaluate(policy, task)


def learner(trial: Trial) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """The agent, not yet trained, and the callbacks it is trained with.

    Whoever learns from unpaired photos gets none of the targets.
    """
    config, inputs = trial.config, trial.protocol.inputs
    if config.reward == "psnr":
        inputs = [photo for photo in inputs if photo.target is not None]
    else:
        inputs = [Photo(photo.name, photo.image) for photo in inputs]
    model, game = build(config, inputs, trial.protocol.experts)
    if trial.method in OFF_POLICY:
        shared = {name: getattr(config, name) for name in ("ev_penalty", "width", "halvings", "seed", "device")}
        own = OFF_POLICY[trial.method]
        actor_steps = own["gradient_steps"] // own.get("policy_delay", 1)  # per rollout, where DeepExposure takes one
        shared["learning_rate"] = decay(config.learning_rate / actor_steps, config.learning_rate_decay)
        shared["critic_learning_rate"] = decay(config.critic_learning_rate, config.critic_learning_rate_decay)
        model = build_off_policy(trial.method, model.exposure_env, **(shared | own))
    return model, [] if game is None else [game]


class Curve(BaseCallback):
    """Looks at the agent now and then, for the record only, and remembers how long that took.

    Args:
        measure: What to record of a policy.
        every: Steps between two looks.
    """

    def __init__(self, measure: Callable[[Policy], float], every: float):
        super().__init__()
        self.measure, self.every = measure, every
        self.points: list[tuple[int, float]] = []
        self.cpu = self.wall = 0.0  # [s]

    def look(self, steps: int) -> None:
        """Adds a point."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.points.append((steps, self.measure(self.model)))
        self.cpu, self.wall = self.cpu + time.process_time() - cpu, self.wall + time.perf_counter() - wall

    def _on_step(self) -> bool:
        if self.num_timesteps >= len(self.points) * self.every and len(self.points) < NUM_POINTS:
            self.look(self.num_timesteps)
        return True


def run_learner(trial: Trial, stem: Path) -> dict[str, Any]:
    """Trains and tests an agent.

    Args:
        trial: What to run.
        stem: Where the agent is written, but for the suffix.

    Returns:
        What the cell's file holds besides its settings.
    """
    task = trial.task
    model, callbacks = learner(trial)
    curve = Curve(lambda policy: float(trial.evaluate(policy, task).values("psnr").mean()),
                  trial.config.total_timesteps / NUM_POINTS)
    curve.init_callback(model)
    curve.look(0)
    curve.cpu = curve.wall = 0.0  # so far nothing is counted
    cpu, wall = time.process_time(), time.perf_counter()
    model.learn(trial.config.total_timesteps, [*callbacks, curve])
    cost: dict[str, Any] = {"cpu_seconds": round(time.process_time() - cpu - curve.cpu, 2),
            "wall_seconds": round(time.perf_counter() - wall - curve.wall, 2), "peak_mb": peak_mb()}
    evaluation = trial.evaluate(model, task)
    curve.points.append((model.num_timesteps, float(evaluation.values("psnr").mean())))
    if isinstance(model.policy, ExposurePolicy):
        save_agent(stem.parent / f"{stem.name}.safetensors", model.policy, task)
    else:
        model.save(stem.parent / f"{stem.name}.zip")
    return _content(trial, evaluation, cost | {"curve": [[steps, round(value, 4)] for steps, value in curve.points]})


def run_baseline(trial: Trial) -> dict[str, Any]:
    """Tests a baseline; see `run_learner`."""
    task = trial.task
    return _content(trial, trial.evaluate(_baseline(trial, task), task), {})


def _baseline(trial: Trial, task: ExposureTask) -> Policy | list[Policy]:
    max_ev, space, test = task.config.max_ev, task.config.space, trial.protocol.test
    match trial.method:
        case "identity":
            return Identity()
        case "constant EV" if trial.full_size:
            return ConstantEV(best_constant(trial.training, max_ev, space, of="mse"), max_ev)
        case "constant EV":
            return ConstantEV.fit(trial.task_of(trial.training[:NUM_FITTED]))
        case "constant EV on the test":  # fitted on all pairs, whichever fold is tested
            return ConstantEV(best_constant([*trial.training, *test], max_ev, space), max_ev)
        case "auto-exposure":
            return AutoExposure.fit(trial.protocol.experts, max_ev, space)
        case "fixed bracket":
            return FixedBracket(max_ev)
        case "best single EV" if trial.full_size:
            return [ConstantEV(ev, max_ev) for ev in best_evs(test, max_ev, space)]
        case "best single EV":
            return Oracle(task, steps=0)  # it starts there
        case "oracle":
            return Oracle(task)
    raise ValueError(f"baselines are {list(BASELINES)}, not {trial.method!r}")


def _content(trial: Trial, evaluation: Evaluation, results: dict[str, Any]) -> dict[str, Any]:
    photos, seen = [], as_levels if trial.full_size else trial.task.thumbnail
    for record, photo in zip(evaluation.records, trial.protocol.test, strict=True):
        image, target = seen(photo.image), seen(photo.target)
        kept = {name: value for name, value in record._asdict().items() if name != "image"}
        kept["input_psnr"] = float(psnr(image[None], target[None])[0])
        kept["statistics"], kept["target_statistics"] = image_statistics(record.image), image_statistics(target)
        photos.append({name: _plain(value) for name, value in kept.items()})
    experts = [_plain(image_statistics(photo.image)) for photo in trial.protocol.experts]
    content = {"photos": photos, "experts": experts, "max_ev": evaluation.max_ev}
    return {"versions": versions(), "machine": machine(), "results": summary(content) | results, **content}


def summary(content: dict[str, Any]) -> dict[str, float | None]:
    """The numbers of a cell, or of several with their lists of photos joined.

    Args:
        content: "photos" and "experts" as in a cell's file, and "max_ev".

    Returns:
        Those of `Evaluation.summary`; "input_psnr" of the untouched photos [dB]; the 1-D Wasserstein distances of the
        results to the experts' photos in mean luminance, contrast and saturation (as the discriminator sees them, 0 to
        1), "distance", the mean of the three, and "target_distance", that of the targets themselves. None for NaN.
    """
    records = [PhotoRecord(**{name: _number(photo.get(name)) for name in PhotoRecord._fields})
               for photo in content["photos"]]
    numbers = Evaluation(records, content["max_ev"]).summary()
    numbers["input_psnr"] = float(np.mean([photo["input_psnr"] for photo in content["photos"]]))
    experts = np.array(content["experts"])
    for prefix, key in {"": "statistics", "target_": "target_statistics"}.items():
        ours = np.array([photo[key] for photo in content["photos"]])
        distances = [float(wasserstein_distance(*columns)) for columns in zip(ours.T, experts.T, strict=True)]
        numbers |= {f"{prefix}{name}_distance": value for name, value in zip(STATISTICS, distances, strict=True)}
        numbers[f"{prefix}distance"] = float(np.mean(distances))
    return {name: _plain(value) for name, value in numbers.items()}


def image_statistics(image: np.ndarray) -> list[float]:
    """Mean luminance, its standard deviation, and mean saturation of an image, as the discriminator sees them."""
    image = image / np.float32(255) if image.dtype == np.uint8 else image
    planes = torch.tensor(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    return statistics(planes, "std")[0].tolist()


def _plain(value: Any) -> Any:
    """Rounded for JSON, where NaN is None."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def _number(value: Any) -> Any:
    """The other way round."""
    return [_number(each) for each in value] if isinstance(value, list) else math.nan if value is None else value


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on most."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def machine() -> str:
    """What kind of machine this is; nothing that names it."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"


def peak_mb() -> int | None:
    """Largest resident memory of this process so far [MB]; None where the system doesn't tell."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)

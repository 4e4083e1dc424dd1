"""One trial of the benchmark, a training or a baseline: how it is set up, run and measured."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from agents.baselines.classic import Clahe, EntropyBracket, HistogramMatching
from agents.baselines.ev_maps import GreyRule
from agents.baselines.off_policy import build_off_policy
from agents.baselines.untrained import AutoExposure, ConstantEV, FixedBracket, Identity, Oracle
from agents.benchmark.kept_pictures import keep_pictures
from agents.benchmark.measures import (
    image_statistics,
    machine,
    optional_numbers,
    peak_mb,
    plain,
    summary,
    total_cost,
    versions,
)
from agents.benchmark.methods import BASELINES, OFF_POLICY
from agents.benchmark.retouchers import evaluate_retouch
from agents.benchmark.sb3 import build_sb3
from agents.benchmark.sb3_settings import PREFIX, SB3
from agents.benchmark.splits import MISEXPOSED, Split
from agents.benchmark.warm_starts import WarmStart
from agents.evaluation.comparing import NUM_FITTED
from agents.evaluation.judging import Evaluation, evaluate
from agents.evaluation.metrics import psnr
from agents.evaluation.whole_photos import as_levels, best_constant, best_evs, evaluate_full_size
from agents.playing import Policy
from agents.policy import ExposurePolicy
from agents.rivals.crops import Retouch
from agents.saved_agent import load_agent, save_agent
from agents.training.building import build
from agents.training.configuration import TrainConfig, decay, task_settings
from exposure_env.files import written_whole
from exposure_env.photos import Degradation, Photo
from exposure_env.task import ExposureTask

NUM_POINTS = 10  # points of the learning curve, not counting the untrained agent


class Trial(NamedTuple):
    """A method, its configuration and its photos, ready to run."""

    method: str
    config: TrainConfig
    split: Split
    training: Sequence[Photo]  # photos with targets, on which constants are fitted
    full_size: bool  # whether the test photos are measured at full size, rather than as thumbnails
    degradation: Degradation = MISEXPOSED  # how yardsticks expose good photos wrongly
    pictures: Path | None = None  # file that the pictures of the results are written to; none are kept without
    reward: Any = None  # a reward model that stays as it is, in place of the discriminator

    @property
    def task(self) -> ExposureTask:
        """The agents' task on the test photos."""
        return self.task_of(self.split.test)

    def task_of(self, photos: Sequence[Photo]) -> ExposureTask:
        """The agents' task on any photos."""
        config = self.config
        return ExposureTask(photos, config.segmenter, preset=config.task_preset, **task_settings(config))

    def evaluate(self, policy: Policy | list[Policy] | Retouch, task: ExposureTask) -> Evaluation:
        """The evaluation of a policy, or of a function from photo to photo, on the test photos."""
        if not (isinstance(policy, list) or hasattr(policy, "predict") or hasattr(policy, "plan")):
            return evaluate_retouch(policy, task, self.split.test, self.full_size)
        return evaluate_full_size(policy, task, self.split.test) if self.full_size else evaluate(policy, task)


def learner(trial: Trial) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """The untrained agent, and the callbacks it is trained with.

    Targets are removed from the photos of every agent that learns from unpaired ones.
    """
    config, inputs = trial.config, trial.split.inputs
    if trial.method in SB3:
        return build_sb3(trial.method.removeprefix(PREFIX), SB3[trial.method], config, trial.split)
    if config.reward == "psnr":
        inputs = [photo for photo in inputs if photo.target is not None]
    else:
        inputs = [Photo(photo.name, photo.image) for photo in inputs]
    model, game = build(config, inputs, trial.split.experts, reward_model=trial.reward)
    if trial.method in OFF_POLICY:
        shared = {name: getattr(config, name) for name in ("ev_penalty", "width", "halvings", "seed", "device")}
        own = OFF_POLICY[trial.method]
        actor_steps = own["gradient_steps"] // own.get("policy_delay", 1)  # per rollout; DeepExposure takes one
        shared["learning_rate"] = decay(config.learning_rate / actor_steps, config.learning_rate_decay)
        shared["critic_learning_rate"] = decay(config.critic_learning_rate, config.critic_learning_rate_decay)
        model = build_off_policy(trial.method, model.exposure_env, **(shared | own))
    return model, [] if game is None else [game]


class Curve(BaseCallback):
    """A callback that measures the agent now and then, for the record only, and how long that takes.

    Args:
        measure: Function from a policy, or from whatever else learns, to the number to record.
        every: Steps between two points.
    """

    def __init__(self, measure: Callable[[Policy | Retouch], float], every: float):
        super().__init__()
        self.measure, self.every = measure, every
        self.points: list[tuple[int, float]] = []
        self.cpu = self.wall = 0.0  # [s]

    def look(self, steps: int, policy: Policy | Retouch | None = None) -> None:
        """Adds a point to the curve: of the agent, or of another policy."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.points.append((steps, self.measure(self.model if policy is None else policy)))
        self.cpu, self.wall = self.cpu + time.process_time() - cpu, self.wall + time.perf_counter() - wall

    def due(self, steps: int) -> bool:
        """Whether the next point is due after so many steps."""
        return steps >= len(self.points) * self.every and len(self.points) < NUM_POINTS

    def _on_step(self) -> bool:
        if self.due(self.num_timesteps):
            self.look(self.num_timesteps)
        return True


def curve_of(trial: Trial, task: ExposureTask) -> Curve:
    """The learning curve of a trial, with no point yet: mean PSNR of the test photos [dB]."""
    return Curve(lambda policy: float(trial.evaluate(policy, task).values("psnr").mean()),
                 trial.config.total_timesteps / NUM_POINTS)


def run_learner(trial: Trial, stem: Path, start: WarmStart | None = None) -> dict[str, Any]:
    """Trains and tests an agent, and writes it to a file.

    Args:
        trial: The trial to run.
        stem: Path of the agent's file, without the suffix.
        start: Where the game begins, if not with a warm start of its own.

    Returns:
        The content of the cell's file, except its settings.
    """
    task = trial.task
    model, callbacks = learner(trial)
    curve = curve_of(trial, task)
    curve.init_callback(model)
    curve.look(0)
    curve.cpu = curve.wall = 0.0  # the cost of the first look doesn't count
    cpu, wall = time.process_time(), time.perf_counter()
    if start is not None:
        model.policy.actor.load_state_dict(load_agent(start.agent).policy.actor.state_dict())
        model.keep_reference()
    model.learn(trial.config.total_timesteps, [*callbacks, curve])
    cost = total_cost([spent(cpu, wall, curve), *([] if start is None else [start.results])])
    evaluation = trial.evaluate(model, task)
    curve.points.append((model.num_timesteps, float(evaluation.values("psnr").mean())))
    if isinstance(model.policy, ExposurePolicy):
        save_agent(stem.parent / f"{stem.name}.safetensors", model.policy, task)
    else:
        with written_whole(stem.parent / f"{stem.name}.zip") as file:
            model.save(file)
    return cell_content(trial, evaluation, cost | {"curve": rounded(curve)})


def run_fitted(trial: Trial, start: Policy | Retouch,
               fit: Callable[[Callable[[int, Any], None]], Policy | Retouch]) -> dict[str, Any]:
    """Trains and tests what learns from `total_timesteps` photos; see `run_learner`. It isn't kept.

    Args:
        trial: The trial to run.
        start: What it is before any training, for the curve.
        fit: Trains it; takes a function to call now and then with the photos seen so far and what has come of it.
    """
    task, budget = trial.task, trial.config.total_timesteps
    curve = curve_of(trial, task)
    curve.look(0, start)
    curve.cpu = curve.wall = 0.0  # the cost of the first look doesn't count

    def look(num_photos: int, fitted: Policy | Retouch) -> None:
        if num_photos < budget and curve.due(num_photos):
            curve.look(num_photos, fitted)

    cpu, wall = time.process_time(), time.perf_counter()
    fitted = fit(look)
    cost = spent(cpu, wall, curve)
    evaluation = trial.evaluate(fitted, task)
    curve.points.append((budget, float(evaluation.values("psnr").mean())))
    return cell_content(trial, evaluation, cost | {"curve": rounded(curve)})


def spent(cpu: float, wall: float, curve: Curve) -> dict[str, Any]:
    """What a training has cost since its clocks showed `cpu` and `wall` [s], without the looks at it."""
    return {"cpu_seconds": round(time.process_time() - cpu - curve.cpu, 2),
            "wall_seconds": round(time.perf_counter() - wall - curve.wall, 2), "peak_mb": peak_mb()}


def rounded(curve: Curve) -> list[list[float]]:
    """The points of a curve, for JSON."""
    return [[steps, round(value, 4)] for steps, value in curve.points]


def run_baseline(trial: Trial) -> dict[str, Any]:
    """Tests a baseline; see `run_learner`."""
    task = trial.task
    return cell_content(trial, trial.evaluate(_baseline(trial, task), task), {})


def _baseline(trial: Trial, task: ExposureTask) -> Policy | list[Policy] | Retouch:
    max_ev, space, test = task.config.max_ev, task.config.space, trial.split.test
    match trial.method:
        case "identity":
            return Identity()
        case "constant EV" if trial.full_size:
            return ConstantEV(best_constant(trial.training, max_ev, space, of="mse"), max_ev)
        case "constant EV":
            return ConstantEV.fit(trial.task_of(trial.training[:NUM_FITTED]))
        case "constant EV on the test":  # fitted on all pairs, whichever fold is the test
            return ConstantEV(best_constant([*trial.training, *test], max_ev, space), max_ev)
        case "auto-exposure":
            return AutoExposure.fit(trial.split.experts, max_ev, space)
        case "grey rule" | "grey rule, global":
            return GreyRule.fit(trial.task_of(trial.training[:NUM_FITTED]))
        case "fixed bracket":
            return FixedBracket(max_ev)
        case "FI, entropy":
            return EntropyBracket(max_ev, space)
        case "CLAHE":
            return Clahe()
        case "histogram matching":
            return HistogramMatching.fit(trial.split.experts)
        case "best single EV" if trial.full_size:
            return [ConstantEV(ev, max_ev) for ev in best_evs(test, max_ev, space)]
        case "best single EV":
            return Oracle(task, steps=0)  # its starting point
        case "oracle":
            return Oracle(task)
    raise ValueError(f"baselines are {list(BASELINES)}, not {trial.method!r}")


def cell_content(trial: Trial, evaluation: Evaluation, results: dict[str, Any]) -> dict[str, Any]:
    """The content of a cell's file, except its settings, with further results of its own.

    The pictures of the results are written to the trial's file for them, where it has one.
    """
    photos, seen = [], as_levels if trial.full_size else trial.task.thumbnail
    for record, photo in zip(evaluation.records, trial.split.test, strict=True):
        image, target = seen(photo.image), seen(photo.target)
        kept = {name: value for name, value in record._asdict().items() if name != "image"}
        kept["input_psnr"] = float(psnr(image[None], target[None])[0])
        kept |= optional_numbers(record.image, target)
        kept["statistics"], kept["target_statistics"] = image_statistics(record.image), image_statistics(target)
        photos.append({name: plain(value) for name, value in kept.items()})
    if trial.pictures is not None:
        keep_pictures(trial.pictures, [record.image for record in evaluation.records])
    experts = [plain(image_statistics(photo.image)) for photo in trial.split.experts]
    content = {"photos": photos, "experts": experts, "max_ev": evaluation.max_ev}
    return {"versions": versions(), "machine": machine(), "results": summary(content) | results, **content}

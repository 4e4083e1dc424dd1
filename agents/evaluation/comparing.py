"""Policies compared on the same photos: a table, and a score from 0, untouched, to 1, the best possible."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agents.baselines.untrained import AutoExposure, ConstantEV, FixedBracket, Identity, Oracle
from agents.evaluation.formatting import aligned, number
from agents.evaluation.judging import Evaluation, evaluate
from agents.playing import Photos, Policy
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask

NUM_FITTED = 128  # photos that the constant exposure is fitted on: enough for one number


def normalised_score(agent: Evaluation, identity: Evaluation, oracle: Evaluation) -> float:
    """The fraction of the possible gain in mean PSNR that the agent achieves: 0 if untouched, 1 for the oracle.

    Raises:
        ValueError: If they were evaluated on different photos.
    """
    names = [[record.name for record in evaluation.records] for evaluation in (agent, identity, oracle)]
    if not names[0] == names[1] == names[2]:
        raise ValueError("agent, identity and oracle must be evaluated on the same photos")
    low, high = identity.values("psnr").mean(), oracle.values("psnr").mean()
    return float((agent.values("psnr").mean() - low) / (high - low)) if high > low else float("nan")


class PolicyRow(NamedTuple):
    """A policy's row in the comparison."""

    name: str
    psnr: float  # [dB]
    ssim: float
    score: float  # see `normalised_score`; NaN without an oracle
    ev_correlation: float
    evaluation: Evaluation


def contestants(agent: Policy, training: ExposureTask, experts: Sequence[Photo]) -> dict[str, Policy]:
    """The agent together with all baselines, for `compare`.

    Args:
        agent: Any policy.
        training: The agent's task on photos with targets; the constant exposure is fitted on the first 128 of them.
        experts: Well exposed photos; auto-exposure aims at their mean luminance.

    Raises:
        ValueError: If a training photo has no target.
    """
    config = training.config
    return {
        "identity": Identity(),
        "constant EV": ConstantEV.fit(training, range(min(NUM_FITTED, len(training.photos)))),
        "auto-exposure": AutoExposure.fit(experts, config.max_ev, config.space),
        "fixed bracket": FixedBracket(config.max_ev),
        "agent": agent,
        "oracle": Oracle(training),
    }


def compare(policies: Mapping[str, Policy], task: ExposureTask, photos: Photos = None) -> list[PolicyRow]:
    """One row per policy, all evaluated on the same photos; arguments as for `evaluate`.

    The normalised score needs an `Oracle` among the policies; the untouched photos are measured for it if need be.
    """
    evaluations = {name: evaluate(policy, task, photos) for name, policy in policies.items()}
    of_kind = {type(policy): evaluations[name] for name, policy in policies.items()}
    oracle = of_kind.get(Oracle)
    identity = oracle and (of_kind.get(Identity) or evaluate(Identity(), task, photos))
    rows = []
    for name, evaluation in evaluations.items():
        summary = evaluation.summary()
        score = float("nan") if oracle is None else normalised_score(evaluation, identity, oracle)
        rows.append(PolicyRow(name, summary["psnr"], summary["ssim"], score, summary["ev_correlation"], evaluation))
    return rows


def format_table(rows: Sequence[PolicyRow]) -> str:
    """The comparison as aligned plain text, one line per policy."""
    lines = [("policy", "PSNR [dB]", "SSIM", "score", "EV correlation")]
    for row in rows:
        lines.append((row.name, number(row.psnr), number(row.ssim, ".3f"), number(row.score),
                      number(row.ev_correlation)))
    return aligned(lines)

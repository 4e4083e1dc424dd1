"""The settings of DeepExposure: how it learns from finished episodes."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from agents.typed import check_types

MOST = math.inf
Ranges = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Method:
    """The settings of how DeepExposure learns from finished episodes; the preset `paper` has the paper's own."""

    RANGES: ClassVar[Ranges] = {  # lowest and highest values
        "n_batches": (1, MOST), "batch_size": (1, MOST), "gamma": (0, 1), "critic_steps": (1, MOST),
        "td_lambda": (0, 1), "max_slope": (0, MOST), "ev_penalty": (0, MOST), "overshoot_penalty": (0, MOST),
        "warm_start": (0, 10**6), "warm_start_learning_rate": (0, MOST), "reference_penalty": (0, MOST),
        "demonstration_weight": (0, MOST),
    }  # fmt: skip

    n_batches: int = 8  # mini-batches whose gradients add up to one update (section 2.2)
    batch_size: int = 8  # episodes in a mini-batch
    gamma: float = 0.99  # discount factor

    # where the actor's gradient comes from: "critic" is DeepExposure I, "discriminator" is DeepExposure II; for
    # comparison, "pathwise" differentiates the whole episode, and "q" learns Q(s, a) as DDPG does
    value: Literal["critic", "discriminator", "pathwise", "q"] = "discriminator"
    # II's advantage: "potential", A_t = gamma^(K-1-t) [D(S_t+1) - D(S_t)], is the corrected eq. (15); "paper_abs" has
    # the same direction but the printed magnitude, |gamma - 1| gamma^(K-1-t) D; "paper_literal" has the printed sign
    advantage: Literal["potential", "paper_abs", "paper_literal"] = "potential"
    # image that II scores in place of the unknown final one: "next" is the image after the step (section 2.5); "final"
    # is the finished image of the same episode, its other exposures held fixed: cheaper, and what eq. (14) asks for
    value_image: Literal["final", "next"] = "final"

    # Of I and q
    critic_steps: int = 1  # steps of the critic (forms I and q) per update, each on its share of the episodes
    td_lambda: float = 1.0  # lambda of the critic's targets: 1 is the return, which has no bias; 0 is eq. (6)
    shaping: bool = False  # whether the score of the image so far is a shaping potential; best policies stay the same

    reset_noise: bool = True  # whether the exploration noise restarts with each photo
    # limit on the slope of the score with respect to the EV of a step [score/stop]; PSNR needs one, as its slope is
    # infinite at a perfect match
    max_slope: float | None = None

    ev_penalty: float = 0.0  # pull towards small exposures [score/stop^2]: a shyer agent that is less often wrong
    # what ev_penalty sums up over: all "segments" alike, or the EV "map", where an exposure counts by its area
    penalised: Literal["segments", "map"] = "segments"
    ev_prior: Literal["zero", "mean"] = "zero"  # EV that ev_penalty pulls towards: 0, or the agent's own mean EV
    warm_start: int = 0  # steps in which the actor first learns to undo misexposures of experts' photos
    warm_start_learning_rate: float = 2e-3  # largest learning rate of these steps, after a rise and before a fall
    reference_penalty: float = 0.0  # pull towards the EV map of the warm-started actor [score/stop^2]
    demonstration_weight: float = 0.0  # weight of the warm start's loss in later updates [score/dB]
    overshoot_penalty: float = 0.0  # penalty on the mean square of values pushed beyond white [score], as in Exposure

    def check(self) -> None:
        """Checks the settings.

        Raises:
            ValueError: If one of them is invalid; the message names it.
        """
        check_types(self, self.RANGES)
        if self.max_slope == 0:
            raise ValueError("max_slope must be above 0, or None for no limit, not 0")

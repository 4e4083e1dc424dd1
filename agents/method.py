"""The settings of DeepExposure: how it learns from finished episodes."""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints


@dataclass(frozen=True)
class Method:
    """The settings of how DeepExposure learns from finished episodes; the preset `paper` has the paper's own."""

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
    ev_prior: Literal["zero", "mean"] = "zero"  # EV that ev_penalty pulls towards: 0, or the agent's own mean EV
    overshoot_penalty: float = 0.0  # penalty on the mean square of values pushed beyond white [score], as in Exposure

    def check(self) -> None:
        """Checks the settings.

        Raises:
            ValueError: If one of them is invalid; the message names it.
        """
        hints = get_type_hints(Method)
        for name in ("value", "advantage", "value_image", "ev_prior"):
            if (given := getattr(self, name)) not in get_args(hints[name]):
                raise ValueError(f"{name} must be one of {get_args(hints[name])}, not {given!r}")
        if min(self.n_batches, self.batch_size) < 1:
            raise ValueError(f"n_batches and batch_size must be at least 1, not {self.n_batches} and {self.batch_size}")
        if not (0 <= self.gamma <= 1 and 0 <= self.td_lambda <= 1):
            raise ValueError(f"gamma and td_lambda must lie in [0, 1], not {self.gamma} and {self.td_lambda}")
        if self.critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1, not {self.critic_steps}")
        if min(self.ev_penalty, self.overshoot_penalty) < 0 or (self.max_slope is not None and self.max_slope <= 0):
            raise ValueError("ev_penalty and overshoot_penalty must be at least 0 and max_slope above 0, not "
                             f"{self.ev_penalty}, {self.overshoot_penalty} and {self.max_slope}")

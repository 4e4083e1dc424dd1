"""The settings of the method: what DeepExposure does with finished episodes."""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints


@dataclass(frozen=True)
class Method:
    """How DeepExposure learns from finished episodes. The defaults are the paper's, or nothing where it has none."""

    n_batches: int = 8  # mini-batches whose gradients make one update (section 2.2)
    batch_size: int = 8  # episodes in a mini-batch
    gamma: float = 0.99  # discount factor

    # Where the actor's gradient comes from (see `gradients`): forms I and II, and two to compare with
    value: Literal["critic", "discriminator", "pathwise", "q"] = "discriminator"
    # Of II: "potential", A_t = gamma^(K-1-t) [D(S_t+1) - D(S_t)], is the corrected eq. (15); "paper_abs" has the same
    # direction and the printed magnitude, |gamma - 1| gamma^(K-1-t) D; "paper_literal" the printed sign, for the record
    advantage: Literal["potential", "paper_abs", "paper_literal"] = "potential"
    # Of II, what stands in for the unknown final image: "next", the image after the step (section 2.5), or "final", the
    # finished image of the same episode, its other exposures held: what eq. (14) asks for, and cheaper
    value_image: Literal["final", "next"] = "final"

    # Of I and q
    critic_steps: int = 1  # steps of the critic per update, each on its share of the episodes; 1 accumulates too
    td_lambda: float = 1.0  # of the critic's targets: 1 the return, which has no bias; 0 eq. (6)
    shaping: bool = False  # whether the score of the image so far is a shaping potential; best policies stay the same

    reset_noise: bool = True  # whether exploration noise starts anew with each photo
    # Largest slope of the score by an EV that a step contributes [score/stop]; PSNR needs one, as its slope is infinite
    # at a perfect match
    max_slope: float | None = None

    ev_penalty: float = 0.0  # pull towards small exposures [score/stop^2]: shyer, but less often wrong
    ev_prior: Literal["zero", "mean"] = "zero"  # where it pulls to: the untouched photo, or the agent's own mean EV
    overshoot_penalty: float = 0.0  # on the mean square of what an exposure drives beyond white [score] (Exposure's)

    def check(self) -> None:
        """Looks at the settings.

        Raises:
            ValueError: If one of them makes no sense, naming it.
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

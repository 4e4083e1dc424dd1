"""The panels of episodes of a task: what both environments render, and what pictures of agents are made of."""

from collections.abc import Sequence

import numpy as np

from exposure_env.episode import EpisodeState, select, untouched
from exposure_env.render import storyboard_panel
from exposure_env.task import ExposureTask


def panels(task: ExposureTask, state: EpisodeState, last: Sequence[tuple[float | None, float | None]], *,
           scored: bool = True, target: bool | None = None, panel: int = 192) -> tuple[np.ndarray, ...]:
    """One storyboard panel for each of N episodes; see `render.storyboard_panel`.

    Args:
        task: Their task. Its reward model scores the N results so far and the N photos, in two calls.
        state: The episodes, after the step; NumPy arrays.
        last: For each, exposure [stops] and reward of the last step; None at the start.
        scored: Whether scores are written down.
        target: See `storyboard_panel`.
        panel: See `storyboard_panel`.

    Returns:
        N arrays (rows, columns, 3) uint8.

    Raises:
        ValueError: If the reward model can't score the images, such as one that needs targets where there are none.
    """
    fused, scores, inputs = task.fused(state), [None] * len(last), [None] * len(last)
    if scored:
        scores = np.asarray(task.score(state, fused=fused)).tolist()
        inputs = np.asarray(task.score(untouched(state), fused=state.photos)).tolist()
    return tuple(
        storyboard_panel(select(state, [i]), fused[i], *drawn, score=scores[i], input_score=inputs[i],
                         scored=task.config.reward_image, target=target, max_ev=task.config.max_ev, panel=panel,
                         space=task.config.space)
        for i, drawn in enumerate(last)
    )

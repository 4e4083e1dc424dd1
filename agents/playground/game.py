"""A game on one photo: what every exposure is worth, what the agent does, and what would be best. No HTTP here.

A game remembers no player. All that happens follows from the exposures that a player has given so far, so any number
of players share a game, and a link that holds the exposures holds everything.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Literal, NamedTuple

import numpy as np

from agents.auditing import best_plans
from agents.encoding import jpeg
from agents.playground.board import Board
from agents.playground.gallery import Shown
from agents.playground.judges import Estimate, Judge
from agents.playing import Policy, play
from exposure_env import episode
from exposure_env.photos import Photo
from exposure_env.retouch import RetouchPlan, apply_plan
from exposure_env.task import ExposureTask

Rival = Literal["agent", "greedy"]  # the trained policy, or whoever takes the best exposure of the curve
RIVALS: tuple[Rival, ...] = ("agent", "greedy")
POINTS = 31  # of a curve
KEPT = 48  # curves, pictures and plans that a game remembers of each kind
BOARD_QUALITY = 85  # of the JPEGs that follow the slider


class Curve(NamedTuple):
    """What the current segment's exposure is worth, the later ones being left alone."""

    evs: np.ndarray  # (POINTS,) float64 [stops]
    scores: np.ndarray  # (POINTS,) float64

    @property
    def best(self) -> float:
        """The exposure with the highest score; of equals the one nearest to 0."""
        near = np.argsort(abs(self.evs), kind="stable")
        return float(self.evs[near[self.scores[near].argmax()]])


class Game:
    """A photo, ready to be played; safe to be used by several threads.

    Args:
        shown: The photo.
        task: The agent's task: segments, rendering, limits.
        policy: The agent's policy.
        estimate: What the run's own network thinks of states on the way, if there is one.

    Raises:
        ValueError: If the photo can't be made ready.
    """

    def __init__(self, shown: Shown, task: ExposureTask, policy: Policy, estimate: Estimate | None = None):
        self.shown, self.task, self.policy, self.estimate = shown, task, policy, estimate
        scene = task.scene(Photo(shown.name, shown.pixels, shown.target), np.random.default_rng(0))
        self.start = task.start([scene])
        self.segments = scene.num_segments
        self.board = Board(shown.pixels, self.plan([0.0] * self.segments))
        self.grid = np.linspace(-task.config.max_ev, task.config.max_ev, POINTS)
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._lock, self._searching = Lock(), Lock()

    def states(self, plans: Sequence[Sequence[float]]) -> episode.EpisodeState:
        """The states after these exposures [stops], one for each of N plans, which may be of different lengths."""
        state = episode.select(self.start, np.zeros(len(plans), int))
        for row, plan in enumerate(plans):
            state.evs[row, : len(plan)] = plan
            state.step[row] = len(plan)
        return state

    def scores(self, plans: Sequence[Sequence[float]], judge: Judge) -> list[float]:
        """What the image is worth after each of these plans.

        Raises:
            ValueError: If the judge needs a target, and there is none.
        """
        return np.asarray(self.task.score(self.states(plans), judge.model), np.float64).tolist()

    def course(self, evs: Sequence[float], judge: Judge) -> list[float]:
        """What the image is worth before the first exposure and after each of these."""
        return self._remembered(("course", tuple(evs), judge.name), lambda: self.scores(_prefixes(evs), judge))

    def estimates(self, evs: Sequence[float]) -> list[float] | None:
        """What the run's own network thinks before the first exposure and after each; None if there is no network."""
        if self.estimate is None:
            return None
        prefixes = _prefixes(evs)[: self.segments + self.estimate.at_end]
        return self._remembered(("estimates", tuple(evs)), lambda: self.estimate.of(self.states(prefixes)).tolist())

    def curve(self, evs: Sequence[float], judge: Judge) -> Curve:
        """The curve of the segment that comes after these exposures."""
        def made() -> Curve:
            return Curve(self.grid, np.array(self.scores([[*evs, ev] for ev in self.grid], judge)))

        return self._remembered(("curve", tuple(evs), judge.name), made)

    def finished(self, evs: Sequence[float], rival: Rival, judge: Judge) -> list[float]:
        """These exposures and those that a rival adds to them, up to the last segment.

        The agent plays as it was trained, whatever the judge. The greedy one takes the best exposure of each curve.
        """
        def made() -> list[float]:
            if rival == "agent":
                return play(self.policy, self.task, self.states([evs])).evs[0, : self.segments].tolist()
            plan = list(evs)
            while len(plan) < self.segments:
                plan.append(self.curve(plan, judge).best)
            return plan

        return self._remembered(("plan", tuple(evs), rival, None if rival == "agent" else judge.name), made)

    def oracle(self, judge: Judge) -> tuple[list[float], float]:
        """The best plan that a search found, by the judge, and its score."""
        def made() -> tuple[list[float], float]:
            best = best_plans(self.task, self.start, judge.model)
            score = self.task.score(best, judge.model)
            return best.evs[0, : self.segments].tolist(), float(score[0])

        with self._searching:  # whoever asks meanwhile gets the same answer
            return self._remembered(("oracle", judge.name), made)

    def picture(self, evs: Sequence[float]) -> bytes:
        """The board after these exposures, as a JPEG of at most `board.SIDE` pixels."""
        def made() -> bytes:
            return jpeg(self.board.exposed(np.asarray(evs, np.float64)), BOARD_QUALITY, subsampled=True)

        return self._remembered(("picture", tuple(evs)), made)

    def full(self, evs: Sequence[float]) -> bytes:
        """The photo retouched at its full size, as a JPEG; segments without an exposure stay as they are."""
        plan = self.plan([*evs, *[0.0] * (self.segments - len(evs))])
        return jpeg(apply_plan(plan, self.shown.pixels))

    def plan(self, evs: Sequence[float]) -> RetouchPlan:
        """All exposures as a plan that replays at any size."""
        config = self.task.config
        return RetouchPlan(self.start.labels[0], np.array(evs), fusion=config.fusion, space=config.space,
                           thumbnail=config.thumbnail)

    def _remembered(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made before under this key, or is made now; the least recently used is forgotten."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = make()
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return value


def _prefixes(evs: Sequence[float]) -> list[list[float]]:
    return [list(evs[:step]) for step in range(len(evs) + 1)]

"""Pictures that move: an agent's episode on a photo, and the same photo as it retouched it over its training."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from agents.saved_agent import Agent
from exposure_env import drawing, episode
from exposure_env.drawing import GAP, INK, LEADING, MARGIN, MUTED
from exposure_env.photos import Photo, check_photo, content_box
from exposure_env.retouch import RetouchPlan, apply_plan

SIDE = 300  # longest side of a picture [px]
COLUMN = 220  # narrowest place for a picture and the text below [px]
BARS = 60  # height of the bars of exposures [px]
MOST = 40  # steps shown of an episode, snapshots of a training
FIRST, STEPS, STEP, LAST = 0.8, 4.8, 1.2, 1.2  # seconds: the photo, all steps at most, one at most, the result
COMPARED = 0.75  # each of before, after and target, at the end [s]


class Frame(NamedTuple):
    """A picture, and how long it is shown."""

    picture: np.ndarray  # (rows, columns, 3) uint8, of the same size in a whole animation; rows and columns are even
    seconds: float


def episode_frames(agent: Agent, photo: Photo) -> list[Frame]:
    """An agent's episode: each segment is shown, then its exposure; at the end, before and after take turns.

    Exposures still to come count as 0. The photo is retouched at the size that is shown, not at the agent's 64 pixels.

    Args:
        agent: The agent.
        photo: The photo. Where it has a target, that is shown at the end, and PSNR along the way.
    """
    stage, plan = _Stage(agent, photo), agent.plan(photo.image)
    count = len(plan.evs)
    steps = np.unique(np.linspace(1, count, min(count, MOST)).round().astype(int))
    duration = min(STEPS / len(steps), STEP) / 2
    so_far = stage.moment(plan, 0, 0)
    frames = [stage.frame(so_far, FIRST)]
    for step in steps:
        frames.append(stage.frame(so_far._replace(current=step - 1), duration))
        so_far = stage.moment(plan, step, step - 1)
        frames.append(stage.frame(so_far, duration))
    return [*frames, *stage.compared(plan)]


def training_frames(agents: Sequence[tuple[str, Agent]], photo: Photo) -> list[Frame]:
    """A photo as different agents retouch it, such as one agent over its training, one after the other.

    Args:
        agents: The agents, each with what to call it, at least one. Of more than 40, as many are shown, evenly.
        photo: See `episode_frames`.

    Raises:
        ValueError: If there is no agent.
    """
    if not agents:
        raise ValueError("a training is shown by one agent or more, not by none")
    chosen = np.unique(np.linspace(0, len(agents) - 1, min(len(agents), MOST)).round().astype(int))
    frames, duration = [], min(STEPS / len(chosen), STEP)
    for index in chosen:
        name, agent = agents[index]
        stage, plan = _Stage(agent, photo), agent.plan(photo.image)
        moment = stage.moment(plan, len(plan.evs), None)
        frames.append(stage.frame(moment._replace(caption=name, parted=True), duration))
    return [*frames, *stage.compared(plan)]


class _Moment(NamedTuple):
    """What is known at a moment of an episode."""

    plan: RetouchPlan
    done: int  # exposures given
    current: int | None  # the segment that stands out
    picture: np.ndarray  # the photo retouched so far
    caption: str
    psnr: float | None
    parted: bool = False  # whether the borders of all segments are shown


class _Stage:
    """Where the frames of a photo are put together: photo and retouch side by side, and a bar for each exposure."""

    def __init__(self, agent: Agent, photo: Photo):
        self.task = agent.task([photo])
        (self.scene,) = self.task.scenes([0], [np.random.default_rng(0)])
        self.photo = self._small(photo.image)
        self.target = None if photo.target is None else self._small(photo.target)
        self.column = max(self.photo.shape[1], COLUMN)
        height, width, *_ = self.photo.shape
        self.size = MARGIN + height + 2 * LEADING + 8 + BARS + MARGIN, 2 * MARGIN + 2 * self.column + GAP
        self.size = tuple(side + side % 2 for side in self.size)  # videos want even numbers

    def moment(self, plan: RetouchPlan, done: int, current: int | None) -> _Moment:
        """The moment after so many exposures of a plan."""
        partial = replace(plan, evs=np.where(np.arange(len(plan.evs)) < done, plan.evs, 0.0))
        caption = "retouched" if done == len(plan.evs) else "retouched so far"
        psnr = self._psnr(partial, done) if self.target is not None else None
        return _Moment(plan, done, None if done == 0 else current, apply_plan(partial, self.photo), caption, psnr)

    def frame(self, moment: _Moment, seconds: float) -> Frame:
        """The frame of a moment."""
        plan, current, left = moment.plan, moment.current, self.photo
        caption = "photo"
        if moment.parted:
            caption, left = f"photo, in {len(plan.evs)} segments", drawing.outlined(self.photo, self._labels(plan))
        if current is not None:
            caption = f"segment {current + 1} of {len(plan.evs)}" if len(plan.evs) > 1 else "the whole photo"
            caption += f": EV {drawing.signed(plan.evs[current])}" if current < moment.done else ""
            left = drawing.highlighted(self.photo, self._labels(plan) == current)
        start = None if self.target is None else self._psnr(plan, 0)
        canvas = drawing.sheet(*self.size)
        columns = ((left, caption, start), (moment.picture, moment.caption, moment.psnr))
        for place, (picture, words, psnr) in enumerate(columns):
            edge = MARGIN + place * (self.column + GAP)
            height, width, *_ = picture.shape
            inset = (self.column - width) // 2
            canvas[MARGIN : MARGIN + height, edge + inset : edge + inset + width] = picture
            baseline = MARGIN + height + LEADING - 4
            drawing.write(canvas, words, edge + inset, baseline, self.column - inset, INK if place else MUTED)
            if psnr is not None:
                told = f"PSNR {psnr:.1f} dB"
                drawing.write(canvas, told, edge + inset, baseline + LEADING, self.column - inset, MUTED)
        box = MARGIN + self.photo.shape[0] + 2 * LEADING + 8, MARGIN, BARS, self.size[1] - 2 * MARGIN
        drawing.draw_evs(canvas, plan.evs, moment.done, current, self.task.config.max_ev, box)
        return Frame(canvas, seconds)

    def compared(self, plan: RetouchPlan) -> Iterator[Frame]:
        """The last frames: before and after in one place, so that the eye sees what has changed."""
        after = self.moment(plan, len(plan.evs), None)._replace(caption="after")
        before = self.moment(plan, 0, None)
        before = before._replace(done=len(plan.evs), caption="before")
        yield from (self.frame(moment, COMPARED) for moment in (after, before, after))
        if self.target is None:
            yield self.frame(before, COMPARED)
        else:
            yield self.frame(after._replace(picture=self.target, caption="target", psnr=None), COMPARED)
        yield self.frame(after, LAST)

    def _psnr(self, plan: RetouchPlan, done: int) -> float:
        """The score of the thumbnail after so many exposures, as the environment gives it."""
        state = self.task.start([self.scene])
        evs = np.zeros_like(state.evs)
        evs[0, :done] = plan.evs[:done]
        reached = state._replace(evs=evs, step=np.array([done]))
        return float(self.task.score(reached if done else episode.untouched(state))[0])

    def _small(self, image: np.ndarray) -> np.ndarray:
        image = image if image.ndim == 3 and image.dtype.kind == "u" else check_photo(image)
        return drawing.scaled(image, *drawing.fitted(image.shape, SIDE, SIDE))

    def _labels(self, plan: RetouchPlan) -> np.ndarray:
        """The labels of the part of the thumbnail where the photo is."""
        top, left, height, width = content_box(*self.photo.shape[:2], plan.labels.shape, plan.thumbnail)
        return plan.labels[top : top + height, left : left + width]

"""Pictures of an episode: one panel per step, storyboards of whole episodes, and before/after comparisons."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from exposure_env.drawing import (
    GAP,
    INK,
    LEADING,
    MARGIN,
    MUTED,
    draw_evs,
    fitted,
    highlighted,
    outlined,
    scaled,
    sheet,
    signed,
    write,
)
from exposure_env.episode import EpisodeState, local_image
from exposure_env.image import Space

BARS = 46  # height of the bars of exposures [px]


def storyboard_panel(
    state: EpisodeState,
    fused: np.ndarray,
    ev: float | None,
    reward: float | None,
    *,
    score: float | None = None,
    input_score: float | None = None,
    scored: Literal["fused", "local", "both"] = "fused",
    target: bool | None = None,
    max_ev: float = 3.0,
    panel: int = 192,
    space: Space = "linear",
) -> np.ndarray:
    """One step of an episode: input, segment, local image, blend and target side by side, with numbers written below.

    All but one segment is faded: the one that got `ev` or, before the first exposure, the next one. Without `ev` at the
    end of an episode, all segments are outlined. Under the local image there is a bar for each exposure so far.

    Args:
        state: One episode (N = 1), after the step; NumPy arrays.
        fused: (H, W, 3) float in [0, 1], the blend so far.
        ev: Exposure of the last step [stops]; None at the start of an episode.
        reward: Reward of the last step; None where there is none.
        score: Score of the result so far; None where it is unknown.
        input_score: Score of the untouched photo, likewise.
        scored: Which image the score is of: the blend, the local image, or the mean of both.
        target: Whether there is a fifth picture, the target; None for: if the episode has one.
        max_ev: The largest exposure, as high as a bar can be [stops].
        panel: Side of the square that each picture is fitted into [px].
        space: See `image.expose`; for the local image.

    Returns:
        (rows, columns, 3) uint8 RGB, of the same size for the same `panel` and `target`.

    Raises:
        ValueError: If the state holds several episodes, `fused` is not of the photo's shape, or `panel` is below 64.
    """
    if len(state.photos) != 1:
        raise ValueError(f"state must hold one episode, not {len(state.photos)}")
    if np.shape(fused) != state.photos.shape[1:]:
        raise ValueError(f"fused must be of the photo's shape {state.photos.shape[1:]}, not {np.shape(fused)}")
    if panel < 64:
        raise ValueError(f"panel must be 64 pixels or more, not {panel}")
    count, step = int(state.num_segments[0]), int(state.step[0])
    current = max(step - 1, 0) if ev is not None else step if step < count else None
    photo = scaled(state.photos[0], *fitted(state.photos.shape[1:], panel, panel))
    if current is None:
        caption, segment = f"{count} segments", outlined(photo, state.labels[0])
    else:
        caption = f"segment {current + 1} of {count}" if count > 1 else "whole photo"
        caption = caption if ev is not None else f"next: {caption}"
        segment = highlighted(photo, state.labels[0] == current)
    local, blend = ("local so far", "blend so far") if step < count else ("local", "blend: result")
    pictures = [("input", photo), (caption, segment), (local, local_image(state, space)[0]), (blend, fused)]
    if target if target is not None else state.targets is not None:
        pictures.append(("no target", None) if state.targets is None else ("target", state.targets[0]))
    name = "score" if scored == "fused" else f"score ({scored})"
    multiplied = "light" if space == "linear" else "values"
    notes = {
        0: [] if input_score is None else [f"score {input_score:.4g}"],
        1: [] if ev is None else [f"EV {signed(ev)}", f"{multiplied} x {2.0**ev:.2g}"],
        3: ["" if score is None else f"{name} {score:.4g}", *([] if reward is None else [f"reward {_signed(reward)}"])],
    }
    canvas = sheet(2 * MARGIN + panel + LEADING + BARS + 9, 2 * MARGIN + len(pictures) * (panel + GAP) - GAP)
    for place, (caption, image) in enumerate(pictures):
        left = MARGIN + place * (panel + GAP)
        if image is not None:
            height, width = fitted(image.shape, panel, panel)
            top, inset = MARGIN + (panel - height) // 2, (panel - width) // 2
            canvas[top : top + height, left + inset : left + inset + width] = scaled(image, height, width)
        write(canvas, caption, left, MARGIN + panel + LEADING - 4, panel, MUTED)
        for line, note in enumerate(notes.get(place, []), start=2):
            write(canvas, note, left, MARGIN + panel + line * LEADING - 2, panel, INK)
    box = MARGIN + panel + LEADING + 8, MARGIN + 2 * (panel + GAP), BARS, panel
    draw_evs(canvas, state.evs[0, :count], step, current, max_ev, box)
    return canvas


def _signed(reward: float) -> str:
    return f"{reward:+.3g}" if reward else "0"


def storyboard(panels: Sequence[np.ndarray]) -> np.ndarray:
    """The panels of an episode, one below the other.

    Args:
        panels: (rows, columns, 3) uint8 each, all of one size, at least one.

    Returns:
        (len(panels) * rows, columns, 3) uint8.

    Raises:
        ValueError: If there are no panels or their sizes differ.
    """
    shapes = {panel.shape for panel in panels}
    if len(shapes) != 1:
        raise ValueError(f"panels must be of one size and at least one, not {len(panels)} of sizes {sorted(shapes)}")
    return np.concatenate(panels)


def comparison(images: Sequence[np.ndarray], captions: Sequence[str], *, width: int = 1200) -> np.ndarray:
    """Pictures in a row, all of one height, with a caption below each: before and after.

    Args:
        images: (H, W, 3) each, of any size: uint8, uint16, or floats in [0, 1].
        captions: As many texts, in ASCII.
        width: Width of the whole picture [px].

    Returns:
        (rows, width, 3) uint8 RGB.

    Raises:
        ValueError: If there are no images or not as many captions, an image is malformed, or `width` is too small.
    """
    if len(images) != len(captions) or len(images) == 0:
        raise ValueError(f"images must be one or more, with a caption each, not {len(images)} with {len(captions)}")
    for image, caption in zip(images, captions, strict=True):
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"the image {caption!r} must be (height, width, 3) and not empty, not {image.shape}")
    room = width - 2 * MARGIN - (len(images) - 1) * GAP
    if room < 64 * len(images):
        raise ValueError(f"width must leave 64 pixels for each of {len(images)} images, not {width} in all")
    aspects = np.array([image.shape[1] / image.shape[0] for image in images])
    height = max(1, round(room / aspects.sum()))
    edges = np.rint(np.concatenate([[0], np.cumsum(aspects)]) * room / aspects.sum()).astype(int)
    canvas = sheet(2 * MARGIN + height + LEADING, width)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, right = MARGIN + i * GAP + edges[i], MARGIN + i * GAP + max(edges[i + 1], edges[i] + 1)
        canvas[MARGIN : MARGIN + height, left:right] = scaled(image, height, right - left)
        write(canvas, caption, left, MARGIN + height + LEADING - 4, right - left, MUTED)
    return canvas

"""Pictures of an episode: one panel per step, storyboards of whole episodes, and before/after comparisons."""

from collections.abc import Sequence

import cv2
import numpy as np

from exposure_env.episode import EpisodeState, local_image
from exposure_env.image import Space

PAPER = (247, 246, 243)  # colours, RGB
CASING, LINE = (20, 20, 20), (255, 255, 255)  # a white line in a dark casing shows on dark and on light photos
INK, MUTED = (38, 38, 40), (122, 120, 116)

MARGIN, GAP = 16, 10  # around and between pictures [px]
TEXT, LEADING = 10, 19  # height of capitals, distance between lines of text [px]
FINE = 3  # text and outlines are drawn this much larger and averaged down
FONT = cv2.FONT_HERSHEY_SIMPLEX
STROKE = 1 if int(cv2.__version__.split(".")[0]) >= 5 else FINE  # OpenCV 5 sets type; earlier ones draw with a pen


def storyboard_panel(
    state: EpisodeState,
    fused: np.ndarray,
    ev: float | None,
    reward: float | None,
    *,
    panel: int = 192,
    space: Space = "linear",
) -> np.ndarray:
    """One step of an episode: input, segment, local image and blend side by side, with EV and reward written below.

    The outlined segment is the one that got `ev` or, before the first exposure, the next one.

    Args:
        state: One episode (N = 1), after the step; NumPy arrays.
        fused: (H, W, 3) float in [0, 1], the blend so far.
        ev: Exposure of the last step [stops]; None at the start of an episode.
        reward: Reward of the last step; None where there is none.
        panel: Side of the square that each picture is fitted into [px].
        space: See `image.expose`; for the local image.

    Returns:
        (rows, columns, 3) uint8 RGB, of the same size for the same `panel`.

    Raises:
        ValueError: If the state holds several episodes, `fused` is not of the photo's shape, or `panel` is below 64.
    """
    if len(state.photos) != 1:
        raise ValueError(f"state must hold one episode, not {len(state.photos)}")
    if np.shape(fused) != state.photos.shape[1:]:
        raise ValueError(f"fused must be of the photo's shape {state.photos.shape[1:]}, not {np.shape(fused)}")
    if panel < 64:
        raise ValueError(f"panel must be 64 pixels or more, not {panel}")
    photo, count, step = state.photos[0], int(state.num_segments[0]), int(state.step[0])
    index = min(step, count - 1) if ev is None else max(step - 1, 0)
    pictures = {
        "input": photo,
        f"{'next: ' if ev is None else ''}segment {index + 1} of {count}": photo,
        "local": local_image(state, space)[0],
        "blend": fused,
    }
    notes = ("", "" if ev is None else f"EV {signed(ev)}", "", "" if reward is None else f"reward {reward:+.3g}")
    canvas = _sheet(2 * MARGIN + panel + 2 * LEADING, 2 * MARGIN + 4 * panel + 3 * GAP)
    left = MARGIN
    for (caption, image), note in zip(pictures.items(), notes, strict=True):
        height, width = _fitted(image.shape, panel)
        picture = _scaled(image, height, width)
        if "segment" in caption:
            picture = _outlined(picture, state.labels[0] == index)
        top, inset = MARGIN + (panel - height) // 2, (panel - width) // 2
        canvas[top : top + height, left + inset : left + inset + width] = picture
        _write(canvas, caption, left, MARGIN + panel + LEADING - 4, panel, MUTED)
        _write(canvas, note, left, MARGIN + panel + 2 * LEADING - 4, panel, INK)
        left += panel + GAP
    return canvas


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
    canvas = _sheet(2 * MARGIN + height + LEADING, width)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, right = MARGIN + i * GAP + edges[i], MARGIN + i * GAP + max(edges[i + 1], edges[i] + 1)
        canvas[MARGIN : MARGIN + height, left:right] = _scaled(image, height, right - left)
        _write(canvas, caption, left, MARGIN + height + LEADING - 4, right - left, MUTED)
    return canvas


def signed(ev: float) -> str:
    """An exposure with its sign and one decimal, as on a camera's dial: "+1.3"; "+0.0" for none."""
    return f"{round(float(ev), 1) + 0.0:+.1f}"


def _sheet(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, np.uint8)


def _fitted(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    scale = side / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _scaled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image at another size as (height, width, 3) uint8."""
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    maximum = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0
    return np.rint(np.clip(image / np.float32(maximum), 0, 1) * 255).astype(np.uint8)


def _outlined(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with a line around the pixels of the mask, which may be of another size."""
    height, width = picture.shape[0] * FINE, picture.shape[1] * FINE
    smooth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)  # smooths steps, and meshes of diagonal neighbours
    smooth = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC)
    contours, _ = cv2.findContours((smooth >= 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    fine = np.repeat(np.repeat(picture, FINE, axis=0), FINE, axis=1)
    for colour, thickness in ((CASING, 3 * FINE), (LINE, FINE + 1)):
        cv2.drawContours(fine, contours, -1, colour, thickness, cv2.LINE_AA)
    return cv2.resize(fine, picture.shape[1::-1], interpolation=cv2.INTER_AREA)


def _write(canvas: np.ndarray, text: str, left: int, baseline: int, room: int, ink: tuple[int, int, int]) -> None:
    """Writes a line of text on the canvas, a little smaller if it would not fit into the room, and then cut off."""
    scale = cv2.getFontScaleFromHeight(FONT, TEXT * FINE, STROKE)
    (length, _), _ = cv2.getTextSize(text, FONT, scale, STROKE)
    scale *= np.clip(room * FINE / max(length, 1), 0.7, 1.0)
    above, below = 2 * TEXT, TEXT
    fine = np.zeros(((above + below) * FINE, room * FINE), np.uint8)
    cv2.putText(fine, text, (0, above * FINE), FONT, scale, 255, STROKE, cv2.LINE_AA)
    cover = cv2.resize(fine, (room, above + below), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    part = canvas[baseline - above : baseline + below, left : left + room]
    cover = cover[: part.shape[0], : part.shape[1]]
    part[:] = np.rint(part * (1 - cover) + np.array(ink, np.float32) * cover).astype(np.uint8)

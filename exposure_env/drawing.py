"""What pictures of episodes are drawn with: text, photos fitted into a box, a segment among the rest, bars of EVs."""

import cv2
import numpy as np

PAPER, TRACK = (247, 246, 243), (231, 229, 224)  # colours, RGB: the sheet, and room for a bar on it
INK, MUTED = (38, 38, 40), (122, 120, 116)
CASING, LINE = (20, 20, 20), (255, 255, 255)  # a white line in a dark casing shows on dark and on light photos
HAZE = 148  # grey that all but the segment is faded towards: neither dark nor bright, so both kinds stand out from it
FADED = 0.72  # how far it is faded
BRIGHTER, DARKER = (214, 96, 16), (24, 84, 164)  # bars of positive and of negative EVs

MARGIN, GAP = 16, 10  # around and between pictures [px]
TEXT, LEADING = 10, 19  # height of capitals, distance between lines of text [px]
WIDEST = 72  # bar of an EV [px]
SMALLEST = 0.7  # how much smaller text may become in order to fit
FINE = 3  # text and outlines are drawn this much larger and averaged down
FONT = cv2.FONT_HERSHEY_SIMPLEX
STROKE = 1 if int(cv2.__version__.split(".")[0]) >= 5 else FINE  # OpenCV 5 sets type; earlier ones draw with a pen


def signed(ev: float) -> str:
    """An exposure with its sign and one decimal, as on a camera's dial: "+1.3"; "+0.0" for none."""
    return f"{round(float(ev), 1) + 0.0:+.1f}"


def sheet(height: int, width: int) -> np.ndarray:
    """An empty sheet of paper, (height, width, 3) uint8."""
    return np.full((height, width, 3), PAPER, np.uint8)


def fitted(shape: tuple[int, ...], height: int, width: int) -> tuple[int, int]:
    """The height and width of an image of that shape, scaled to fit into a box [px]."""
    scale = min(height / shape[0], width / shape[1])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def scaled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image, integers or floats in [0, 1], at another size as (height, width, 3) uint8."""
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    maximum = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0
    return np.rint(np.clip(image / np.float32(maximum), 0, 1) * 255).astype(np.uint8)


def highlighted(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with all but the pixels of the mask faded to a grey haze, and a fine line between the two.

    Args:
        picture: (H, W, 3) uint8.
        mask: (h, w) booleans; of another size, it is enlarged smoothly.

    Returns:
        (H, W, 3) uint8; the inside of the mask, away from the line, is unchanged.
    """
    inside = _enlarged(mask, picture.shape[0] * FINE, picture.shape[1] * FINE)
    grey = picture @ np.array([0.299, 0.587, 0.114])
    faded = np.rint(grey + FADED * (HAZE - grey)).astype(np.uint8)[..., None].repeat(3, axis=-1)
    fine = np.where(inside[..., None], *(part.repeat(FINE, axis=0).repeat(FINE, axis=1) for part in (picture, faded)))
    return _lined(fine, [inside])


def outlined(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The picture with a fine line around each segment; arguments as for `highlighted`, with (h, w) integer labels."""
    height, width = picture.shape[0] * FINE, picture.shape[1] * FINE
    fine = picture.repeat(FINE, axis=0).repeat(FINE, axis=1)
    return _lined(fine, [_enlarged(labels == label, height, width) for label in np.unique(labels)])


def _enlarged(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    smooth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)  # smooths steps, and meshes of diagonal neighbours
    return cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC) >= 0.5


def _lined(fine: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    """The picture, given `FINE` times as large, with a line around each mask."""
    fine = np.ascontiguousarray(fine)
    contours = [cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0] for mask in masks]
    for colour, thickness in ((CASING, 2 * FINE), (LINE, FINE - 1)):
        for contour in contours:
            cv2.drawContours(fine, contour, -1, colour, thickness, cv2.LINE_AA)
    return cv2.resize(fine, (fine.shape[1] // FINE, fine.shape[0] // FINE), interpolation=cv2.INTER_AREA)


def draw_evs(canvas: np.ndarray, evs: np.ndarray, done: int, current: int | None, max_ev: float,
             box: tuple[int, int, int, int]) -> None:
    """Draws a bar for each exposure on the canvas, upwards for brighter and downwards for darker.

    A bar as high as half of the box stands for `max_ev`, whose value is written beside the top and the bottom. If there
    is room, each exposure is written beside its bar, at the free end.

    Args:
        canvas: (rows, columns, 3) uint8, drawn on.
        evs: (K,) exposures [stops].
        done: How many of them, the first ones, have been given; the others are left empty.
        current: The one that is framed, if any.
        max_ev: The largest exposure [stops].
        box: Top, left, height and width of the drawing [px].
    """
    top, left, height, width = box
    half, (gutter, unit) = height // 2, (44, " EV") if width >= 150 else (26, "")
    zero, bottom = top + half, top + 2 * half
    for most, baseline in ((max_ev, top + TEXT - 1), (-max_ev, bottom + 1)):
        write(canvas, f"{most:+.3g}{unit}", left, baseline, gutter - 2, MUTED)
    wide = min(width - gutter, WIDEST * len(evs))
    edges = np.linspace(left + gutter, left + gutter + wide, len(evs) + 1).astype(int)
    for index, (begin, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        space = 4 if end - begin > 12 else int(end - begin > 2)  # between bars
        end = max(end - space, begin + 1)
        canvas[top : bottom + 1, begin:end] = TRACK
        colour = np.array(BRIGHTER if evs[index] > 0 else DARKER)
        if index < done:
            reach = round(min(abs(float(evs[index])) / max_ev, 1.0) * half)
            bar = slice(zero - reach, zero) if evs[index] > 0 else slice(zero + 1, zero + 1 + reach)
            canvas[bar, begin:end] = colour
            if end - begin >= 30:
                baseline = zero + 15 if evs[index] > 0 else zero - 6
                write(canvas, signed(evs[index]), begin + 2, baseline, end - begin - 2, INK)
        canvas[zero, begin:end] = MUTED
        if index == current:
            cv2.rectangle(canvas, (int(begin) - 1, top - 2), (int(end), bottom + 2), INK, 2 if end - begin > 12 else 1)


def write(canvas: np.ndarray, text: str, left: int, baseline: int, room: int, ink: tuple[int, int, int]) -> None:
    """Writes a line of text on the canvas, a little smaller if it would not fit into the room, and then cut off."""
    scale = cv2.getFontScaleFromHeight(FONT, TEXT * FINE, STROKE)
    (length, _), _ = cv2.getTextSize(text, FONT, scale, STROKE)
    scale *= np.clip(room * FINE / max(length, 1), SMALLEST, 1.0)
    above, below = 2 * TEXT, TEXT
    fine = np.zeros(((above + below) * FINE, room * FINE), np.uint8)
    cv2.putText(fine, text, (0, above * FINE), FONT, scale, 255, STROKE, cv2.LINE_AA)
    cover = cv2.resize(fine, (room, above + below), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    part = canvas[baseline - above : baseline + below, left : left + room]
    cover = cover[: part.shape[0], : part.shape[1]]
    part[:] = np.rint(part * (1 - cover) + np.array(ink, np.float32) * cover).astype(np.uint8)

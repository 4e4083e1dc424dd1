"""A contact sheet: what became of many photos, in one picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agents.retouching.journal import Job
from agents.saved_agent import Agent
from exposure_env import files
from exposure_env.photos import content_box
from exposure_env.resizing import as_floats, shrink
from exposure_env.retouch import RetouchPlan

SUFFIXES = (".png", ".jpg", ".jpeg")
MOST = 40  # photos on a sheet
SIDE = 256  # longer side of a picture [px]
MARGIN, GAP = 16, 10  # around and between pictures [px]
TEXT, LINE = 11, 26  # size of type, height of a line of it [px]
PAPER, INK, BORDER = (247, 246, 243), (38, 38, 40), (90, 90, 90)  # colours, RGB
DARKER, SAME, BRIGHTER = (24, 84, 164), (238, 238, 236), (214, 96, 16)  # of the lowest EV, of 0 and of the highest


class Row(NamedTuple):
    """A photo's row on the sheet."""

    name: str
    before: np.ndarray  # (h, w, 3) uint8, see `small`
    after: np.ndarray
    plan: RetouchPlan


def check_place(path: Path, jobs: Sequence[Job], folders: Sequence[Path] = ()) -> None:
    """Checks that a sheet may be written there.

    Args:
        path: The sheet's file.
        jobs: The photos that are retouched, and their results.
        folders: Folders that stand for all photos in them: the next time, a sheet there would be one of those.

    Raises:
        ValueError: If the suffix is not a picture's, or the file is in the way of something.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"the contact sheet must end in one of {', '.join(SUFFIXES)}, not {path.name!r}")
    taken = {place.resolve() for job in jobs for place in (job.photo, job.target, job.plan) if place is not None}
    if path.is_dir() or path.resolve() in taken:
        raise ValueError(f"the contact sheet can't be {path}: that is a photo, a result or a folder")
    if path.resolve().parent in {folder.resolve() for folder in folders}:
        raise ValueError(f"the contact sheet can't be {path}, among the photos, as it would be taken for one of them")


def small(pixels: np.ndarray) -> np.ndarray:
    """A photo's small picture, (h, w, 3) uint8, its longer side at most `SIDE`; of a photo of 8 or 16 bits."""
    picture = shrink(pixels, SIDE)
    picture = picture if picture.dtype == np.uint8 else np.rint(as_floats(picture) * 255).astype(np.uint8)
    return picture.copy() if picture is pixels else picture  # the pixels may be overwritten


def finish_sheet(path: Path, agent: Agent, jobs: Sequence[Job], rows: Mapping[Job, Row]) -> list[str]:
    """Writes the sheet of some photos, whole or not at all; of none, it writes nothing.

    Args:
        path: File to write, see `check_place`.
        agent: The agent.
        jobs: The photos, in their order on the sheet, at most `MOST`; the results of all of them exist.
        rows: Their rows. Missing ones are made of the photo, whose plan is made again, and of its result, one by one.

    Returns:
        What went wrong, a line for each failure.
    """
    complete, failures = [], []
    for job in jobs:
        try:
            complete.append(rows[job] if job in rows else _row_of_result(agent, job))
        except (ValueError, OSError) as error:
            failures.append(f"{path} is without {job.photo}: {error}")
    if complete:
        try:
            files.save_image(path, files.ImageFile(sheet(complete)))
        except (ValueError, OSError) as error:
            failures.append(str(error))
    return failures


def _row_of_result(agent: Agent, job: Job) -> Row:
    pixels = files.load_image(job.photo).pixels
    before, plan = small(pixels), agent.plan(pixels).scaled(job.strength)
    del pixels  # so that only one photo of full size is in memory
    return Row(job.photo.name, before, small(files.load_image(job.target).pixels), plan)


def sheet(rows: Sequence[Row]) -> np.ndarray:
    """The contact sheet: before, after, and the segments coloured by their EV, row by row, under headings and a legend.

    Args:
        rows: At least one.

    Returns:
        (height, width, 3) uint8.
    """
    most = max(float(np.abs(row.plan.evs).max()) for row in rows)
    most = max(math.ceil(2 * most) / 2, 0.5)  # the colours' range [stops]
    lefts = [MARGIN + place * (SIDE + GAP) for place in range(3)]
    heights = [max(row.before.shape[0], row.after.shape[0]) for row in rows]
    size = lefts[-1] + SIDE + MARGIN, 2 * MARGIN + 2 * LINE + sum(heights) + len(rows) * LINE
    canvas = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(canvas), _font()
    for left, heading in zip(lefts, ("before", "after", "segments by EV [stops]"), strict=True):
        draw.text((left, MARGIN), heading, INK, font)
    _draw_legend(canvas, draw, font, lefts[-1], MARGIN + LINE, most)
    top = MARGIN + 2 * LINE
    for row, height in zip(rows, heights, strict=True):
        for left, picture in zip(lefts, (row.before, row.after, _segments(row, most)), strict=True):
            canvas.paste(Image.fromarray(picture), (left, top))
        evs = " ".join(f"{ev + 0.0:+.1f}" for ev in row.plan.evs.round(1))
        draw.text((lefts[0], top + height + 3), _fitting(row.name, 2 * SIDE + GAP, font), INK, font)
        draw.text((lefts[-1], top + height + 3), _fitting(evs, SIDE, font), INK, font)
        top += height + LINE
    return np.asarray(canvas)


def _font() -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path  # here, as it takes a while; its font knows more signs than Pillow's

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", TEXT)


def _draw_legend(canvas: Image.Image, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, left: int, top: int,
                 most: float) -> None:
    """A bar of the colours, from the lowest EV to the highest, its ends and middle written beside and on it."""
    words = [f"{-most:+.1f}", "0", f"{most:+.1f}"]
    room = round(max(font.getlength(word) for word in words)) + 6
    bar = ev_colors(np.linspace(-most, most, SIDE - 2 * room), most)[None].repeat(TEXT, axis=0)
    canvas.paste(Image.fromarray(bar), (left + room, top))
    for word, place, anchor in zip(words, (0, SIDE // 2, SIDE), ("la", "ma", "ra"), strict=True):
        draw.text((left + place, top), word, INK, font, anchor=anchor)


def ev_colors(evs: np.ndarray, most: float) -> np.ndarray:
    """The colours of exposures (N,), (N, 3) uint8 RGB: from blue at `-most` over a light grey to orange at `most`."""
    steps = [-most, 0.0, most]
    channels = [np.interp(evs, steps, values) for values in zip(DARKER, SAME, BRIGHTER, strict=True)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _segments(row: Row, most: float) -> np.ndarray:
    """The segments coloured by EV, with lines between them, of the size of the picture."""
    height, width = row.before.shape[:2]
    labels = row.plan.labels
    top, left, rows, columns = content_box(height, width, labels.shape, row.plan.thumbnail)
    labels = labels[top : top + rows, left : left + columns]
    labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
    picture = ev_colors(row.plan.evs, most)[labels]
    picture[:, 1:][labels[:, 1:] != labels[:, :-1]] = BORDER
    picture[1:][labels[1:] != labels[:-1]] = BORDER
    return picture


def _fitting(text: str, room: int, font: ImageFont.FreeTypeFont) -> str:
    """The text, cut off where it would be longer than the room [px], and without what can't be printed."""
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}...") > room:
        text = text[:-1]
    return f"{text}..."

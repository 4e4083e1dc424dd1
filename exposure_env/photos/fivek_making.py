"""The finished photos of MIT-Adobe FiveK, made of a folder as people have it: sRGB, 500 pixels on the longer side."""

import csv
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from exposure_env.files import ImageFile, load_image, remove_leftovers, save_image, write_whole
from exposure_env.photos.fivek_files import Found, find_files, named
from exposure_env.photos.fivek_photos import (
    COLUMNS,
    INDEX,
    MAX_SIDE,
    SIDES,
    id_ranges,
    made_folder,
    photo_name,
    read_index,
    split_of,
)
from exposure_env.photos.prophoto import colour_space, prophoto_to_srgb
from exposure_env.resizing import as_floats, shrink

Untagged = Literal["prophoto", "srgb"]
MAX_BORDER = 1.02  # ratio of two sizes: raw developers differ by some pixels at the border, a real crop by more
MIN_LIKENESS = 0.5  # correlation of the two photos in grey; real pairs were measured to have 0.92 or more
BATCH = 16  # photos after which the index is written: what a killed process has made is not made again


class FiveKReport(NamedTuple):
    """What became of a FiveK folder.

    Attributes:
        folder: Where the finished photos and the index are.
        made: Ids of the photos in the index.
        problems: What is wrong with others, by id.
        absent: By side, ids without a file.
    """

    folder: Path
    made: list[int]
    problems: dict[int, str]
    absent: dict[str, list[int]]

    @property
    def complete(self) -> bool:
        """Whether all 5,000 are there."""
        return not self.problems and not any(self.absent.values())

    def text(self) -> str:
        """The report in words: how many photos each part of the split has, and all ids that aren't among them."""
        parts, made = split_of(), set(self.made)
        lines = [f"{len(made)} of {len(parts)} photos in {self.folder}"]
        for part in dict.fromkeys(parts.values()):
            ids = [number for number, name in parts.items() if name == part]
            lines.append(f"  {part}: {len(made.intersection(ids))} of {len(ids)}")
        neither = set.intersection(*map(set, self.absent.values()))
        for what, ids in {"": neither, **{f" {side}": set(ids) - neither for side, ids in self.absent.items()}}.items():
            if ids:
                lines.append(f"missing{what} ({len(ids)}): {id_ranges(list(ids))}")
        return "\n".join([*lines, *(named(number, problem) for number, problem in self.problems.items())])


def make_fivek(root: str | os.PathLike, out: str | os.PathLike | None = None, inputs: str | os.PathLike | None = None,
               targets: str | os.PathLike | None = None, rendition: str | None = None,
               untagged: Untagged | None = None, max_side: int = MAX_SIDE,
               progress: Callable[[int, int], object] = lambda done, total: None) -> FiveKReport:
    """Makes finished photos of all pairs, and the index; what was made before of the same files is kept.

    Each pair has one size, that of expert C's photo after shrinking: an input that is larger by a border of at most 2 %
    loses the border, and is resized if that isn't enough. Files keep their 8 or 16 bits.

    Args:
        root: Folder with FiveK in any layout; see `fivek_files`.
        out: Folder to write `input`, `expert_c` and the index to; None for ROOT/fivek_500, as `max_side` says.
        inputs: Folder of the inputs, if its name doesn't tell.
        targets: Folder of expert C's photos, likewise.
        rendition: Which inputs to take if there are several; see `find_files`.
        untagged: Colours of 16-bit TIFF files without a colour profile; None makes them an error.
        max_side: Longer side of the finished photos [pixels].
        progress: Called with the number of pairs done and to do.

    Raises:
        ValueError: If there is nothing to be found, or the index is broken.
        OSError: If a file can't be written.
    """
    if max_side < 1:
        raise ValueError(f"max_side is {max_side}, but must be 1 or more")
    root, out = Path(root), made_folder(root, max_side) if out is None else Path(out)
    inputs, targets = (None if folder is None else Path(folder) for folder in (inputs, targets))
    files = find_files(root, inputs, targets, rendition, leave_out=out)
    before, index, problems, parts = read_index(out), {}, dict(files.problems), split_of()
    for side in SIDES:
        (out / side).mkdir(parents=True, exist_ok=True)
    remove_leftovers([], [out, *(out / side for side in SIDES)])
    make = partial(_make, root=root, out=out, before=before, untagged=untagged, max_side=max_side)
    todo = list(files.pairs.items())
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for first in range(0, len(todo), BATCH):
            batch = todo[first : first + BATCH]
            for (number, _), result in zip(batch, pool.map(make, batch), strict=True):
                if isinstance(result, str):
                    problems[number] = result
                else:
                    index[number] = {"id": number, "split": parts[number], **result}
            _write_index(out, before | index)
            progress(first + len(batch), len(todo))
    _write_index(out, index)
    return FiveKReport(out, sorted(index), dict(sorted(problems.items())), files.absent)


def _loaded(path: Path, untagged: Untagged | None) -> tuple[np.ndarray, bool]:
    # The pixels, upright, uint8 or uint16, developed if need be; and whether they are in ProPhoto RGB, else in sRGB.
    image = load_image(path)
    try:
        space = colour_space(image.icc)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if space is None and path.suffix.lower() in (".tif", ".tiff") and image.pixels.dtype == np.uint16:
        if untagged is None:
            raise ValueError(f"{path}: a 16-bit TIFF without a colour profile: say whose its colours are, by "
                             "--untagged prophoto or --untagged srgb")
        space = "ProPhoto RGB" if untagged == "prophoto" else "sRGB"
    return image.pixels, space == "ProPhoto RGB"


def _without_border(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    # Stretched instead, such a photo would lie two pixels beside its target at 500 pixels.
    (height, width), (rows, columns) = image.shape[:2], target.shape[:2]
    if not (rows <= height <= MAX_BORDER * rows and columns <= width <= MAX_BORDER * columns):
        return image
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]


def _make(pair: tuple[int, tuple[Found, Found]], root: Path, out: Path, before: dict, untagged: Untagged | None,
          max_side: int) -> dict[str, str] | str:
    # The row of the index, or what is wrong with the pair.
    number, found = pair
    sources = {side: os.path.relpath(file.path, root) for side, file in zip(SIDES, found, strict=True)}
    row = {**sources, "rendition": found[0].rendition, "untagged": untagged or "", "max_side": str(max_side)}
    places = [out / side / f"{photo_name(number)}.png" for side in SIDES]
    if (known := before.get(number)) and all(known[name] == value for name, value in row.items()):
        if all(place.is_file() and place.stat().st_mtime >= file.path.stat().st_mtime
               for place, file in zip(places, found, strict=True)):
            return row | {"width": known["width"], "height": known["height"]}
    try:
        (image, wide), (target, wide_target) = (_loaded(file.path, untagged) for file in found)
    except (ValueError, OSError) as error:
        return f"unreadable, {error}"
    sides = (_without_border(image, target), wide), (target, wide_target)
    image, target = (prophoto_to_srgb(shrink(pixels, max_side)) if wide else shrink(pixels, max_side)
                     for pixels, wide in sides)
    if wrong := _wrong(image, target):
        return wrong
    height, width = target.shape[:2]
    if image.shape != target.shape:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    for place, pixels in zip(places, (image, target), strict=True):
        save_image(place, ImageFile(pixels))
    return row | {"width": str(width), "height": str(height)}


def _wrong(image: np.ndarray, target: np.ndarray) -> str | None:
    (height, width), (rows, columns) = image.shape[:2], target.shape[:2]
    stretch = (width / height) / (columns / rows)
    if max(stretch, 1 / stretch) > MAX_BORDER:
        return (f"wrongly rendered: the input has the shape {width} x {height}, expert C's photo {columns} x {rows}; "
                "one of them is cropped or turned")
    if image.shape == target.shape and image.dtype == target.dtype and np.array_equal(image, target):
        return "wrongly rendered: the input is the same as expert C's photo"
    small = [cv2.resize(as_floats(pixels).mean(axis=2), (32, 32), interpolation=cv2.INTER_AREA)
             for pixels in (image, target)]
    if all(grey.std() > 1 / 255 for grey in small):  # flat ones have nothing to recognise
        likeness = np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1]
        if likeness < MIN_LIKENESS:
            return f"wrongly rendered: input and expert C's photo show different things (correlation {likeness:.2f})"
    return None


def _write_index(out: Path, rows: dict[int, dict]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[number] for number in sorted(rows))
    write_whole(out / INDEX, text.getvalue())

"""MIT-Adobe FiveK: the split of its 5,000 ids, and the photographs that `exposure data fivek` has made of a folder.

Bychkovsky et al., CVPR 2011. The split is Hu et al.'s (Exposure, 2018), which later papers kept: 2,000 photos to learn
to retouch, 2,000 others that show expert C's taste, 1,000 to test on.
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from exposure_env.files import read_image
from exposure_env.photos.downloads import REGISTRIES
from exposure_env.photos.photo import Photo

NUM_PHOTOS = 5000
SPLITS = ("inputs", "experts", "test")
MAX_SIDE = 500  # longer side [pixels], as in the papers
INDEX = "index.csv"
COLUMNS = ("id", "split", "width", "height", "input", "expert_c", "rendition", "untagged", "max_side")
SIDES = ("input", "expert_c")


def fivek_ids(split: str) -> list[int]:
    """The ids of one part of the split, the numbers in aNNNN, from 1 to 5000, rising.

    Raises:
        ValueError: If there is no such part.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    return [number for number, part in split_of().items() if part == split]


def split_of() -> dict[int, str]:
    """The part of the split that each id belongs to: "inputs", "experts" or "test"."""
    letters = (REGISTRIES / "fivek.txt").read_text("ascii").replace("\n", "")  # one for each id, in their order
    names = {name[0]: name for name in SPLITS}
    return {number: names[letter] for number, letter in enumerate(letters, 1)}


def photo_name(number: int) -> str:
    """The name of a photo by its id, as in the data set: 7 is a0007."""
    return f"a{number:04}"


def id_ranges(numbers: list[int]) -> str:
    """The ids in words, neighbours as ranges: "a0001 to a0700, a0702"."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(photo_name(a) if a == b else f"{photo_name(a)} to {photo_name(b)}" for a, b in ranges)


def made_folder(root: str | os.PathLike, max_side: int = MAX_SIDE) -> Path:
    """Where the finished photos of a FiveK folder are, if no other place is given."""
    return Path(root) / f"fivek_{max_side}"


def read_index(folder: Path) -> dict[int, dict[str, str]]:
    """The rows of a folder's index, by id; none if there is no index.

    Raises:
        ValueError: If the file is another one, or cut short.
    """
    path = folder / INDEX
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        index = {int(row["id"]): {name: row[name] for name in COLUMNS} for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not an index of FiveK, or broken; remove it and run `exposure data fivek`"
                         ) from error
    if odd := sorted(set(index) - set(range(1, NUM_PHOTOS + 1))):
        raise ValueError(f"{path} has the ids {odd[:5]}, but FiveK's lie between 1 and {NUM_PHOTOS}")
    return index


class FiveKPhotos(Sequence[Photo]):
    """One part of FiveK, read from its files one photo at a time: all of it would fill gigabytes.

    Args:
        root: Folder given to `exposure data fivek`, or the one that it made.
        split: "inputs" and "test" have expert C's photo as their target; "experts" are expert C's photos alone.
        complete: Whether a photo missing in the index is an error; else those that are there are taken.

    Attributes:
        folder: The folder with `input`, `expert_c` and the index.
        ids: The photos' ids, rising.

    Raises:
        ValueError: If there is no such part, no index, or photos are missing; they are named.
    """

    def __init__(self, root: str | os.PathLike, split: str, complete: bool = True) -> None:
        """Reads the index and looks whether the files are there."""
        ids, root = fivek_ids(split), Path(root)
        self.folder = root if (root / INDEX).is_file() else made_folder(root)
        if not (index := read_index(self.folder)):
            raise ValueError(f"no finished photos of FiveK in {root}: run `exposure data fivek {root}`")
        self.split, self.ids = split, [number for number in ids if number in index]
        lost = sorted(set(ids) - set(self.ids))
        if not self.ids or (complete and lost):
            raise ValueError(f"{self.folder} lacks {len(lost)} of the {len(ids)} photos of the split {split!r}: "
                             f"{id_ranges(lost[:20])}{' and more' if len(lost) > 20 else ''}")
        if gone := [number for number in self.ids if not all(self._path(side, number).is_file() for side in SIDES)]:
            raise ValueError(f"{self.folder} has lost files of {id_ranges(gone)}: run `exposure data fivek` again")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int | slice) -> Photo | list[Photo]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = self.ids[index]
        sides = ("expert_c",) if self.split == "experts" else SIDES
        return Photo(photo_name(number), *(read_image(self._path(side, number)) for side in sides))

    def _path(self, side: str, number: int) -> Path:
        return self.folder / side / f"{photo_name(number)}.png"

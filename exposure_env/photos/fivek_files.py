"""The files of a FiveK folder, whatever its layout: which photo each is of, and whether it is the input or expert C's.

The id is in the file's name, a0001-jmac_DSC1459.dng or a0001.png. The side is told by the nearest folder above whose
name says it: `raw_photos`, `input`, `InputAsShotZeroed`, `raw`; `tiff16_c`, `expertC`, `label`, `target`. DNG files are
inputs wherever they are. The other experts' folders, `tiff16_a` and so on, are passed over.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exposure_env.files import RAW_SUFFIXES, SUFFIXES
from exposure_env.photos.fivek_photos import NUM_PHOTOS, SIDES, photo_name

_NAME = re.compile(r"a(\d{4})(?!\d).*", re.IGNORECASE)
_EXPERT_C = re.compile(r"(.*expert|tiff16|exp)?c|exp|experts?|(labels?|groundtruth|gt|targets?|outputs?|retouched)")
_OTHER_EXPERT = re.compile(r"(expert|tiff16)?[abde]")
_INPUT = re.compile(r"raw|rawphotos|dng|source|inputs?.*")
RAW = "raw"  # the rendition of files that are developed here


class Found(NamedTuple):
    """A file of one side of a photo; `rendition` is the folder that tells the side, or "raw"."""

    path: Path
    side: str
    rendition: str


class Files(NamedTuple):
    """What a folder holds.

    Attributes:
        pairs: The input and expert C's file of each id that has exactly one of both.
        problems: What is wrong with other ids.
        absent: By side, the ids for which nothing was found.
    """

    pairs: dict[int, tuple[Found, Found]]
    problems: dict[int, str]
    absent: dict[str, list[int]]


def find_files(root: Path, inputs: Path | None = None, targets: Path | None = None, rendition: str | None = None,
               leave_out: Path | None = None) -> Files:
    """The files of all 5,000 ids.

    Args:
        root: Folder to search, with all below it.
        inputs: Folder of the inputs, whatever its name; None to tell by the names.
        targets: Folder of expert C's photos, likewise.
        rendition: Name of a folder: only inputs in or below such a one count. Or "raw": only raw files.
        leave_out: Folder not to search, where finished photos are.

    Raises:
        ValueError: If a folder doesn't exist, or there is no photo of FiveK in it, or none of the rendition.
    """
    found: dict[str, dict[int, list[Found]]] = {side: {} for side in SIDES}
    problems: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for folder, side in ((root, None), (inputs, "input"), (targets, "expert_c")):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{folder} is not a folder")
        given = {"input"} if inputs else set()
        given |= {"expert_c"} if targets else set()
        for path in _photo_files(folder, leave_out) if folder is not None and (side or len(given) < 2) else ():
            file = Found(path, side, RAW if _is_raw(path) else folder.name) if side else _told_by_folder(path, root)
            if file is None or (side is None and file.side in given):
                continue
            if file.side == "input":
                seen[file.rendition] += 1
                if rendition is not None and not _has_rendition(file, rendition, folder):
                    continue
                file = file._replace(rendition=rendition or file.rendition)
            number = int(_NAME.fullmatch(path.stem)[1])
            if 1 <= number <= NUM_PHOTOS:
                found[file.side].setdefault(number, []).append(file)
            else:
                problems[number] = f"{path.name}: there is no such id"
    if not any(found.values()):
        raise ValueError(f"no photo of FiveK in {root}: its names are like a0001-jmac_DSC1459.dng or a0001.png, in "
                         "folders like raw_photos or input, and tiff16_c or expertC; or name the folders by --inputs "
                         "and --targets")
    if rendition is not None and not found["input"]:
        raise ValueError(f"no input of the rendition {rendition!r}; there are {', '.join(sorted(seen)) or 'none'}")
    return _paired(found, problems)


def _paired(found: dict[str, dict[int, list[Found]]], problems: dict[int, str]) -> Files:
    pairs, absent = {}, {side: [n for n in range(1, NUM_PHOTOS + 1) if n not in found[side]] for side in SIDES}
    for number in sorted(set(found["input"]) | set(found["expert_c"])):
        files = [found[side].get(number, []) for side in SIDES]
        doubled = [f"{len(some)} files of the {side} side: {', '.join(str(file.path) for file in some)}"
                   for side, some in zip(SIDES, files, strict=True) if len(some) > 1]
        if doubled:
            problems[number] = "doubled, " + "; ".join(doubled)
        elif all(files):
            pairs[number] = files[0][0], files[1][0]
    renditions = Counter(before.rendition for before, _ in pairs.values())
    if len(renditions) > 1:
        usual = renditions.most_common(1)[0][0]
        for number, (before, _) in list(pairs.items()):
            if before.rendition != usual:
                problems[number] = (f"wrong rendition: the input is of {before.rendition!r}, those of most others of "
                                    f"{usual!r}; choose one by --rendition")
                del pairs[number]
    return Files(pairs, dict(sorted(problems.items())), absent)


def _photo_files(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    left_out = None if leave_out is None else leave_out.resolve()
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and (Path(place) / name).resolve() != left_out)
        for path in (Path(place) / name for name in sorted(names)):
            if path.suffix.lower() in (*SUFFIXES, *RAW_SUFFIXES) and _NAME.fullmatch(path.stem):
                yield path


def _is_raw(path: Path) -> bool:
    return path.suffix.lower() in RAW_SUFFIXES


def _told_by_folder(path: Path, root: Path) -> Found | None:
    if _is_raw(path):
        return Found(path, "input", RAW)
    for folder in reversed(path.relative_to(root).parent.parts):
        name = _plain(folder)
        if _OTHER_EXPERT.fullmatch(name):
            return None
        for pattern, side in ((_INPUT, "input"), (_EXPERT_C, "expert_c")):
            if pattern.fullmatch(name):
                return Found(path, side, folder)
    return None


def _has_rendition(file: Found, rendition: str, folder: Path) -> bool:
    if rendition == RAW:
        return file.rendition == RAW and _is_raw(file.path)
    parts = (folder.name, *file.path.relative_to(folder).parent.parts)
    return not _is_raw(file.path) and _plain(rendition) in map(_plain, parts)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def named(number: int, problem: str) -> str:
    """A line that tells a photo's problem."""
    return f"{photo_name(number)}: {problem}"

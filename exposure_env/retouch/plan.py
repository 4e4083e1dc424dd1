"""A finished retouch: the segments, one exposure for each, and how they are rendered, kept as a small JSON file."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from exposure_env.files import read_small, write_whole
from exposure_env.fusion import FUSIONS, Layers, option_defaults
from exposure_env.image import MAX_EV, Space
from exposure_env.parsing import parse_json

Thumbnail = Literal["squeeze", "letterbox"]
FORMAT = "exposure retouch plan, version 1"
# Lowest and highest values of numeric options: any more extreme and a blend would divide by zero, overflow, or take
# for ever. Options of other renderings may be any number from 0 to the largest of these.
OPTION_RANGES = {"contrast": (0, 100), "saturation": (0, 100), "exposedness": (0, 100), "epsilon": (1e-20, 1),
                 "levels": (0, 32), "feather": (0, 256)}
OTHER_RANGE = (0, 256)


@dataclass(frozen=True, eq=False)
class RetouchPlan:
    """A partition of a photo's thumbnail into segments, with one exposure for each, to replay at any resolution.

    Attributes:
        labels: (h, w) int32, the segment of every pixel of the thumbnail: 0..K-1, every one present. Read-only.
        evs: (K,) float64 [stops], the exposure of each segment. Read-only.
        fusion: Name of the rendering that makes the result, one of `fusion.FUSIONS`.
        fusion_options: Its options, where they differ from the defaults.
        space: Whether an exposure multiplies "linear" light or "encoded" values.
        thumbnail: How the photo was fitted into the thumbnail, see `photos.thumbnail`.

    Raises:
        ValueError: If a field is malformed or the labels are not exactly 0..K-1.

    Examples:
        >>> plan = RetouchPlan(np.array([[0, 0], [1, 1]]), [1.0, -0.5])    # upper half brighter, lower half darker
        >>> plan.scaled(0.5).evs
        array([ 0.5 , -0.25])
    """

    labels: np.ndarray
    evs: np.ndarray
    fusion: str = "local"
    fusion_options: dict[str, Any] = field(default_factory=dict)
    space: Space = "linear"
    thumbnail: Thumbnail = "squeeze"

    def __post_init__(self) -> None:
        """Checks the fields and keeps read-only copies of the arrays."""
        labels = _numbers("labels", self.labels, "iu", 2)
        evs = _numbers("evs", self.evs, "iuf", 1).astype(np.float64)
        if not (np.abs(evs) <= MAX_EV).all():  # NaN fails, too
            raise ValueError(f"evs must be finite and within {MAX_EV:g} stops, not {evs.tolist()}")
        present = np.unique(labels)
        if not np.array_equal(present, np.arange(len(evs))):
            found = str(present.tolist())
            raise ValueError(f"labels must cover 0..{len(evs) - 1}, as there are {len(evs)} evs, not {found:.200}")
        labels = labels.astype(np.int32)
        for name, choices in {"fusion": FUSIONS, "space": get_args(Space), "thumbnail": get_args(Thumbnail)}.items():
            if getattr(self, name) not in list(choices):
                raise ValueError(f"{name} must be one of {list(choices)}, not {getattr(self, name)!r}")
        if self.thumbnail == "letterbox" and labels.shape[0] != labels.shape[1]:
            raise ValueError(f"labels of a letterbox thumbnail must be square, not {labels.shape}")
        _check_options(self.fusion, self.fusion_options)
        labels.setflags(write=False)
        evs.setflags(write=False)
        for name, value in {"labels": labels, "evs": evs, "fusion_options": dict(self.fusion_options)}.items():
            object.__setattr__(self, name, value)

    @property
    def options(self) -> dict[str, Any]:
        """All options of the rendering: its defaults, overridden by the plan's own."""
        return option_defaults(self.fusion) | self.fusion_options

    def scaled(self, strength: float) -> "RetouchPlan":
        """The plan with all its exposures multiplied: 0 leaves the photo as it is, 1 gives the plan itself.

        Args:
            strength: A finite number from 0.

        Raises:
            ValueError: If the strength is something else, or makes an exposure too large for a plan.
        """
        if not 0 <= strength < math.inf:
            raise ValueError(f"strength must be a finite number from 0, not {strength!r}")
        return replace(self, evs=self.evs * strength + 0.0)  # no negative zeros

    def share_beyond(self, ev: float) -> float:
        """The fraction of the thumbnail in segments exposed by at least so many stops, up or down."""
        return float((np.abs(self.evs) >= ev)[self.labels].mean())

    def render(self, thumbnail: np.ndarray) -> np.ndarray:
        """The retouched thumbnail.

        Args:
            thumbnail: (h, w, 3) float32 in [0, 1], of the labels' height and width.

        Returns:
            (h, w, 3) float32 in [0, 1].

        Raises:
            ValueError: If the thumbnail is of another shape.
        """
        return self._call(FUSIONS[self.fusion], thumbnail)[0]

    def layers(self, thumbnail: np.ndarray) -> Layers:
        """What `render` blends, for one thumbnail; same arguments and errors."""
        return self._call(FUSIONS[self.fusion].layers, thumbnail)

    def _call(self, function: Callable[..., Any], thumbnail: np.ndarray) -> Any:
        if np.shape(thumbnail) != (*self.labels.shape, 3):
            raise ValueError(f"the thumbnail must be of shape {(*self.labels.shape, 3)}, not {np.shape(thumbnail)}")
        evs = self.evs.astype(np.float32)
        return function(thumbnail[None], self.labels[None], evs[None], space=self.space, **self.options)

    def to_json(self) -> str:
        """The plan as a JSON object: the fields, and "format", which names the version."""
        content = {"format": FORMAT} | {item.name: getattr(self, item.name) for item in fields(self)}
        return json.dumps(content, default=np.ndarray.tolist)

    @classmethod
    def from_json(cls, text: str | bytes) -> "RetouchPlan":
        """The plan that `to_json` wrote.

        Raises:
            ValueError: If the text is not JSON or of another format, or a field is missing, unknown or malformed.
        """
        try:
            content = parse_json(text)
        except ValueError as error:
            raise ValueError(f"not a retouch plan: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(f"a retouch plan is a JSON object, not {type(content).__name__}")
        if (found := content.pop("format", None)) != FORMAT:
            raise ValueError(f"the plan's format must be {FORMAT!r}, not {found!r}")
        names = [item.name for item in fields(cls)]
        if set(content) != set(names):
            raise ValueError(f"the plan's fields must be {names}, not {list(content)}")
        return cls(**content)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the plan to a JSON file, whole or not at all."""
        write_whole(Path(path), f"{self.to_json()}\n")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "RetouchPlan":
        """Reads a plan from a JSON file.

        Raises:
            ValueError: If the file does not hold a plan.
            OSError: If there is no such file, or it may not be read.
        """
        text = read_small(Path(path))
        try:
            return cls.from_json(text)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _numbers(name: str, value: Any, kinds: str, ndim: int) -> np.ndarray:
    try:
        array = np.array(value)
    except ValueError:  # ragged rows
        array = np.empty(0)
    if array.ndim != ndim or array.size == 0 or array.dtype.kind not in kinds:
        wanted = "rows of integers, all of one length" if ndim == 2 else "a list of numbers, at least one"
        raise ValueError(f"{name} must be {wanted}, not {value!r:.200}")
    return array


def _check_options(fusion: str, options: dict[str, Any]) -> None:
    if not isinstance(options, dict):
        raise ValueError(f"fusion_options must be a dict, not {options!r}")
    defaults = option_defaults(fusion)
    for name, value in options.items():
        if name not in defaults:
            raise ValueError(f"fusion_options of {fusion!r} are {list(defaults)}, not {name!r}")
        default = defaults[name]
        kinds = {float: (int, float), type(None): (int, type(None))}.get(type(default), type(default))
        low, high = OPTION_RANGES.get(name, OTHER_RANGE)
        if not isinstance(value, kinds) or not (value is None or low <= value <= high):
            raise ValueError(f"fusion_options: {name} must be like its default, {default!r}, and within "
                             f"[{low:g}, {high:g}], not {value!r:.200}")

"""A finished retouch: the plan, as a small JSON file, and its rendering at the photo's full size.

A plan is made on a thumbnail. At full size its segments follow the edges of the photo (guided filter of He, Sun and
Tang, PAMI 2013), and the exposed photos are blended as on the thumbnail, by a pyramid that reaches as far across the
photo.
"""

import inspect
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np

from exposure_env.fusion import FUSIONS, mertens_weights, segment_masks
from exposure_env.image import Space, clip, expose, luminance
from exposure_env.photos import content_box

Fit = Literal["squeeze", "letterbox"]

FORMAT = "exposure retouch plan, version 1"
GUIDE_SIDE = 512  # pixels of the longer side at which the guided filter is worked out
EDGE_SHARE = 0.02  # of the guide's variance: variation below this share of it is texture, not an edge
STRIP_PIXELS = 2**18  # worked on at once where whole planes would cost memory; fits a core's cache


@dataclass(frozen=True, eq=False)
class RetouchPlan:
    """A partition of a photo's thumbnail into segments and one exposure for each; replays at any resolution.

    Attributes:
        labels: (h, w) int32, the segments of the thumbnail, 0..K-1, every one present.
        evs: (K,) float64 [stops], the exposure of each segment.
        fusion: Which rendering of `fusion.FUSIONS` makes the result.
        fusion_options: Its options, where they differ from the defaults.
        space: Whether exposure multiplies "linear" light or "encoded" values.
        thumbnail: How the photo was fitted into the thumbnail: see `photos.thumbnail`.

    Raises:
        ValueError: If one of them is malformed, or the labels are not exactly 0..K-1.
    """

    labels: np.ndarray
    evs: np.ndarray
    fusion: str = "local"
    fusion_options: dict[str, Any] = field(default_factory=dict)
    space: Space = "linear"
    thumbnail: Fit = "squeeze"

    def __post_init__(self) -> None:
        """Check the fields; take copies of the arrays, read-only."""
        evs = _array("evs", self.evs, "iuf", 1, "a list of numbers, one a segment").astype(np.float64)
        if not np.isfinite(evs).all():
            raise ValueError(f"evs must be finite, but that of segment {np.argmin(np.isfinite(evs))} is not: {evs}")
        labels = _array("labels", self.labels, "iu", 2, "rows of integers")
        present = np.unique(labels)
        if not np.array_equal(present, np.arange(len(evs))):
            raise ValueError(f"labels must be exactly 0..{len(evs) - 1}, one for each of the EVs, not {present}")
        for name, allowed in {"fusion": FUSIONS, "space": get_args(Space), "thumbnail": get_args(Fit)}.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {list(allowed)}, not {getattr(self, name)!r}")
        if self.thumbnail == "letterbox" and labels.shape[0] != labels.shape[1]:
            raise ValueError(f"labels must be square for a letterbox thumbnail, not {labels.shape}")
        defaults = _default_options(self.fusion)
        for name, value in self.fusion_options.items():
            if name not in defaults:
                raise ValueError(f"fusion_options of {self.fusion!r} may be {list(defaults)}, not {name!r}")
            if not (value is defaults[name] is None or isinstance(value, int | float) and 0 <= value < math.inf):
                raise ValueError(f"fusion_options: {name} must be a finite number from 0 or a bool, not {value!r}")
        labels = labels.astype(np.int32)
        for array in (labels, evs):
            array.setflags(write=False)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "evs", evs)
        object.__setattr__(self, "fusion_options", dict(self.fusion_options))

    def render(self, thumbnail: np.ndarray) -> np.ndarray:
        """The retouched thumbnail, by the definition in `fusion`.

        Args:
            thumbnail: (h, w, 3) float32 in [0, 1], of the shape of the labels.

        Returns:
            (h, w, 3) float32 in [0, 1].

        Raises:
            ValueError: If the thumbnail has another shape.
        """
        if np.shape(thumbnail) != (*self.labels.shape, 3):
            raise ValueError(f"the thumbnail must be {(*self.labels.shape, 3)}, as the labels, not {thumbnail.shape}")
        evs = self.evs.astype(np.float32)[None]
        fused = FUSIONS[self.fusion](thumbnail[None], self.labels[None], evs, space=self.space, **self.fusion_options)
        return fused[0]

    def to_json(self) -> str:
        """The plan as JSON: an object of the fields, and "format", which names the version."""
        content = {"format": FORMAT} | {name: getattr(self, name) for name in _FIELDS}
        return json.dumps(content, default=np.ndarray.tolist)

    @classmethod
    def from_json(cls, text: str) -> "RetouchPlan":
        """The plan that `to_json` wrote.

        Raises:
            ValueError: If the text is not JSON, of another format or version, or a field is missing or malformed.
        """
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"a retouch plan is JSON, and this is not: {error}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            found = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise ValueError(f"the plan's format must be {FORMAT!r}, not {found!r}")
        del content["format"]
        if content.keys() != _FIELDS:
            raise ValueError(f"the plan's fields must be {sorted(_FIELDS)}, not {sorted(content)}")
        return cls(**content)

    def save(self, path: str | os.PathLike) -> None:
        """Write the plan to a JSON file."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "RetouchPlan":
        """Read a plan from a JSON file.

        Raises:
            ValueError: If the file does not hold a plan.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


_FIELDS = RetouchPlan.__dataclass_fields__.keys()

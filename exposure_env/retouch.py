"""A finished retouch: the plan, as a small JSON file, and its rendering at the photo's full size.

The plan is made on a thumbnail, and the thumbnail's rendering is what the agent saw and was rewarded for. At full size
it stays in charge: its segments and weights follow the photo's edges (the fast guided filter of He and Sun, 2015), only
detail finer than its pixels is blended anew, and the tones are its own.
"""

import inspect
import json
import math
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from exposure_env.full_size import TILE, GuidedPlanes, blend_detail, checked_pixels, expose_locally, shrunk
from exposure_env.fusion import FUSIONS, mertens_weights, segment_masks
from exposure_env.image import Space, clip, expose
from exposure_env.kernels import enabled
from exposure_env.photos import content_box

Thumbnail = Literal["squeeze", "letterbox"]

FORMAT = "exposure retouch plan, version 1"
BYTES_PER_PIXEL = 24  # of memory at the peak of a full-size retouch; 13 to 21 measured at 50 megapixels
MORE_IN_DEFINITION = 36  # bytes per pixel without compiled fast paths; 57 measured in all at 12 megapixels
MAX_EV = 32.0  # stops; far beyond any photo, and far from overflow


@dataclass(frozen=True, eq=False)
class RetouchPlan:
    """A partition of a photo's thumbnail into segments, and one exposure for each; replays at any resolution.

    Attributes:
        labels: (h, w) int32, the segment of every pixel of the thumbnail: 0..K-1, every one present. Read-only.
        evs: (K,) float64 [stops], the exposure of each segment. Read-only.
        fusion: Which rendering of `fusion.FUSIONS` makes the result.
        fusion_options: Its options, where they differ from the defaults.
        space: Whether an exposure multiplies "linear" light or "encoded" values.
        thumbnail: How the photo was fitted into the thumbnail, see `photos.thumbnail`.

    Raises:
        ValueError: If a field is malformed or the labels are not exactly 0..K-1.
    """

    labels: np.ndarray
    evs: np.ndarray
    fusion: str = "local"
    fusion_options: dict[str, Any] = field(default_factory=dict)
    space: Space = "linear"
    thumbnail: Thumbnail = "squeeze"

    def __post_init__(self) -> None:
        """Check the fields; keep read-only copies of the arrays."""
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
        """All options of the rendering: its defaults and, over them, the plan's own."""
        return _option_defaults(self.fusion) | self.fusion_options

    def render(self, thumbnail: np.ndarray) -> np.ndarray:
        """The retouched thumbnail, by the definition in `fusion`.

        Args:
            thumbnail: (h, w, 3) float32 in [0, 1], of the labels' height and width.

        Returns:
            (h, w, 3) float32 in [0, 1].

        Raises:
            ValueError: If the thumbnail is of another shape.
        """
        if np.shape(thumbnail) != (*self.labels.shape, 3):
            raise ValueError(f"the thumbnail must be of shape {(*self.labels.shape, 3)}, not {np.shape(thumbnail)}")
        evs = self.evs.astype(np.float32)
        fusion = FUSIONS[self.fusion]
        return fusion(thumbnail[None], self.labels[None], evs[None], space=self.space, **self.fusion_options)[0]

    def to_json(self) -> str:
        """The plan as a JSON object: the fields, and "format", which names the version."""
        content = {"format": FORMAT} | {item.name: getattr(self, item.name) for item in fields(self)}
        return json.dumps(content, default=np.ndarray.tolist)

    @classmethod
    def from_json(cls, text: str) -> "RetouchPlan":
        """The plan that `to_json` wrote.

        Raises:
            ValueError: If the text is no JSON, of another format, or a field is missing, unknown or malformed.
        """
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"not a retouch plan, because not JSON: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(f"a retouch plan is a JSON object, not {type(content).__name__}")
        if (found := content.pop("format", None)) != FORMAT:
            raise ValueError(f"the plan's format must be {FORMAT!r}, not {found!r}")
        names = [item.name for item in fields(cls)]
        if set(content) != set(names):
            raise ValueError(f"the plan's fields must be {names}, not {list(content)}")
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


def _numbers(name: str, value: Any, kinds: str, ndim: int) -> np.ndarray:
    try:
        array = np.array(value)
    except ValueError:  # ragged rows
        array = np.empty(0)
    if array.ndim != ndim or array.size == 0 or array.dtype.kind not in kinds:
        wanted = "rows of integers, all of one length" if ndim == 2 else "a list of numbers, at least one"
        raise ValueError(f"{name} must be {wanted}, not {value!r:.200}")
    return array


def _option_defaults(fusion: str) -> dict[str, Any]:
    parameters = inspect.signature(FUSIONS[fusion]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "space"}


def _check_options(fusion: str, options: dict[str, Any]) -> None:
    if not isinstance(options, dict):
        raise ValueError(f"fusion_options must be a dict, not {options!r}")
    defaults = _option_defaults(fusion)
    for name, value in options.items():
        if name not in defaults:
            raise ValueError(f"fusion_options of {fusion!r} are {list(defaults)}, not {name!r}")
        default = defaults[name]
        kinds = {float: (int, float), type(None): (int, type(None))}.get(type(default), type(default))
        if not isinstance(value, kinds) or not (value is None or 0 <= value < math.inf):
            raise ValueError(f"fusion_options: {name} must be like its default, {default!r}, not {value!r}")


def apply_plan(plan: RetouchPlan, pixels: np.ndarray, *, feather: float = 1.0, tile: int = TILE,
               reuse: bool = False) -> np.ndarray:
    """The photo retouched by the plan at full size.

    Seen through the thumbnail it is the plan's own rendering of the thumbnail, up to about one level of 255 on average.

    Args:
        plan: The retouch, made on this photo's thumbnail.
        pixels: (H, W, 3) uint8 or uint16, sRGB-encoded.
        feather: How far the borders of the segments are softened and drawn to edges of the photo [pixels of the
            thumbnail]; 0 for borders that ignore the photo.
        tile: Width of the strips of the compiled fast path [pixels], a multiple of 4; does not change the result.
        reuse: Whether the pixels' own memory may take the result, if that saves some; they are lost then.

    Returns:
        (H, W, 3) of the same dtype; the pixels exactly where all EVs are 0.

    Raises:
        ValueError: If the pixels are of another dtype or shape or more than this machine's memory can hold, or
            `feather` is negative or not finite.
    """
    pixels = checked_pixels(pixels)
    if not 0 <= feather < math.inf:
        raise ValueError(f"feather must be a finite number of thumbnail pixels from 0, not {feather!r}")
    needed = (BYTES_PER_PIXEL + (0 if enabled() else MORE_IN_DEFINITION)) * pixels.shape[0] * pixels.shape[1]
    memory = _memory()
    if needed > memory:
        raise ValueError(f"a photo of {pixels.shape[1]}x{pixels.shape[0]} pixels needs about {needed / 1e9:.1f} GB to "
                         f"be retouched at once, and this machine has {memory / 1e9:.1f} GB: make it smaller")
    if not plan.evs.any():
        return pixels.copy()
    thumbnail, box = _thumbnail(plan, pixels)
    evs, weights = _exposures_and_weights(plan, thumbnail)
    weights = weights[:, *box]
    if plan.fusion == "local":
        return expose_locally(pixels, evs, GuidedPlanes(weights, pixels, feather, passes=2), plan.space, tile)
    guided = GuidedPlanes(weights, pixels, feather)
    rendered, clip_input = plan.render(thumbnail), plan.options["clip_input"]
    return blend_detail(pixels, evs, guided, thumbnail[box], rendered[box], plan.space, clip_input, tile, reuse)


def _memory() -> float:
    """Physical memory [bytes]; infinite where the system doesn't tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _thumbnail(plan: RetouchPlan, pixels: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The photo as the plan saw it, (h, w, 3) float32 in [0, 1], and where in there the photo lies."""
    top, left, height, width = 0, 0, *plan.labels.shape
    if plan.thumbnail == "letterbox":
        top, left, height, width = content_box(*pixels.shape[:2], len(plan.labels), "letterbox")
    photo = shrunk(pixels, height, width)
    margins = (top, plan.labels.shape[0] - top - height), (left, plan.labels.shape[1] - left - width), (0, 0)
    box = slice(top, top + height), slice(left, left + width)
    return clip(np.pad(photo, margins, mode="edge")), box


def _exposures_and_weights(plan: RetouchPlan, thumbnail: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The T exposures that `plan.fusion` blends, (T,), and their weights on the thumbnail, (T, h, w)."""
    options = plan.options
    evs = plan.evs.astype(np.float32)
    weights = segment_masks(plan.labels[None], len(evs), thumbnail, options.get("feather", 0))[0]
    if plan.fusion in ("local", "mask_pyramid"):
        return evs, weights
    if plan.fusion == "mertens":
        weights = np.ones_like(weights)
    if options["include_input"]:
        evs, weights = np.append(np.float32(0), evs), np.concatenate([np.ones_like(weights[:1]), weights])
    exposed = expose(np.moveaxis(thumbnail, -1, 0), evs[:, None, None], plan.space)
    exposed = clip(exposed) if options["clip_input"] else exposed
    exponents = {name: options[name] for name in ("contrast", "saturation", "exposedness")}
    weights = weights * (mertens_weights(exposed[None], **exponents)[0] + options["epsilon"])
    return evs, weights / weights.sum(axis=0)


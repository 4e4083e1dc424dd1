"""Small valid files of each kind, from which the broken ones are made."""

import hashlib
import io
import json
import struct
import tempfile
import zlib
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import torch
from PIL import Image

from agents.policy import ExposurePolicy
from agents.saved_agent import ACTION_SPACE, PLACEHOLDER, SHIPPED, save_agent
from agents.training.configuration import PRESETS
from exposure_env.files import ImageFile, save_image
from exposure_env.observations import observation_space
from exposure_env.retouch import RetouchPlan
from exposure_env.task import ExposureTask
from tests.files.small import ICC, exif_data, noise, png_chunk

KINDS = ("jpeg", "png", "tiff", "safetensors", "plan", "config", "journal")
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif"}
BETWEEN = b"\0photos.json\0"  # between the two files of a run
RESULTS = {"a.png": 5, "b.jpg": 7, "missing.tif": None}  # what a journal is asked for, and the sizes of the files
TIME = 1_700_000_000_000_000_000  # and their time


@cache
def seeds(kind: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return _SEEDS[kind](Path(folder))


def _pillow(mode: str, suffix: str, **options: Any) -> bytes:
    file, image = io.BytesIO(), Image.fromarray(noise((19, 23, 4))).convert("RGBA" if mode[-1] == "A" else "RGB")
    image.convert(mode).save(file, {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF"}[suffix], **options)
    return file.getvalue()


def _ours(path: Path, dtype: type, alpha: bool) -> bytes:
    rows = noise((19, 23), dtype) if alpha else None
    save_image(path, ImageFile(noise((19, 23, 3), dtype), rows, exif_data(6), ICC))
    return path.read_bytes()


def _jpegs(folder: Path) -> list[bytes]:
    exif = b"Exif\0\0" + exif_data(6)
    return [_pillow("RGB", ".jpg"), _pillow("RGB", ".jpg", exif=exif), _pillow("L", ".jpg", exif=exif),
            _pillow("RGB", ".jpg", progressive=True, exif=exif), _pillow("RGB", ".jpg", subsampling=0, icc_profile=ICC)]


def _pngs(folder: Path) -> list[bytes]:
    modes = [_pillow(mode, ".png") for mode in ("1", "L", "LA", "RGBA")]
    more = [_pillow("P", ".png", transparency=1), _pillow("RGB", ".png", exif=exif_data(8), icc_profile=ICC)]
    wide = [cv2.imencode(".png", noise((19, 23, *channels), np.uint16))[1].tobytes() for channels in ((), (3,))]
    return [*modes, *more, *wide, _interlaced(2, 1), _interlaced(6, 2), _ours(folder / "a.png", np.uint16, True)]


def _interlaced(colour_type: int, itemsize: int) -> bytes:
    pixels = noise((9, 11, 3 if colour_type == 2 else 4), np.dtype(f"u{itemsize}")).astype(f">u{itemsize}")
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part if row.size)
    header = struct.pack(">IIBBBBB", 11, 9, 8 * itemsize, colour_type, 0, 0, 1)
    chunks = {b"IHDR": header, b"eXIf": exif_data(8), b"IDAT": zlib.compress(rows), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks.items())


def _tiffs(folder: Path) -> list[bytes]:
    packed = [_pillow("RGB", ".tif", compression=name)
              for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")]
    modes = [_pillow(mode, ".tif", exif=exif_data(6)) for mode in ("1", "L", "P", "RGB", "RGBA")]
    others = [cv2.imencode(".tif", noise((19, 23, 3), np.uint16), (cv2.IMWRITE_TIFF_COMPRESSION, number))[1].tobytes()
            for number in (1, 5, 8, 32773)]
    for index, options in enumerate([{"byteorder": ">"}, {"tile": (16, 16)}, {"compression": "zlib", "predictor": True},
                                     {"rowsperstrip": 4, "byteorder": ">"}, {"bigtiff": True}]):
        for dtype in (np.uint8, np.uint16):
            path = folder / f"{index}.tif"
            tifffile.imwrite(path, noise((19, 23, 3), dtype), photometric="rgb", **options)
            others.append(path.read_bytes())
    ours = [_ours(folder / "a.tif", np.uint8, False), _ours(folder / "a.tif", np.uint16, True)]
    return [*packed, *modes, *others, *ours]


def _agents(folder: Path) -> list[bytes]:
    for size, settings in {16: {"segmenter": "luminance_bands"}, 32: {"preset": "paper", "segmenter": "slic"}}.items():
        task = ExposureTask(PLACEHOLDER, size=size, max_segments=3, **settings)
        torch.manual_seed(0)
        policy = ExposurePolicy(observation_space(task.config, "uint8"), ACTION_SPACE, width=4, halvings=size // 32)
        save_agent(folder / f"{size}.safetensors", policy, task)
    return [*(path.read_bytes() for path in sorted(folder.iterdir())), SHIPPED.read_bytes()]


def _plans(folder: Path) -> list[bytes]:
    labels, options = np.arange(64).reshape(8, 8) // 24, {"local": {}, "mask_pyramid": {"levels": 2, "feather": 2}}
    for fusion in ("mertens", "mertens_masked"):
        options[fusion] = {"contrast": 0.5, "saturation": 0, "epsilon": 1e-5, "levels": 3, "include_input": True}
    plans = [RetouchPlan(labels, [1, -0.5, 0.25], fusion, given) for fusion, given in options.items()]
    plans.append(RetouchPlan(labels[:, :6], [2, 0, -3], "mask_pyramid", {"clip_output": False}, "encoded"))
    plans.append(RetouchPlan(labels, [2, 0, -3], "local", {"clip_output": False}, "linear", "letterbox"))
    return [plan.to_json().encode() for plan in plans]


def _configs(folder: Path) -> list[bytes]:
    photos = {"numbers": {"photos": 6, "experts": 8, "held_out": None}, "folders": {"photos": "in", "experts": "out"},
              "digests": {"photos": "0" * 64, "experts": "0" * 64, "held_out": None}}
    configs = [json.dumps(asdict(config), indent=2).encode() for config in PRESETS.values()]
    return [config + BETWEEN + json.dumps(photos, indent=2).encode() for config in configs]


def _journals(folder: Path) -> list[bytes]:
    digest = hashlib.sha256(b"plan").hexdigest()
    notes = [{"result": name, "size": size or 3, "time": TIME, "key": digest, "plan": plan}
             for name, size in RESULTS.items() for plan in (None, digest)]
    return [b"".join(b"\n" + json.dumps(note).encode() for note in notes)]


_SEEDS = {"jpeg": _jpegs, "png": _pngs, "tiff": _tiffs, "safetensors": _agents, "plan": _plans, "config": _configs,
          "journal": _journals}

"""Broken files: valid ones with something changed, by bytes or by structure."""

import json
import re
import struct
from typing import Any

import numpy as np

from exposure_env.fusion import FUSIONS
from tests.files.small import EXIF_IFD, GPS_IFD, png_chunk
from tests.fuzz.seeds import BETWEEN, KINDS, SUFFIXES, seeds

INTEGERS = [0, 1, 2, 3, 7, 8, 16, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**32 - 2,
            2**32 - 1, 2**63 - 1, 2**64 - 1]
EXIF_STARTS = [b"MM\x10*", b"II*\0", b"MM\0*", b"II+\0", b"MM*\0", b"Exif", b"\0\0\0\0"]
CHANGES = ["field"] * 6 + ["flip", "byte", "integer", "cut", "delete", "repeat", "insert", "splice"]
# JSON to put in place of numbers, of texts, and of anything
NUMBERS = ["-1", "0", "1", "2", "3", "5", "60", "300", "20000", "100000", "1000000000", "2147483648",
           "9223372036854775808", "1" + "0" * 400, "0.5", "1e-320", "1e308", "-1e308", "NaN", "Infinity"]
TEXTS = [f'"{name}"' for name in [*FUSIONS, "linear", "encoded", "squeeze", "letterbox", "slic", "felzenszwalb", "full",
                                  "luminance_bands", "paper", "both", "random", "I32", "F16", "BF16", "F64", "BOOL"]]
ODD = ["null", "true", '""', '"x"', '"\\ud800"', '"\\u0000"', "[]", "{}", "[[[]]]", "[NaN, 1]", "[1, [2]]", '{"a": 0}',
       '"deep 100000"', '"deep 900"', '"deep 60"', f'"{"x" * 5000}"']


def pick(rng: np.random.Generator, items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


def make_input(kind: str, seed: int) -> bytes:
    """A broken file, always the same one for the same kind and seed; sometimes it is not broken at all."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    data, other = pick(rng, seeds(kind)), pick(rng, seeds(pick(rng, KINDS)))
    structural = kind not in SUFFIXES and rng.random() < 0.6
    if structural:
        data = _odd_input(kind, data, rng)
    fields = _FIELDS[kind](data) if kind in _FIELDS else [(0, 8)]
    for _ in range(0 if structural and rng.random() < 0.8 else rng.geometric(0.6)):
        data = changed(data, fields, other, rng)
    return repaired(data) if kind == "png" and rng.random() < 0.5 else data


def changed(data: bytes, fields: list[tuple[int, int]], other: bytes, rng: np.random.Generator) -> bytes:
    """The data with one change, most often in one of the fields, given by their places and sizes."""
    length, change = int(rng.integers(1, 40)), pick(rng, CHANGES)
    place = int(rng.integers(min(len(data), pick(rng, [40, 400, 10**9])) + 1))  # more often near the start
    from_there, size = int(rng.integers(len(data) + 1)), pick(rng, [2, 4])
    if change == "field":
        place, size = pick(rng, fields)
    number = (pick(rng, INTEGERS) % 256**size).to_bytes(size, pick(rng, ["little", "big"]))
    if size == 4 and data[place : place + 2] in (b"II", b"MM"):
        number = pick(rng, EXIF_STARTS)
    before, after = data[:place], data[place:]
    match change:
        case "field" | "integer":
            return before + number + after[size:]
        case "flip":
            return before + bytes(value ^ 1 << int(rng.integers(8)) for value in after[:1]) + after[1:]
        case "byte":
            return before + bytes([pick(rng, [0, 1, 48, 57, 91, 127, 128, 255])]) + after[1:]
        case "cut":
            return data[:from_there]
        case "delete":
            return before + after[length:]
        case "repeat":
            return before + data[from_there : from_there + length] + after
        case "insert":
            return before + pick(rng, [rng.bytes(length), bytes(length), b"[" * 100_000]) + after
        case "splice":
            return before + other[from_there % (len(other) + 1) :]


def _tiff_fields(data: bytes, start: int = 0) -> list[tuple[int, int]]:
    """The numbers of a TIFF's header and directories, which EXIF data have, too."""
    order, found = "<" if data[start : start + 2] == b"II" else ">", [(start, 4), (start + 2, 2), (start + 4, 4)]
    directories = [struct.unpack_from(order + "I", data, start + 4)[0]]
    while directories and 43 not in data[start + 2 : start + 4]:  # 43: a BigTIFF, with other directories
        place = start + directories.pop()
        (count,) = struct.unpack_from(order + "H", data, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, length, value = struct.unpack_from(order + "HHII", data, entry)
            found += [(entry, 2), (entry + 2, 2), (entry + 4, 4), (entry + 8, 4)]
            found += [(start + value, 2)] if length * (4 if kind == 4 else 2) > 4 else []
            directories += [value] if tag in (EXIF_IFD, GPS_IFD) else []
        found += [(place, 2), (place + 2 + 12 * count, 4)]
    return found


def _png_fields(data: bytes) -> list[tuple[int, int]]:
    found, place = [(16, 4), (20, 4), *((place, 1) for place in range(24, 29))] * 2, 8  # twice: width, height, kind
    while place < len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        found += [(place, 4), (place + 4, 4)] + (_tiff_fields(data, place + 8) if name == b"eXIf" else [])
        place += 12 + length
    return found


def _jpeg_fields(data: bytes) -> list[tuple[int, int]]:
    found, place, marker = [], 2, 0
    while marker != 0xDA:  # the scan follows
        _, marker, length = struct.unpack_from(">BBH", data, place)
        found += [(place, 2), (place + 2, 2)]
        if 0xC0 <= marker <= 0xC2:  # precision, height, width, number of components
            found += [(place + 4, 1), (place + 5, 2), (place + 7, 2), (place + 9, 1), (place + 11, 1)] * 2
        if data[place + 4 : place + 10] == b"Exif\0\0":
            found += _tiff_fields(data, place + 10)
        place += 2 + length
    return found


_FIELDS = {"jpeg": _jpeg_fields, "png": _png_fields, "tiff": _tiff_fields}


def repaired(png: bytes) -> bytes:
    """The PNG with the checksums that its chunks should have."""
    result, place = png[:8], 8
    while place + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, place)
        result += png_chunk(png[place + 4 : place + 8], png[place + 8 : place + 8 + length])
        place += 12 + length
    return result + png[place:]


def _text(content: Any) -> bytes:
    """As JSON; "deep 3" becomes [[[]]]."""
    return re.sub(r'"deep (\d+)"', lambda deep: "[" * int(deep[1]) + "]" * int(deep[1]), json.dumps(content)).encode()


def _alike(value: Any) -> list[str]:
    if isinstance(value, bool):
        return ["true", "false"]
    if isinstance(value, int | float):
        return NUMBERS + [str(value + 1), str(value / 2), str(value * 2), str(value * 0.9)] * 4
    return TEXTS if isinstance(value, str) else NUMBERS + ODD


def _odd(content: Any, rng: np.random.Generator) -> Any:
    """The same dict after one value somewhere in it was replaced, removed or added."""
    inner = content
    while True:
        key = pick(rng, list(inner) if isinstance(inner, dict) else range(len(inner)))
        value = inner[key]
        if not isinstance(value, dict | list) or not value or rng.random() < 0.3:
            break
        inner = value
    new = json.loads(pick(rng, _alike(value) if rng.random() < 0.7 else ODD))
    action = pick(rng, ["replace"] * 8 + ["remove", "add"])
    if action == "remove":
        del inner[key]
    elif action == "add" and isinstance(inner, list):
        inner.append(new)
    else:
        inner["odd" if action == "add" else key] = new
    return content


def _odd_input(kind: str, data: bytes, rng: np.random.Generator) -> bytes:
    """A file of the right structure with an odd value."""
    match kind:
        case "plan":
            plan = json.loads(data)
            _odd(plan["fusion_options"] or plan if rng.random() < 0.5 else plan, rng)  # else few would be rendered
            return _text(plan)
        case "config":
            files = [json.loads(part) for part in data.split(BETWEEN)]
            _odd(files[int(rng.random() < 0.25)], rng)
            return BETWEEN.join(map(_text, files))
        case "journal":
            notes = [json.loads(line) for line in data.splitlines()[1:]]
            notes = [_odd(note, rng) if rng.random() < 0.5 else note for note in notes]
            return b"\n".join(map(_text, [*notes, json.loads(pick(rng, ODD))]))
    return _odd_agent(data, rng)


def _odd_agent(data: bytes, rng: np.random.Generator) -> bytes:
    end = 8 + int.from_bytes(data[:8], "little")
    header, weights = json.loads(data[8:end]), bytearray(data[end:])
    meta = header["__metadata__"]
    match pick(rng, ["settings", "settings", "policy", "metadata", "tensor", "weight"]):
        case "settings" | "policy" as name:
            meta[name] = _text(_odd(json.loads(meta[name]), rng)).decode()
        case "metadata":
            _odd(meta, rng)
        case "tensor":
            _odd(header[pick(rng, sorted(header.keys() - {"__metadata__"}))], rng)
        case "weight":
            number = pick(rng, [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45])
            struct.pack_into("<f", weights, 4 * int(rng.integers(len(weights) // 4)), number)
    text = _text(header)
    return len(text).to_bytes(8, "little") + text + weights

"""Settings checked against the types that their dataclass names, whatever they were read from."""

import math
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

WORDS = {int: "an integer", float: "a finite number", bool: "True or False", str: "a string", NoneType: "None"}


def check_types(settings: Any, ranges: dict[str, tuple[float, float]]) -> None:
    """Checks that every field of a dataclass is of the type that it is declared with, and within its range.

    Args:
        settings: The dataclass; its fields are declared as int, float (which must be finite), bool, str, None, Literal,
            tuple, or a union of these.
        ranges: Lowest and highest values of some of its fields.

    Raises:
        ValueError: If one isn't; the message names it and says what would be right.
    """
    kinds = get_type_hints(type(settings))
    for name in (field.name for field in fields(settings)):
        kind, value = kinds[name], getattr(settings, name)
        if not _is(value, kind):
            raise ValueError(f"{name} must be {_told(kind)}, not {value!r:.200}")
        least, most = ranges.get(name, (-math.inf, math.inf))
        if name in ranges and value is not None and not least <= value <= most:
            limit = f"at least {least:g}" if value < least else f"at most {most:g}"
            raise ValueError(f"{name} must be {limit}, not {value!r:.200}")


def _is(value: Any, kind: Any) -> bool:
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return isinstance(value, str) and value in inside
    if origin in (Union, UnionType):
        return any(_is(value, each) for each in inside)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(inside) and all(map(_is, value, inside))
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and abs(value) < 1e100
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    return isinstance(value, kind)


def _told(kind: Any) -> str:
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {list(inside)}"
    if origin in (Union, UnionType):
        return " or ".join(_told(each) for each in inside)
    if origin is tuple:
        return f"{len(inside)} values, each {_told(inside[0])}"
    return WORDS[kind]

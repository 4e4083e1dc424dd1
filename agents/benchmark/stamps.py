"""What a published number names: the protocol, its version and fingerprint, the photos, and what was changed in it."""

from collections.abc import Sequence
from typing import Any

from agents.benchmark.methods import GLOBAL_NAME, length
from agents.benchmark.protocols import PROTOCOLS, Protocol, protocol_name
from agents.training.configuration import PRESETS

PLAN = ("segmenter", "max_segments", "fusion", "max_ev")  # what all methods of a protocol share


def stamp(settings: Sequence[dict[str, Any]]) -> str:
    """The line that belongs to a table, made of the settings of its cells, which are of one protocol; "" for no cells.

    Fingerprints are those of the protocol as it stands here: on other photos it is another. What cells have otherwise
    than the protocol is named behind it.
    """
    if not settings:
        return ""
    protocol = PROTOCOLS[protocol_name(settings[0]["protocol"])]
    given = sorted({str(each.get("photos", "unknown")) for each in settings})
    marks = " and ".join(f"{protocol.fingerprint(photos)} ({photos})" for photos in given)
    changed = _changed(settings, protocol)
    return (f"Protocol {protocol.name}, version {protocol.version}, fingerprint {marks}"
            f"{f'; changed: {changed}' if changed else ''}")


def _changed(settings: Sequence[dict[str, Any]], protocol: Protocol) -> str:
    found: dict[str, None] = {}
    for cell in settings:
        for name in PLAN:
            value, usual = cell["config"].get(name), protocol.settings.get(name)
            own = name == "max_segments" and cell["method"].endswith(GLOBAL_NAME)
            if name in cell["config"] and value != usual and not own:
                found[f"{name} {value}, not {usual}"] = None
    shares = sorted({share for cell in settings if (share := _share(cell, protocol)) is not None})
    if shares and shares != [1]:
        found[f"budget {' and '.join(f'{share:.3g}' for share in shares)} of the protocol's"] = None
    return ", ".join(found)


def _share(cell: dict[str, Any], protocol: Protocol) -> float | None:
    """The cell's budget as a fraction of the protocol's; None if it isn't known."""
    steps, full = cell["config"].get("total_timesteps"), protocol.settings.get("total_timesteps")
    usual = length(cell["method"], full or PRESETS["recommended"].total_timesteps)
    return None if steps is None or usual == 0 else round(steps / usual, 3)

"""JSON from files, read so that whatever is wrong with it is a ValueError."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value that JSON text stands for.

    Raises:
        ValueError: If it is not JSON, or is nested too deeply or has too long a number to be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from error

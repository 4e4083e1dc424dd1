"""The other end of a `ProcessReward`: a program for another interpreter, which needs NumPy and nothing of ours.

It is started as `python scorer.py module:attribute`, reads requests from its standard input and answers on its standard
output. A message is eight bytes with the length of a JSON header, the header, and the arrays that it announces, float32
in C order. The first message, an answer to nothing, describes the scorer.
"""

import importlib
import inspect
import json
import os
import sys

import numpy as np


def read(stream):
    """A header and its arrays, by name; None at the end of the stream."""
    start = stream.read(8)
    if len(start) < 8:
        return None
    header = json.loads(stream.read(int.from_bytes(start, "little")))
    arrays = {}
    for name, shape in header.get("arrays", {}).items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(stream.read(4 * count), np.float32, count).reshape(shape).copy()
    return header, arrays


def write(stream, header, arrays=None):
    """Sends a header and float32 arrays."""
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in (arrays or {}).items()}
    text = json.dumps({**header, "arrays": {name: array.shape for name, array in arrays.items()}}).encode()
    stream.write(len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in arrays.values()))
    stream.flush()


def found(spec):
    """The scorer that "module:attribute" names; a class is instantiated."""
    module, _, attribute = spec.partition(":")
    scorer = getattr(importlib.import_module(module), attribute)
    return scorer() if isinstance(scorer, type) else scorer


def wanted(scorer):
    """Which of `inputs` and `targets` the scorer takes."""
    parameters = inspect.signature(getattr(scorer, "forward", scorer)).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return [name for name in ("inputs", "targets") if takes_all or name in parameters]


def main(spec):
    """Answers requests until the standard input ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the scorer prints must not come between the answers
    sys.path.insert(0, os.getcwd())
    try:
        scorer = found(spec)
        context = wanted(scorer)
        write(answers, {"lower_better": bool(getattr(scorer, "lower_better", False)), "context": context})
    except Exception as error:
        write(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    while (request := read(requests)) is not None:
        _, arrays = request
        try:
            result = scorer(arrays["images"], **{name: arrays.get(name) for name in context})
            result = result[0] if isinstance(result, tuple) else result
            result = result.detach().cpu().numpy() if hasattr(result, "detach") else np.asarray(result)
            if result.dtype.kind not in "fiu":
                raise TypeError(f"scores must be real numbers, not {result.dtype}")
            write(answers, {"version": str(getattr(scorer, "version", ""))}, {"scores": result})
        except Exception as error:
            write(answers, {"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(sys.argv[1])

"""Broken files for all that the packages read; nothing but ValueError and OSError may come of them.

    python -m tests.fuzz --seed 1 --minutes 3 --keep findings

The input of a finding is `make_input(kind, number)`, of the kind and the number that are printed. Image libraries
complain on standard error, as does Python when an input hangs in compiled code; it then ends the program.
"""

import argparse
import itertools
import logging
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import torch

from tests.files.small import written
from tests.fuzz.changes import make_input
from tests.fuzz.seeds import KINDS
from tests.fuzz.trials import try_input, warm_up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the inputs are numbered from a million times this")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--keep", type=Path, help="folder for the files that are findings")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    logging.disable()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ["EXPOSURE_THREADS"] = "1"
    keep, counts, found = given.keep, Counter(), Counter()
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm_up(folder)
        end = time.monotonic() + 60 * given.minutes
        for number in itertools.count(given.seed * 1_000_000):
            kind = given.kinds[number % len(given.kinds)]
            data = make_input(kind, number)
            file = keep and written(keep / f"{kind}-{number}", data)  # before the trial, lest it takes the process down
            outcome = try_input(kind, data, folder)
            counts.update([kind, (kind, outcome.accepted)])
            if outcome.finding:
                found[kind, outcome.finding.split(": ")[0]] += 1
                print(f"{kind} {number}: {outcome.finding}", flush=True)
            elif file:
                file.unlink()
            if time.monotonic() > end:
                break
    for kind in given.kinds:
        print(f"{kind}: {counts[kind]} inputs, {counts[kind, True]} accepted, {counts[kind, False]} not")
    print(f"{sum(found.values())} findings")
    for (kind, what), count in found.most_common():
        print(f"{count:6} {kind}: {what}")


if __name__ == "__main__":
    main()

"""Kill `exposure benchmark` at ten random moments, and see what is left: nothing but finished cells.

python benchmarks/killing.py (a quarter of an hour on two processors)
python benchmarks/killing.py --quick (half a minute: one kill, of baselines)

The command runs on the sample photos with two cells at once. It is killed by SIGTERM, by kill -9, by Ctrl-C's signal,
and by kill -9 of one of its workers, each time after it was started again in the same folder, until it is finished.
After each kill, whatever is in the folder has to be whole, and no process may be left. The finished folder, and the
table that is printed, must be those of a command that was never killed, but for times and memory.
"""

import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the tests, which aren't installed

from tests import kills  # noqa: E402

KINDS = [SIGTERM] * 3 + [SIGKILL] * 3 + [SIGINT] * 2 + ["worker"] * 2
PER_TRIAL = 2  # kills until a command may finish


@dataclass(frozen=True)
class BenchmarkKilling:
    """Kill `exposure benchmark` at random moments."""

    seed: int = 0  # of the moments
    quick: bool = False  # kill once only


class Three(kills.Benchmarking):
    """Three cells: two learners and a baseline."""

    methods, seeds = ("identity", "II", "regression"), (0,)


class Two(kills.Benchmarking):
    """Two baselines."""

    methods, seeds = ("identity", "constant EV"), (0,)


def main() -> int:
    given = tyro.cli(BenchmarkKilling)
    kills.LIMIT = 1800.0  # seconds: the machine may be busy with other things, too
    rng, kinds, found, done, trials = random.Random(given.seed), [*KINDS], [], 0, 0
    rng.shuffle(kinds)
    kinds = [SIGKILL] if given.quick else kinds
    with tempfile.TemporaryDirectory() as place:
        command = (Two if given.quick else Three)(Path(place))
        print(f"never killed: {command.usual:.1f} s", flush=True)
        while done < len(kinds):
            moments = [moment(kind, command.usual, rng) for kind in kinds[done : done + PER_TRIAL]]
            count, wrong = command.trial(Path(place) / str(trials), moments)
            trials += 1
            if count == 0 and not wrong:
                continue  # it had finished before: other moments
            found += wrong
            done += count or len(moments)
            print("".join(f"    wrong: {problem}\n" for problem in wrong), end="", flush=True)
    print(f"{done} kills: {f'{len(found)} findings' if found else 'no process left, nothing half-written, same table'}")
    return bool(found)


def moment(kind: object, usual: float, rng: random.Random) -> kills.Moment:
    """A random moment of a run that takes `usual` seconds, and how it is killed then."""
    wait = round(rng.uniform(0, 0.9 * usual), 2)
    return kills.Moment("start", wait, worker=True) if kind == "worker" else kills.Moment("start", wait, how=kind)


if __name__ == "__main__":
    sys.exit(main())

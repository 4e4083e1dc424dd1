"""A server for the tests of the page, in a thread of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.preferring import Pairs
from agents.rewards.preferences import PreferenceFolder
from exposure_env.photos import sample_photos
from tests.serving import in_thread


class Served(NamedTuple):
    url: str
    port: int
    ballot: Any  # a `Ballot`, whose module needs what may be missing
    folder: PreferenceFolder


@contextmanager
def serving(folder: Path, number: int = 3, photos: Any = None) -> Iterator[Served]:
    """The page, asking for so many answers about small photos."""
    from agents.preferring.page import Ballot, make_app

    answers = PreferenceFolder(folder)
    pairs = Pairs(sample_photos("test", 4) if photos is None else photos, np.random.default_rng(0))
    ballot = Ballot(pairs, answers, "tester", number)
    with in_thread(lambda hosts: make_app(ballot, hosts)) as (url, port, _):
        yield Served(url, port, ballot, answers)

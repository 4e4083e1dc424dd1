"""A server for the tests of the page, in a thread of its own."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import numpy as np

from agents.preferring import Pairs
from agents.rewards.preferences import PreferenceFolder
from exposure_env.photos import sample_photos


class Served(NamedTuple):
    url: str
    port: int
    ballot: Any  # a `Ballot`, whose module needs what may be missing
    folder: PreferenceFolder


@contextmanager
def serving(folder: Path, number: int = 3, photos: Any = None) -> Iterator[Served]:
    """The page, asking for so many answers about small photos."""
    from agents.preferring.page import Ballot, make_app
    from agents.serving import address, host_names, listen, make_server

    answers, host = PreferenceFolder(folder), "127.0.0.1"
    pairs = Pairs(sample_photos("test", 4) if photos is None else photos, np.random.default_rng(0))
    ballot = Ballot(pairs, answers, "tester", number)
    with closing(listen(host)) as listening:
        server = make_server(make_app(ballot, host_names(listening, host)))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Served(address(listening, host), listening.getsockname()[1], ballot, answers)
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()

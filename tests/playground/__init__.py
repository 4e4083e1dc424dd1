"""Games and a server of small photos for the tests of the page."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from agents.playground import Library, SampleGallery, Shown, judges, run_estimate
from agents.playground.gallery import Item
from agents.saved_agent import PLACEHOLDER, Agent, load_agent
from tests.serving import in_thread


@lru_cache(maxsize=1)
def agent() -> Agent:
    """The shipped agent, with at most three segments, so that games are short."""
    shipped = load_agent()
    return shipped._replace(settings=shipped.settings | {"max_segments": 3})


class Tiles:
    """Photos of three grey tiles: "dark" has a brighter target, "plain" has none, and "broken" can't be read.

    Args:
        broken: Whether the page lists the last of them, too.
    """

    def __init__(self, broken: bool = False):
        self.listed = [Item("dark", "Dark", True), Item("plain", "Plain", False)]
        self.listed += [Item("broken", "Broken", False)] if broken else []

    def items(self) -> list[Item]:
        return self.listed

    def photo(self, id: str, seed: int) -> Shown:
        if id == "broken":
            raise ValueError("broken: it can't be read")
        pixels = np.repeat(np.array([20, 60, 100], np.uint8) + seed % 5, 40)[None, :, None]
        pixels = np.tile(pixels, (90, 1, 3))
        return {"dark": Shown("Dark", pixels, np.minimum(pixels * 2, 255)), "plain": Shown("Plain", pixels)}[id]


def library(gallery: object | None = None, reward: str | None = None) -> Library:
    task = agent().task(PLACEHOLDER)
    return Library(gallery or SampleGallery(), agent(), judges(task, reward), run_estimate(agent(), None))


class Served(NamedTuple):
    url: str
    port: int
    library: Library
    stop: object  # a function that ends the server at once, as if it were killed


@contextmanager
def serving(gallery: object | None = None, port: int = 0) -> Iterator[Served]:
    """The page, in a thread of its own."""
    from agents.playground.app import make_app

    games = library(gallery)
    with in_thread(lambda hosts: make_app(games, hosts), port, force=True) as (url, listening, stop):
        yield Served(url, listening, games, stop)

"""A page in the browser where a student plays against the agent: photos, games, and the server behind them.

The server is not re-exported here: it needs the extra `play`, which the games do not.
"""

from agents.playground.gallery import FolderGallery, Gallery, SampleGallery, Shown
from agents.playground.game import Game, Rival
from agents.playground.judges import Estimate, Judge, judges, run_estimate
from agents.playground.library import Forgotten, Library
from agents.playground.uploads import Uploads, decoded

__all__ = [
    "Estimate", "FolderGallery", "Forgotten", "Gallery", "Game", "Judge", "Library", "Rival", "SampleGallery", "Shown",
    "Uploads", "decoded", "judges", "run_estimate",
]  # fmt: skip

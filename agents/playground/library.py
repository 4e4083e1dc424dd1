"""The games of a server, each made when it is first played, and a bounded number of them kept."""

from collections import OrderedDict
from threading import Lock

from agents.playground.gallery import Gallery, Item
from agents.playground.game import Game
from agents.playground.judges import Estimate, Judge
from agents.playground.uploads import Uploads
from agents.saved_agent import PLACEHOLDER, Agent

OWN = "own-"  # in front of the tokens of uploaded photos
MOST_GAMES = 16  # kept; the one that was played the longest time ago is forgotten, and made again when it is asked for


class Forgotten(Exception):
    """There is no such photo, or not any more; the message is meant for the player."""


class Library:
    """Games by photo and seed; safe to be used by several threads.

    Args:
        gallery: The photos.
        agent: Who plays against the students.
        judges: The rewards, by name.
        estimate: What the agent's own run thinks of states on the way, if anything.
    """

    def __init__(self, gallery: Gallery, agent: Agent, judges: dict[str, Judge], estimate: Estimate | None = None):
        self.gallery, self.agent, self.judges, self.estimate = gallery, agent, judges, estimate
        self.uploads, self._task = Uploads(), agent.task(PLACEHOLDER)
        self.items: dict[str, Item] = {item.id: item for item in gallery.items()}
        self._games: OrderedDict[tuple[str, int], Game] = OrderedDict()
        self._lock, self._making = Lock(), Lock()

    def game(self, photo: str, seed: int) -> Game:
        """The game on a photo.

        Raises:
            Forgotten: If there is no such photo.
            ValueError, OSError: If it can't be read.
        """
        seed = seed if photo in self.items and self.items[photo].seeded else 0
        if (game := self._known((photo, seed))) is None:
            with self._making:  # one at a time: a whole class begins on the same photo
                if (game := self._known((photo, seed))) is None:
                    game = self._made(photo, seed)
                    with self._lock:
                        self._games[photo, seed] = game
                        while len(self._games) > MOST_GAMES:
                            self._games.popitem(last=False)
        return game

    def offered(self, game: Game) -> list[Judge]:
        """The rewards that can judge a game."""
        return [judge for judge in self.judges.values() if game.shown.target is not None or not judge.needs_target]

    def _known(self, key: tuple[str, int]) -> Game | None:
        with self._lock:
            if key in self._games:
                self._games.move_to_end(key)
            return self._games.get(key)

    def _made(self, photo: str, seed: int) -> Game:
        try:
            if photo.startswith(OWN):
                shown = self.uploads.photo(photo.removeprefix(OWN))
            else:
                shown = self.gallery.photo(photo, seed)
        except KeyError as error:
            gone = "this uploaded photo has been forgotten: upload it again" if photo.startswith(OWN) else (
                f"there is no photo {photo!r:.80} here")
            raise Forgotten(gone) from error
        return Game(shown, self._task, self.agent.policy, self.estimate)

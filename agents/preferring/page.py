"""A page that asks which of two retouches is better, and the addresses behind it."""

import secrets
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from agents.encoding import jpeg
from agents.preferring.pairs import Pair, Pairs
from agents.rewards.preferences import SIDES, Preference, PreferenceFolder
from agents.serving import (
    HTTPException,
    Request,
    Response,
    Route,
    Starlette,
    body_of,
    guarded,
    image_reply,
    json_reply,
    page_reply,
    run_in_threadpool,
    told,
)

PAGE = Path(__file__).parent / "static" / "prefer.html"
SKIP = "skip"
MOST_OPEN = 64  # pairs that wait for an answer
INLINE = "style-src 'unsafe-inline'", "script-src 'unsafe-inline'"  # the page is one file


class Question(NamedTuple):
    """A pair that waits for an answer."""

    pair: Pair
    jpegs: dict[str, bytes]  # by side


class Ballot:
    """The pairs that wait for an answer, each under a secret token, and the answers, each recorded once.

    Safe to be used by several threads. The oldest pair is forgotten once more than `MOST_OPEN` wait.

    Args:
        pairs: Where pairs come from.
        folder: Where answers are recorded.
        judge: Who answers.
        number: How many answers are wanted in all.
        given: How many there are already.
    """

    def __init__(self, pairs: Pairs, folder: PreferenceFolder, judge: str, number: int, given: int = 0):
        self.pairs, self.folder, self.judge, self.number, self.given = pairs, folder, judge, number, given
        self._open: dict[str, Question] = {}  # the oldest first
        self._closed: set[str] = set()
        self._lock = Lock()

    def ask(self) -> tuple[str, Pair]:
        """A new pair, and the token under which it is answered.

        Raises:
            ValueError: If no photo can be shown.
        """
        pair, token = self.pairs.draw(), secrets.token_urlsafe(16)
        question = Question(pair, {side: jpeg(getattr(pair, side).shown) for side in SIDES})
        with self._lock:
            self._open[token] = question
            while len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]
        return token, pair

    def image(self, token: str, side: str) -> bytes:
        """A retouch of an open pair, as a JPEG.

        Raises:
            HTTPException: As for `answer`, or 404 if there is no such side.
        """
        if side not in SIDES:
            raise HTTPException(404, f"a side is {' or '.join(SIDES)}")
        with self._lock:
            return self._question(token).jpegs[side]

    def answer(self, token: str, choice: str) -> int:
        """Closes a pair, records the answer unless it is `SKIP`, and returns how many there are.

        Raises:
            HTTPException: 404 if there is no such pair, 409 if it is closed.
            ValueError, OSError: If the answer can't be recorded; the pair stays open.
        """
        with self._lock:
            pair = self._question(token).pair
            if choice != SKIP:
                seen = (getattr(pair, side).thumbnail for side in SIDES)
                self.given = self.folder.add(Preference(*seen, choice, pair.photo, self.judge))
            del self._open[token]
            self._closed.add(token)
            return self.given

    def _question(self, token: str) -> Question:
        if token in self._closed:
            raise HTTPException(409, "this pair has been answered already")
        if token not in self._open:
            raise HTTPException(404, "there is no such pair, or it has been forgotten")
        return self._open[token]


def make_app(ballot: Ballot, hosts: frozenset[str] | None = None) -> Starlette:
    """The page and its four addresses; nothing that a request says is used as the name of a file.

    Args:
        ballot: What is asked, and where answers go.
        hosts: See `Guard` and `host_names`.
    """
    html = PAGE.read_bytes()

    def page(request: Request) -> Response:
        return page_reply(html, "text/html", *INLINE)

    def pair(request: Request) -> Response:
        progress = {"given": ballot.given, "number": ballot.number}
        if ballot.given >= ballot.number:
            return json_reply(progress)
        try:
            token, drawn = ballot.ask()
        except ValueError as error:
            return json_reply({"error": str(error), "left_out": ballot.pairs.left_out}, 500)
        height, width = drawn.left.shown.shape[:2]
        return json_reply(progress | {"token": token, "photo": drawn.photo, "width": width, "height": height,
                                 "left_out": ballot.pairs.left_out})

    def image(request: Request) -> Response:
        token, side = (request.path_params[name] for name in ("token", "side"))
        return image_reply(ballot.image(token, side))

    async def answer(request: Request) -> Response:
        token, choice = _told(await body_of(request))
        try:
            given = await run_in_threadpool(ballot.answer, token, choice)
        except (ValueError, OSError) as error:
            raise HTTPException(500, f"the answer can't be recorded: {error}") from error
        return json_reply({"given": given, "number": ballot.number})

    routes = [Route("/", page), Route("/pair", pair), Route("/image/{token}/{side}", image),
              Route("/answer", answer, methods=["POST"])]
    return guarded(routes, hosts)


def _told(body: bytes) -> tuple[str, str]:
    """The token and the choice of an answer."""
    answer = told(body, "answer")
    token, choice = answer.get("token"), answer.get("choice")
    if not isinstance(token, str) or choice not in (*SIDES, SKIP):
        raise HTTPException(400, f'an answer has a "token", and a "choice" of {", ".join((*SIDES, SKIP))}')
    return token, choice

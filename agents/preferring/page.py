"""A page that asks which of two retouches is better, and the small server behind it, meant for one's own machine."""

import io
import ipaddress
import secrets
import socket
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from agents.preferring.pairs import Pair, Pairs
from agents.rewards.preferences import SIDES, Preference, PreferenceFolder
from exposure_env.parsing import parse_json

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.datastructures import Headers
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise ValueError('the page needs Starlette and Uvicorn: pip install -e ".[play]"') from error

PAGE = Path(__file__).parent / "static" / "prefer.html"
SKIP = "skip"
MOST_OPEN = 64  # pairs that wait for an answer
MOST_BODY = 4096  # bytes
QUALITY = 90  # of the JPEGs
POLICY = ("default-src 'none'", "connect-src 'self'", "img-src 'self' data:", "style-src 'unsafe-inline'",
          "script-src 'unsafe-inline'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
           "Content-Security-Policy": "; ".join(POLICY)}


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


class Guard:
    """An application that only pages of this server may talk to.

    A page of another site has another Origin. One whose name was made to point to this machine (DNS rebinding) has
    another Host.

    Args:
        app: The application behind.
        hosts: What the Host header may be; None for anything.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with status 403."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers, app = Headers(scope=scope), self.app
        host = headers.get("host", "").lower()
        if self.hosts is not None and host not in self.hosts:
            app = _json({"error": f"this server is not {host!r:.100}"}, 403)
        elif headers.get("origin", f"http://{host}").lower() != f"http://{host}":
            app = _json({"error": "this server answers its own page only"}, 403)
        await app(scope, receive, send)


def make_app(ballot: Ballot, hosts: frozenset[str] | None = None) -> Starlette:
    """The page and its four addresses; nothing that a request says is used as the name of a file.

    Args:
        ballot: What is asked, and where answers go.
        hosts: See `Guard` and `host_names`.
    """
    html = PAGE.read_bytes()

    def page(request: Request) -> Response:
        return Response(html, media_type="text/html", headers=HEADERS)

    def pair(request: Request) -> Response:
        progress = {"given": ballot.given, "number": ballot.number}
        if ballot.given >= ballot.number:
            return _json(progress)
        try:
            token, drawn = ballot.ask()
        except ValueError as error:
            return _json({"error": str(error), "left_out": ballot.pairs.left_out}, 500)
        height, width = drawn.left.shown.shape[:2]
        return _json(progress | {"token": token, "photo": drawn.photo, "width": width, "height": height,
                                 "left_out": ballot.pairs.left_out})

    def image(request: Request) -> Response:
        token, side = (request.path_params[name] for name in ("token", "side"))
        return Response(ballot.image(token, side), media_type="image/jpeg", headers=HEADERS)

    async def answer(request: Request) -> Response:
        token, choice = _told(await _body(request))
        try:
            given = await run_in_threadpool(ballot.answer, token, choice)
        except (ValueError, OSError) as error:
            raise HTTPException(500, f"the answer can't be recorded: {error}") from error
        return _json({"given": given, "number": ballot.number})

    def refused(request: Request, error: HTTPException) -> Response:
        return _json({"error": error.detail}, error.status_code)

    routes = [Route("/", page), Route("/pair", pair), Route("/image/{token}/{side}", image),
              Route("/answer", answer, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)],
                     exception_handlers={HTTPException: refused})


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server for the application; `run(sockets=[...])` lasts until Ctrl-C, and then raises KeyboardInterrupt."""
    return uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
                                         server_header=False, timeout_graceful_shutdown=3))


def listen(host: str, port: int = 0) -> socket.socket:
    """A socket that listens on the port, or on a free one if it is 0.

    Raises:
        ValueError: If it can't.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:  # OverflowError: no such port
        raise ValueError(f"can't listen on {host}, port {port}: {error}") from error


def address(listening: socket.socket, host: str) -> str:
    """The page's address."""
    return f"http://{_bracketed(host)}:{listening.getsockname()[1]}/"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name
        return False


def host_names(listening: socket.socket, host: str) -> frozenset[str] | None:
    """What the Host header of the page's own requests may be; None, anything, for a host that others reach."""
    if not is_loopback(host):
        return None
    names, port = {"localhost", "127.0.0.1", "[::1]", _bracketed(host)}, listening.getsockname()[1]
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


def jpeg(pixels: np.ndarray) -> bytes:
    """The JPEG file of (H, W, 3) uint8 pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, headers=HEADERS)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise HTTPException(413, f"an answer has at most {MOST_BODY} bytes")
    return body


def _told(body: bytes) -> tuple[str, str]:
    """The token and the choice of an answer."""
    try:
        told = parse_json(body)
    except ValueError as error:
        raise HTTPException(400, f"this is no answer: {error}") from error
    told = told if isinstance(told, dict) else {}
    token, choice = told.get("token"), told.get("choice")
    if not isinstance(token, str) or choice not in (*SIDES, SKIP):
        raise HTTPException(400, f'an answer has a "token", and a "choice" of {", ".join((*SIDES, SKIP))}')
    return token, choice
